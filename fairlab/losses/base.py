"""What every margin classifier shares: class centres, cosines, scale; only the target's logit differs.

Notation of the losses: e = x/|x|, w_j = W_j/|W_j|, c_j = <e, w_j>, theta = acos c, y the identity.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.config import Loss
from fairlab.losses.partial import sample_classes
from fairlab.registry import Registry

EDGE = 1e-6
"""Cosines are kept this far from +-1 before acos, whose gradient is infinite there. That an embedding lies exactly
on its class centre does happen: with frozen centres, with duplicate images, at the end of a small training."""

SMALLEST = 1e-12
"""A class centre shorter than this counts as this long (torch's own limit for normalising)."""


class MarginHead(nn.Module):
    """Class centres `weight` (C, D), drawn from N(0, 0.01^2), and the rule for the target's logit.

    loss(embeddings (B, D) of any length, identities (B,) of 0..C-1) -> () is what a method learns from.
    forward(embeddings, identities) -> logits (B, C) = scale * cosine, the target's with its margin. In evaluation
    mode, or without identities, no margin. What a loss remembers between steps is a buffer, so that it is part of
    every checkpoint.
    """

    def __init__(self, embedding_dim: int, classes: int, settings: Loss) -> None:
        super().__init__()
        self.scale, self.margin = settings.scale, settings.margin_rad
        self.sample_rate = given(settings.sample_rate, 1.0)
        self.weight = nn.Parameter(torch.empty(classes, embedding_dim).normal_(0.0, 0.01))

    def forward(self, embeddings: Tensor, identities: Tensor | None = None) -> Tensor:
        return self.logits(embeddings, self.weight, identities)

    def loss(self, embeddings: Tensor, identities: Tensor) -> Tensor:
        """Cross-entropy of the logits, mean over the batch, plus the loss's penalty; in evaluation the first alone.

        With a sample_rate below 1 only the centres of some classes take part, drawn anew in every step.
        """
        centres: Tensor = self.weight
        if self.training and self.sample_rate < 1:
            chosen, identities = sample_classes(identities, len(centres), self.sample_rate)
            centres = functional.embedding(chosen, centres, sparse=True)  # no gradient of the size of all centres
        loss = functional.cross_entropy(self.logits(embeddings, centres, identities), identities)
        return loss + self.penalty(embeddings) if self.training else loss

    def logits(self, embeddings: Tensor, centres: Tensor, identities: Tensor | None) -> Tensor:
        """The logits over these centres (S, D), of which `identities` are row numbers: (B, S)."""
        embeddings = embeddings.to(centres.dtype)
        # Lengths divide the (B, C) cosines: a normalised copy of the (C, D) centres costs 1.5x the time at 28,000.
        lengths = torch.linalg.vector_norm(centres, dim=1).clamp_min(SMALLEST)
        cosines = functional.normalize(embeddings) @ centres.t() / lengths
        if identities is None or not self.training:
            return self.scale * cosines
        target = cosines.gather(1, identities[:, None]).squeeze(1)
        # Only the target's cosine changes: acos over all (B, C) would cost as much again.
        changed = self.target(target, torch.linalg.vector_norm(embeddings, dim=1))
        return self.scale * self.others(cosines, target).scatter(1, identities[:, None], changed[:, None])

    def target(self, cosine: Tensor, length: Tensor) -> Tensor:
        """From the target's cosine (B,) to its cosine with margin (B,); length (B,) is that of the embeddings."""
        raise NotImplementedError(f"{type(self).__name__} must say what its margin does to the cosine")

    def others(self, cosines: Tensor, target: Tensor) -> Tensor:
        """All cosines (B, C) as they enter the loss beside the target's (B,), whose column is replaced afterwards."""
        return cosines

    def penalty(self, embeddings: Tensor) -> Tensor:
        """What the loss adds to the cross-entropy, weighted: (); zero for most."""
        return embeddings.new_zeros(())


def given(value: float | None, paper: float) -> float:
    """A setting as it was given, or the paper's."""
    return paper if value is None else value


def add_angle(cosine: Tensor, angle: Tensor | float) -> Tensor:
    """cos(acos(cosine) + angle) with the angle in radians; gradients stay finite at cosines of +-1.

    Beyond theta = pi - angle the value rises again, and beyond pi - angle / 2 it is larger than the cosine itself:
    there the margin helps instead of hurting. The papers' code has no guard against it, so neither has this.
    """
    edge = max(EDGE, torch.finfo(cosine.dtype).eps)  # in half precision 1 - 1e-6 would be 1
    return torch.cos(torch.acos(cosine.clamp(-1 + edge, 1 - edge)) + angle)


LOSSES: Registry[type[MarginHead]] = Registry("loss", "fairlab.losses")
"""LOSSES[name](embedding_dim, classes, settings) -> MarginHead."""
