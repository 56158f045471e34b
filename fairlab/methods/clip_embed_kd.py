"""CLIP-Embed-KD: as CLIP pairs images and texts, pair the student's embeddings with the teacher's, one for each identity
(arXiv 2404.06170, code lnairGT/CLIP-Distillation)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS, Batch, method_settings, one_space
from fairlab.methods.student import Student
from fairlab.settings.distillation import ContrastSettings
from fairlab.settings.study import Run


class ContrastStudent(Student):
    """A student, and a projection P of its teacher's embeddings into its space, linear with bias and trained with it.

    The published code takes the softmax of its own logits before the cross-entropy, which so cannot fall below
    log(1 + (C - 1) / e). Here the identity loss is the run's margin loss.
    """

    def __init__(self, settings: Run, *, teacher_dims: tuple[int, ...] = (), **facts: Any) -> None:
        super().__init__(settings, teacher_dims=teacher_dims, **facts)
        self.contrast_scale = method_settings(settings, ContrastSettings).contrast_scale
        # Last: with the same seed, network and classifier start as those of a student without distillation.
        self.projection = nn.Linear(one_space(settings, teacher_dims, self.embedding_dim), self.embedding_dim)

    def contrast(self, embeddings: Tensor, teachers: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of contrast_scale x cos(x_i, P t_j) over j: embeddings (B, D_s), teachers (M, D_t) -> ().

        targets: the number (B,) of each image's teacher embedding, or its shares in all (B, M). The student chooses among
        the teacher's; the other direction is not in the published code.
        """
        projected = functional.normalize(self.projection(teachers.to(self.projection.weight.dtype)))
        units = functional.normalize(embeddings.to(projected.dtype))
        return functional.cross_entropy(self.contrast_scale * (units @ projected.t()), targets)


@METHODS.register(
    "clip_embed_kd",
    title="CLIP-Embed-KD student",
    roles=("student",),
    parents="space",
    source="arXiv 2404.06170; lnairGT/CLIP-Distillation, without its second softmax",
)
class ClipEmbedKD(ContrastStudent):
    """0.5 x the contrast to the teacher's mean embedding c of every identity, P c_1 .. P c_C; no teacher in a step.

    With a contrast_scale of 1, as published, it is nearly log C - cos + mean cos: a pull to the identity's own mean.
    """

    needs_centroids = True
    needs_targets = False
    centroids: Tensor

    def __init__(self, settings: Run, *, classes: int, centroids: Tensor | None = None, **facts: Any) -> None:
        super().__init__(settings, classes=classes, **facts)
        expected = (classes, self.projection.in_features)
        if centroids is None or tuple(centroids.shape) != expected:
            there = "none" if centroids is None else " x ".join(map(str, centroids.shape))
            raise FairLabError(
                f"method {settings.method} needs its parent's mean embedding of each identity, {expected[0]} x {expected[1]} "
                f"numbers; given: {there}"
            )
        self.register_buffer("centroids", centroids, persistent=False)  # the store has what it is made of

    def distillation(self, embeddings: Tensor, batch: Batch) -> Tensor:
        return self.kd_weight * self.contrast(embeddings, self.centroids, batch.identities)
