"""Hinton's distillation of logits (arXiv 1503.02531), with the teacher's logits from its stored embeddings."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from fairlab.methods.base import METHODS, Batch, Inherited, method_settings, unit_targets
from fairlab.methods.student import Student, checked, cosines
from fairlab.settings.distillation import LogitSettings
from fairlab.settings.study import Run


class LogitStudent(Student):
    """Its teacher's logits cost no forward pass: scale x cosines of the stored target to the teacher's class centres.

    The student's are those of its own classifier, without a margin. What is compared is log p of both at the
    temperature. Over all classes at once (Grouped-KD sorts them), so where several processes train, each keeps the
    whole classifier.
    """

    needs_head = True
    whole_head = True
    teacher_centres: Tensor

    def __init__(self, settings: Run, *, classes: int, inherited: Inherited | None = None, **facts: Any) -> None:
        super().__init__(settings, classes=classes, **facts)
        teacher = checked(settings, inherited, classes)
        self.teacher_scale = teacher.scale
        self.register_buffer("teacher_centres", teacher.centres.float(), persistent=False)  # stays the parent's
        self.temperature = method_settings(settings, LogitSettings).temperature

    def log_probabilities(self, embeddings: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """(student's, teacher's) log p, each (B, C)."""
        student = self.head.scale * cosines(embeddings, self.head.weight)
        teacher = self.teacher_scale * cosines(unit_targets(batch), self.teacher_centres)
        return (student / self.temperature).log_softmax(1), (teacher / self.temperature).log_softmax(1)


@METHODS.register(
    "hinton_kd",
    title="Hinton-KD student",
    roles=("student",),
    parents="space",
    inherits=True,
    source="arXiv 1503.02531",
)
class HintonKD(LogitStudent):
    """T^2 x KL(p_t || p_s) / B at temperature T = 4. Weight 1."""

    def term(self, embeddings: Tensor, batch: Batch) -> Tensor:
        student, teacher = self.log_probabilities(embeddings, batch)
        return self.temperature**2 * functional.kl_div(student, teacher, reduction="batchmean", log_target=True)
