"""The adaptors of MST-KD: from the teachers' unit embeddings side by side to the common space.

Layers as in the official code of arXiv 2408.16563. With 4 teachers of 512 dims and 512 out: SL 1,049,088 parameters,
DuL and DLDPO 1,311,744. The order of the teachers matters and is that of the run's recorded parents.
"""

from __future__ import annotations

from torch import nn

from fairlab.models.base import ADAPTORS
from fairlab.settings.study import Adaptor

SLOPE = 0.01
"""Of the LeakyReLU: torch's default, which the official code uses."""


@ADAPTORS.register("sl", title="SL: one layer", source="arXiv 2408.16563, SL-EAF-Fusion")
def build_sl(settings: Adaptor, input_dims: tuple[int, ...]) -> nn.Module:
    """One linear layer with bias."""
    return nn.Linear(sum(input_dims), settings.embedding_dim)


@ADAPTORS.register("dul", title="DuL: two layers", source="arXiv 2408.16563, DuL-EAF-Fusion")
def build_dul(settings: Adaptor, input_dims: tuple[int, ...]) -> nn.Module:
    """Linear - LeakyReLU - Linear."""
    width = settings.hidden_dim or settings.embedding_dim
    return nn.Sequential(
        nn.Linear(sum(input_dims), width), nn.LeakyReLU(SLOPE), nn.Linear(width, settings.embedding_dim)
    )


@ADAPTORS.register("dldpo", title="DLDPO: two layers, dropout", source="arXiv 2408.16563, DLDPO-EAF-Fusion")
def build_dldpo(settings: Adaptor, input_dims: tuple[int, ...]) -> nn.Module:
    """Linear - Dropout - LeakyReLU - Linear, in this order, as the official code has it."""
    width = settings.hidden_dim or settings.embedding_dim
    return nn.Sequential(
        nn.Linear(sum(input_dims), width),
        nn.Dropout(settings.dropout),
        nn.LeakyReLU(SLOPE),
        nn.Linear(width, settings.embedding_dim),
    )
