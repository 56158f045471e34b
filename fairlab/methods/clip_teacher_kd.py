"""CLIP-Teacher-KD: pair every image of the batch with its teacher's embedding among those of all others (arXiv 2404.06170)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fairlab.methods.base import METHODS, Batch, method_settings, raw_targets
from fairlab.methods.clip_embed_kd import ContrastStudent
from fairlab.settings.distillation import ClipTeacherKDSettings
from fairlab.settings.study import Run


@METHODS.register(
    "clip_teacher_kd",
    title="CLIP-Teacher-KD student",
    roles=("student",),
    parents="space",
    source="arXiv 2404.06170; lnairGT/CLIP-Distillation, without its second softmax; soft targets are FairLab's",
)
class ClipTeacherKD(ContrastStudent):
    """0.5 x the contrast over the whole step's B x B cosines cos(x_i, P t_j), t the teacher's raw embeddings.

    soft_targets: all images of an image's identity share its target. As published each has its own alone, so that
    two images of one person are taught to be apart.
    """

    def __init__(self, settings: Run, **facts: Any) -> None:
        super().__init__(settings, **facts)
        self.soft_targets = method_settings(settings, ClipTeacherKDSettings).soft_targets

    def term(self, embeddings: Tensor, batch: Batch) -> Tensor:
        teachers = raw_targets(batch)
        if self.soft_targets:
            targets = shared_targets(batch.identities).to(self.projection.weight.dtype)
        else:
            targets = torch.arange(len(teachers), device=teachers.device)
        return self.contrast(embeddings, teachers, targets)


def shared_targets(identities: Tensor) -> Tensor:
    """Row i: 1 / (number of images of i's identity) for each of them, 0 for strangers. (B,) -> (B, B), float."""
    same = (identities[:, None] == identities).float()
    return same / same.sum(1, keepdim=True)
