"""Point where the teacher points: cosine distance of the embeddings, the plainest feature distillation (as in TFace)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from fairlab.methods.base import METHODS, Batch, unit_targets
from fairlab.methods.student import Student


@METHODS.register(
    "cosine_kd",
    title="Cosine-KD student",
    roles=("student",),
    parents="space",
    in_space=True,
    source="TFace, cosine distance",
)
class CosineKD(Student):
    """mean(1 - cos(f_s, t)), weight 1. With weight 39.0625 it is EAF-KD with its default weight, at any length."""

    def term(self, embeddings: Tensor, batch: Batch) -> Tensor:
        return (1 - functional.cosine_similarity(embeddings, unit_targets(batch))).mean()
