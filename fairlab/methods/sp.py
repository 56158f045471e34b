"""SP: alike for the teacher, alike for the student (Tung and Mori, ICCV 2019, arXiv 1907.09682)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from fairlab.methods.base import METHODS, Batch, unit_targets
from fairlab.methods.student import Student


@METHODS.register(
    "sp", title="SP student", roles=("student",), parents="space", source="arXiv 1907.09682; formula as in TFace"
)
class SP(Student):
    """||G_s - G_t||_F^2 / B^2 with G the cosines of all pairs in the batch. Weight 1."""

    def term(self, embeddings: Tensor, batch: Batch) -> Tensor:
        return functional.mse_loss(pair_cosines(embeddings), pair_cosines(unit_targets(batch)))


def pair_cosines(embeddings: Tensor) -> Tensor:
    """The cosine of every image of the batch with every other: (B, D) -> (B, B)."""
    units = functional.normalize(embeddings)
    return units @ units.t()
