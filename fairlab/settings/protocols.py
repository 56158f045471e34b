"""Settings of the evaluation protocols beyond a data set's own pair lists."""

from __future__ import annotations

from pydantic import Field

from fairlab.settings.base import Name, Names, Seed, Settings


class Protocols(Settings):
    """By which further protocols a model is judged, and how their pairs are made."""

    names: Names = Field((), description="Names of the protocols.")
    impostors: int | None = Field(
        None,
        ge=1,
        le=1_000_000_000,
        description="Impostor pairs of every group, drawn or mined. Empty: as many as the list of the data set has, which these settings cannot know.",
    )
    seed: Seed = Field(0, description="Seed of what is drawn.")
    mined_by: Name = Field(
        "",
        description="Run id of the model whose nearest strangers are the hard impostors; empty: the evaluated model itself, so "
        "that its numbers cannot be compared with those of others.",
    )
    exclude_mixed: bool = Field(
        False, description="Leave out people whose images are in two groups when all images are compared."
    )
    people: int | None = Field(
        None,
        ge=2,
        le=1_000_000_000,
        description="Compare only this many people of each group, drawn at random, with all their images. Comparisons grow with "
        "the square of the images; intervals over people widen as fewer people are drawn. Empty: no limit, all people.",
    )
    people_seed: Seed = Field(0, description="Seed of that draw.")
    enrolled: int = Field(1, ge=1, le=10_000, description="Images of each person in the gallery of an identification.")
    unknown_share: float = Field(
        0.3,
        ge=0.0,
        le=1.0,
        description="Share of each group's people who stay out of that gallery, so that searches for people who are not enrolled are tested.",
    )


class DrawnPairs(Settings):
    """How pairs are drawn for a data set that came without a list of them."""

    genuine: int = Field(
        3000,
        ge=1,
        le=1_000_000,
        description="Genuine pairs of every group, and as many impostor pairs; 3000 as in RFW.",
    )
    folds: int = Field(10, ge=2, le=100, description="Folds at most; no two share a person.")
    mined_by: Name = Field(
        "",
        description="Run id of the model that picks the most similar pairs of two people as impostors, as in RFW; empty: "
        "impostors drawn by chance.",
    )
    seed: Seed = Field(0, description="Seed of what is drawn.")


class Drawing(Settings):
    """Pairs to draw for a data set."""

    dataset: Name = Field("", description="The data set.")
    pairs: DrawnPairs = DrawnPairs()
