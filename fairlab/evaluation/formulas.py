"""The formulas of unfairness: arrays whose last axis is the groups in, numbers out; NaN where a formula says nothing.

Any leading axes are kept, so that a thousand redrawn test sets cost one call. What is undefined (one group, a zero in a
denominator) is NaN, never 0 or infinite.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betaincinv

ALPHA = 0.5
"""Weight of FMR against FNMR in the formulas that mix them; the sources' usual choice."""
WERM_EPSILON = 1e-5
"""Added to every rate in WERM's geometric mean, as its authors do (score-norm-fairness, arXiv 2407.14087)."""

ALWAYS = np.asarray(True)

Number = np.ndarray | float


def _plain(values: np.ndarray) -> Number:
    """An array, or a float for a single number."""
    return float(values) if np.ndim(values) == 0 else values


def _if(defined: np.ndarray, values: np.ndarray, several: int) -> Number:
    """values where they are defined and there are two groups or more, NaN elsewhere."""
    return _plain(np.where(defined & (several > 1), values, np.nan))


def _groups(rates: np.ndarray) -> np.ndarray:
    return np.asarray(rates, dtype=np.float64)


def std_points(accuracy: np.ndarray) -> Number:
    """Sample standard deviation (n-1) of accuracies (..., G), fractions, in percentage points."""
    values = _groups(accuracy)
    count = values.shape[-1]
    centred = values - values.mean(-1, keepdims=True)
    return _if(ALWAYS, 100 * np.sqrt((centred**2).sum(-1) / max(count - 1, 1)), count)


def ser(accuracy: np.ndarray) -> Number:
    """Skewed error ratio of accuracies (..., G): largest / smallest error; not defined when a group has no error."""
    return max_min(1 - _groups(accuracy))


def gap_points(accuracy: np.ndarray) -> Number:
    """Largest minus smallest accuracy (..., G), in percentage points."""
    return 100 * differential(accuracy)


def worst_accuracy(accuracy: np.ndarray) -> Number:
    """Smallest accuracy (..., G), a fraction; defined for one group too."""
    return _plain(_groups(accuracy).min(-1))


def differential(rates: np.ndarray) -> Number:
    """Largest minus smallest rate (..., G)."""
    values = _groups(rates)
    return _if(ALWAYS, values.max(-1) - values.min(-1), values.shape[-1])


def _over(rates: np.ndarray, below: np.ndarray) -> Number:
    """Largest rate over a positive denominator (...)."""
    values = _groups(rates)
    good = below > 0
    return _if(good, values.max(-1) / np.where(good, below, 1.0), values.shape[-1])


def max_min(rates: np.ndarray) -> Number:
    """Largest over smallest rate (..., G); not defined with a zero rate."""
    return _over(rates, _groups(rates).min(-1))


def min_max(rates: np.ndarray) -> Number:
    """Smallest over largest rate (..., G); not defined when all are zero."""
    values = _groups(rates)
    top = values.max(-1)
    return _if(top > 0, values.min(-1) / np.where(top > 0, top, 1.0), values.shape[-1])


def max_mean(rates: np.ndarray) -> Number:
    """Largest rate over the mean (..., G); not defined when all are zero."""
    return _over(rates, _groups(rates).mean(-1))


def max_geomean(rates: np.ndarray, pairs: np.ndarray | None = None) -> Number:
    """Largest rate over the geometric mean (..., G).

    A zero rate makes it undefined, or, with the number of `pairs` (G,) behind each rate, stands in the mean as its exact
    one-sided 95 % bound (NIST's way, as in adachannn/score-norm-fairness); lifted so, it may fall while groups drift
    apart. Not defined when all rates are zero, nor where a bound exceeds the largest rate: then the zero may be the largest.
    """
    values = _groups(rates)
    lifted = values
    if pairs is not None:
        bound = betaincinv(1, np.maximum(np.asarray(pairs, dtype=np.float64), 1), 0.95)
        lifted = np.where(values == 0, bound, values)
    good = lifted > 0
    mean = np.exp(np.log(np.where(good, lifted, 1.0)).mean(-1))
    return _if(
        good.all(-1) & (values.max(-1) > 0) & (lifted.max(-1) <= values.max(-1)),
        values.max(-1) / mean,
        values.shape[-1],
    )


