"""A threshold that is set at an FMR moves when other people are drawn, and every rate with it.

In each draw the impostors' rates are other ones, so the threshold that reaches the target is another one. Rates are carried
along: at a threshold near the one that was set, a redrawn rate deviates by as much as at that one, on the scale arcsin(sqrt
rate), on which chance moves every rate alike (the difference is of second order: Bahadur 1966). So one pass over the pairs
at the threshold that was set is enough, and all comparisons of a data set go the same way as a list.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairlab.evaluation.spread import angle, rate_of

STEPS = 161
REACH = 6.0
"""How far the threshold may move: so many standard deviations of the rate it is set at, in so many steps."""


@dataclass(frozen=True)
class Steps:
    """Rates (G, K) at rising thresholds (K,) around the one that was set, which is number `at`."""

    thresholds: np.ndarray
    fmr: np.ndarray
    fnmr: np.ndarray
    at: int

    def together(self, share: np.ndarray) -> np.ndarray:
        """(K,) FMR of all groups' impostors, of which each group has its share (G,)."""
        parts = share[:, None] * np.where((share > 0)[:, None], self.fmr, 0)
        found: np.ndarray = np.sort(parts, axis=0).sum(0)  # so that the order of groups changes no bit
        return found


def targets_around(target: float, redrawn: np.ndarray) -> np.ndarray:
    """FMRs (STEPS,) at which thresholds are wanted, from the largest down; redrawn (draws,): the rate at the one set."""
    angles = angle(redrawn[np.isfinite(redrawn)])
    middle, spread = float(angle(np.array(target))), float(angles.std()) if len(angles) else 0.0
    return rate_of(np.linspace(middle + REACH * spread, max(middle - REACH * spread, 0.0), STEPS))


def move(
    steps: Steps, share: np.ndarray, target: float, fmr: np.ndarray, fnmr: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(redrawn FMR (draws, G), FNMR (draws, G), the step (draws,) of each draw) at thresholds set anew in every draw.

    fmr, fnmr (draws, G): redrawn rates at the threshold that was set; share (G,): of all impostors, adds up to 1; target: the
    FMR that all groups together reach at most.
    """
    along = steps.together(share)
    curves = [straightened(rates, along, steps.at) for rates in (steps.fmr, steps.fnmr)]
    noise = angle(fmr) - angle(steps.fmr[:, steps.at])
    together = np.zeros((len(fmr), len(steps.thresholds)))
    for group in np.flatnonzero(share > 0):
        together += share[group] * rate_of(angle(curves[0][group]) + noise[:, group, None])
    reached = together <= target * (1 + 1e-9)
    step = np.where(reached.any(1), reached.argmax(1), len(steps.thresholds) - 1)
    moved, missed = (
        np.stack([carried(drawn[:, group], rates[group], steps.at, step) for group in range(len(share))], axis=1)
        for drawn, rates in zip((fmr, fnmr), curves, strict=True)
    )
    unknown = ~np.isfinite(noise[:, share > 0]).all(1)
    moved[unknown], missed[unknown] = np.nan, np.nan
    return moved, missed, step


def steepness(along: np.ndarray, rates: np.ndarray, at: int, reach: float) -> np.ndarray:
    """By how much rates (..., K) change with the rate `along` (K,), both on the scale of `angle`, around step `at`: from
    `reach` below to `reach` above. 0 where there is one step only.

    The steps of the rates seen are chance too, and it counts in redrawn rates already: followed from step to step it would
    count twice (12 % too wide at 30 false matches, 18 % at 12).
    """
    where = angle(along)
    ends = [int(np.argmin(np.abs(where - (where[at] + side * reach)))) for side in (-1, 1)]
    length = where[ends[1]] - where[ends[0]]
    seen = angle(rates)
    found: np.ndarray = (seen[..., ends[1]] - seen[..., ends[0]]) / length if length > 0 else 0 * seen[..., at]
    return found


def straightened(rates: np.ndarray, along: np.ndarray, at: int) -> np.ndarray:
    """Rates (..., K) along a straight line through what is seen at step `at` of the rate (K,) that the threshold is set at, as
    steep as within half the reach.
    """
    where = angle(along)
    slope = steepness(along, rates, at, (where.max() - where[at]) / 2)
    return rate_of(angle(rates)[..., [at]] + slope[..., None] * (where - where[at]))


def carried(redrawn: np.ndarray, rates: np.ndarray, at: int, step: np.ndarray) -> np.ndarray:
    """Redrawn rates (draws,) at the step (draws,) that each draw takes; `redrawn` is at step `at` of the rates (K,)."""
    return rate_of(angle(rates[step]) + angle(redrawn) - angle(rates[at]))
