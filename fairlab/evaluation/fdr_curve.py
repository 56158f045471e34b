"""The fairness discrepancy rate over all operating points, and the area under it (de Freitas Pereira & Marcel, arXiv 2011.02395)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fairlab.evaluation.chance import fair_draws
from fairlab.evaluation.formulas import fdr
from fairlab.evaluation.groups import GroupPairs
from fairlab.evaluation.intervals import chance_points, effective_pairs, spread_interval
from fairlab.evaluation.verification import EXPECTED_ERRORS, thresholds_at_fmr
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
    """FDR at one threshold for all, from strict to loose, with 95 % intervals and what chance alone would show."""
    impostors = np.concatenate([group.scores[~group.genuine] for group in groups])
    nothing = FDR_CURVE.build()
    if len(groups) < 2 or any(0 in group.counts for group in groups):
        return FdrCurve(nothing, np.nan, np.nan, np.nan, "needs two groups or more, each with both kinds of pairs")
    least = EXPECTED_ERRORS / len(impostors)
    if least >= LOOSEST:
        return FdrCurve(nothing, np.nan, np.nan, np.nan, f"{len(impostors)} impostor pairs are too few")
    targets = np.geomspace(least, LOOSEST, POINTS)
    thresholds = thresholds_at_fmr(impostors, targets)
    drawn = [_redrawn(group, thresholds) for group in groups]
    rates = [_rates(group, thresholds) for group in groups]
    counts = np.array([group.counts for group in groups]).T[::-1]  # impostor, genuine
    rows, by_people, by_chance = [], [], []
    for at, target in enumerate(targets):
        of = [np.array([rate[kind][at] for rate in rates]) for kind in (0, 1)]
        people = [np.array([item[kind][:, at] for item in drawn]).T for kind in (0, 1)]
        fair = [_fair(of[kind], counts[kind], people[kind], 2 * seed + kind) for kind in (0, 1)]
        value = float(fdr(of[0], of[1]))
        by_people.append(np.asarray(fdr(people[0], people[1])))
        by_chance.append(np.asarray(fdr(fair[0], fair[1])))
        between = spread_interval(value, by_people[-1], by_chance[-1], 1.0, False)
        rows.append((target, thresholds[at], value, *between, chance_points(by_chance[-1], 1.0)[2]))
    table = FDR_CURVE.build(rows)
    area = float(_area(table["fdr"].to_numpy()))
    between = spread_interval(area, _area(np.array(by_people).T), _area(np.array(by_chance).T), 1.0, False)
    return FdrCurve(table, area, *between)


def _area(values: np.ndarray) -> np.ndarray:
    """Mean over the axis of operating points, which are spaced evenly in log FMR (trapezoids), of (..., POINTS)."""
    area: np.ndarray = (values[..., 1:] + values[..., :-1]).mean(-1) / 2
    return area


def _rates(group: GroupPairs, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    match = group.scores[:, None] >= thresholds
    return match[~group.genuine].mean(0), (~match[group.genuine]).mean(0)


def _redrawn(group: GroupPairs, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    match = group.scores[:, None] >= thresholds
    return group.bootstrap.rate(match, False), group.bootstrap.rate(~match, True)


def _fair(rates: np.ndarray, pairs: np.ndarray, redrawn: np.ndarray, seed: int) -> np.ndarray:
    errors = rates * pairs
    return fair_draws(errors.sum() / pairs.sum(), effective_pairs(errors, pairs, redrawn), seed)
