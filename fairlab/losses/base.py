"""What every margin classifier shares: class centres, cosines, scale; only the target's logit differs.

Notation of the losses: e = x/|x|, w_j = W_j/|W_j|, c_j = <e, w_j>, theta = acos c, y the identity.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.losses.columns import Columns, Ranks, SharedColumns, share
from fairlab.losses.partial import sample_classes
from fairlab.registry import Registry
from fairlab.settings.loss import AngleLoss, Loss

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

    ranks: where several processes train, those that share the centres, see share_out(); then `weight` holds some of
    them, and all processes call loss() with the same embeddings and identities.
    """

    ranks: Ranks | None = None

    def __init__(self, embedding_dim: int, classes: int, settings: Loss) -> None:
        super().__init__()
        self.classes = classes
        self.scale, self.sample_rate = settings.scale, settings.sample_rate
        self.weight = nn.Parameter(torch.empty(classes, embedding_dim).normal_(0.0, 0.01))

    def forward(self, embeddings: Tensor, identities: Tensor | None = None) -> Tensor:
        return self.logits(embeddings, self.weight, None if identities is None else Columns(identities))

    def loss(self, embeddings: Tensor, identities: Tensor, factors: Tensor | None = None) -> Tensor:
        """Cross-entropy of the logits, mean over the batch, plus the loss's penalty; in evaluation the first alone.

        With a sample_rate below 1 only the centres of some classes take part, drawn anew in every step. factors (B,): each
        image's angle is its factor times the margin. Raises FairLabError for them where the margin is not an angle.
        """
        chosen = None
        if self.training and self.sample_rate < 1:
            chosen, identities = sample_classes(identities, self.classes, self.sample_rate)
        centres, columns = self.taking_part(identities, chosen)
        loss = columns.entropy(self.logits(embeddings, centres, columns, factors))
        return loss + self.penalty(embeddings) if self.training else loss

    def taking_part(self, identities: Tensor, chosen: Tensor | None = None) -> tuple[Tensor, Columns]:
        """The centres (S, D) that are here, and where the logits of the identities (B,) over them are.

        chosen: of these classes (S,) alone, in which the identities are positions.
        """
        if self.ranks is None:
            columns = Columns(identities)
        else:
            mine = share(self.classes, self.ranks)
            if chosen is None:
                here, identities = (identities >= mine.start) & (identities < mine.stop), identities - mine.start
            else:
                kept = (chosen >= mine.start) & (chosen < mine.stop)
                here, identities = kept[identities], (kept.cumsum(0) - 1)[identities]
                chosen = chosen[kept] - mine.start
            columns = SharedColumns(identities, here, self.ranks)
        if chosen is None:
            return self.weight, columns
        return functional.embedding(chosen, self.weight, sparse=True), columns  # no gradient of the size of all centres

    def share_out(self, ranks: Ranks) -> None:
        """Keep this process's share of the centres; from now on all processes together are the classifier.

        Each of them computes the same loss L, and gradients go back through what they exchange, so that a centre gets
        that of size * L: hence the division, after which it is dL / dw as in one process.
        """
        mine, grows = share(self.classes, ranks), self.weight.requires_grad
        self.ranks, self.weight = ranks, nn.Parameter(self.weight.detach()[mine].clone(), requires_grad=grows)
        if grows:
            self.weight.register_hook(lambda gradient: gradient / ranks.size)

    def make_whole(self, centres: Tensor) -> None:
        """Take all centres (C, D) back into this process."""
        grows = self.weight.requires_grad
        self.ranks, self.weight = None, nn.Parameter(centres.to(self.weight), requires_grad=grows)

    @torch.no_grad()
    def centres_of(self, identities: Tensor) -> Tensor:
        """The centres (B, D) of these identities, wherever they are; without a gradient."""
        if self.ranks is None:
            return self.weight[identities]
        rows, here = self._rows(identities)
        found = self.weight.new_zeros(len(identities), self.weight.shape[1])
        found[here] = self.weight[rows]
        return self.ranks.sum(found)

    @torch.no_grad()
    def put_centres(self, identities: Tensor, centres: Tensor) -> None:
        """Replace the centres of these identities (U,), each named once, by `centres` (U, D)."""
        rows, here = self._rows(identities)
        self.weight.index_copy_(0, rows, centres[here])

    def _rows(self, identities: Tensor) -> tuple[Tensor, Tensor]:
        """Row numbers in `weight` of those identities whose centre is here, and which those are, (B,) bool."""
        mine = slice(0, self.classes) if self.ranks is None else share(self.classes, self.ranks)
        here = (identities >= mine.start) & (identities < mine.stop)
        return identities[here] - mine.start, here

    def logits(
        self, embeddings: Tensor, centres: Tensor, columns: Columns | None, factors: Tensor | None = None
    ) -> Tensor:
        """The logits over these centres (S, D), with a margin where `columns` say whose: (B, S)."""
        embeddings = embeddings.to(centres.dtype)
        # Lengths divide the (B, C) cosines: a normalised copy of the (C, D) centres costs 1.5x the time at 28,000.
        lengths = torch.linalg.vector_norm(centres, dim=1).clamp_min(SMALLEST)
        cosines = functional.normalize(embeddings) @ centres.t() / lengths
        if columns is None or not self.training:
            return self.scale * cosines
        target = columns.pick(cosines)
        # Only the target's cosine changes: acos over all (B, C) would cost as much again.
        changed, others = self.changed(cosines, target, torch.linalg.vector_norm(embeddings, dim=1), factors)
        return self.scale * columns.put(others, changed)

    def changed(self, cosines: Tensor, target: Tensor, length: Tensor, factors: Tensor | None) -> tuple[Tensor, Tensor]:
        """The target's cosine with its margin (B,), and all cosines (B, S) as they enter the loss beside it."""
        if factors is not None:
            raise FairLabError(
                f"{type(self).__name__} has no margin in radians that a factor of each image could change"
            )
        return self.target(target, length), self.others(cosines, target)

    def target(self, cosine: Tensor, length: Tensor) -> Tensor:
        """From the target's cosine (B,) to its cosine with margin (B,); length (B,) is that of the embeddings."""
        raise NotImplementedError(f"{type(self).__name__} must say what its margin does to the cosine")

    def others(self, cosines: Tensor, target: Tensor) -> Tensor:
        """All cosines (B, C) as they enter the loss beside the target's (B,), whose column is replaced afterwards."""
        return cosines

    def penalty(self, embeddings: Tensor) -> Tensor:
        """What the loss adds to the cross-entropy, weighted: (); zero for most."""
        return embeddings.new_zeros(())


