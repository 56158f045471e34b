"""Settings of data made of other data, and of the check whether two sets overlap; study.py hands them on."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from fairlab.settings.base import Name, Names, Seed, Settings

MassRule = Literal["mean_share", "mean_mass", "group_mass", "total_mass"]


MASS = ("mass_rule", "mass_groups", "remove", "keep", "mass_gap")
PORTIONS = ("real", "synthetic", "mixed")
"""Faces of a study's students that need no recipe: the study's own, synthetic ones, and both as grid.mix_* say."""


Selected = Literal["only", "without", "only_images", "without_images"]
"""Which side of a saved selection is meant: its people with all their images, everybody else, its images alone, or all others."""


class Recipe(Settings):
    """A data set made of others' images; nothing is copied. Steps: groups, selection, part, mass, then draw, alike in groups and mixed."""

    dataset: Name = Field("", description="Data set whose images are taken.")
    splits: Names = Field(("train",), min_length=1, description="Parts of it to take; they become 'train'.")
    groups: Names = Field((), description="Take these groups only; empty means all.")
    selection: Name = Field(
        "",
        description="Saved selection of the data set (`fairlab data selections list`) that says whose images are taken; empty: no selection.",
    )
    selected: Selected = Field(
        "only",
        description="only: the people who have an image in the selection, with all their images; without: everybody else; only_images: its images alone; without_images: all other images.",
    )
    parts: int = Field(
        1, ge=1, le=10_000, description="Cut the identities of every group into this many balanced parts ..."
    )
    part: int = Field(0, ge=0, le=9_999, description="... and take this one (counted from 0).")
    balance: Literal["none", "mass"] = Field(
        "none",
        description="mass: remove whole identities until the masses of the groups, their sums of soft shares (`fairlab data shares`), are closer. Ambiguous identities and those with few images go first, so groups become purer too: this is not fairness by itself.",
    )
    mass_rule: MassRule = Field(
        "group_mass",
        description="Which group loses its identity of lowest mass next (selection code of arXiv 2408.16563, for 2506.01532; its letters in brackets). group_mass: the one whose identities have the largest mass (e); total_mass: the one with the largest mass over all identities' shares (multiple forces); mean_mass: the one with the lowest mean mass of its identities (d); mean_share: the one with the lowest mean share of its identities, which then loses its identity of lowest mean share (a).",
    )
    mass_groups: Literal["given", "largest"] = Field(
        "given",
        description="Group of an identity: as the data say, or the one with its largest share (relabel). total_mass always takes the largest.",
    )
    remove: int = Field(
        0, ge=0, le=1_000_000_000, description="Identities to remove by mass; 0: see keep and mass_gap."
    )
    keep: int = Field(
        0, ge=0, le=1_000_000_000, description="Identities to keep by mass, instead of remove; 0: see mass_gap."
    )
    mass_gap: float = Field(
        0.01,
        gt=0,
        le=1,
        description="With neither remove nor keep: stop when the largest mass exceeds the smallest by less than this share.",
    )
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
    def _mass_settings_are_used(self) -> Self:
        usual = {name: field.default for name, field in type(self).model_fields.items()}
        changed = [name for name in MASS if getattr(self, name) != usual[name]]
        if self.balance == "none" and changed:
            raise ValueError(f"{changed[0]} is used only with balance = mass")
        if self.balance == "mass":
            others = [name for name in ("equal", "unit", "count", "mix") if getattr(self, name) != usual[name]]
            if others:
                raise ValueError(
                    f"{others[0]} does not go with balance = mass: make a data set with each, one of the other"
                )
            if self.remove and self.keep:
                raise ValueError("remove and keep exclude each other: leave one of them at 0")
            if self.mass_gap != usual["mass_gap"] and (self.remove or self.keep):
                raise ValueError("mass_gap is used only where remove and keep are 0")
            if self.mass_groups != "given" and self.mass_rule == "total_mass":
                raise ValueError("mass_groups is not used with total_mass, which always takes the largest share")
        return self

    @model_validator(mode="after")
    def _selected_has_a_selection(self) -> Self:
        if self.selected != "only" and not self.selection:
            raise ValueError("selected is used only with a selection: name one")
        return self

    @model_validator(mode="after")
    def _part_exists(self) -> Self:
        if self.part >= self.parts:
            raise ValueError(f"part {self.part} does not exist: there are {self.parts} parts, counted from 0")
        return self


class Measuring(Settings):
    """Traits to measure from the pixels of a data set."""

    dataset: Name = Field("", description="The data set.")


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
