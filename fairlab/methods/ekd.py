"""EKD: keep where the teacher's similarities stand among those of strangers (Huang et al., CVPR 2022, official code)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.methods.base import METHODS, Batch, method_settings, unit_targets
from fairlab.methods.sp import pair_cosines
from fairlab.methods.student import Student
from fairlab.settings.distillation import EKDSettings
from fairlab.settings.study import Run

RATES = tuple(10.0**-power for power in range(1, 7))
"""False positive rates of the anchors."""
EMA_WEIGHT, WIDTH, STEEPEST = 0.01, 0.01, 50.0
GENUINE_WEIGHT, IMPOSTOR_WEIGHT, HARDEST = 0.02, 0.01, 2000


class Anchors(nn.Module):
    """Running thresholds at which a share RATES of impostor pairs is taken for genuine, of student and teacher.

    compat: they start at zero, and are one place further down in the sorted similarities, as in the published code.
    """

    thresholds: Tensor
    started: Tensor

    def __init__(self, compat: bool = False) -> None:
        super().__init__()
        self.compat = compat
        self.register_buffer("thresholds", torch.zeros(2, len(RATES)))
        self.register_buffer("started", torch.zeros(()))

    @torch.no_grad()
    def update(self, student: Tensor, teacher: Tensor) -> None:
        """Move towards the thresholds of these impostor similarities (N,); the first ones are taken as they are."""
        levels = torch.stack([thresholds(similarities, self.compat) for similarities in (student, teacher)])
        first = not self.compat and not bool(self.started)
        self.thresholds.lerp_(levels.to(self.thresholds.dtype), 1.0 if first else EMA_WEIGHT)
        self.started.fill_(1.0)

    def ranks(self, similarities: Tensor, which: int) -> Tensor:
        """Softly, how many anchors lie below each similarity (N,), by the student's (0) or the teacher's (1): (N,)."""
        steps = (similarities[:, None] - self.thresholds[which].to(similarities.dtype)) / WIDTH
        return torch.sigmoid(steps.clamp(-STEEPEST, STEEPEST)).sum(1)


@METHODS.register("ekd", title="EKD student", roles=("student",), parents="space", source="EKD, CVPR 2022, TFace")
class EKD(Student):
    """0.02 x MSE(ranks of the genuine pairs) + 0.01 x MSE(ranks of the 2000 impostor pairs most alike to the student).

    All pairs of the batch; kd_weight (1) is over both. The anchors are the largest tenth, hundredth ... of impostor
    similarities, at least the largest, as a running mean with weight 0.01. Without genuine pairs in a batch the first
    term is zero, and a batch of 128 images of 28,000 identities has one in three or four steps: the paper therefore draws
    half of every batch as 8 identities x 4 images (training.pair_identities), and its identity loss is over the other
    half. An image that is in both halves makes no pair with itself: its similarity is 1 for student and teacher.
    """

    general_identity = True

    def __init__(self, settings: Run, *, classes: int, image_px: int, teacher_dims: tuple[int, ...] = ()) -> None:
        super().__init__(settings, classes=classes, image_px=image_px, teacher_dims=teacher_dims)
        compat = method_settings(settings, EKDSettings).compat
        self.head.add_module("anchors", Anchors(compat))  # the head's, so that every checkpoint has them
        self.genuine_pairs: Tensor | None = None
        """How many the last batch had."""

    def term(self, embeddings: Tensor, batch: Batch) -> Tensor:
        anchors = self.get_submodule("head.anchors")
        assert isinstance(anchors, Anchors)
        targets = unit_targets(batch)
        first, second = torch.triu_indices(len(targets), len(targets), 1, device=targets.device)
        same = batch.identities[first] == batch.identities[second]
        genuine = same if batch.images is None else same & (batch.images[first] != batch.images[second])
        self.genuine_pairs = genuine.sum()
        student, teacher = (pair_cosines(rows)[first, second] for rows in (embeddings, targets))
        if self.training and not bool(same.all()):
            anchors.update(student[~same].detach(), teacher[~same])
        hardest = student[~same].detach().topk(min(HARDEST, int((~same).sum()))).indices
        apart = _apart(anchors, student[genuine], teacher[genuine])
        impostor = _apart(anchors, student[~same][hardest], teacher[~same][hardest])
        return GENUINE_WEIGHT * apart + IMPOSTOR_WEIGHT * impostor

    def readings(self) -> dict[str, Tensor]:
        return {} if self.genuine_pairs is None else {"genuine_pairs": self.genuine_pairs}


def _apart(anchors: Anchors, student: Tensor, teacher: Tensor) -> Tensor:
    if len(student) == 0:
        return student.sum()
    return functional.mse_loss(anchors.ranks(student, 0), anchors.ranks(teacher, 1))


def thresholds(impostors: Tensor, compat: bool = False) -> Tensor:
    """The k-th largest of the similarities (N,) for k = N x each rate, whole, at least 1: (6,).

    compat: the published code counts k from 0 in the list that it sorted, so it has the (k+1)-th largest.
    """
    lowest = 0 if compat else 1
    places = [max(len(impostors) // 10**power, lowest) - lowest for power in range(1, len(RATES) + 1)]
    return impostors.topk(places[0] + 1).values[torch.tensor(places, device=impostors.device)]
