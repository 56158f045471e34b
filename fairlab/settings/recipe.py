"""Settings of data made of other data, and of the check whether two sets overlap; study.py hands them on."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fairlab.settings.base import Name, Names, Seed, Settings

PORTIONS = ("real", "synthetic", "mixed")
"""Faces of a study's students that need no recipe: the study's own, synthetic ones, and both as grid.mix_* say."""


class Recipe(Settings):
    """A data set made of others' images; nothing is copied. Steps: groups, part, then draw, alike in groups and mixed."""

    dataset: Name = Field("", description="Data set whose images are taken.")
    splits: Names = Field(("train",), min_length=1, description="Parts of it to take; they become 'train'.")
    groups: Names = Field((), description="Take these groups only; empty means all.")
    parts: int = Field(
        1, ge=1, le=10_000, description="Cut the identities of every group into this many balanced parts ..."
    )
    part: int = Field(0, ge=0, le=9_999, description="... and take this one (counted from 0).")
    equal: bool = Field(False, description="Draw the same number in each group.")
    unit: Literal["identities", "images"] = Field(
        "identities", description="What is counted and drawn: whole identities, or single images."
    )
    count: int = Field(
        0,
        ge=0,
        le=1_000_000_000,
        description="How many to draw, in each group if equal, else altogether; 0: as many as there can be.",
    )
    mix: Name = Field("", description="Second data set to mix in, e.g. a synthetic one; empty: none.")
    mix_splits: Names = Field(("train",), min_length=1, description="Parts of the second data set to take.")
    share: float = Field(0.5, gt=0, lt=1, description="Share of the mixture that comes from the second data set.")
    held_out: bool = Field(
        True, description="Keep the first data set's other parts that have pairs, whole, to evaluate models on."
    )
    seed: Seed = Field(0, description="Seed of what is drawn.")

    @model_validator(mode="after")
    def _part_exists(self) -> Self:
        if self.part >= self.parts:
            raise ValueError(f"part {self.part} does not exist: there are {self.parts} parts, counted from 0")
        return self


class Overlap(Settings):
    """Are people or images that models are judged on among those they learned from?"""

    train: Name = Field("", description="Data set that was learned from.")
    test: Name = Field("", description="Data set that models are evaluated on; may be the same.")
    train_splits: Names = Field((), description="Its parts; empty: 'train', or all where no part is called so.")
    test_splits: Names = Field(
        (), description="Its parts; empty: those with pairs, or else all that are not learned from."
    )
    model: Name = Field(
        "", description="Run with embeddings of both, to look for nearest faces; empty: not looked for."
    )
    chance: float = Field(
        0.001,
        gt=0,
        le=0.1,
        description="A nearest face counts from the cosine on that this share of test images reach with a stranger of the test set.",
    )
    likeness: float = Field(
        0.96, ge=0.5, le=1.0, description="Correlation of two thumbnails from which they show one photograph."
    )
