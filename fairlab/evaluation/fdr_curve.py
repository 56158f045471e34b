"""The fairness discrepancy rate over all operating points, and the area under it (de Freitas Pereira & Marcel, arXiv 2011.02395)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fairlab.evaluation.formulas import fdr
from fairlab.evaluation.groups import GroupPairs
from fairlab.evaluation.intervals import chance_points
from fairlab.evaluation.operating import AtPoint, OperatingPoint, around, at_point
from fairlab.evaluation.spread import Around, Noise
from fairlab.evaluation.verification import EXPECTED_ERRORS
from fairlab.tables import NUMBER, Table

POINTS = 24
LOOSEST = 0.1
FDR_CURVE = Table(fmr_target=NUMBER, threshold=NUMBER, fdr=NUMBER, low=NUMBER, high=NUMBER, fair_p95=NUMBER)


@dataclass(frozen=True)
class FdrCurve:
    """table: FDR_CURVE, a row per FMR of all groups' impostors together, from the smallest that the pairs can measure to
    0.1; area: mean FDR over the logarithm of that FMR, with its interval; reason: why there is none, or "".
    """

    table: pd.DataFrame
    area: float
    low: float
    high: float
    reason: str = ""


def fdr_curve(groups: Sequence[GroupPairs], seed: int) -> FdrCurve:
    """FDR at one threshold for all, from strict to loose, with 95 % intervals (as every measure's, see spread) and what chance shows."""
    impostors = np.concatenate([group.scores[~group.genuine] for group in groups])
    nothing = FDR_CURVE.build()
    if len(groups) < 2 or any(0 in group.counts for group in groups):
        return FdrCurve(nothing, np.nan, np.nan, np.nan, "needs two groups or more, each with both kinds of pairs")
    least = EXPECTED_ERRORS / len(impostors)
    if least >= LOOSEST:
        return FdrCurve(nothing, np.nan, np.nan, np.nan, f"{len(impostors)} impostor pairs are too few")
    targets = np.geomspace(least, LOOSEST, POINTS)
    rows, points = [], []
    for target in targets:
        at = at_point(groups, OperatingPoint("pooled", float(target)))
        about = around(at, seed)
        value = float(fdr(*at.rates))
        points.append((at, about))
        limit = chance_points(_fdr(about.fair_draws), 1.0)[2]
        rows.append((target, at.thresholds[0], value, *about.interval(_fdr, value), limit))
    table = FDR_CURVE.build(rows)
    area = float(_area(table["fdr"].to_numpy()))
    return FdrCurve(table, area, *_together(points, seed).interval(_area_of, area))


def _together(points: Sequence[tuple[AtPoint, Around]], seed: int) -> Around:
    """The rates (points x 2G,) at all operating points, and what chance does to them together."""
    drawn = np.concatenate([np.concatenate([at.fmr, at.fnmr], axis=1) for at, _ in points], axis=1)
    count = np.concatenate([about.noise.count for _, about in points])
    seen, fair = (np.concatenate([getattr(about, what) for _, about in points]) for what in ("seen", "fair"))
    pairs = np.concatenate([at.pairs.ravel() for at, _ in points])
    seen = np.clip(seen, 0.5 / pairs, 1 - 0.5 / pairs)  # a group without an error weighs nothing in an area
    return Around(seen, fair, Noise.of(drawn, count, seed), 2 * len(points))


def _area_of(rates: np.ndarray) -> np.ndarray:
    """Area under the FDRs of rates (..., points x 2G)."""
    return _area(_fdr(rates.reshape(*rates.shape[:-1], POINTS, -1)))


def _fdr(rates: np.ndarray) -> np.ndarray:
    """Of FMRs, then FNMRs (..., 2G)."""
    return np.asarray(fdr(*np.split(rates, 2, axis=-1)))


def _area(values: np.ndarray) -> np.ndarray:
    """Mean over the axis of operating points, which are spaced evenly in log FMR (trapezoids), of (..., POINTS)."""
    area: np.ndarray = (values[..., 1:] + values[..., :-1]).mean(-1) / 2
    return area
