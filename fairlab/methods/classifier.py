"""A network that learns to tell identities apart: every teacher, and the student without distillation."""

from __future__ import annotations

from fairlab.methods.base import METHODS, Method, build_backbone, build_head
from fairlab.settings.study import Run


@METHODS.register(
    "classifier",
    title="Identity classifier",
    roles=("teacher", "student"),
    parents="",
    source="arXiv 2408.16563, training of the teachers",
)
class Classifier(Method):
    """Cross-entropy over margin logits of the identities it is given, and nothing else."""

    def __init__(self, settings: Run, *, classes: int, image_px: int, teacher_dims: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.learner, self.embedding_dim = build_backbone(settings, image_px)
        self.head = build_head(settings, self.embedding_dim, classes)
