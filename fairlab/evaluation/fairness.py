"""How differently a model errs on the groups: each metric with its formula, what is fair, and its trap.

Sources stand with each metric. A metric takes the groups' accuracies, or FMR and FNMR at one
threshold, as fractions (G,), and returns NaN where it is not defined. Facts at registration: `of` says what it takes,
"accuracy" or "rates" (FMR, FNMR); further title, unit, fair_value, formula, source, trap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fairlab.evaluation.intervals import clopper_pearson
from fairlab.registry import Registry

FAIRNESS_METRICS: Registry[Callable[..., float]] = Registry("fairness metric", "fairlab.evaluation")
ALPHA = 0.5
"""Weight of FMR against FNMR in the metrics that mix them; the sources' usual choice."""


@FAIRNESS_METRICS.register(
    "std_points",
    of="accuracy",
    title="STD",
    unit="points",
    fair_value=0.0,
    formula="sample standard deviation (n-1) of the groups' accuracies",
    source="NetoPedro/Quantization-and-Racial-Bias tables; all its rows fit n-1, none fits n",
    trap="chance alone makes it larger than 0: compare with the fair band",
)
def std_points(accuracy: np.ndarray) -> float:
    """Standard deviation with n-1 of the accuracies, in percentage points; NaN for one group."""
    return float(100 * np.std(accuracy, ddof=1)) if len(accuracy) > 1 else float("nan")


@FAIRNESS_METRICS.register(
    "ser",
    of="accuracy",
    title="SER",
    unit="ratio",
    fair_value=1.0,
    formula="largest error / smallest error of the groups",
    source="RFW literature; same tables",
    trap="unstable when errors are few, and it may rise while STD falls",
)
def ser(accuracy: np.ndarray) -> float:
    """Skewed error ratio max(1-a)/min(1-a); NaN for one group or when a group has no error."""
    error = 1 - np.asarray(accuracy, dtype=np.float64)
    return float(error.max() / error.min()) if len(error) > 1 and error.min() > 0 else float("nan")


@FAIRNESS_METRICS.register(
    "gap_points",
    of="accuracy",
    title="Gap",
    unit="points",
    fair_value=0.0,
    formula="best - worst accuracy",
    source="plain",
    trap="grows with the number of groups by chance alone",
)
def gap_points(accuracy: np.ndarray) -> float:
    """Largest minus smallest accuracy in percentage points; NaN for one group."""
    return float(100 * (np.max(accuracy) - np.min(accuracy))) if len(accuracy) > 1 else float("nan")


@FAIRNESS_METRICS.register(
    "worst_accuracy",
    of="accuracy",
    title="Worst group",
    unit="fraction",
    fair_value=float("nan"),
    formula="smallest accuracy of the groups",
    source="plain",
    trap="says nothing about the other groups",
)
def worst_accuracy(accuracy: np.ndarray) -> float:
    """Smallest accuracy (fraction)."""
    return float(np.min(accuracy))


@FAIRNESS_METRICS.register(
    "fdr",
    of="rates",
    title="FDR",
    unit="score",
    fair_value=1.0,
    formula="1 - (max|dFMR| + max|dFNMR|) / 2",
    source="de Freitas Pereira & Marcel, arXiv 2011.02395",
    trap="near 1 for every working system; hides a five-fold ratio of FMRs",
)
def fdr(fmr: np.ndarray, fnmr: np.ndarray) -> float:
    """Fairness discrepancy rate at alpha = 0.5; NaN for one group."""
    if len(fmr) < 2:
        return float("nan")
    return float(1 - (ALPHA * np.ptp(fmr) + (1 - ALPHA) * np.ptp(fnmr)))


def gini(rates: np.ndarray) -> float:
    """n/(n-1) * sum_ij|x_i - x_j| / (2 n^2 mean x); NaN for one group or when all rates are 0 (arXiv 2203.05051)."""
    count, mean = len(rates), float(np.mean(rates))
    if count < 2 or mean == 0:
        return float("nan")
    spread = np.abs(np.subtract.outer(rates, rates)).sum()
    return float(count / (count - 1) * spread / (2 * count**2 * mean))


@FAIRNESS_METRICS.register(
    "garbe",
    of="rates",
    title="GARBE",
    unit="score",
    fair_value=0.0,
    formula="(Gini(FMR) + Gini(FNMR)) / 2",
    source="Howard et al., arXiv 2203.05051",
    trap="rewards groups that are equally bad",
)
def garbe(fmr: np.ndarray, fnmr: np.ndarray) -> float:
    """Mean of the Gini coefficients of FMR and FNMR; NaN where either is not defined."""
    return ALPHA * gini(fmr) + (1 - ALPHA) * gini(fnmr)


