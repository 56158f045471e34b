"""Two models on the same pairs, each at its own threshold of the same rule: how much their rates and measures vary apart.

What two models share is only in part seen by redrawing people, because a pair of strangers weighs too much there. So the
variance of a difference of two rates is added up over people (clusters), with all that moves it: the pairs that one of the
two models gets wrong, and the false matches that set each model's threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fairlab.evaluation.intervals import correlated
from fairlab.evaluation.metrics import FAIRNESS_METRICS, Rates
from fairlab.evaluation.operating import AtPoint
from fairlab.evaluation.spread import Noise, angle, rate_of, worth


@dataclass(frozen=True)
class Both:
    """Two models at the points of one rule, on the same groups of pairs with the same draws."""

    ours: AtPoint
    theirs: AtPoint

    @property
    def sides(self) -> tuple[AtPoint, AtPoint]:
        return self.ours, self.theirs

    def match(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Which pairs (P,) of group `number` each of the two accepts, as numbers."""
        one, two = ((side.groups[number].scores >= side.thresholds[number]).astype(float) for side in self.sides)
        return one, two

    def variance(self, kind: int, number: int) -> float:
        """Variance over people of the difference of two FMRs (kind 0) or FNMRs (1) of a group."""
        slopes = [_slopes(side, kind, number) for side in self.sides]
        total = 0.0
        for at, group in enumerate(self.ours.groups):
            moved, own = slopes[0][at] or slopes[1][at], at == number
            if not (moved or own):
                continue
            one, two = self.match(at)
            values = np.where(group.genuine, 0.0, slopes[0][at] * one - slopes[1][at] * two)
            if own:
                values += np.where(group.genuine == bool(kind), (1 - 2 * kind) * (one - two), 0.0)
            kinds = (*([True] if own and kind else []), *([False] if moved or not kind else []))
            total += group.bootstrap.clusters.variance(values, kinds)
        return total

    def measures(self, seed: int) -> dict[str, tuple[float, np.ndarray, float]]:
        """Every measure of rates: (difference, redrawn differences, 0).

        Test sets are drawn around groups that lie apart as much as they are estimated to: those that are seen lie further
        apart, by chance, and a measure varies more there. A draw is what chance makes of the difference.
        """
        both = zip(self.ours.groups, self.theirs.groups, strict=True)
        if all(np.array_equal(mine.scores, other.scores) for mine, other in both):
            return self._nothing()
        if tuple(self.ours.rates.ravel()) > tuple(self.theirs.rates.ravel()):  # the other way round is the same, turned
            other = Both(self.theirs, self.ours).measures(seed)
            return {name: (-gain, -redrawn, least) for name, (gain, redrawn, least) in other.items()}
        sides = self.sides
        drawn = [np.concatenate([side.fmr, side.fnmr], axis=1) for side in sides]
        drawn[1] = self._alike(drawn)
        counts = [_count(side) for side in sides]
        noise = Noise.of(np.concatenate(drawn, axis=1), np.concatenate(counts), seed)
        true = [shrunk(side.rates, count) for side, count in zip(sides, counts, strict=True)]
        shown = np.split(noise.at(np.concatenate(true)), 2, axis=1)
        found: dict[str, tuple[float, np.ndarray, float]] = {}
        for name, metric in FAIRNESS_METRICS.items():
            if metric.of != "rates":
                continue

            def measure(rates: np.ndarray, metric: Any = metric) -> np.ndarray:
                return np.asarray(metric(Rates(*np.split(rates, 2, axis=-1), *self.ours.pairs)))

            gain = float(measure(sides[0].rates.ravel())) - float(measure(sides[1].rates.ravel()))
            if self.ours.point.rule == "own" and metric.kinds == ("fmr",):
                found[name] = float("nan"), np.full(len(drawn[0]), np.nan), 0.0
                continue
            away = (measure(shown[0]) - measure(true[0])) - (measure(shown[1]) - measure(true[1]))
            turned = np.where(
                np.arange(len(away)) % 2 == 0, 1.0, -1.0
            )  # what the two models' biases differ by counts as chance
            found[name] = gain, gain + turned * away, 0.0
        return found

    def _nothing(self) -> dict[str, tuple[float, np.ndarray, float]]:
        """Of a model and itself."""
        found = {}
        for name, metric in FAIRNESS_METRICS.items():
            if metric.of == "rates":
                value = float(metric(Rates(*self.ours.rates, *self.ours.pairs)))
                known = np.isfinite(value) and not (self.ours.point.rule == "own" and metric.kinds == ("fmr",))
                found[name] = (0.0 if known else np.nan), np.full(len(self.ours.fmr), 0.0 if known else np.nan), 0.0
        return found

    def _alike(self, drawn: list[np.ndarray]) -> np.ndarray:
        """The second model's redrawn rates (draws, 2G), varying with the first's as they do over people."""
        groups, found = len(self.ours.groups), drawn[1].copy()
        for column in range(2 * groups):
            one, two = drawn[0][:, column], drawn[1][:, column]
            apart = self.variance(column // groups, column % groups)
            known = bool(np.isfinite(apart) and np.isfinite(one).any() and np.isfinite(two).any())
            if known and np.nanstd(one) > 0 and np.nanstd(two) > 0:
                together = (np.nanvar(one) + np.nanvar(two) - apart) / 2
                found[:, column] = correlated(two, one, together)
        return found


def _slopes(side: AtPoint, kind: int, number: int) -> np.ndarray:
    """(G,) by how much a rate of group `number` changes with the FMRs of the groups that set its threshold."""
    groups = len(side.groups)
    if side.point.rule == "threshold":
        return np.zeros(groups)
    share = np.eye(groups)[number] if side.point.rule == "own" else side.pairs[0] / side.pairs[0].sum()
    some = share > 0
    together = side.fixed[0][:, some] @ share[some]
    change = (side.fmr, side.fnmr)[kind][:, number] - side.fixed[kind][:, number]
    known = np.isfinite(together) & np.isfinite(change)
    if not known.any() or not together[known].std() > 0:
        return np.zeros(groups)
    slope = float(np.cov(together[known], change[known])[0, 1] / together[known].var(ddof=1))
    found: np.ndarray = slope * share
    return found


def _count(side: AtPoint) -> np.ndarray:
    """(2G,) as how many independent pairs each rate counts."""
    drawn = (side.fmr, side.fnmr)
    return np.concatenate([worth(side.rates[kind], drawn[kind], side.pairs[kind], side.people) for kind in (0, 1)])


def shrunk(rates: np.ndarray, count: np.ndarray) -> np.ndarray:
    """(2G,) rates (2, G) drawn together until they lie as far apart as they would without the chance of so many pairs (2G,)."""
    found = []
    for part, pairs in zip(rates, np.split(count, 2), strict=True):
        seen = angle(part)
        apart, chance = float(np.var(seen, ddof=1)) if len(seen) > 1 else 0.0, float(np.mean(1 / (4 * pairs)))
        share = np.sqrt(max(1 - chance / apart, 0.0)) if apart > 0 else 1.0
        found.append(rate_of(seen.mean() + share * (seen - seen.mean())))
    return np.concatenate(found)
