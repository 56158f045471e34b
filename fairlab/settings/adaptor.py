"""The settings of the adaptor that makes the common space; fairlab.settings.study hands Adaptor on."""

from __future__ import annotations

from pydantic import Field

from fairlab.settings.base import Name, Settings


class Adaptor(Settings):
    """The small network that maps all teachers' embeddings, put side by side, into the common space."""

    name: Name = Field(
        "sl",
        description="sl: one layer; dul: two layers; dldpo: two layers and dropout; gate: picks teachers image by image; "
        "positioning, encoding: see the own group's teacher only.",
    )
    embedding_dim: int = Field(512, ge=2, le=16_384, description="Length of the common embedding.")
    hidden_dim: int = Field(
        0, ge=0, le=16_384, description="Width of the hidden layer (dul and dldpo); 0: that of the common embedding."
    )
    dropout: float = Field(0.2, ge=0.0, lt=1.0, description="Share of hidden features dropped (dldpo only).")
    top_k: int = Field(
        1, ge=1, le=10_000, description="Teachers that are mixed for an image (gate only); 1 as in MST-Distill."
    )


ADAPTOR_OF = {"hidden_dim": ("dul", "dldpo"), "dropout": ("dldpo",), "top_k": ("gate",)}
"""Of the settings of Adaptor those that some adaptors alone use, and which."""
