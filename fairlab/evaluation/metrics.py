"""How differently a model errs on the groups: one table of metrics, a row each.

To add a metric, add an entry to `_ENTRIES`; its formula lies in formulas.py. Every page, table, interval and test takes the
metrics from FAIRNESS_METRICS. A metric keeps leading axes, so that a thousand redrawn test sets cost one call, and is NaN where it is
not defined. (tables.METRICS is another thing: the columns of a table of numbers.)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from fairlab.evaluation import formulas
from fairlab.evaluation.formulas import Number

KINDS: tuple[Literal["fmr", "fnmr"], ...] = ("fmr", "fnmr")


@dataclass(frozen=True)
class Rates:
    """FMR and FNMR (..., G) of the groups at one threshold, as fractions, and the pairs (G,) behind them."""

    fmr: np.ndarray
    fnmr: np.ndarray
    impostor: np.ndarray
    genuine: np.ndarray

    def of(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """(the rates of "fmr" or "fnmr", the number of pairs behind each)."""
        return (self.fmr, self.impostor) if kind == "fmr" else (self.fnmr, self.genuine)

    @property
    def accepted(self) -> np.ndarray:
        """Share of each group's pairs that match (..., G), genuine and impostor together."""
        return formulas.accepted(self.fmr, self.fnmr, self.impostor, self.genuine)


