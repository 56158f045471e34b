"""What every margin classifier shares: class centres, cosines, scale; only the target's logit differs.

Notation of METHODS.md 6: e = x/|x|, w_j = W_j/|W_j|, c_j = <e, w_j>, theta = acos c, y the identity.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.config import Loss
from fairlab.registry import Registry

EDGE = 1e-6
"""Cosines are kept this far from +-1 before acos, whose gradient is infinite there (METHODS.md H6)."""


class MarginHead(nn.Module):
    """Class centres `weight` (C, D), drawn from N(0, 0.01^2), and the rule for the target's logit.

    forward(embeddings (B, D) of any length, identities (B,)) -> logits (B, C) = scale * cosine, the target's with
    its margin. In evaluation mode, or without identities, no margin.
    """

    def __init__(self, embedding_dim: int, classes: int, settings: Loss) -> None:
        super().__init__()
        self.scale, self.margin = settings.scale, settings.margin_rad
        self.settings = settings
        self.weight = nn.Parameter(torch.empty(classes, embedding_dim).normal_(0.0, 0.01))

    def forward(self, embeddings: Tensor, identities: Tensor | None = None) -> Tensor:
        cosines = functional.normalize(embeddings) @ functional.normalize(self.weight).t()
        if identities is None or not self.training:
            return self.scale * cosines
        target = cosines.gather(1, identities[:, None]).squeeze(1)
        # Only the target's cosine changes: acos over all (B, C) would cost most of the step (PERFORMANCE.md 3).
        return self.scale * cosines.scatter(1, identities[:, None], self.target(target)[:, None])

    def target(self, cosine: Tensor) -> Tensor:
        """From the target's cosine (B,) to its cosine with margin (B,)."""
        raise NotImplementedError(f"{type(self).__name__} must say what its margin does to the target's cosine")


def add_angle(cosine: Tensor, angle: Tensor | float) -> Tensor:
    """cos(acos(cosine) + angle), with finite gradients at +-1.

    Beyond theta = pi - angle the value rises again, as in the papers' code, which has no guard (METHODS.md H5).
    """
    return torch.cos(torch.acos(cosine.clamp(-1 + EDGE, 1 - EDGE)) + angle)


LOSSES: Registry[type[MarginHead]] = Registry("loss", "fairlab.losses")
