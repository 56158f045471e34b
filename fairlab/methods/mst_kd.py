"""MST-KD's students: a small network pulled to the stored common space (arXiv 2408.16563, official code).

The target is the stored embedding of the image as it is; the student may see it mirrored.
"""

from __future__ import annotations

from torch import Tensor

from fairlab.methods.base import (
    METHODS,
    Batch,
    Method,
    build_head,
    build_learner,
    kd_weight,
    method_settings,
    unit_distance,
)
from fairlab.settings.distillation import PullSettings
from fairlab.settings.study import Run


class _Student(Method):
    """A backbone with the distillation term lambda * MSE(target, normalised embedding)."""

    needs_targets = True

    def __init__(self, settings: Run, *, classes: int, image_px: int, teacher_dims: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.learner, self.embedding_dim = build_learner(settings, image_px, teacher_dims)
        self.kd_weight = kd_weight(method_settings(settings, PullSettings), self.embedding_dim)
        self.head = None

    def distillation(self, embeddings: Tensor, batch: Batch) -> Tensor:
        return self.kd_weight * unit_distance(embeddings, batch.targets)


@METHODS.register(
    "a_kd",
    title="a-KD student",
    roles=("student",),
    parents="space",
    in_space=True,
    identities=False,
    source="arXiv 2408.16563, a-KD",
)
class AKD(_Student):
    """Learns the common space only: no identities, no classifier."""


@METHODS.register(
    "eaf_kd",
    title="EAF-KD student",
    roles=("student",),
    parents="space",
    in_space=True,
    source="arXiv 2408.16563, EAF-KD",
)
class EAFKD(_Student):
    """Identity loss plus the pull to the common space."""

    def __init__(self, settings: Run, *, classes: int, image_px: int, teacher_dims: tuple[int, ...] = ()) -> None:
        super().__init__(settings, classes=classes, image_px=image_px, teacher_dims=teacher_dims)
        self.head = build_head(settings, self.embedding_dim, classes)
