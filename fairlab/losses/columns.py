"""Where the logits of a batch's identities are: all here, or each on the one process that has its class centre.

A classifier over many identities is shared out by class: each of W processes holds some of the centres and computes the
logits of the whole step's batch over them. What a row needs from elsewhere, its identity's cosine and the sum of its
exponentials, are B numbers a step, so neither centres nor logits ever travel.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Ranks(Protocol):
    """The processes that share a step: this one is `rank` of `size`."""

    @property
    def rank(self) -> int: ...
    @property
    def size(self) -> int: ...

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum of all processes' tensors of one shape, in each; its gradient is the sum of theirs."""
        ...

    def most(self, tensor: Tensor) -> Tensor:
        """The largest of all processes' tensors, element by element, without a gradient."""
        ...


def share(classes: int, ranks: Ranks, rank: int | None = None) -> slice:
    """Which of the classes process `rank` (default: this one) holds: a run of them, all shares equal but for one."""
    rank = ranks.rank if rank is None else rank
    return slice(rank * classes // ranks.size, (rank + 1) * classes // ranks.size)


class Columns:
    """`identities` (B,) are column numbers of the (B, S) logits."""

    def __init__(self, identities: Tensor) -> None:
        self.identities = identities

    def pick(self, cosines: Tensor) -> Tensor:
        """Of (B, S) each row's element in its identity's column: (B,)."""
        return cosines.gather(1, self.identities[:, None]).squeeze(1)

    def put(self, cosines: Tensor, values: Tensor) -> Tensor:
        """(B, S) with `values` (B,) in those places."""
        return cosines.scatter(1, self.identities[:, None], values[:, None])

    def entropy(self, logits: Tensor) -> Tensor:
        """Cross-entropy, mean over the batch: ()."""
        return functional.cross_entropy(logits, self.identities)


class SharedColumns(Columns):
    """Some of the columns are here: those of the rows where `here` (B,), at `identities` (B,); others are elsewhere.

    Every process gets the same numbers as one alone with all columns would, up to rounding. There may be no column here.
    """

    def __init__(self, identities: Tensor, here: Tensor, ranks: Ranks) -> None:
        super().__init__(identities)
        self.ranks, self.rows = ranks, here.nonzero().squeeze(1)
        self.at = identities[self.rows]

    def _picked(self, cosines: Tensor) -> Tensor:
        """As pick, and zero in rows whose column is elsewhere."""
        none = cosines.new_zeros(len(cosines)) + cosines.sum() * 0  # part of the graph also where no column is
        return none.index_put((self.rows,), cosines[self.rows, self.at])

    def pick(self, cosines: Tensor) -> Tensor:
        return self.ranks.sum(self._picked(cosines))

    def put(self, cosines: Tensor, values: Tensor) -> Tensor:
        return cosines.index_put((self.rows, self.at), values[self.rows].to(cosines.dtype))

    def entropy(self, logits: Tensor) -> Tensor:
        some = logits.shape[1] > 0
        largest = logits.detach().amax(1) if some else logits.new_full((len(logits),), -torch.inf)
        largest = self.ranks.most(largest)
        total, own = self.ranks.sum(torch.stack([(logits - largest[:, None]).exp().sum(1), self._picked(logits)]))
        return (total.log() + largest - own).mean()
