"""Accuracy as papers have it: over folds, with a threshold for each group; and how far the groups' accuracies lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fairlab.evaluation import verification
from fairlab.evaluation.chance import fair_band, fair_draws
from fairlab.evaluation.groups import GroupPairs
from fairlab.evaluation.intervals import effective_pairs, rate_interval, share_interval
from fairlab.evaluation.operating import NUMBERS, over_groups
from fairlab.tables import ALL_GROUPS


def over_accuracies(groups: Sequence[GroupPairs], seed: int) -> tuple[pd.DataFrame, list[str]]:
    """(NUMBERS, notes): accuracy of each group over its folds, a threshold for each group, their mean, STD, SER ..."""
    rows: list[dict[str, Any]] = []
    notes: list[str] = []

    def add(group: str, metric: str, value: float, low: float, high: float, counts: tuple[int, int]) -> None:
        rows.append(dict(zip(NUMBERS, (group, metric, "", value, low, high, *counts), strict=True)))

    total = (sum(group.counts[0] for group in groups), sum(group.counts[1] for group in groups))
    known: list[tuple[verification.FoldAccuracy, np.ndarray]] = []
    trials = 0
    for group in groups:
        if 0 in group.counts:
            add(group.name, "accuracy", np.nan, np.nan, np.nan, group.counts)
            continue
        found = verification.fold_accuracy(group.scores, group.genuine, group.folds)
        redrawn = group.bootstrap.mean(found.correct)
        known.append((found, redrawn))
        trials += sum(group.trials)
        # The mean over folds and the mean over pairs are the same when folds are equally large; the interval is of the latter.
        low, high = rate_interval(int((~found.correct).sum()), len(found.correct), 1 - redrawn, sum(group.trials))
        add(group.name, "accuracy", found.accuracy, 1 - high, 1 - low, group.counts)
    if not known:
        add(ALL_GROUPS, "mean_accuracy", np.nan, np.nan, np.nan, total)
        return NUMBERS.build(rows), notes
    accuracy = np.array([found.accuracy for found, _ in known])
    drawn = np.array([redrawn for _, redrawn in known]).T
    sizes = np.array([len(found.correct) for found, _ in known])
    mean = float(accuracy.mean())
    add(ALL_GROUPS, "mean_accuracy", mean, *share_interval(mean, trials, drawn.mean(1)), total)
    right = np.array([found.correct.sum() for found, _ in known])
    certain = bool((right < sizes).all())
    if not certain:
        notes.append("a group shows no error: the measures over groups have no interval")
    effective = effective_pairs(right, sizes, drawn)
    fair = fair_draws(mean, effective, seed)

    def add_measure(name: str, value: float, low: float, high: float) -> None:
        add(ALL_GROUPS, name, value, low, high, total)

    over_groups("accuracy", accuracy, drawn, fair, certain, add_measure)
    if len(known) > 1 and np.isinf(fair_band(mean, effective, seed).ser[2]):
        notes.append("so few errors are expected that chance alone sets no limit to SER")
    return NUMBERS.build(rows), notes
