"""SP: alike for the teacher, alike for the student (Tung and Mori, ICCV 2019, arXiv 1907.09682)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from fairlab.methods.base import METHODS, Batch, method_settings, unit_targets
from fairlab.methods.student import Student
from fairlab.settings.distillation import SPSettings
from fairlab.settings.study import Run


@METHODS.register(
    "sp", title="SP student", roles=("student",), parents="space", source="arXiv 1907.09682, equations 1 to 4"
)
class SP(Student):
    """||G_t - G_s||_F^2 / B^2; a row of G holds an image's cosines with the whole batch, scaled to length 1. Weight 1.

    The paper's A are the unit embeddings here, so A A^T holds the cosines. compat: the rows keep their length (TFace).
    """

    def __init__(self, settings: Run, *, classes: int, image_px: int, teacher_dims: tuple[int, ...] = ()) -> None:
        super().__init__(settings, classes=classes, image_px=image_px, teacher_dims=teacher_dims)
        compat = method_settings(settings, SPSettings).compat
        self.similarities = pair_cosines if compat else similarity_rows

    def term(self, embeddings: Tensor, batch: Batch) -> Tensor:
        return functional.mse_loss(self.similarities(embeddings), self.similarities(unit_targets(batch)))


def similarity_rows(embeddings: Tensor) -> Tensor:
    """The pair cosines with every row scaled to length 1 (equations 2 and 3): (B, D) -> (B, B)."""
    return functional.normalize(pair_cosines(embeddings))


def pair_cosines(embeddings: Tensor) -> Tensor:
    """The cosine of every image of the batch with every other: (B, D) -> (B, B)."""
    units = functional.normalize(embeddings)
    return units @ units.t()
