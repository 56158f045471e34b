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
    return float(thresholds_at_fmr(impostor_scores, np.array([target]))[0])


def thresholds_at_fmr(impostor_scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """As threshold_at_fmr, for many targets (T,) with one sort of the scores."""
    for target in targets:
        if not 0 <= target <= 1:
            raise FairLabError(f"a false match rate lies between 0 and 1, not at {target:g}")
    if len(impostor_scores) == 0:
        raise FairLabError("there is no impostor pair, so no threshold can be set at a false match rate")
    values, counts = np.unique(impostor_scores, return_counts=True)
    at_or_above = np.cumsum(counts[::-1]) / len(impostor_scores)  # from the largest value down
    offered = np.append(np.nextafter(values[-1], np.inf), values[::-1])
    found: np.ndarray = offered[np.searchsorted(at_or_above, targets, side="right")]
    return found


def measurable(target: float, impostors: int) -> bool:
    """Can a false match rate of `target` be estimated from so many impostor pairs?"""
    return target * impostors >= EXPECTED_ERRORS


def why_not_measurable(target: float, impostors: int) -> str:
    """Why a false match rate of `target` cannot be estimated from so many impostor pairs; "" when it can."""
    if measurable(target, impostors):
        return ""
    return (
        f"FMR {target:g} is not measurable: with {impostors:,} impostor pairs only about {target * impostors:.1f} false "
        f"matches are expected; at least {EXPECTED_ERRORS} are needed"
    )


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
    the strictest). With only one fold, the threshold is chosen on the fold itself.
    """
    codes, names = pd.factorize(folds)
    codes = np.argsort(np.argsort(names))[codes]  # folds in rising order
    order = _falling(scores)  # once for all folds: leaving a fold out keeps the others' order
    ordered, fold = scores[order], codes[order]
    gains = _gains(genuine[order])
    ends = _run_ends(ordered)
    thresholds = np.empty(len(names))
    for number in range(len(names)):
        others = fold != number if len(names) > 1 else np.ones(len(fold), dtype=bool)
        thresholds[number] = _cut(ordered, others, _first_best(gains * others, ends))
    correct: np.ndarray = (scores >= thresholds[codes]) == genuine
    counts = np.bincount(2 * codes + correct, minlength=2 * len(names)).reshape(-1, 2)
    accuracies = counts[:, 1] / counts.sum(1)
    return FoldAccuracy(float(np.mean(accuracies)), correct, thresholds, accuracies)


def best_threshold(scores: np.ndarray, genuine: np.ndarray) -> float:
    """The threshold with most right decisions: mid-way between neighbouring scores, or beyond either end."""
    order = _falling(scores)
    ordered = scores[order]
    best = _first_best(_gains(genuine[order]), _run_ends(ordered))
    return _cut(ordered, np.ones(len(ordered), dtype=bool), best)


def _falling(scores: np.ndarray) -> np.ndarray:
    """Places (P,) of the scores from the highest to the lowest.

    Sorted by 65,536 steps of score first (numpy sorts small whole numbers by their digits), so that the sort of the
    scores themselves finds them in order but for neighbours: four times as fast as that sort alone.
    """
    low, span = scores.min(), np.ptp(scores)
    with np.errstate(over="ignore", divide="ignore"):
        steps = 65535 / span
    if not 0 < steps < np.inf:  # all equal, or nearly, or further apart than a number can say
        return np.argsort(scores)[::-1]
    roughly = np.argsort(((scores - low) * steps).astype(np.uint16), kind="stable")
    order: np.ndarray = roughly[np.argsort(scores[roughly], kind="stable")][::-1]
    return order


def _gains(genuine: np.ndarray) -> np.ndarray:
    """By how many right decisions rise (P,) when the next score matches too: 1 or -1, in 32 bits for speed."""
    return 2 * genuine.astype(np.int32) - 1


def _run_ends(ordered: np.ndarray) -> np.ndarray | None:
    """For how many (K,) of the ordered scores, 1..P, they may be all that match: not between equals. None: for any."""
    ends = ordered[1:] != ordered[:-1]
    return None if ends.all() else np.flatnonzero(np.append(ends, True)) + 1


def _first_best(gains: np.ndarray, ends: np.ndarray | None) -> int:
    """How many of the best scores match when most decisions are right; of equals the fewest. Of _gains and _run_ends."""
    gained = np.cumsum(gains, dtype=np.int32)
    if ends is None:
        best = int(np.argmax(gained))
        return best + 1 if gained[best] > 0 else 0
    gained = gained[ends - 1]
    best = int(np.argmax(gained))
    return int(ends[best]) if gained[best] > 0 else 0


def _cut(ordered: np.ndarray, chosen: np.ndarray, count: int) -> float:
    """A threshold at which, of the `chosen` (P,) among the falling scores (P,), exactly those in the first `count` match."""
    if count == 0 or not chosen[before := count - 1 - int(chosen[:count][::-1].argmax())]:
        return float(np.nextafter(ordered[chosen.argmax()], np.inf))
    last = ordered[before]
    if count == len(ordered) or not chosen[after := count + int(chosen[count:].argmax())]:
        return float(last)
    following = ordered[after]
    middle = (last + following) / 2
    # Between two neighbouring floats there is no middle: rounding may land on the lower one, which must not match.
    return float(middle if middle > following else last)


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
