"""How far a number over pairs would move with other people, from the sums of each person's pairs.

Two pairs depend on each other when they share a person, so the variance of a mean is the sum over people of (sum of their
pairs)^2, minus what is counted twice so: the squares of each two people's pairs (dyadic clusters; Aronow, Samii & Assenova,
Political Analysis 2015, eq. 4). People only add to what single pairs vary by, so that is the least the variance can be.
Pairs of nobody twice give the binomial variance; all pairs of few people a variance many times larger.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

COLUMNS_AT_ONCE = 20_000_000
"""Values turned into float64 at once: 160 MB."""


class Clusters:
    """Whose the pairs (P,) are: codes first, second of `people` people; a genuine pair has one person."""

    def __init__(self, first: np.ndarray, second: np.ndarray, genuine: np.ndarray, people: int) -> None:
        self.first, self.second, self.genuine, self.people = first, second, genuine, people

    @property
    def correction(self) -> float:
        """People are as few as they are: n / (n - 1). NaN for one, of whom nothing follows for others."""
        return self.people / (self.people - 1) if self.people > 1 else float("nan")

    @cached_property
    def _kinds(self) -> dict[bool, tuple[csr_array, csr_array | None]]:
        """For genuine and impostor pairs: (people x pairs, two people x pairs); None where no two people meet twice."""
        found: dict[bool, tuple[csr_array, csr_array | None]] = {}
        for kind in (True, False):
            of = np.flatnonzero(self.genuine == kind)
            columns = np.arange(len(of))
            first, second = self.first[of].astype(np.int64), self.second[of].astype(np.int64)
            if kind:
                found[kind] = _incidence(first, columns, (self.people, len(of))), None
                continue
            both = np.concatenate([first, second]), np.concatenate([columns, columns])
            names, code = np.unique(
                np.minimum(first, second) * self.people + np.maximum(first, second), return_inverse=True
            )
            repeated = len(names) < len(of)
            met = _incidence(code, columns, (len(names), len(of))) if repeated else None
            found[kind] = _incidence(*both, (self.people, len(of))), met
        return found

    def rate_variance(self, wrong: np.ndarray, genuine: bool) -> np.ndarray:
        """Variance of the share of `wrong` (P,) or (P, K) among the pairs of one kind: () or (K,).

        Made of sums of whole numbers over whole numbers, so that a list that names every pair twice gives the same bits.
        """
        chosen = np.asarray(wrong)[self.genuine == genuine]
        columns = chosen[:, None] if chosen.ndim == 1 else chosen
        count = float(len(columns))
        if not count:
            return np.full(columns.shape[1] if chosen.ndim > 1 else (), np.nan)
        step = max(1, COLUMNS_AT_ONCE // max(len(columns), 1))
        parts = [self._rate_variance(columns[:, at : at + step], genuine) for at in range(0, columns.shape[1], step)]
        found = np.concatenate(parts) if parts else np.empty(0)
        return found if chosen.ndim > 1 else found[0]

    def _rate_variance(self, columns: np.ndarray, genuine: bool) -> np.ndarray:
        values, squared = columns.astype(np.float64), float(len(columns)) ** 2
        by_person, met = self._kinds[genuine]
        rate = values.sum(0) / len(columns)

        def squares(sums: np.ndarray, pairs: np.ndarray) -> np.ndarray:
            """Sum over clusters of (wrong - rate x pairs)^2, over the number of pairs squared."""
            both = (sums**2).sum(0) / squared, pairs @ sums / squared, float(pairs @ pairs) / squared
            total: np.ndarray = both[0] - 2 * rate * both[1] + rate**2 * both[2]
            return np.maximum(total, 0.0)

        people = squares(by_person @ values, by_person.sum(1))
        if genuine:
            return people * self.correction
        sums = values if met is None else met @ values
        pairs = squares(sums, np.ones(len(values)) if met is None else met.sum(1))
        return np.maximum(people - pairs, pairs) * self.correction

    def rate_covariance(self, match: np.ndarray) -> np.ndarray:
        """Covariance of FMR and FNMR, of pairs that `match` (P,) or (P, K): () or (K,). Who is often taken for others is
        seldom missed, so that it is negative as a rule."""
        columns = np.asarray(match, dtype=bool)
        columns = columns[:, None] if columns.ndim == 1 else columns
        step = max(1, COLUMNS_AT_ONCE // max(len(columns), 1))
        parts = [self._rate_covariance(columns[:, at : at + step]) for at in range(0, columns.shape[1], step)]
        found = np.concatenate(parts) if parts else np.empty(0)
        return found if np.ndim(match) > 1 else found[0]

    def _rate_covariance(self, match: np.ndarray) -> np.ndarray:
        kinds = [self.genuine, ~self.genuine]
        if not all(of.any() for of in kinds):
            return np.full(match.shape[1], np.nan)
        wrong = [~match[kinds[0]], match[kinds[1]]]
        sums = [self._kinds[kind][0] @ part.astype(np.float64) for kind, part in zip((True, False), wrong, strict=True)]
        pairs = [self._kinds[kind][0].sum(1) for kind in (True, False)]
        count, rates = float(len(wrong[0])) * len(wrong[1]), [part.sum(0) / len(part) for part in wrong]
        both = (sums[0] * sums[1]).sum(0) / count, float(pairs[0] @ pairs[1]) / count
        apart = pairs[0] @ sums[1] / count, pairs[1] @ sums[0] / count
        found: np.ndarray = both[0] - rates[0] * apart[0] - rates[1] * apart[1] + rates[0] * rates[1] * both[1]
        return found * self.correction

    def variance(self, values: np.ndarray, kinds: tuple[bool, ...] = (True, False)) -> float:
        """Variance of the sum of the means over genuine and over impostor pairs of `values` (P,), of these kinds.

        The least it can be is what single pairs vary by: a person's luck in the two kinds may cancel, a pair's cannot.
        """
        by_person, own, pairs = np.zeros(self.people), 0.0, 0.0
        for kind in kinds:
            of = self.genuine == kind
            if not of.any():
                continue
            share = np.asarray(values)[of].astype(np.float64)
            share = (share - share.mean()) / len(share)
            people, met = self._kinds[kind]
            sums = people @ share
            by_person += sums
            square = float(((share if met is None else met @ share) ** 2).sum())
            own, pairs = own + square, pairs + (0.0 if kind else square)
        return max(float((by_person**2).sum()) - pairs, own) * self.correction


class PairClusters(Clusters):
    """Pairs of which nobody knows whose they are: each stands for itself."""

    def __init__(self, genuine: np.ndarray) -> None:
        places = np.arange(len(genuine))
        super().__init__(places, places, np.asarray(genuine, dtype=bool), len(genuine))

    def rate_variance(self, wrong: np.ndarray, genuine: bool) -> np.ndarray:
        chosen = np.asarray(wrong)[self.genuine == genuine]
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = chosen.sum(0) / len(chosen) if len(chosen) else np.full(chosen.shape[1:], np.nan)
            found: np.ndarray = rate * (1 - rate) / len(chosen)
        return found

    def rate_covariance(self, match: np.ndarray) -> np.ndarray:
        return np.zeros(np.shape(match)[1:])

    def variance(self, values: np.ndarray, kinds: tuple[bool, ...] = (True, False)) -> float:
        parts = [np.asarray(values, dtype=np.float64)[self.genuine == kind] for kind in kinds]
        return float(sum(part.var() / len(part) for part in parts if len(part)))


def _incidence(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> csr_array:
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)


def auc_influence(scores: np.ndarray, genuine: np.ndarray) -> np.ndarray:
    """What each pair (P,) adds to the area under the ROC: the share of the other kind that it beats (ties half)."""
    found = np.empty(len(scores))
    for kind in (True, False):
        others, own = np.sort(scores[genuine != kind]), scores[genuine == kind]
        below, up_to = (np.searchsorted(others, own, side=side) for side in ("left", "right"))
        beaten = (below + up_to) / 2 / max(len(others), 1)
        found[genuine == kind] = beaten if kind else 1 - beaten
    return found


def d_prime_influence(scores: np.ndarray, genuine: np.ndarray, distance: float) -> np.ndarray:
    """What each pair (P,) adds to d' (the first-order term in its score, around both kinds' means and variances)."""
    kinds = [scores[genuine == kind] for kind in (True, False)]
    spread = np.sqrt(sum(part.var() for part in kinds) / 2)
    if not spread > 0:
        return np.full(len(scores), np.nan)
    found = np.empty(len(scores))
    for kind, sign in ((True, 1), (False, -1)):
        away = scores[genuine == kind] - scores[genuine == kind].mean()
        found[genuine == kind] = sign * away / spread - distance / (4 * spread**2) * away**2
    return found
