"""Routing to several teachers, as formulas: who is chosen, what is pulled, what keeps all teachers in use.

MST-Distill (arXiv 2507.07015), KD_methods/MST.py: logits z, temperature T, the gate's shares g (B, n), which add up to 1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor


def divergences(targets: Tensor, moved: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(target / T) || softmax(moved / T)) of every image and teacher: (n, B, C), (B, C) -> (B, n)."""
    log_moved = (moved / temperature).log_softmax(1)
    apart = []
    for target in targets:  # one after the other: (n, B, C) is large, and this way one at a time is in use
        log_target = (target / temperature).log_softmax(1)
        apart.append((log_target.exp() * (log_target - log_moved)).sum(1))
    return temperature**2 * torch.stack(apart, dim=1)


def chosen(shares: Tensor, top_k: int) -> Tensor:
    """Which teachers have the k largest shares of each image: (B, n) bool."""
    return torch.zeros_like(shares, dtype=torch.bool).scatter(1, shares.topk(top_k, dim=1).indices, True)


def routed(pulls: Tensor, picked: Tensor, shares: Tensor, weighed: bool = False) -> Tensor:
    """Mean over images and their k chosen teachers of the pulls (B, n): ().

    The choice has no gradient, so none reaches the gate (MST.py:410-430). weighed: each pull times the gate's share of
    that teacher, through which the gate learns to choose the teacher that is nearest to the student (FairLab's).
    """
    factors = picked * shares if weighed else picked
    return (factors * pulls).sum() / picked.sum()


def balance(log_shares: Tensor, kind: str, as_published: bool = False) -> Tensor:
    """How unevenly the teachers are used over the batch: 0 exactly where the mean share is even. (B, n) logarithms -> ().

    kl: KL(even || mean share); as_published: that over n, since the code's `batchmean` divides a vector by its length.
    cv: standard deviation (over n - 1) of the summed shares, over their mean (MST.py:367-384).
    """
    images, teachers = log_shares.shape
    log_mean = log_shares.logsumexp(0) - math.log(images)  # no share is so small that its logarithm is infinite
    if kind == "cv":
        mean = log_mean.exp()
        return mean.std() / mean.mean() if teachers > 1 else 0.0 * mean.sum()
    apart = -math.log(teachers) - log_mean.mean()
    return apart / teachers if as_published else apart


def surest(entropies: Tensor, log_shares: Tensor, temperature: float) -> Tensor:
    """KL(q || g), mean over images, with q ~ exp(-cross-entropy of teacher j on the identity / temperature): FairLab's.

    entropies, log_shares: (B, n) -> ().
    """
    log_wanted = (-entropies / temperature).log_softmax(1)
    return (log_wanted.exp() * (log_wanted - log_shares)).sum(1).mean()


def means_of(values: Mapping[str, Tensor], picked: Tensor, others: bool) -> dict[str, Tensor]:
    """Of each of the values (B, n) the mean over chosen teachers, "chosen_<name>", and over the others, "other_<name>".

    others: are there any? Not where every image is routed to all teachers.
    """
    parts = {"chosen": picked, **({"other": ~picked} if others else {})}
    return {
        f"{part}_{name}": (value.detach() * mask).sum() / mask.sum()
        for name, value in values.items()
        for part, mask in parts.items()
    }
