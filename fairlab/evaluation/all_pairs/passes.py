"""What the two passes over all comparisons are for: thresholds that the first finds, rates that the second redraws there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fairlab.evaluation.all_pairs.counts import AllPairs, Arranged
from fairlab.evaluation.all_pairs.intervals import Redrawn
from fairlab.evaluation.all_pairs.moving import OwnFmr
from fairlab.evaluation.intervals import share_interval, variance_of
from fairlab.evaluation.report import CURVE_POINTS
from fairlab.evaluation.verification import measurable


@dataclass(frozen=True)
class Thresholds:
    """Where the second pass looks, T operating points.

    targets (T): FMRs that can be measured; points (T): their thresholds, as numbers of the grid; own (G, 2 T + CURVE_POINTS):
    where genuine pairs of each group are looked at: the common thresholds, those at which the group itself reaches the
    FMRs, and those of its curve; curves: the latter as numbers of the grid, for each group.
    """

    targets: list[float]
    points: list[int]
    own: np.ndarray
    curves: list[list[int]]


def at_numbers(found: AllPairs, numbers: list[int]) -> np.ndarray:
    """The grid's thresholds by their numbers; infinite behind the last."""
    return np.append(found.thresholds, np.inf)[numbers]


def thresholds_of(found: AllPairs, fmr_targets: tuple[float, ...]) -> Thresholds:
    """From the counts of the first pass."""
    impostors = found.within.sum(1)
    targets = [target for target in fmr_targets if measurable(target, int(impostors.sum()))]
    points = [found.threshold_at(target) for target in targets]
    own = np.full((len(impostors), len(points) * 2 + CURVE_POINTS), np.nan)
    own[:, : len(points)] = at_numbers(found, points)
    curves: list[list[int]] = []
    for group, count in enumerate(impostors):
        curve: list[int] = []
        if count:
            strict = [found.threshold_at(target, group) for target in targets]
            own[group, len(strict) : 2 * len(strict)] = at_numbers(found, strict)
            wanted = np.geomspace(1, count, CURVE_POINTS) / count
            inside = {found.threshold_at(min(target, 1.0), group) for target in wanted}
            curve = sorted(inside - {len(found.thresholds)}, reverse=True)
            own[group, 2 * len(strict) : 2 * len(strict) + len(curve)] = found.thresholds[curve]
        curves.append(curve)
    return Thresholds(targets, points, own, curves)


@dataclass(frozen=True)
class Passes:
    """Both passes, G groups: people, images and their counts, thresholds, and redrawn rates at these."""

    arranged: Arranged
    found: AllPairs
    thresholds: Thresholds
    redrawn: Redrawn

    @cached_property
    def people(self) -> np.ndarray:
        """(G,) people of each group."""
        return np.diff(self.arranged.first_person)

    @cached_property
    def genuine(self) -> np.ndarray:
        """(G,) genuine pairs."""
        return self.found.genuine.sum(1)

    @cached_property
    def impostors(self) -> np.ndarray:
        """(G,) impostor pairs within each group."""
        return self.found.within.sum(1)

    @cached_property
    def own_fmr(self) -> OwnFmr:
        return OwnFmr(self.found, self.thresholds.points, self.redrawn)

    def counts(self, group: int) -> tuple[int, int]:
        """Genuine and impostor pairs of a group."""
        return int(self.genuine[group]), int(self.impostors[group])


def rate_ends(errors: int, pairs: int, people: int, redrawn: np.ndarray) -> tuple[float, float, float]:
    """(rate, low, high) of an error rate; NaN without a pair."""
    value = errors / pairs if pairs else np.nan
    return value, *share_interval(value, variance_of(redrawn), people, int(pairs))


def turned(ends: tuple[float, float, float]) -> tuple[float, float, float]:
    """(rate, low, high) of what is one minus an error rate."""
    value, low, high = ends
    return 1 - value, 1 - high, 1 - low
