"""Grouped KD: the teacher's likely identities, and how much they weigh together (GKD, AAAI 2023).

KL(p || q) = KL(binary) + p(P) KL(p | P || q | P) + p(S) KL(p | S || q | S) for any split into a primary group P and a
secondary group S; the last part, noise among unlikely identities, is left out.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fairlab.methods.base import METHODS, Batch, method_settings
from fairlab.methods.hinton_kd import LogitStudent
from fairlab.settings.distillation import GroupedKDSettings
from fairlab.settings.study import Run


@METHODS.register(
    "grouped_kd",
    title="Grouped-KD student",
    roles=("student",),
    parents="space",
    inherits=True,
    source="Grouped KD, AAAI 2023; where to split and the temperature are FairLab's choice",
)
class GroupedKD(LogitStudent):
    """T^2 x (Primary-KD + Binary-KD), mean over the batch. Weight 1; T = 4; P reaches 0.9 of the teacher's probability.

    primary_factor: Primary-KD has the factor p(P) that it has in KL; without, as here by default, DKD's parts are alike.
    Where P is one identity Primary-KD is zero, so the mean size of P is a reading.
    """

    def __init__(self, settings: Run, **facts: Any) -> None:
        super().__init__(settings, **facts)
        self.about = method_settings(settings, GroupedKDSettings)
        self.primary_size: Tensor | None = None
        """Identities in P, the mean over the last batch."""

    def term(self, embeddings: Tensor, batch: Batch) -> Tensor:
        student, teacher = self.log_probabilities(embeddings, batch)
        chosen = primary_group(teacher, self.about.primary_mass)
        self.primary_size = chosen.sum(1).to(teacher.dtype).mean()
        binary, primary, _ = grouped(teacher, student, chosen)
        if self.about.primary_factor:
            primary = primary * teacher.masked_fill(~chosen, -torch.inf).logsumexp(1).exp()
        return self.temperature**2 * (binary + primary).mean()

    def readings(self) -> dict[str, Tensor]:
        return {} if self.primary_size is None else {"primary_size": self.primary_size}


def primary_group(teacher: Tensor, mass: float) -> Tensor:
    """From log p (B, C) to who is primary (B, C): the likeliest until they reach `mass`; the last one never is."""
    falling, order = teacher.exp().sort(dim=1, descending=True, stable=True)
    before = falling.cumsum(1) - falling
    chosen = before < mass
    chosen[:, 0], chosen[:, -1] = True, False  # both groups have a member
    return torch.zeros_like(chosen).scatter(1, order, chosen)


def grouped(teacher: Tensor, student: Tensor, primary: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """From log p, log q (B, C) and P (B, C): KL of the two masses, KL within P, KL within the rest, each (B,).

    P and its rest must both have a member in every row.
    """
    binary = torch.zeros_like(teacher[:, 0])
    within = []
    for group in (primary, ~primary):
        p, q = (values.masked_fill(~group, -torch.inf).logsumexp(1) for values in (teacher, student))
        binary = binary + p.exp() * (p - q)
        inside, seen = (
            (values - mass[:, None]).masked_fill(~group, 0.0) for values, mass in ((teacher, p), (student, q))
        )
        within.append((inside.exp() * (inside - seen)).sum(1))  # who is not in the group adds 1 x (0 - 0)
    return binary, within[0], within[1]
