"""The settings of what turns teachers into a student's targets, and of the pull to them; fairlab.settings.study hands them on."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from fairlab.settings.base import Name, Settings


class Adaptor(Settings):
    """The small network that maps all teachers' embeddings, put side by side, into the common space."""

    name: Name = Field(
        "sl",
        description="sl: one layer; dul: two layers; dldpo: two layers and dropout; gate: picks teachers image by image; "
        "positioning, encoding: see the own group's teacher only.",
    )
    embedding_dim: int = Field(512, ge=2, le=16_384, description="Length of the common embedding.")
    dropout: float = Field(0.2, ge=0.0, lt=1.0, description="Share of hidden features dropped (dldpo only).")
    top_k: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Teachers that are mixed for an image (gate only); empty: 1, as in MST-Distill.",
    )


class Distillation(Settings):
    """How the student is taught by its parent. A setting that the chosen method does not use changes nothing."""

    kd_weight: float | None = Field(
        None,
        ge=0.0,
        le=1e9,
        description="Weight of the distillation term; empty: the method's own (a-KD, EAF-KD, ProxylessKD: 10,000 x dims / 512, MST-KD's pull at any length, arXiv 2408.16563; ProxylessKD has no such term unless a weight is given).",
    )
    view: Literal["plain", "matching", "mean"] | None = Field(
        None,
        description="Stored target of a mirrored image: plain, that of the image as it is (empty: this, as MST-KD has it, arXiv 2408.16563); matching, that of the mirrored image; mean: of both together, for every image.",
    )
    online: bool | None = Field(
        None,
        description="Compute the target in every step, from the very image that the student sees, instead of reading the stored one; costs the teachers' time in every step; empty: no.",
    )
    classifier: Literal["own", "centroids"] | None = Field(
        None,
        description="What a method that inherits a classifier gets: own, the parent's class centres (empty: this; ProxylessKD, arXiv 2011.00265); centroids, the mean of the parent's stored embeddings of each identity (CLIP-Embed-KD).",
    )
    unfreeze: bool | None = Field(
        None, description="ProxylessKD: the inherited class centres learn on; empty: they stay as the teacher's."
    )
    temperature: float | None = Field(
        None,
        gt=0.0,
        le=1e6,
        description="Logits are divided by this before they are compared; empty: 4 (Hinton KD, arXiv 1503.02531, as in TFace; taken for Grouped KD too).",
    )
    primary_mass: float | None = Field(
        None,
        gt=0.0,
        lt=1.0,
        description="Grouped KD: the teacher's likeliest identities that together reach this probability are the primary group; empty: 0.9 (FairLab's choice).",
    )
    compat: bool | None = Field(
        None,
        description="As the published code has it, where that differs: CC's series one term shorter (TFace); SP's rows of similarities keep their length (TFace); AdaDistill takes the last image of an identity in a batch instead of their mean (arXiv 2407.01332); empty: no.",
    )

    @field_validator("online", "unfreeze", "compat")
    @classmethod
    def _no_is_empty(cls, value: bool | None) -> bool | None:
        return value or None

    @field_validator("view", "classifier")
    @classmethod
    def _usual_is_empty(cls, value: str | None) -> str | None:
        return None if value in ("plain", "own") else value

    @model_validator(mode="after")
    def _online_has_one_view(self) -> Self:
        if self.online and self.view:
            raise ValueError(
                "view is about stored targets; an online target is that of the very image: leave view empty"
            )
        return self
