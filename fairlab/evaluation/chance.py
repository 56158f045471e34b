"""The fair band: what a perfectly fair model of this accuracy and these pairs would show by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DRAWS = 1000
"""Test sets of equal groups drawn to learn what a metric shows by chance."""


def fair_draws(rate: float, effective: np.ndarray, seed: int, draws: int = DRAWS) -> np.ndarray:
    """Observed rates (draws, G) of groups that all truly have `rate` (0..1), by chance of the test set alone.

    effective (G,): per group, the number of independent pairs (intervals.effective_pairs). All NaN for a NaN rate.
    """
    if not 0 <= rate <= 1:
        return np.full((draws, len(effective)), np.nan)
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 77])))
    count = np.maximum(np.round(effective), 1).astype(int)
    drawn: np.ndarray = random.binomial(count, rate, size=(draws, len(count))) / count
    return drawn


@dataclass(frozen=True)
class FairBand:
    """What a perfectly fair model would show by chance: 2.5 %, median and 95 % points. A SER may be infinite."""

    std_points: tuple[float, float, float]
    ser: tuple[float, float, float]


def fair_band(accuracy: float, effective_pairs: np.ndarray, seed: int, draws: int = 4000) -> FairBand:
    """STD and SER of a model that is equally accurate on all groups, by chance of the test set alone.

    accuracy: 0..1; effective_pairs (G,): per group, how many independent pairs carry as much information as the
    group's pairs do (its accuracy's variance over redrawn people: p(1-p)/variance).
    """
    if len(effective_pairs) < 2 or not 0 < accuracy < 1:
        nothing = (float("nan"),) * 3
        return FairBand(nothing, nothing)
    drawn = fair_draws(accuracy, effective_pairs, seed, draws)
    deviations = 100 * drawn.std(axis=1, ddof=1)
    error = 1 - drawn
    with np.errstate(divide="ignore"):
        ratios = np.where(error.min(1) > 0, error.max(1) / np.maximum(error.min(1), 1e-300), np.inf)
    points = (0.025, 0.5, 0.95)

    def band(values: np.ndarray) -> tuple[float, float, float]:
        low, middle, high = np.quantile(values, points, method="lower")
        return float(low), float(middle), float(high)

    return FairBand(band(deviations), band(ratios))
