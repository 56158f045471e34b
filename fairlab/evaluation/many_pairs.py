"""Redrawn people for millions of pairs, where a weight for every draw and pair would not fit into memory.

A pair's weight hangs on its two people only, so errors are first added up over all pairs of the same two people (a cell).
What is left is, for every draw, t' E t: E sparse (identities x identities), t how often each identity was drawn. Where
pairs are told apart by their scores too (AUC, EER), cells are those of a bin of scores; bins of AUC lie between genuine scores,
so nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from fairlab.evaluation.clusters import Clusters
from fairlab.evaluation.intervals import IdentityBootstrap

ROWS = 2048
"""Rows of a sparse matrix multiplied at once: 2,048 x 1,000 draws x 4 bytes are 8 MB."""
CELLS = 4 << 20
"""Sums held at once, over bins and draws: 34 MB."""


class _Sums:
    """Entries (E,) in bins, each with its first identity, second (none for genuine pairs) and value, ready for any draws."""

    def __init__(
        self,
        bins: np.ndarray,
        first: np.ndarray,
        second: np.ndarray | None,
        values: np.ndarray,
        count: int,
        people: int,
    ) -> None:
        keys = bins.astype(np.int64) * people + first
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        self.starts = np.flatnonzero(np.diff(keys, prepend=-1))
        self.bins, self.first = keys[self.starts] // people, keys[self.starts] % people
        self.ends = np.append(self.starts, len(keys))
        self.second = None if second is None else second[order].astype(np.int32)
        self.values = values[order].astype(np.float32 if values.dtype.kind in "biu" else np.float64)
        self.count, self.people = count, people

    def of(self, times: np.ndarray) -> np.ndarray:
        """Sums (bins, draws) float64 of value x weight; times (identities, draws): how often each was drawn."""
        times = np.ascontiguousarray(times, dtype=self.values.dtype)
        sums = np.zeros((self.count, times.shape[1]))
        for start in range(0, len(self.starts), ROWS):
            rows = slice(start, start + ROWS)
            begin, end = self.ends[start], self.ends[min(start + ROWS, len(self.starts))]
            if self.second is None:
                part = (
                    np.add.reduceat(self.values[begin:end], self.starts[rows] - begin)[:, None]
                    * times[self.first[rows]]
                )
            else:
                ends = (self.ends[start : min(start + ROWS, len(self.starts)) + 1] - begin).astype(np.int32)
                shape = (len(ends) - 1, self.people)
                part = csr_array((self.values[begin:end], self.second[begin:end], ends), shape=shape) @ times
                part *= times[self.first[rows]]
            bins = self.bins[rows]
            heads = np.flatnonzero(np.diff(bins, prepend=-1))
            sums[bins[heads]] += np.add.reduceat(part, heads, dtype=np.float64)
        return sums


class _Kind:
    """The pairs of one kind (P,) by cell: who is compared in each cell (C,), and the cell of each pair."""

    def __init__(self, first: np.ndarray, second: np.ndarray | None, people: int) -> None:
        if second is None:
            cells, self.cell = np.unique(first, return_inverse=True)
            self.first, self.second = cells, None
        else:
            low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second)
            cells, cell = np.unique(low * people + high, return_inverse=True)
            self.cell = cell.astype(np.int32)
            self.first, self.second = cells // people, cells % people
        self.people = people

    def total(self, values: np.ndarray) -> _Sums:
        """Sums over all pairs of the values (P,)."""
        by_cell = np.bincount(self.cell, weights=values, minlength=len(self.first))
        if values.dtype.kind in "biu":
            by_cell = by_cell.astype(np.int64)
        some = np.flatnonzero(by_cell)
        second = None if self.second is None else self.second[some]
        return _Sums(np.zeros(len(some), np.int64), self.first[some], second, by_cell[some], 1, self.people)

    def binned(self, bins: np.ndarray, count: int) -> _Sums:
        """Sums of weights over the pairs of each bin (P,)."""
        second = None if self.second is None else self.second[self.cell]
        return _Sums(bins, self.first[self.cell], second, np.ones(len(bins), np.int8), count, self.people)


class ManyPairs(IdentityBootstrap):
    """As intervals.IdentityBootstrap, with the same draws for the same seed, for any number of pairs.

    `identity_a`, `identity_b`, `genuine` are (P,). Memory: a few arrays of P numbers, identities x draws, and blocks.
    """

    def __init__(
        self, identity_a: np.ndarray, identity_b: np.ndarray, genuine: np.ndarray, draws: int, seed: int
    ) -> None:
        first, second, count = _codes(identity_a, identity_b)
        self.identities, self.genuine = count, np.asarray(genuine, dtype=bool)
        self.clusters = Clusters(first, second, self.genuine, count)
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, count])))
        times = random.multinomial(count, np.full(count, 1 / count), size=draws)
        self._times = np.ascontiguousarray(times.T, dtype=np.float32)
        self._kinds = {
            True: _Kind(first[self.genuine], None, count),
            False: _Kind(first[~self.genuine], second[~self.genuine], count),
        }
        self._totals = {
            kind: of.total(np.ones(len(of.cell), np.int8)).of(self._times)[0] for kind, of in self._kinds.items()
        }

        if count < 2:  # nothing is known of other people
            self._totals = {kind: np.full(draws, np.nan) for kind in self._kinds}

    @property
    def draws(self) -> int:
        return int(self._times.shape[1])

    def rate(self, errors: np.ndarray, genuine: bool) -> np.ndarray:
        """Redrawn rates (draws,) or (draws, K) of `errors` (P,) or (P, K), over genuine or impostor pairs only."""
        chosen = np.asarray(errors)[self.genuine if genuine else ~self.genuine]
        columns = chosen[:, None] if chosen.ndim == 1 else chosen
        wrong = [self._kinds[genuine].total(column).of(self._times)[0] for column in columns.T]
        with np.errstate(invalid="ignore", divide="ignore"):
            redrawn = np.stack(wrong, axis=1) / self._totals[genuine][:, None]
        return redrawn[:, 0] if chosen.ndim == 1 else redrawn

    def auc(self, scores: np.ndarray) -> np.ndarray:
        """Redrawn areas under the ROC (draws,): Mann-Whitney with weighted pairs, ties one half; NaN without either kind."""
        levels, level = np.unique(scores[self.genuine], return_inverse=True)
        below, up_to = (np.searchsorted(levels, scores[~self.genuine], side=side) for side in ("left", "right"))
        genuine = self._kinds[True].binned(level, len(levels))
        impostor = self._kinds[False].binned(below + up_to, 2 * len(levels) + 1)  # odd: as high as a genuine pair
        won = np.zeros(self._times.shape[1])
        for draws in self._blocks(2 * len(levels) + 1):
            times = self._times[:, draws]
            weight = genuine.of(times)
            above = np.zeros((2 * len(levels) + 1, times.shape[1]))
            above[:-1:2] = np.cumsum(weight[::-1], axis=0)[::-1]
            above[1::2] = above[:-1:2] - weight / 2
            won[draws] = np.einsum("bd,bd->d", impostor.of(times), above)
        with np.errstate(invalid="ignore", divide="ignore"):
            areas: np.ndarray = won / (self._totals[True] * self._totals[False])
        return areas

    def eer(self, scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
        """Redrawn equal error rates (draws,): (FMR + FNMR) / 2 at the one of `thresholds` (T,) where they are nearest.

        The thresholds must rise.
        """
        if (np.diff(thresholds) <= 0).any():
            raise ValueError("thresholds must rise")
        reached = np.searchsorted(thresholds, scores, side="right")  # how many thresholds accept the pair
        count = len(thresholds) + 1
        sums = {kind: of.binned(reached[self.genuine == kind], count) for kind, of in self._kinds.items()}
        rates = np.empty(self._times.shape[1])
        for draws in self._blocks(count):
            below = {kind: np.cumsum(of.of(self._times[:, draws]), axis=0)[:-1] for kind, of in sums.items()}
            with np.errstate(invalid="ignore", divide="ignore"):
                # In single precision, as for few pairs, so that of two equally near thresholds the same one is taken.
                fnmr = below[True].astype(np.float32) / self._totals[True][draws].astype(np.float32)
                accepted = (self._totals[False][draws] - below[False]).astype(np.float32)
                fmr = accepted / self._totals[False][draws].astype(np.float32)
            gap = np.where(np.isfinite(fmr) & np.isfinite(fnmr), np.abs(fmr - fnmr), np.inf)
            best = (gap.argmin(0), np.arange(gap.shape[1]))
            rates[draws] = (fmr[best] + fnmr[best]) / 2
        return rates

    def _blocks(self, bins: int) -> Iterator[slice]:
        """All draws, as many at a time as fit beside so many bins."""
        draws, step = self._times.shape[1], max(1, CELLS // bins)
        yield from (slice(start, min(start + step, draws)) for start in range(0, draws, step))


def _codes(identity_a: np.ndarray, identity_b: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """(code of each pair's first identity, of its second, how many there are); codes in the identities' sorted order."""
    codes, names = pd.factorize(np.concatenate([identity_a, identity_b]))
    rank = np.empty(len(names), np.int32)
    rank[np.argsort(names, kind="stable")] = np.arange(len(names), dtype=np.int32)
    codes = rank[codes]
    return codes[: len(identity_a)], codes[len(identity_a) :], len(names)