@FAIRNESS_METRICS.register(
    "ir",
    of="rates",
    title="IR",
    unit="ratio",
    fair_value=1.0,
    formula="sqrt(max/min FMR * max/min FNMR)",
    source="Grother (NIST), as in arXiv 2203.05051",
    trap="not defined when a group shows no error",
)
def ir(fmr: np.ndarray, fnmr: np.ndarray) -> float:
    """Inequity rate at alpha = 0.5; NaN for one group or with a zero rate."""
    if len(fmr) < 2 or np.min(fmr) <= 0 or np.min(fnmr) <= 0:
        return float("nan")
    return float((np.max(fmr) / np.min(fmr)) ** ALPHA * (np.max(fnmr) / np.min(fnmr)) ** (1 - ALPHA))


def max_min(rates: np.ndarray) -> float:
    """Largest over smallest rate (G,); NaN for one group or with a zero rate."""
    return float(np.max(rates) / np.min(rates)) if len(rates) > 1 and np.min(rates) > 0 else float("nan")


def max_geomean(rates: np.ndarray, pairs: np.ndarray | None = None) -> float:
    """Largest rate over the geometric mean of all (G,); NaN for one group.

    A zero rate makes it NaN, or, with the number of `pairs` (G,) behind each rate, stands in the mean as its exact
    one-sided 95 % bound (as in adachannn/score-norm-fairness); lifted so, the metric may fall while the groups drift apart.
    """
    lifted = np.array(rates, dtype=np.float64)
    if pairs is not None:
        for group in np.flatnonzero(lifted == 0):
            lifted[group] = clopper_pearson(0, int(pairs[group]), one_sided=True)[1]
    if len(lifted) < 2 or not lifted.min() > 0 or np.max(rates) == 0:
        return float("nan")
    return float(np.max(rates) / np.exp(np.log(lifted).mean()))


@FAIRNESS_METRICS.register(
    "fmr_max_min",
    of="rates",
    title="Max/min of FMR",
    unit="ratio",
    fair_value=1.0,
    formula="largest FMR / smallest FMR",
    source="NISTIR 8429; the FMR term of IR",
    trap="not defined when a group shows no false match; few false matches make it jump",
)
def fmr_max_min(fmr: np.ndarray, fnmr: np.ndarray) -> float:
    """max FMR / min FMR; NaN for one group or with a zero rate."""
    return max_min(fmr)


@FAIRNESS_METRICS.register(
    "fmr_max_geomean",
    of="rates",
    title="Max/geomean of FMR",
    unit="ratio",
    fair_value=1.0,
    formula="largest FMR / geometric mean of the FMRs",
    source="NISTIR 8429",
    trap="not defined when a group shows no false match; hides which group is best",
)
def fmr_max_geomean(fmr: np.ndarray, fnmr: np.ndarray) -> float:
    """max FMR / geomean FMR; NaN for one group or with a zero rate."""
    return max_geomean(fmr)


@FAIRNESS_METRICS.register(
    "fmr_gini",
    of="rates",
    title="Gini of FMR",
    unit="score",
    fair_value=0.0,
    formula="n/(n-1) * sum|FMR_i - FMR_j| / (2 n^2 mean FMR)",
    source="Howard et al., arXiv 2203.05051; also called FPD",
    trap="chance alone: median 0.33 for four equal groups with 3 expected false matches each",
)
def fmr_gini(fmr: np.ndarray, fnmr: np.ndarray) -> float:
    """Gini coefficient of FMR; NaN for one group or when no group has a false match."""
    return gini(fmr)


@FAIRNESS_METRICS.register(
    "fnmr_gini",
    of="rates",
    title="Gini of FNMR",
    unit="score",
    fair_value=0.0,
    formula="n/(n-1) * sum|FNMR_i - FNMR_j| / (2 n^2 mean FNMR)",
    source="Howard et al., arXiv 2203.05051; also called FND",
    trap="rewards groups that are equally bad",
)
def fnmr_gini(fmr: np.ndarray, fnmr: np.ndarray) -> float:
    """Gini coefficient of FNMR; NaN for one group or when no group has a false non-match."""
    return gini(fnmr)


@dataclass(frozen=True)
class FairBand:
    """What a perfectly fair model would show by chance: 2.5 %, median and 95 % points. A SER may be infinite."""

    std_points: tuple[float, float, float]
    ser: tuple[float, float, float]


def fair_draws(rate: float, effective: np.ndarray, seed: int, draws: int) -> np.ndarray:
    """Observed rates (draws, G) of groups that all truly have `rate` (0..1), by chance of the test set alone.

    effective (G,): per group, the number of independent pairs (intervals.effective_pairs). Empty for a NaN rate.
    """
    if not 0 <= rate <= 1:
        return np.empty((0, len(effective)))
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 77])))
    count = np.maximum(np.round(effective), 1).astype(int)
    drawn: np.ndarray = random.binomial(count, rate, size=(draws, len(count))) / count
    return drawn


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