def gini(rates: np.ndarray) -> Number:
    """n/(n-1) * sum_ij|x_i - x_j| / (2 n^2 mean x) of rates (..., G); not defined when all are zero (arXiv 2203.05051)."""
    values = _groups(rates)
    count, mean = values.shape[-1], values.mean(-1)
    spread = np.abs(values[..., :, None] - values[..., None, :]).sum((-1, -2))
    good = mean > 0
    return _if(good, count / max(count - 1, 1) * spread / (2 * count**2 * np.where(good, mean, 1.0)), count)


def fdr(fmr: np.ndarray, fnmr: np.ndarray) -> Number:
    """Fairness discrepancy rate 1 - (a max|dFMR| + (1-a) max|dFNMR|) of rates (..., G), a = 0.5 (arXiv 2011.02395)."""
    return 1 - (ALPHA * differential(fmr) + (1 - ALPHA) * differential(fnmr))


def ir(fmr: np.ndarray, fnmr: np.ndarray) -> Number:
    """Inequity rate (max/min FMR)^a (max/min FNMR)^(1-a), a = 0.5; not defined with a zero rate (NIST; arXiv 2203.05051)."""
    return max_min(fmr) ** ALPHA * max_min(fnmr) ** (1 - ALPHA)


def garbe(fmr: np.ndarray, fnmr: np.ndarray) -> Number:
    """a Gini(FMR) + (1-a) Gini(FNMR), a = 0.5 (arXiv 2203.05051)."""
    return ALPHA * gini(fmr) + (1 - ALPHA) * gini(fnmr)


def werm(fmr: np.ndarray, fnmr: np.ndarray) -> Number:
    """(max FMR / geomean(FMR+e))^a (max FNMR / geomean(FNMR+e))^(1-a), e = 1e-5, a = 0.5 (arXiv 2407.14087).

    Not defined when all rates of a kind are zero, or one is and the largest is below e, which then stands for it. Equal
    rates x, y give not 1 but sqrt(x / (x+e) * y / (y+e)): see werm_fair.
    """
    parts = []
    for rates in (_groups(fmr), _groups(fnmr)):
        top = rates.max(-1)
        lifted = (rates.min(-1) > 0) | (top >= WERM_EPSILON)
        parts.append(
            _if((top > 0) & lifted, top / np.exp(np.log(np.maximum(rates, 0) + WERM_EPSILON).mean(-1)), rates.shape[-1])
        )
    return parts[0] ** ALPHA * parts[1] ** (1 - ALPHA)


def werm_fair(fmr: float, fnmr: float) -> float:
    """WERM of groups that all have these rates: a little below 1, because e is added in the denominators only."""
    return float(werm(np.full(2, fmr), np.full(2, fnmr)))


def equalized_odds_difference(fmr: np.ndarray, fnmr: np.ndarray) -> Number:
    """The larger of the two differentials, of FMR and of TPR = 1 - FNMR (as fairlearn's)."""
    return _plain(np.maximum(differential(fmr), differential(fnmr)))


def equalized_odds_ratio(fmr: np.ndarray, fnmr: np.ndarray) -> Number:
    """The smaller of min/max FMR and min/max TPR (as fairlearn's); 0 when a group has no false match and another has."""
    return _plain(np.minimum(min_max(fmr), min_max(1 - _groups(fnmr))))


def accepted(fmr: np.ndarray, fnmr: np.ndarray, impostor: np.ndarray, genuine: np.ndarray) -> np.ndarray:
    """Share of a group's pairs that match (..., G), of both kinds together; impostor, genuine (G,): numbers of pairs."""
    share: np.ndarray = (_groups(fmr) * impostor + (1 - _groups(fnmr)) * genuine) / (impostor + genuine)
    return share