class AngleHead(MarginHead):
    """A classifier whose margin is an angle in radians: m for every image, or m x its own factor."""

    def __init__(self, embedding_dim: int, classes: int, settings: AngleLoss) -> None:
        super().__init__(embedding_dim, classes, settings)
        self.margin = settings.margin_rad

    def changed(self, cosines: Tensor, target: Tensor, length: Tensor, factors: Tensor | None) -> tuple[Tensor, Tensor]:
        angle = self.margin if factors is None else self.margin * factors.to(target.dtype)
        return self.turned(target, angle), self.hardened(cosines, target, angle)

    def target(self, cosine: Tensor, length: Tensor) -> Tensor:
        return self.turned(cosine, self.margin)

    def turned(self, cosine: Tensor, angle: Tensor | float) -> Tensor:
        """From the target's cosine (B,) to its cosine with this margin in radians, one or (B,): (B,)."""
        raise NotImplementedError(f"{type(self).__name__} must say what its angle does to the cosine")

    def hardened(self, cosines: Tensor, target: Tensor, angle: Tensor | float) -> Tensor:
        """As others(), where the target's margin is this angle."""
        return cosines


def add_angle(cosine: Tensor, angle: Tensor | float) -> Tensor:
    """cos(acos(cosine) + angle) with the angle in radians; gradients stay finite at cosines of +-1.

    Beyond theta = pi - angle the value rises again, and beyond pi - angle / 2 it is larger than the cosine itself:
    there the margin helps instead of hurting. The papers' code has no guard against it, so neither has this.
    """
    edge = max(EDGE, torch.finfo(cosine.dtype).eps)  # in half precision 1 - 1e-6 would be 1
    return torch.cos(torch.acos(cosine.clamp(-1 + edge, 1 - edge)) + angle)


LOSSES: Registry[type[MarginHead]] = Registry("loss", "fairlab.losses")
"""LOSSES[name](embedding_dim, classes, settings) -> MarginHead; settings: of the class of this name in settings.loss."""
