"""The front of two objectives that are both to be small (Pareto), and how much of the square it rules.

Objectives are fractions: the ideal is (0, 0) and the nadir (1, 1), as fairical 2.0.3 has it (Idiap, metrics.py), whose numbers
these are. A point with an undefined objective is on no front and rules nothing: fairical counts it as 0, which is "perfectly
fair".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def on_front(points: np.ndarray) -> np.ndarray:
    """Which of the points (N, 2) no other dominates, (N,) bool.

    A point dominates another that it equals or undercuts in both objectives, and undercuts in one; equal points are on the
    front together.
    """
    points = _pairs(points)
    known = np.isfinite(points).all(1)
    no_worse = (points[:, None] <= points[None]).all(2)
    better = (points[:, None] < points[None]).any(2)
    dominated = (no_worse & better & known[:, None]).any(0)
    found: np.ndarray = known & ~dominated
    return found


def hypervolume(points: np.ndarray, nadir: tuple[float, float] = (1.0, 1.0)) -> float:
    """The area that the points (N, 2) dominate up to the nadir; 0 without a point. What lies beyond the nadir adds nothing."""
    points = _pairs(points)
    front = points[on_front(points)]
    area, above = 0.0, nadir[1]
    for x, y in front[np.lexsort((front[:, 1], front[:, 0]))]:
        if x < nadir[0] and y < above:
            area += (nadir[0] - x) * (above - y)
            above = y
    return float(area)


def within(points: np.ndarray, low: tuple[float, float], high: tuple[float, float]) -> np.ndarray:
    """Points (N, 2) on axes cut to a range: `low` becomes (0, 0) and `high` the nadir (1, 1). Raises ValueError for no range."""
    first, last = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    if not (last > first).all():
        raise ValueError(f"a range rises on both axes; it goes from {low} to {high}")
    found: np.ndarray = (_pairs(points) - first) / (last - first)
    return found


@dataclass(frozen=True)
class FrontSize:
    """How much of a front there is: fairical's ONVG, ONVGR, OS and AS."""

    count: int
    """Points on the front (ONVG)."""
    share: float
    """Of all points with both objectives (ONVGR); NaN without any."""
    spread_product: float
    """The front's ranges on both axes, multiplied (OS)."""
    spread_mean: float
    """Their mean (AS)."""


def front_size(points: np.ndarray) -> FrontSize:
    """The size of the front of points (N, 2)."""
    points = _pairs(points)
    known = points[np.isfinite(points).all(1)]
    front = known[on_front(known)]
    if not len(front):
        return FrontSize(0, float("nan"), float("nan"), float("nan"))
    ranges = np.ptp(front, axis=0)
    return FrontSize(len(front), len(front) / len(known), float(ranges.prod()), float(ranges.mean()))


def _pairs(points: np.ndarray) -> np.ndarray:
    found = np.asarray(points, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] != 2:
        raise ValueError(f"points have two objectives each, (N, 2); these are {found.shape}")
    return found
