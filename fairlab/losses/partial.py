"""A share of the classes in each step: all of the batch's, and others by chance (PartialFC, arXiv 2203.15565)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def sample_classes(identities: Tensor, classes: int, rate: float) -> tuple[Tensor, Tensor]:
    """(chosen classes (S,), the identities as positions in them (B,)); every identity of the batch is chosen.

    S = rate * classes, rounded up; more when the batch alone has more, and never less than two, or there is nothing
    to tell apart. Draws come from torch's global generator, which the loop seeds at every step.
    """
    positives, positions = identities.unique(return_inverse=True)
    absent = torch.ones(classes, dtype=torch.bool, device=identities.device)
    absent[positives] = False
    negatives = absent.nonzero().squeeze(1)
    wanted = max(math.ceil(rate * classes), 2) - len(positives)
    drawn = torch.randperm(len(negatives), device=identities.device)[: max(wanted, 0)]
    return torch.cat([positives, negatives[drawn]]), positions
