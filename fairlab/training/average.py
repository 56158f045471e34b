"""The running mean of a network's weights (EMA): steadier than the weights of any one step."""

from __future__ import annotations

import copy

import torch
from torch import nn


class Average:
    """A second network whose weights are the mean; `network` is what to validate and keep.

    After step t (from 1) mean = d * mean + (1 - d) * weights with d = min(decay, (1 + t) / (10 + t)), so that the
    weights from before any learning are soon forgotten; batch norm's running statistics likewise, counters as they are.
    The classifier is no part of it.
    """

    def __init__(self, learner: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(learner).requires_grad_(False).eval()

    @torch.no_grad()
    def add(self, learner: nn.Module, step: int) -> None:
        """Take in the weights after step `step` (from 1)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for mean, now in zip(self.network.state_dict().values(), learner.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - decay)
            else:
                mean.copy_(now)
