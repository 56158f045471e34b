"""Same person or not: error rates at a threshold, thresholds at an error rate, accuracy over folds.

A pair matches iff score >= threshold. Rates are fractions. Names as in ISO/IEC 19795-1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError

EXPECTED_ERRORS = 10
"""Below this many expected false matches a rate is "not measurable"."""


@dataclass(frozen=True)
class Counts:
    """Errors at a threshold, and of how many pairs."""

    genuine: int
    impostor: int
    false_non_matches: int
    false_matches: int

    @property
    def fmr(self) -> float:
        return self.false_matches / self.impostor if self.impostor else float("nan")

    @property
    def fnmr(self) -> float:
        return self.false_non_matches / self.genuine if self.genuine else float("nan")


def count_errors(scores: np.ndarray, genuine: np.ndarray, threshold: float) -> Counts:
    """Count both kinds of error among the pairs (P,) at `threshold`."""
    match = scores >= threshold
    return Counts(
        int(genuine.sum()), int((~genuine).sum()), int((~match & genuine).sum()), int((match & ~genuine).sum())
    )


def threshold_at_fmr(impostor_scores: np.ndarray, target: float) -> float:
    """Smallest of the thresholds that the scores offer with FMR at most `target` (0..1).

    The threshold is an impostor's score, or just above the largest when even that is too many; the rule of
    bob.measure's far_threshold. Raises FairLabError without impostors, or for a target outside 0..1.
    """
    if not 0 <= target <= 1:
        raise FairLabError(f"a false match rate lies between 0 and 1, not at {target:g}")
    if len(impostor_scores) == 0:
        raise FairLabError("there is no impostor pair, so no threshold can be set at a false match rate")
    values, counts = np.unique(impostor_scores, return_counts=True)
    at_or_above = np.cumsum(counts[::-1])[::-1] / len(impostor_scores)
    allowed = np.flatnonzero(at_or_above <= target)
    return float(values[allowed[0]]) if len(allowed) else float(np.nextafter(values[-1], np.inf))


def measurable(target: float, impostors: int) -> bool:
    """Can a false match rate of `target` be estimated from so many impostor pairs?"""
    return target * impostors >= EXPECTED_ERRORS


@dataclass(frozen=True)
class FoldAccuracy:
    """accuracy: mean over folds; correct (P,): decided rightly in its fold; thresholds: one per fold."""

    accuracy: float
    correct: np.ndarray
    thresholds: np.ndarray
    per_fold: np.ndarray


def fold_accuracy(scores: np.ndarray, genuine: np.ndarray, folds: np.ndarray) -> FoldAccuracy:
    """Accuracy as the papers report it, with thresholds from the data instead of a grid.

    Every fold is decided with the threshold that is best on all other folds (mid-way between two scores; of equals
    the strictest). With one fold only, the threshold is chosen on the fold itself.
    """
    codes, names = pd.factorize(folds, sort=True)
    order = np.argsort(scores)[::-1]  # once for all folds: leaving a fold out keeps the others' order
    ordered, fold = scores[order], codes[order]
    gains = np.where(genuine[order], 1, -1)
    ends = _run_ends(ordered)
    gained = _gained(gains)
    thresholds = np.empty(len(names))
    for number in range(len(names)):
        mine = fold == number
        if len(names) == 1:
            thresholds[number] = _cut(ordered, _first_best(gained, ends))
            continue
        best = _first_best(gained - _gained(np.where(mine, gains, 0)), ends)
        thresholds[number] = _cut(ordered[~mine], best - int(np.count_nonzero(mine[:best])))
    correct: np.ndarray = (scores >= thresholds[codes]) == genuine
    accuracies = np.bincount(codes[correct], minlength=len(names)) / np.bincount(codes)
    return FoldAccuracy(float(np.mean(accuracies)), correct, thresholds, accuracies)


def best_threshold(scores: np.ndarray, genuine: np.ndarray) -> float:
    """The threshold with most right decisions: mid-way between neighbouring scores, or beyond either end."""
    order = np.argsort(scores)[::-1]
    ordered = scores[order]
    return _cut(ordered, _first_best(_gained(np.where(genuine[order], 1, -1)), _run_ends(ordered)))


def _gained(gains: np.ndarray) -> np.ndarray:
    """Right decisions (P+1,) when the first k pairs match, k = 0..P, above those when none does."""
    return np.concatenate([[0], np.cumsum(gains)])


def _run_ends(ordered: np.ndarray) -> np.ndarray | None:
    """Where (P+1,) the first k of the ordered scores may match: not between equals. None: anywhere."""
    ends = ordered[1:] != ordered[:-1]
    return None if ends.all() else np.concatenate([[True], ends, [True]])


def _first_best(gained: np.ndarray, ends: np.ndarray | None) -> int:
    """How many of the best scores match when most decisions are right; of equals the fewest."""
    if ends is None:
        return int(np.argmax(gained))
    places = np.flatnonzero(ends)
    return int(places[np.argmax(gained[places])])


def _cut(ordered: np.ndarray, count: int) -> float:
    """A threshold at which exactly the first `count` of the falling scores match."""
    if count == 0:
        return float(np.nextafter(ordered[0], np.inf))
    if count == len(ordered):
        return float(ordered[-1])
    middle = (ordered[count - 1] + ordered[count]) / 2
    # Between two neighbouring floats there is no middle: rounding may land on the lower one, which must not match.
    return float(middle if middle > ordered[count] else ordered[count - 1])


def auc(scores: np.ndarray, genuine: np.ndarray) -> float:
    """Chance that a genuine pair scores above an impostor pair, ties half (Mann-Whitney); NaN without either kind."""
    positives, negatives = int(genuine.sum()), int((~genuine).sum())
    if positives == 0 or negatives == 0:
        return float("nan")
    impostors = np.sort(scores[~genuine])
    below, up_to = (np.searchsorted(impostors, scores[genuine], side=side) for side in ("left", "right"))
    return float((below + up_to).sum() / 2 / (positives * negatives))


def eer(scores: np.ndarray, genuine: np.ndarray) -> float:
    """Equal error rate: (FMR + FNMR) / 2 at the score where the two are nearest (bob's rule); NaN without either kind."""
    if genuine.all() or not genuine.any():
        return float("nan")
    thresholds = np.unique(scores)
    fmr, fnmr = rates(scores, genuine, thresholds)
    best = int(np.argmin(np.abs(fmr - fnmr)))
    return float((fmr[best] + fnmr[best]) / 2)


def rates(scores: np.ndarray, genuine: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(FMR (T,), FNMR (T,)) at each of the thresholds (T,)."""
    impostors, genuines = np.sort(scores[~genuine]), np.sort(scores[genuine])
    fmr = (len(impostors) - np.searchsorted(impostors, thresholds, side="left")) / max(len(impostors), 1)
    fnmr = np.searchsorted(genuines, thresholds, side="left") / max(len(genuines), 1)
    return fmr, fnmr


def d_prime(scores: np.ndarray, genuine: np.ndarray) -> float:
    """(mean genuine - mean impostor) / sqrt((var genuine + var impostor) / 2), variances with n as pyeer's; NaN if undefined."""
    if genuine.sum() < 2 or (~genuine).sum() < 2:
        return float("nan")
    spread = np.sqrt((scores[genuine].var() + scores[~genuine].var()) / 2)
    return float((scores[genuine].mean() - scores[~genuine].mean()) / spread) if spread > 0 else float("nan")
