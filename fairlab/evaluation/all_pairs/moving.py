"""Redrawn rates of all comparisons where the threshold is set anew in every draw, from the counts at 20,001 thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairlab.evaluation.all_pairs.counts import AllPairs
from fairlab.evaluation.all_pairs.intervals import Redrawn
from fairlab.evaluation.intervals import correlated, drawn_in
from fairlab.evaluation.moving import Steps, carried, move, steepness, straightened, targets_around
from fairlab.evaluation.spread import angle, rate_of


@dataclass(frozen=True)
class MovedPoint:
    """cells (draws, G, G): FMRs; fnmr (draws, G); fixed (draws, G): FMRs within groups at the threshold as it is."""

    cells: np.ndarray
    fnmr: np.ndarray
    fixed: np.ndarray

    @property
    def fmr(self) -> np.ndarray:
        """(draws, G) FMRs within groups."""
        return np.diagonal(self.cells, axis1=1, axis2=2)


def narrowed(found: AllPairs, at: int, redrawn: Redrawn, number: int) -> np.ndarray:
    """(draws, G, G) redrawn FMRs at threshold `at` of the grid, number `number` of those redrawn, spread as over people."""
    wrong, of = found.between(at)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = wrong / of
    return np.clip(drawn_in(rate, redrawn.fmr[..., number], redrawn.fmr_variance[..., number]), 0, 1)


def moved_point(found: AllPairs, at: int, target: float, redrawn: Redrawn, number: int) -> MovedPoint:
    """Rates at the threshold where the impostors within all groups together reach FMR `target`, set anew in every draw."""
    cells, fnmr = narrowed(found, at, redrawn, number), redrawn.fnmr[..., number]
    for group in range(len(found.within)):
        cells[:, group, group] = correlated(
            cells[:, group, group], fnmr[:, group], redrawn.covariance[group, number, number]
        )
    fixed = np.diagonal(cells, axis1=1, axis2=2)
    impostors = found.within.sum(1)
    if at >= len(found.thresholds):
        return MovedPoint(cells, fnmr, fixed)
    some = impostors > 0
    together = np.average(fixed[:, some], axis=1, weights=impostors[some])
    near = np.unique([at, *(found.threshold_at(wanted) for wanted in targets_around(target, together))])
    near = near[near < len(found.thresholds)]
    rates = found.fmr()[:, near], found.fnmr()[:, near]
    steps = Steps(found.thresholds[near], *rates, int(np.searchsorted(near, at)))
    along = steps.together(impostors / impostors.sum())
    _, missed, step = move(steps, impostors / impostors.sum(), target, fixed, fnmr)
    moved = cells.copy()
    for one in range(len(impostors)):
        for other in range(one, len(impostors)):
            counts = found.impostors[one, other]
            if counts.any():
                curve = found.matches(counts)[near] / counts.sum()
                curve = straightened(curve, along, steps.at)
                moved[:, one, other] = moved[:, other, one] = carried(cells[:, one, other], curve, steps.at, step)
    return MovedPoint(moved, missed, fixed)


class OwnFmr:
    """Redrawn FNMRs of groups at FMRs of their own: the draws know FMRs at the common thresholds only, and the deviation at
    the nearest of them is carried to where it is wanted.
    """

    def __init__(self, found: AllPairs, points: list[int], redrawn: Redrawn) -> None:
        self.fmr, self.fnmr = found.fmr(), found.fnmr()
        self.redrawn = redrawn
        self.drawn = [
            np.diagonal(narrowed(found, at, redrawn, number), axis1=1, axis2=2) for number, at in enumerate(points)
        ]
        self.seen = [np.diagonal(np.divide(*found.between(at)), axis1=0, axis2=1) for at in points]

    def drawn_fnmr(self, group: int, at: int, column: int) -> np.ndarray:
        """(draws,) FNMRs at the FMR that the group has at threshold `at`; `column` of the redrawn FNMRs is at it."""
        redrawn = self.redrawn.fnmr[:, group, column]
        if at >= self.fmr.shape[1]:
            return redrawn
        wanted = float(self.fmr[group, at])
        known = [number for number, rates in enumerate(self.seen) if 0 < rates[group] < 1]
        if not known or not 0 < wanted < 1:
            return redrawn
        nearest = min(known, key=lambda number: abs(np.log(self.seen[number][group] / wanted)))
        drawn = correlated(self.drawn[nearest][:, group], redrawn, self.redrawn.covariance[group, nearest, column])
        noise = angle(drawn) - angle(self.seen[nearest][group])
        slope = steepness(self.fmr[group], self.fnmr[group], at, 3 * float(np.nanstd(noise)))
        return rate_of(angle(redrawn) - slope * noise)
