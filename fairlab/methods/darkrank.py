"""DarkRank: rank an image's nearest as the teacher ranks them (Chen, Wang and Zhang, AAAI 2018, arXiv 1707.01220)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS, Batch, unit_targets
from fairlab.methods.rkd import lengths_of
from fairlab.methods.student import Student

ALPHA, BETA, LISTED = 3.0, 3.0, 3
"""Score = -alpha x distance^beta; so many of the nearest are ranked."""


@METHODS.register(
    "darkrank",
    title="DarkRank student",
    roles=("student",),
    parents="space",
    source="arXiv 1707.01220, hard ranking; formula as in TFace",
)
class DarkRank(Student):
    """-log P(the teacher's order of the three nearest | the student's scores), mean over the batch. Weight 1.

    Never zero: a student equal to its teacher still gives its order a probability below one.
    """

    def term(self, embeddings: Tensor, batch: Batch) -> Tensor:
        return unlikeliness(embeddings, unit_targets(batch))


def unlikeliness(students: Tensor, teachers: Tensor) -> Tensor:
    """(B, D), (B, D') -> (): of the teacher's lists, by the student's scores of unit embeddings. B must be 4 or more.

    A list l1, l2, l3 has the probability prod_i exp(s_li) / sum_{j >= i} exp(s_lj) among its own members.
    """
    if len(students) <= LISTED:
        raise FairLabError(
            f"DarkRank ranks {LISTED} others of a batch: training.batch_size must be {LISTED + 1} or more"
        )
    nearest = _scores(teachers).sort(dim=1, descending=True, stable=True).indices[:, :LISTED]
    listed = _scores(students).gather(1, nearest)
    rest = torch.stack([listed[:, place:].logsumexp(1) for place in range(LISTED)], dim=1)
    return (rest - listed).sum(1).mean()


def _scores(embeddings: Tensor) -> Tensor:
    """(B, B): the nearer the higher; an image is not on its own list."""
    units = functional.normalize(embeddings)
    distances = lengths_of((units[:, None] - units).square().sum(2))
    itself = torch.eye(len(units), dtype=torch.bool, device=units.device)
    return (-ALPHA * distances**BETA).masked_fill(itself, -torch.inf)
