"""MarginDistillation: the surer the teacher is of an image, the larger its margin (Svitov and Alyamkin, arXiv 2003.02586)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.losses.base import SMALLEST, add_angle
from fairlab.methods.base import METHODS, Batch, unit_targets
from fairlab.methods.student import Heir, cosines
from fairlab.settings.loss import AngleLoss
from fairlab.settings.study import Run

LARGEST_RAD, SMALLEST_RAD = 0.5, 0.2


@METHODS.register(
    "margin_distillation",
    title="MarginDistillation student",
    roles=("student",),
    parents="space",
    in_space=True,
    inherits=True,
    source="arXiv 2003.02586",
)
class MarginDistillation(Heir):
    """Target logit s cos(theta_y + m_i) over the teacher's frozen centres; of the run's loss only s is used.

    m_i = 0.2 + (0.5 - 0.2) d_i / max_i d_i with d_i = cos(t_i, W_y), the maximum over the batch. An image that its
    teacher takes for somebody else altogether (d_i < 0) gets 0.2; the published code would go below.
    """

    needs_targets = True

    def __init__(self, settings: Run, **facts: Any) -> None:
        if isinstance(settings.loss, AngleLoss) and settings.loss.margin_factor != "none":
            raise FairLabError(
                f"method {settings.method} has a margin of its own for each image, which loss.margin_factor does not change: "
                "leave margin_factor at none"
            )
        super().__init__(settings, **facts)

    def identity(self, embeddings: Tensor, batch: Batch) -> Tensor:
        centres, columns = self.head.taking_part(batch.identities)
        cosine = cosines(embeddings, centres)
        if self.training:
            angle = margins(unit_targets(batch), self.head.centres_of(batch.identities))
            cosine = columns.put(cosine, add_angle(columns.pick(cosine), angle))
        return columns.entropy(self.head.scale * cosine)


@torch.no_grad()
def margins(targets: Tensor, centres: Tensor) -> Tensor:
    """The angle for every image in radians, from its teacher's embedding and its identity's centre, (B, D) each: (B,)."""
    sureness = functional.cosine_similarity(targets, centres).clamp_min(0.0)
    return SMALLEST_RAD + (LARGEST_RAD - SMALLEST_RAD) * sureness / sureness.max().clamp_min(SMALLEST)