@dataclass(frozen=True)
class Metric:
    """A fairness metric: its words for the pages, and how to compute it."""

    name: str
    of: Literal["accuracy", "rates"]
    """What it takes: accuracies (..., G) as fractions, or Rates."""
    compute: Callable[..., Number]
    title: str
    unit: Literal["points", "ratio", "score", "fraction", "share"]
    fair_value: float
    """Its value when all groups are equal; NaN where no value is fair by itself."""
    formula: str
    source: str
    trap: str
    """What it hides or exaggerates."""
    kind: Literal["", "fmr", "fnmr"] = ""
    """The only rate it looks at; empty: both, or none."""

    def __call__(self, values: Any) -> Number:
        return self.compute(values)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The rates it looks at: "fmr", "fnmr", both, or none where it takes accuracies."""
        if self.of == "accuracy":
            return ()
        return (self.kind,) if self.kind else KINDS

    @property
    def has_fair_value(self) -> bool:
        """Is there a value that means fair?"""
        return not np.isnan(self.fair_value)

    def fair_at(self, fmr: float, fnmr: float) -> float:
        """Its value for groups that all have these rates. WERM adds 1e-5, and stays a little below 1."""
        return formulas.werm_fair(fmr, fnmr) if self.name == "werm" else self.fair_value


def _each(metric: Metric) -> Iterator[Metric]:
    """`metric` of FMR and of FNMR: its `compute` takes rates (..., G) and pairs (G,); the X in its words is that rate."""
    for kind in KINDS:

        def of_rates(rates: Rates, kind: str = kind) -> Number:
            return metric.compute(*rates.of(kind))

        title, formula, source, trap = (
            re.sub(r"\bX(?=\b|_)", kind.upper(), words)
            for words in (metric.title, metric.formula, metric.source, metric.trap)
        )
        name = f"{metric.name}_{kind}"
        yield replace(
            metric, name=name, kind=kind, compute=of_rates, title=title, formula=formula, source=source, trap=trap
        )


PARITY_TRAP = "depends on each group's share of genuine pairs; compare only lists built the same way"

# name, what it takes, computed by, title, unit, fair value, formula, source, trap
_ENTRIES = (
    Metric(
        "std_points", "accuracy", formulas.std_points, "STD", "points", 0.0,
        "sample standard deviation (n-1) of the groups' accuracies",
        "NetoPedro/Quantization-and-Racial-Bias tables; all its rows fit n-1, none fits n",
        "chance alone makes it larger than 0: compare with the fair band",
    ),
    Metric(
        "ser", "accuracy", formulas.ser, "SER", "ratio", 1.0,
        "largest error / smallest error of the groups",
        "RFW literature; same tables",
        "unstable with few errors; it may rise while STD falls",
    ),
    Metric(
        "gap_points", "accuracy", formulas.gap_points, "Gap", "points", 0.0,
        "best - worst accuracy",
        "plain",
        "grows with the number of groups by chance alone",
    ),
    Metric(
        "worst_accuracy", "accuracy", formulas.worst_accuracy, "Worst group", "fraction", float("nan"),
        "smallest accuracy of the groups",
        "plain",
        "says nothing about the other groups",
    ),
    Metric(
        "fdr", "rates", lambda rates: formulas.fdr(rates.fmr, rates.fnmr), "FDR", "score", 1.0,
        "1 - (max|dFMR| + max|dFNMR|) / 2",
        "de Freitas Pereira & Marcel, arXiv 2011.02395",
        "near 1 for every working system; hides a five-fold ratio of FMRs",
    ),
    Metric(
        "garbe", "rates", lambda rates: formulas.garbe(rates.fmr, rates.fnmr), "GARBE", "score", 0.0,
        "(Gini(FMR) + Gini(FNMR)) / 2",
        "Howard et al., arXiv 2203.05051",
        "rewards groups that are equally bad",
    ),
    Metric(
        "ir", "rates", lambda rates: formulas.ir(rates.fmr, rates.fnmr), "IR", "ratio", 1.0,
        "sqrt(max/min FMR * max/min FNMR)",
        "Grother (NIST), as in arXiv 2203.05051",
        "not defined when a group shows no error",
    ),
    Metric(
        "werm", "rates", lambda rates: formulas.werm(rates.fmr, rates.fnmr), "WERM", "ratio", 1.0,
        "sqrt(max FMR / geomean(FMR + 1e-5) * max FNMR / geomean(FNMR + 1e-5)); fair: that of equal rates",
        "arXiv 2407.14087 (score-norm-fairness)",
        "for a group without false matches, its value is driven by the 1e-5 added to avoid division by zero; n/a where no rate reaches that",
    ),
    Metric(
        "equalized_odds_difference", "rates", lambda rates: formulas.equalized_odds_difference(rates.fmr, rates.fnmr),
        "Equalised odds (difference)", "fraction", 0.0,
        "max(max-min FMR, max-min TPR)",
        "fairlearn.metrics.equalized_odds_difference",
        "the larger of two numbers of very different size: nearly always that of FNMR",
    ),
    Metric(
        "equalized_odds_ratio", "rates", lambda rates: formulas.equalized_odds_ratio(rates.fmr, rates.fnmr),
        "Equalised odds (ratio)", "share", 1.0,
        "min(min/max FMR, min/max TPR)",
        "fairlearn.metrics.equalized_odds_ratio",
        "0 as soon as one group shows no false match, however few pairs it has",
    ),
    Metric(
        "demographic_parity_difference", "rates", lambda rates: formulas.differential(rates.accepted),
        "Demographic parity (difference)", "fraction", 0.0,
        "max-min of the share of pairs that match, genuine and impostor together",
        "fairlearn.metrics.demographic_parity_difference",
        PARITY_TRAP,
    ),
    Metric(
        "demographic_parity_ratio", "rates", lambda rates: formulas.min_max(rates.accepted),
        "Demographic parity (ratio)", "share", 1.0,
        "min/max of the share of pairs that match",
        "fairlearn.metrics.demographic_parity_ratio",
        PARITY_TRAP,
    ),
    *_each(Metric(
        "differential", "rates", lambda rates, _pairs: formulas.differential(rates), "Max-min of X", "fraction", 0.0,
        "largest X - smallest X",
        "ISO/IEC 19795-10 family; NISTIR 8429",
        "small wherever the rate is small: says little about false matches",
    )),
    *_each(Metric(
        "max_min", "rates", lambda rates, _pairs: formulas.max_min(rates), "Max/min of X", "ratio", 1.0,
        "largest X / smallest X",
        "NISTIR 8429; a term of IR",
        "not defined when a group shows no such error; few errors make it jump",
    )),
    *_each(Metric(
        "max_mean", "rates", lambda rates, _pairs: formulas.max_mean(rates), "Max/mean of X", "ratio", 1.0,
        "largest X / mean of the groups' X",
        "NISTIR 8429",
        "at most the number of groups; compare only between the same groups",
    )),
    *_each(Metric(
        "max_geomean", "rates", formulas.max_geomean, "Max/geomean of X", "ratio", 1.0,
        "largest X / geometric mean; a zero enters the mean as its one-sided 95 % bound",
        "NISTIR 8429, as in adachannn/score-norm-fairness",
        "zeros are lifted to a bound, so it may fall while the groups drift apart; n/a where a bound exceeds the largest rate",
    )),
    *_each(Metric(
        "gini", "rates", lambda rates, _pairs: formulas.gini(rates), "Gini of X", "score", 0.0,
        "n/(n-1) * sum|X_i - X_j| / (2 n^2 mean X)",
        "Howard et al., arXiv 2203.05051; of FMR also called FPD, of FNMR FND",
        "chance alone: median 0.33 for four equal groups with 3 expected errors each",
    )),
)  # fmt: skip

FAIRNESS_METRICS: dict[str, Metric] = {
    metric.name: metric for metric in sorted(_ENTRIES, key=lambda metric: metric.name)
}
"""All fairness metrics by name, in alphabetical order."""
