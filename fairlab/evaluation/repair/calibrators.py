"""From scores to probabilities of "same person": logistic, beta, isotonic and equal-mass bins.

Beta calibration: Kull, Silva Filho & Flach, AISTATS 2017, as FairCal uses it (arXiv 2106.03761); Platt's, with balanced
classes and the penalty w^2 / 2, as score normalisation M4 does (arXiv 2407.14087).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy.optimize import isotonic_regression
from scipy.special import expit

from fairlab.errors import FairLabError

SMALLEST = 1e-7
"""Cosines are taken into [SMALLEST, 1 - SMALLEST] before their logarithms."""
STEPS, ENOUGH, SHORTEST, PARTED = 200, 1e-9, 1e-8, 1e-6
"""Of Newton's method: its steps; the relative step after which the next would be below rounding; the shortest; errors at which pairs are parted."""
SMALL = 1e-5
"""A relative step that is no flight to infinity, whose steps stay at a hundredth or more."""
Kind = Literal["beta", "isotonic", "bins"]
BINS = 10
"""FairCal's bins for RFW."""


class NoOverlap(FairLabError):
    """Some coefficients part genuine from impostor pairs without a mistake; `towards` (K,): which way they run off."""

    def __init__(self, towards: np.ndarray) -> None:
        super().__init__(
            "genuine and impostor scores do not overlap, so no calibration curve fits them: choose isotonic or bins, or a "
            "larger cohort"
        )
        self.towards = towards


def logistic(features: np.ndarray, genuine: np.ndarray, weights: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Coefficients (K,) of p = expit(features @ them) that maximise the weighted likelihood, by Newton's method.

    features (N, K); genuine (N,) bool; weights (N,); penalty (K,): of sum penalty * w^2 / 2. Raises NoOverlap where the
    likelihood has no maximum.
    """
    wanted, at = genuine.astype(np.float64), np.zeros(features.shape[1])
    loss = _loss(features, wanted, weights, penalty)
    for _ in range(STEPS):
        chance = expit(features @ at)
        if weights @ np.abs(chance - wanted) < PARTED and not penalty.any():
            break  # every pair is told rightly: the coefficients would grow for ever
        slope = features.T @ (weights * (chance - wanted)) + penalty * at
        curve = (features * (weights * chance * (1 - chance))[:, None]).T @ features + np.diag(penalty)
        step = np.linalg.lstsq(curve, slope, rcond=None)[0]
        share = float(np.abs(step).max()) / max(1.0, float(np.abs(at).max()))
        if share <= ENOUGH:
            return at - step
        here, length = loss(at), 1.0
        while length > SHORTEST and not loss(at - length * step) <= here:
            length /= 2
        if share <= SMALL and not loss(at - length * step) < here:
            return at  # the loss ends in rounding before the step does: its features are nearly one
        at = at - length * step
    raise NoOverlap(at)


def _loss(
    features: np.ndarray, wanted: np.ndarray, weights: np.ndarray, penalty: np.ndarray
) -> Callable[[np.ndarray], float]:
    def loss(at: np.ndarray) -> float:
        odds = features @ at
        return float(weights @ (np.logaddexp(0, odds) - wanted * odds) + (penalty * at**2).sum() / 2)

    return loss


def check_kinds(genuine: np.ndarray, whose: str) -> None:
    """Raise FairLabError where genuine or impostor pairs are missing."""
    for kind, count in (("genuine", int(genuine.sum())), ("impostor", int((~genuine).sum()))):
        if count == 0:
            raise FairLabError(f"{whose} has no {kind} pair to calibrate with")


def platt(scores: np.ndarray, genuine: np.ndarray, whose: str) -> tuple[float, float]:
    """(slope, intercept) of p = expit(slope s + intercept); both kinds count alike, the slope costs slope^2 / 2.

    Raises FairLabError for a slope that is not above zero: higher scores would be less alike.
    """
    check_kinds(genuine, whose)
    weights = np.where(genuine, len(genuine) / (2 * genuine.sum()), len(genuine) / (2 * (~genuine).sum()))
    slope, intercept = logistic(
        np.stack([scores, np.ones(len(scores))], 1), genuine, weights, np.array([1.0, 0.0])
    ).tolist()
    if not slope > 0:
        raise FairLabError(f"{whose}: genuine pairs score no higher than impostors, so no calibration curve rises")
    return slope, intercept


def _shares(cosines: np.ndarray) -> np.ndarray:
    return np.clip((np.asarray(cosines, np.float64) + 1) / 2, SMALLEST, 1 - SMALLEST)


def beta(cosines: np.ndarray, genuine: np.ndarray, whose: str) -> tuple[float, float, float]:
    """(a, b, c) of logit p = a ln x - b ln(1 - x) + c, x = (cosine + 1) / 2; a and b are never below zero."""
    check_kinds(genuine, whose)
    share, ones = _shares(cosines), np.ones(len(cosines))
    columns = {"a": np.log(share), "b": -np.log(1 - share)}
    kept = dict(columns)
    while True:
        features = np.stack([*kept.values(), ones], 1)
        try:
            found = logistic(features, genuine, ones, np.zeros(features.shape[1]))
        except NoOverlap as parted:
            if not (parted.towards[:-1] < 0).any():
                raise
            found = parted.towards  # only a falling curve parts them, and that one is left out
        values = dict(zip([*kept, "c"], found.tolist(), strict=True))
        below = next((name for name in kept if values[name] < 0), "")
        if not below:
            return values.get("a", 0.0), values.get("b", 0.0), values["c"]
        kept = {name: column for name, column in columns.items() if name in kept and name != below}


def beta_chance(cosines: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    """Probabilities of beta calibration."""
    share = _shares(cosines)
    result: np.ndarray = expit(a * np.log(share) - b * np.log(1 - share) + c)
    return result


def knots(scores: np.ndarray, genuine: np.ndarray, kind: Kind, whose: str) -> tuple[np.ndarray, np.ndarray]:
    """(scores, probabilities) (K,) between which a calibrator is a straight line and beyond which it is constant.

    isotonic: the rising curve nearest to the labels; bins: equally many pairs in each, so a step at each border.
    """
    check_kinds(genuine, whose)
    order = np.argsort(scores, kind="stable")
    at, labels = scores[order], genuine[order].astype(np.float64)
    if kind == "bins":
        parts = np.array_split(np.arange(len(at)), min(BINS, len(at)))
        borders = [(at[one[-1]] + at[other[0]]) / 2 for one, other in pairwise(parts)]
        shares = [float(labels[part].mean()) for part in parts]
        places = np.repeat(borders, 2)
        return np.concatenate([at[:1], places, at[-1:]]), np.repeat(shares, 2)
    values, first, counts = np.unique(at, return_index=True, return_counts=True)
    means = np.add.reduceat(labels, first) / counts
    return values, isotonic_regression(means, weights=counts).x


def along(scores: np.ndarray, places: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """Probabilities between knots."""
    return np.interp(scores, places, chances)
