"""The settings of what turns teachers into a student's targets, and of the pull to them; fairlab.config hands them on."""

from __future__ import annotations

from pydantic import Field

from fairlab.settings import Settings


class Adaptor(Settings):
    """The small network that maps all teachers' embeddings, put side by side, into the common space."""

    name: str = Field(
        "sl",
        description="sl: one layer; dul: two layers; dldpo: two layers and dropout; gate: picks teachers image by image; "
        "positioning, encoding: see the own group's teacher only.",
    )
    embedding_dim: int = Field(512, ge=2, description="Length of the common embedding.")
    dropout: float = Field(0.2, ge=0.0, lt=1.0, description="Share of hidden features dropped (dldpo only).")
    top_k: int | None = Field(
        None, ge=1, description="Teachers that are mixed for an image (gate only); empty: 1, as in MST-Distill."
    )


class Distillation(Settings):
    """How the student is pulled to the stored targets."""

    kd_weight: float | None = Field(
        None,
        ge=0.0,
        description="Weight of the mean squared distance; empty: 10,000 x dims / 512, the paper's pull at any length.",
    )
