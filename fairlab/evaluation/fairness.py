"""How differently a model errs on the groups: every metric with its formula, what is fair, its source and its trap.

Facts at registration: `of`: what the metric takes, "accuracy" (fractions (..., G)) or "rates" (Rates at one threshold);
`kinds`: of rates, which it looks at; further title, unit, fair_value, formula, source, trap. A metric keeps leading axes and is NaN where it is not defined.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairlab.evaluation import formulas
from fairlab.evaluation.formulas import Number
from fairlab.registry import Registry

FAIRNESS_METRICS: Registry[Callable[[Any], Number]] = Registry("fairness metric", "fairlab.evaluation")

BOTH = ("fmr", "fnmr")


@dataclass(frozen=True)
class Rates:
    """FMR and FNMR (..., G) of the groups at one threshold, as fractions, of so many impostor and genuine pairs (G,)."""

    fmr: np.ndarray
    fnmr: np.ndarray
    impostor: np.ndarray
    genuine: np.ndarray

    def of(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """(the rates of "fmr" or "fnmr", how many pairs are behind each)."""
        return (self.fmr, self.impostor) if kind == "fmr" else (self.fnmr, self.genuine)


@FAIRNESS_METRICS.register(
    "std_points",
    of="accuracy",
    kinds=(),
    title="STD",
    unit="points",
    fair_value=0.0,
    formula="sample standard deviation (n-1) of the groups' accuracies",
    source="NetoPedro/Quantization-and-Racial-Bias tables; all its rows fit n-1, none fits n",
    trap="chance alone makes it larger than 0: compare with the fair band",
)
def _std(accuracy: np.ndarray) -> Number:
    """STD in percentage points."""
    return formulas.std_points(accuracy)


@FAIRNESS_METRICS.register(
    "ser",
    of="accuracy",
    kinds=(),
    title="SER",
    unit="ratio",
    fair_value=1.0,
    formula="largest error / smallest error of the groups",
    source="RFW literature; same tables",
    trap="unstable with few errors; it may rise while STD falls",
)
def _ser(accuracy: np.ndarray) -> Number:
    """Skewed error ratio; not defined when a group has no error."""
    return formulas.ser(accuracy)


@FAIRNESS_METRICS.register(
    "gap_points",
    of="accuracy",
    kinds=(),
    title="Gap",
    unit="points",
    fair_value=0.0,
    formula="best - worst accuracy",
    source="plain",
    trap="grows with the number of groups by chance alone",
)
def _gap(accuracy: np.ndarray) -> Number:
    """Largest minus smallest accuracy in percentage points."""
    return formulas.gap_points(accuracy)


@FAIRNESS_METRICS.register(
    "worst_accuracy",
    of="accuracy",
    kinds=(),
    title="Worst group",
    unit="fraction",
    fair_value=float("nan"),
    formula="smallest accuracy of the groups",
    source="plain",
    trap="says nothing about the other groups",
)
def _worst(accuracy: np.ndarray) -> Number:
    """Smallest accuracy (fraction)."""
    return formulas.worst_accuracy(accuracy)


@FAIRNESS_METRICS.register(
    "fdr",
    of="rates",
    kinds=BOTH,
    title="FDR",
    unit="score",
    fair_value=1.0,
    formula="1 - (max|dFMR| + max|dFNMR|) / 2",
    source="de Freitas Pereira & Marcel, arXiv 2011.02395",
    trap="near 1 for every working system; hides a five-fold ratio of FMRs",
)
def _fdr(rates: Rates) -> Number:
    """Fairness discrepancy rate at alpha = 0.5."""
    return formulas.fdr(rates.fmr, rates.fnmr)


@FAIRNESS_METRICS.register(
    "garbe",
    of="rates",
    kinds=BOTH,
    title="GARBE",
    unit="score",
    fair_value=0.0,
    formula="(Gini(FMR) + Gini(FNMR)) / 2",
    source="Howard et al., arXiv 2203.05051",
    trap="rewards groups that are equally bad",
)
def _garbe(rates: Rates) -> Number:
    """Mean of the Gini coefficients of FMR and FNMR; not defined where either is not."""
    return formulas.garbe(rates.fmr, rates.fnmr)


@FAIRNESS_METRICS.register(
    "ir",
    of="rates",
    kinds=BOTH,
    title="IR",
    unit="ratio",
    fair_value=1.0,
    formula="sqrt(max/min FMR * max/min FNMR)",
    source="Grother (NIST), as in arXiv 2203.05051",
    trap="not defined when a group shows no error",
)
def _ir(rates: Rates) -> Number:
    """Inequity rate at alpha = 0.5; not defined with a zero rate."""
    return formulas.ir(rates.fmr, rates.fnmr)


@FAIRNESS_METRICS.register(
    "werm",
    of="rates",
    kinds=BOTH,
    title="WERM",
    unit="ratio",
    fair_value=1.0,
    formula="sqrt(max FMR / geomean(FMR + 1e-5) * max FNMR / geomean(FNMR + 1e-5)); fair: that of equal rates",
    source="arXiv 2407.14087 (score-norm-fairness)",
    trap="for a group without false matches, its value is driven by the 1e-5 added to avoid division by zero; n/a where no rate reaches that",
)
def _werm(rates: Rates) -> Number:
    """Weighted error-rate metric at alpha = beta = 0.5."""
    return formulas.werm(rates.fmr, rates.fnmr)


@FAIRNESS_METRICS.register(
    "equalized_odds_difference",
    of="rates",
    kinds=BOTH,
    title="Equalised odds (difference)",
    unit="fraction",
    fair_value=0.0,
    formula="max(max-min FMR, max-min TPR)",
    source="fairlearn.metrics.equalized_odds_difference",
    trap="the larger of two numbers of very different size: nearly always that of FNMR",
)
def _odds(rates: Rates) -> Number:
    """The larger of the two differentials."""
    return formulas.equalized_odds_difference(rates.fmr, rates.fnmr)


@FAIRNESS_METRICS.register(
    "equalized_odds_ratio",
    of="rates",
    kinds=BOTH,
    title="Equalised odds (ratio)",
    unit="share",
    fair_value=1.0,
    formula="min(min/max FMR, min/max TPR)",
    source="fairlearn.metrics.equalized_odds_ratio",
    trap="0 as soon as one group shows no false match, however few pairs it has",
)
def _odds_ratio(rates: Rates) -> Number:
    """The smaller of the two ratios."""
    return formulas.equalized_odds_ratio(rates.fmr, rates.fnmr)


@FAIRNESS_METRICS.register(
    "demographic_parity_difference",
    of="rates",
    kinds=BOTH,
    title="Demographic parity (difference)",
    unit="fraction",
    fair_value=0.0,
    formula="max-min of the share of pairs that match, genuine and impostor together",
    source="fairlearn.metrics.demographic_parity_difference",
    trap="depends on each group's share of genuine pairs; compare only lists built the same way",
)
def _parity(rates: Rates) -> Number:
    """Largest minus smallest share of accepted pairs."""
    return formulas.differential(formulas.accepted(rates.fmr, rates.fnmr, rates.impostor, rates.genuine))


@FAIRNESS_METRICS.register(
    "demographic_parity_ratio",
    of="rates",
    kinds=BOTH,
    title="Demographic parity (ratio)",
    unit="share",
    fair_value=1.0,
    formula="min/max of the share of pairs that match",
    source="fairlearn.metrics.demographic_parity_ratio",
    trap="depends on each group's share of genuine pairs; compare only lists built the same way",
)
def _parity_ratio(rates: Rates) -> Number:
    """Smallest over largest share of accepted pairs."""
    return formulas.min_max(formulas.accepted(rates.fmr, rates.fnmr, rates.impostor, rates.genuine))


def fair_value(name: str, fmr: float, fnmr: float) -> float:
    """What a metric is for groups that all have these rates: of WERM, which adds 1e-5, a little less than its limit of 1."""
    return formulas.werm_fair(fmr, fnmr) if name == "werm" else float(FAIRNESS_METRICS.facts(name)["fair_value"])


def _of_both(name: str, **facts: Any) -> Callable[[Callable[..., Number]], Callable[..., Number]]:
    """Register `<name>_fmr` and `<name>_fnmr`: formula(rates (..., G), pairs (G,)). The word X in the facts is FMR or FNMR."""

    def enter(formula: Callable[..., Number]) -> Callable[..., Number]:
        for kind in BOTH:
            said = {
                fact: re.sub(r"\bX(?=\b|_)", kind.upper(), text) if isinstance(text, str) else text
                for fact, text in facts.items()
            }

            def metric(rates: Rates, kind: str = kind) -> Number:
                return formula(*rates.of(kind))

            metric.__doc__ = formula.__doc__
            metric.__qualname__ = f"{formula.__qualname__}_{kind}"
            FAIRNESS_METRICS.register(f"{name}_{kind}", of="rates", kinds=(kind,), **said)(metric)
        return formula

    return enter


@_of_both(
    "differential",
    title="Max-min of X",
    unit="fraction",
    fair_value=0.0,
    formula="largest X - smallest X",
    source="ISO/IEC 19795-10 family; NISTIR 8429",
    trap="small wherever the rate is small: says little about false matches",
)
def _differential(rates: np.ndarray, pairs: np.ndarray) -> Number:
    """Largest minus smallest rate."""
    return formulas.differential(rates)


@_of_both(
    "max_min",
    title="Max/min of X",
    unit="ratio",
    fair_value=1.0,
    formula="largest X / smallest X",
    source="NISTIR 8429; a term of IR",
    trap="not defined when a group shows no such error; few errors make it jump",
)
def _max_min(rates: np.ndarray, pairs: np.ndarray) -> Number:
    """Largest over smallest rate; not defined with a zero rate."""
    return formulas.max_min(rates)


@_of_both(
    "max_mean",
    title="Max/mean of X",
    unit="ratio",
    fair_value=1.0,
    formula="largest X / mean of the groups' X",
    source="NISTIR 8429",
    trap="at most the number of groups; compare only between the same groups",
)
def _max_mean(rates: np.ndarray, pairs: np.ndarray) -> Number:
    """Largest rate over the mean of all."""
    return formulas.max_mean(rates)


@_of_both(
    "max_geomean",
    title="Max/geomean of X",
    unit="ratio",
    fair_value=1.0,
    formula="largest X / geometric mean; a zero enters the mean as its one-sided 95 % bound",
    source="NISTIR 8429, as in adachannn/score-norm-fairness",
    trap="zeros are lifted to a bound, so it may fall while the groups drift apart; n/a where a bound exceeds the largest rate",
)
def _max_geomean(rates: np.ndarray, pairs: np.ndarray) -> Number:
    """Largest rate over the geometric mean, zeros lifted to their exact bound."""
    return formulas.max_geomean(rates, pairs)


@_of_both(
    "gini",
    title="Gini of X",
    unit="score",
    fair_value=0.0,
    formula="n/(n-1) * sum|X_i - X_j| / (2 n^2 mean X)",
    source="Howard et al., arXiv 2203.05051; of FMR also called FPD, of FNMR FND",
    trap="chance alone: median 0.33 for four equal groups with 3 expected errors each",
)
def _gini(rates: np.ndarray, pairs: np.ndarray) -> Number:
    """Gini coefficient; not defined when no group has such an error."""
    return formulas.gini(rates)
