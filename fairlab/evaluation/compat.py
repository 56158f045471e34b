"""The numbers that two widely used peers print, by their own rules: to reproduce published tables, not to judge by.

Both rules are restated from what their public code does (deepinsight/insightface
recognition/arcface_torch/eval/verification.py; JDAI-CV/FaceX-Zoo test_protocol/lfw/lfw_evaluator.py), and counted with
sorted scores instead of a pass over all pairs for each threshold: the same integers are divided in the same order, so
every number is the peer's to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fairlab.errors import FairLabError

FOLDS = 10
GRID = np.arange(0, 4, 0.01)
"""insightface's thresholds on the squared distance of unit vectors; also those of the official MST-KD code."""
FACEX_FOLD, FACEX_STEPS = 600, 1000
VAL_REASON = (
    "VAL at FAR 1e-3 is n/a: the peer interpolates thresholds over training FARs that repeat, which current scipy refuses "
    '("Expect x to not have duplicates"); older ones used any of the repeats'
)


@dataclass(frozen=True)
class CompatMode:
    """title; takes: "distances" or "scores"; flip: both views fused?; rule and differs: a sentence each."""

    title: str
    takes: str
    flip: bool
    rule: str
    differs: str


COMPAT = {
    "insightface-2018": CompatMode(
        "insightface (2018)",
        "distances",
        True,
        "Squared distance of the flip-summed unit embeddings below a threshold of 0, 0.01 ... 3.99 (the first that is "
        "best on the other nine folds); ten folds by row; mean and std (n) over folds.",
        "Ours takes thresholds from the scores instead of a grid, the strictest of equals, and the folds of the pair "
        "list; our interval is over people, while the std here is the spread over folds, not an error of the mean.",
    ),
    "facex-zoo": CompatMode(
        "FaceX-Zoo",
        "scores",
        False,
        "Cosine without flip above the threshold of largest TPR - FPR on the nine other folds (the first of 1,000 steps "
        "between their lowest and highest score); ten folds of 600 by row; mean and standard error (n-1).",
        "Ours maximises accuracy, fuses both views and takes any number of pairs; here a pair on the threshold is an error "
        "either way, and only 6,000 pairs are defined.",
    ),
}


@dataclass(frozen=True)
class CompatResult:
    """What a peer would print; all NaN or empty, with a `reason`, where its rule is not defined.

    accuracy: mean over folds; std: over folds, ddof 0 for insightface-2018, 1 for facex-zoo; standard_error: NaN where
    the peer gives none; per_fold (F,); thresholds (F,), distances or scores as the mode takes. insightface-2018 only: tpr,
    fpr (T,) at each threshold of `grid` (T,), means over the test folds (a fold without such pairs counts 0, as the
    peer has it), and val_reason, why its VAL is not given.
    """

    accuracy: float = float("nan")
    std: float = float("nan")
    standard_error: float = float("nan")
    per_fold: np.ndarray = field(default_factory=lambda: np.empty(0))
    thresholds: np.ndarray = field(default_factory=lambda: np.empty(0))
    reason: str = ""
    grid: np.ndarray = field(default_factory=lambda: np.empty(0))
    tpr: np.ndarray = field(default_factory=lambda: np.empty(0))
    fpr: np.ndarray = field(default_factory=lambda: np.empty(0))
    val_reason: str = ""

    @property
    def last_threshold(self) -> float:
        """The one that MST-KD's copy of insightface's code logs as the best: the last fold's; NaN without any."""
        return float(self.thresholds[-1]) if len(self.thresholds) else float("nan")


def compat_accuracy(mode: str, values: np.ndarray, genuine: np.ndarray) -> CompatResult:
    """Accuracy by the rule of a peer, one of COMPAT, on pairs (P,) in the order of their list.

    values: squared Euclidean distances (scores.pair_distances) or cosines (scores.pair_scores), as the mode `takes`.
    Raises FairLabError for an unknown mode and for values that cannot be what the mode takes.
    """
    if mode not in COMPAT:
        raise FairLabError(f"there is no compat mode {mode!r}; choose one of: {', '.join(COMPAT)}")
    values, genuine = np.asarray(values, dtype=np.float64), np.asarray(genuine, dtype=bool)
    if values.shape != genuine.shape or values.ndim != 1:
        raise FairLabError(f"there are {values.size} {COMPAT[mode].takes} for {genuine.size} pairs")
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise FairLabError(f"the value of pair number {bad[0]} is not a finite number")
    if mode == "insightface-2018":
        return insightface_2018(values, genuine)
    return facex_zoo(values, genuine)


