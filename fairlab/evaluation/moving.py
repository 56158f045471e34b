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
    noise = angle(fmr) - angle(steps.fmr[:, steps.at])
    together = np.zeros((len(fmr), len(steps.thresholds)))
    for group in np.flatnonzero(share > 0):
        together += share[group] * rate_of(angle(steps.fmr[group]) + noise[:, group, None])
    reached = together <= target * (1 + 1e-9)
    step = np.where(reached.any(1), reached.argmax(1), len(steps.thresholds) - 1)
    moved, missed = (
        np.stack([carried(drawn[:, group], rates[group], steps.at, step) for group in range(len(share))], axis=1)
        for drawn, rates in ((fmr, steps.fmr), (fnmr, steps.fnmr))
    )
    unknown = ~np.isfinite(noise[:, share > 0]).all(1)
    moved[unknown], missed[unknown] = np.nan, np.nan
    return moved, missed, step


def carried(redrawn: np.ndarray, rates: np.ndarray, at: int, step: np.ndarray) -> np.ndarray:
    """Redrawn rates (draws,) at the step (draws,) that each draw takes; `redrawn` is at step `at` of the rates (K,)."""
    return rate_of(angle(rates[step]) + angle(redrawn) - angle(rates[at]))
