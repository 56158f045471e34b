"""Intervals of measures of difference, which chance biases away from fair: by asking what truths would show as much.

A measure over groups (max/min, Gini, STD ...) is 0 or 1 for equal groups and larger by chance alone, so redrawn values are
biased twice, and their percentiles shut out the truth whenever groups are equal. Instead the groups' rates are moved along
the line from all equal (0), through what was seen (1), and beyond, in logits. At each place test sets are drawn, and the
interval holds the measure of every place whose draws show the value seen: test inversion in a least favourable family
(DiCiccio & Romano, International Statistical Review 1990). At place 0 the draws show what a perfectly fair model would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import betaincinv, expit, logit

from fairlab.evaluation.intervals import LEVEL, independent_pairs

DRAWS = 1000
"""Test sets drawn at each place."""
PLACES = np.array([0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1, 1.1, 1.2, 1.35, 1.5, 1.75, 2, 2.5, 3.5, 6, 10])
DEFINED = 0.95
"""A measure that more than one draw in twenty leaves undefined has no interval."""

Metric = Callable[[np.ndarray], np.ndarray | float]


def angle(rates: np.ndarray) -> np.ndarray:
    """arcsin(sqrt(rate)), on which chance moves every rate of so many pairs by as much."""
    found: np.ndarray = np.arcsin(np.sqrt(np.clip(rates, 0, 1)))
    return found


def rate_of(angles: np.ndarray) -> np.ndarray:
    """The rates of angles; beyond 0 or 1 they are 0 or 1."""
    found: np.ndarray = np.sin(np.clip(angles, 0, np.pi / 2)) ** 2
    return found


def worth(rates: np.ndarray, redrawn: np.ndarray, pairs: np.ndarray, people: np.ndarray) -> np.ndarray:
    """As how many independent pairs each group's rate (G,) counts, of so many pairs and people (G,); redrawn (draws, G).

    A group without an error (or with errors only) takes the smallest share of the others, or counts in full when there is
    no other. Infinite for a rate that does not vary, because the threshold is set to it; NaN for one that is worth less than
    one pair, because the threshold may lie anywhere, and for one of which no draw is known.
    """
    some = np.isfinite(redrawn)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(some, redrawn, 0).sum(0) / some.sum(0)
        spread = (np.where(some, redrawn - mean, 0) ** 2).sum(0) / some.sum(0)
        count = np.array([independent_pairs(*each) for each in zip(rates, spread, people, strict=True)], dtype=float)
        share = count / pairs
    known = np.isfinite(share) & (rates > 0) & (rates < 1) & (spread > 0)
    least = min(float(share[known].min()), 1.0) if known.any() else 1.0
    fixed = (rates > 0) & (rates < 1) & (spread == 0)
    count = np.where(count >= 1, count, np.nan)
    unknown = (rates > 0) & (rates < 1) & ~np.isfinite(spread)
    without = np.where(unknown, np.nan, np.maximum(least * pairs, 1.0))
    found: np.ndarray = np.where(known, count, np.where(fixed, np.inf, without))
    return found


@dataclass(frozen=True)
class Noise:
    """What chance of the test set does to rates (K,) together: count (K,), as many independent pairs as each is worth
    (infinite: it does not vary); normal (DRAWS, K): correlated as the rates are, each of mean 0 and spread 1.
    """

    count: np.ndarray
    normal: np.ndarray

    @classmethod
    def of(cls, redrawn: np.ndarray, count: np.ndarray, seed: int) -> Noise:
        """From redrawn rates (draws, K), which say how the rates vary together, and `count` (K,)."""
        known = np.where(np.isfinite(redrawn).any(0), redrawn, 0.0)
        known = known[np.isfinite(known).all(1)]
        if len(known) < 2:
            return cls(count, np.full((DRAWS, len(count)), np.nan))
        angles = angle(known)
        angles = angles - angles.mean(0)
        deviation = angles.std(0)
        angles = np.where(deviation > 1e-12, angles / np.where(deviation > 1e-12, deviation, 1), 0.0)
        together = angles.T @ angles / len(angles)
        np.fill_diagonal(together, 1.0)
        values, vectors = np.linalg.eigh(together)
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 78])))
        normal = random.standard_normal((DRAWS // 2, len(count)))
        root = vectors * np.sqrt(np.maximum(values, 0))
        return cls(count, np.concatenate([normal, -normal]) @ root.T)

    def at(self, rates: np.ndarray) -> np.ndarray:
        """Rates (DRAWS, ..., K) that test sets show whose true rates are (..., K).

        Binomial counts, by the angle that makes them nearly normal (Anscombe, Biometrika 1948), so that a rate that expects
        three errors shows none in one draw of twenty, as it should.
        """
        rates = np.moveaxis(np.asarray(rates, dtype=np.float64), -1, 0)  # groups first: sums over them are quick so
        column = (len(self.count), *(1,) * (rates.ndim - 1))
        varies = np.isfinite(self.count)
        count = np.where(varies, self.count, 1.0).reshape(column)
        middle = angle((rates * count + 1 / 8) / (count + 1 / 4))
        noise = self.normal.T.reshape(len(self.count), -1, *column[1:]) / np.sqrt(4 * count + 2)[:, None]
        errors = np.rint((count + 3 / 4)[:, None] * rate_of(middle[:, None] + noise) - 3 / 8)
        drawn = np.clip(errors / count[:, None], 0, 1)
        drawn[~varies] = rates[~varies][:, None]
        drawn[np.isnan(self.count)] = np.nan
        return np.moveaxis(drawn, 0, -1)


@dataclass(frozen=True)
class Around:
    """Rates (K,) as they were seen, `fair` (K,) as they would be if groups were equal, and what chance does to them; kinds: of
    how many kinds the rates are, one after the other.
    """

    seen: np.ndarray
    fair: np.ndarray
    noise: Noise
    kinds: int = 1

    @cached_property
    def drawn(self) -> np.ndarray:
        """(DRAWS, places, K) rates of test sets at each place."""
        return self.noise.at(self.places(PLACES))

    @property
    def fair_draws(self) -> np.ndarray:
        """(DRAWS, K) rates that a perfectly fair model would show."""
        return self.drawn[:, 0]

    def places(self, at: np.ndarray) -> np.ndarray:
        """True rates (..., K) at places (...) of the line; those between 0 and 1 stay so."""
        with np.errstate(divide="ignore", invalid="ignore"):
            first, last = logit(self.fair), logit(self.seen)
            finite = np.isfinite(last - first)
            moved = expit(first + np.asarray(at)[..., None] * (last - first))
        start = (self.seen == self.fair) | (np.asarray(at)[..., None] == 0)
        found: np.ndarray = np.where(start, self.fair, np.where(finite, moved, np.nan))
        return found

    def interval(self, metric: Metric, value: float) -> tuple[float, float]:
        """95 % interval of a measure of difference that is `value`; NaN where it or too many draws are not defined."""
        path = np.asarray(metric(self.places(PLACES)))
        drawn = np.asarray(metric(self.drawn))
        defined = np.isfinite(drawn).mean(0)
        known = np.isfinite(path)
        if not np.isfinite(value) or not known[0] or defined[PLACES == 1.0][0] <= DEFINED:
            return float("nan"), float("nan")
        away = -1 if np.nanmedian(drawn[:, 0]) < path[0] else 1
        seen, tail = away * value, (1 - LEVEL) / 2
        ranks = [max(int(np.ceil(share * len(drawn))), 1) - 1 for share in (tail, 1 - tail, LEVEL)]
        shown = np.where(np.isfinite(drawn), away * drawn, np.inf)
        least, most, limit = np.partition(shown, ranks, axis=0)[ranks]
        near = 0.0 if seen <= limit[0] else max(_crossing(most, seen), 0.01)
        far = _crossing(least, seen)
        if not np.isfinite(far):
            return float("nan"), float("nan")
        ends = away * np.asarray(metric(self.places(np.array([min(near, 1.0), max(far, near)]))))
        reach = float(
            most[PLACES == 1.0][0]
        )  # the line is drawn through one test set's groups: never short of its own chance
        low, high = min(float(ends[0]), seen), max(float(ends[1]), seen, reach if np.isfinite(reach) else seen)
        if near == 0:
            low = min(low, self._least_fair(metric, away))
        return (low + 0.0, high + 0.0) if away > 0 else (-high + 0.0, -low + 0.0)

    def _least_fair(self, metric: Metric, away: int) -> float:
        """What equal groups show, at the rate that makes it least: a few measures (WERM) hang on the common rate."""
        drawn = self.fair_draws.reshape(len(self.fair_draws), self.kinds, -1)
        level = np.repeat(drawn.mean(2), drawn.shape[2], axis=1)
        shown = away * np.asarray(metric(level))
        shown = shown[np.isfinite(shown)]
        return float(np.quantile(shown, (1 - LEVEL) / 2)) if len(shown) else float("inf")

    def largest(self) -> tuple[float, float]:
        """95 % interval of the largest true rate: no group alone decides, so that the lower end is Bonferroni's.

        It is missed from above where the group with the largest rate is and no other reaches as far, and from below where any
        of the K groups is. The two do not go together: with 3 % above and 4 % / K below it is missed in 5 % at most, of groups
        far apart (3 + 4 / K) as of equal ones (4).
        """
        if not np.isfinite(self.seen).all() or not np.isfinite(self.noise.count).all():
            return float("nan"), float("nan")
        count, groups = self.noise.count, len(self.noise.count)
        below, above = (0.04 / groups, 0.03) if groups > 1 else ((1 - LEVEL) / 2, (1 - LEVEL) / 2)
        errors = self.seen * count
        lows = betaincinv(np.maximum(errors, 1e-9), count - errors + 1, below)
        highs = betaincinv(errors + 1, np.maximum(count - errors, 1e-9), 1 - above)
        return float(lows.max()), float(highs.max())


def _crossing(rising: np.ndarray, value: float) -> float:
    """The place where a curve over PLACES first exceeds `value`; 0 where it begins above, infinite where it stays below."""
    above = np.flatnonzero(rising > value)
    if not len(above):
        return float("inf")
    after = int(above[0])
    if after == 0:
        return 0.0
    low, high = rising[after - 1], rising[after]
    share = (value - low) / (high - low) if np.isfinite(high) and high > low else 0.5
    return float(PLACES[after - 1] + share * (PLACES[after] - PLACES[after - 1]))