def insightface_2018(
    distances: np.ndarray, genuine: np.ndarray, folds: int = FOLDS, grid: np.ndarray = GRID
) -> CompatResult:
    """A pair (P,) matches iff its squared distance < t; t of the rising `grid` (T,), the first that is best on the others.

    Folds are contiguous rows, the first P % folds of them one larger (scikit-learn's KFold without shuffling). With one
    fold the threshold is chosen on the fold itself.
    """
    pairs = len(distances)
    if reason := _undefined(genuine, folds):
        return CompatResult(reason=reason)
    if distances.min() < -1e-6:
        raise FairLabError("squared distances are not negative: are these cosines? Convert them as 2 - 2 * cosine")
    sizes = np.full(folds, pairs // folds)
    sizes[: pairs % folds] += 1
    # A pair matches from the first threshold above its distance on: counted there, then summed along the grid.
    first = np.searchsorted(grid, distances, side="right")
    cells = (np.repeat(np.arange(folds), sizes) * 2 + genuine) * (len(grid) + 1) + first
    counted = np.bincount(cells, minlength=folds * 2 * (len(grid) + 1)).reshape(folds, 2, len(grid) + 1)
    matches = np.cumsum(counted, axis=2)[:, :, :-1]
    false, true = matches[:, 0], matches[:, 1]
    impostors, genuines = (counted[:, kind].sum(1)[:, None] for kind in (0, 1))
    right = true + impostors - false
    elsewhere = right.sum(0) - right if folds > 1 else right
    best = elsewhere.argmax(1)
    per_fold = right[np.arange(folds), best] / sizes
    return CompatResult(
        accuracy=float(per_fold.mean()),
        std=float(per_fold.std()),
        per_fold=per_fold,
        thresholds=grid[best],
        grid=grid,
        tpr=(true / np.maximum(genuines, 1)).mean(0),
        fpr=(false / np.maximum(impostors, 1)).mean(0),
        val_reason=VAL_REASON,
    )


def facex_zoo(scores: np.ndarray, genuine: np.ndarray) -> CompatResult:
    """A pair (6000,) is right iff genuine and above, or impostor and below the threshold of the other nine folds.

    As it runs with numpy 2: scores and step are single precision, thresholds double. With numpy 1 the step was double, and
    thresholds differ by less than 1e-6.
    """
    pairs = FOLDS * FACEX_FOLD
    if len(scores) != pairs:
        return CompatResult(reason=f"FaceX-Zoo's rule needs exactly {pairs:,} pairs; this list has {len(scores):,}")
    if reason := _undefined(genuine, FOLDS):
        return CompatResult(reason=reason)
    single = scores.astype(np.float32)
    fold = np.arange(pairs) // FACEX_FOLD
    order = np.argsort(single)
    ordered, fold_of, true = single[order].astype(np.float64), fold[order], genuine[order]
    thresholds = np.empty(FOLDS)
    for number in range(FOLDS):
        others = fold_of != number
        positives, negatives = ordered[others & true], ordered[others & ~true]
        if len(positives) == 0 or len(negatives) == 0:
            kind = "genuine" if len(positives) == 0 else "impostor"
            return CompatResult(reason=f"outside fold {number} there is no {kind} pair, so the peer divides by zero")
        known = single[order[others]]
        step = (known[-1] - known[0]) / np.float32(FACEX_STEPS)
        steps = np.float64(known[0]) + np.float64(step) * np.arange(1, FACEX_STEPS + 1)
        tpr, fpr = (
            (len(kind) - np.searchsorted(kind, steps, side="right")) / len(kind) for kind in (positives, negatives)
        )
        thresholds[number] = steps[np.argmax(tpr - fpr)]
    limit = thresholds[fold]
    right = np.where(genuine, single > limit, single < limit)
    per_fold = right.reshape(FOLDS, FACEX_FOLD).sum(1) / FACEX_FOLD
    std = np.std(per_fold, ddof=1)
    return CompatResult(
        accuracy=float(np.mean(per_fold)),
        std=float(std),
        standard_error=float(std / np.sqrt(FOLDS)),
        per_fold=per_fold,
        thresholds=thresholds,
    )


def _undefined(genuine: np.ndarray, folds: int) -> str:
    """Why no rule can give a number; empty if one can."""
    if len(genuine) < folds:
        return f"{folds} folds need at least {folds} pairs, not {len(genuine)}"
    if genuine.all() or not genuine.any():
        kind = "impostor" if genuine.all() else "genuine"
        return f"there is no {kind} pair, so a threshold that gives every pair the same decision is always right"
    return ""
