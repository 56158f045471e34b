"""Accuracy as papers have it: over folds, with a threshold for each group; and how far the groups' accuracies lie apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fairlab.evaluation import verification
from fairlab.evaluation.fold_chance import Choice
from fairlab.evaluation.groups import GroupPairs
from fairlab.evaluation.intervals import drawn_in, share_interval
from fairlab.evaluation.operating import NUMBERS, over_groups
from fairlab.evaluation.spread import Around, Noise, worth
from fairlab.tables import ALL_GROUPS


def over_accuracies(groups: Sequence[GroupPairs], seed: int) -> tuple[pd.DataFrame, list[str]]:
    """(NUMBERS, notes): accuracy of each group over its folds, a threshold for each group, their mean, STD, SER ..."""
    rows: list[dict[str, Any]] = []
    notes: list[str] = []

    def add(group: str, metric: str, value: float, low: float, high: float, counts: tuple[int, int]) -> None:
        rows.append(dict(zip(NUMBERS, (group, metric, "", value, low, high, *counts), strict=True)))

    total = (sum(group.counts[0] for group in groups), sum(group.counts[1] for group in groups))
    known: list[tuple[verification.FoldAccuracy, np.ndarray]] = []
    judged = [group for group in groups if 0 not in group.counts]
    variances, shifts = [], []
    for group in groups:
        if 0 in group.counts:
            add(group.name, "accuracy", np.nan, np.nan, np.nan, group.counts)
            continue
        found = verification.fold_accuracy(group.scores, group.genuine, group.folds)
        choice = Choice.of(group.scores, group.genuine, found, group.trials)
        variance = group.bootstrap.mean_variance(found.correct) + choice.variance
        variances.append(variance)
        shifts.append(choice.shift)
        known.append((found, drawn_in(found.accuracy, group.bootstrap.mean(found.correct), variance)))
        # The mean over folds and the mean over pairs are the same when folds are equally large; the interval is of the latter,
        # at the best threshold.
        low, high = share_interval(
            1 - found.accuracy + choice.shift, variance, group.bootstrap.identities, sum(group.trials)
        )
        add(group.name, "accuracy", found.accuracy, 1 - high, 1 - low, group.counts)
    if not known:
        add(ALL_GROUPS, "mean_accuracy", np.nan, np.nan, np.nan, total)
        return NUMBERS.build(rows), notes
    error = np.array([1 - found.accuracy for found, _ in known])
    people = np.array([group.bootstrap.identities for group in judged])
    mean, trials = float(error.mean()), sum(sum(group.trials) for group in judged)
    low, high = share_interval(
        mean + float(np.mean(shifts)), float(np.sum(variances)) / len(error) ** 2, int(people.sum()), trials
    )
    add(ALL_GROUPS, "mean_accuracy", 1 - mean, 1 - high, 1 - low, total)
    sizes = np.array([len(found.correct) for found, _ in known])
    certain = bool(all(not found.correct.all() for found, _ in known))
    if not certain:
        notes.append("a group shows no error: the measures over groups have no interval")
    drawn = 1 - np.array([redrawn for _, redrawn in known]).T
    noise = Noise.of(drawn, worth(error, drawn, sizes, people), seed)

    def add_measure(name: str, value: float, low: float, high: float) -> None:
        add(ALL_GROUPS, name, value, low, high, total)
        if name == "ser_fair_p95" and len(known) > 1 and np.isnan(value):
            notes.append("so few errors are expected that chance alone could give any SER")

    over_groups(
        "accuracy", Around(error, np.full(len(error), mean), noise), lambda rates: 1 - rates, certain, add_measure
    )
    return NUMBERS.build(rows), notes
