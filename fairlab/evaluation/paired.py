"""Two models, or two sets of seeds, on the same pairs and the same redrawn people: what differs beyond chance.

The draws of people weigh a pair of strangers by the product of two multiplicities, which for a list that compares nobody
often makes the spread of a difference up to 1.7 times too wide. So it is drawn in to what a variance clustered by people
says (IdentityBootstrap.narrowing); without, a gain of one point on 6,000 pairs was seen in 56 of 100 simulated cases, with
it in 85. Where thresholds are set at an FMR, each model's threshold moves in every draw, with the same people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from fairlab.errors import FairLabError
from fairlab.evaluation import verification
from fairlab.evaluation.both_points import Both
from fairlab.evaluation.fold_chance import Choice
from fairlab.evaluation.groups import Asked, GroupPairs, checked, cut
from fairlab.evaluation.intervals import chance_of_none, clopper_pearson, drawn_in, symmetric_interval
from fairlab.evaluation.operating import OperatingPoint, at_point
from fairlab.evaluation.seeds import two_level
from fairlab.tables import ALL_GROUPS, NUMBER, TEXT, Table

DIFFERENCES = Table(
    group=TEXT, metric=TEXT, difference=NUMBER, low=NUMBER, high=NUMBER, p=NUMBER, detectable=NUMBER, draws=NUMBER
)
"""A row is a metric of the first model minus that of the second, as a fraction (or the metric's own unit), with its 95 %
interval; p: two-sided, how often chance alone would show as much, of so many draws; detectable: see detectable()."""
POWER, ALPHA = 0.8, 0.05


def detectable(redrawn: np.ndarray, power: float = POWER, alpha: float = ALPHA) -> float:
    """The smallest true difference that p < alpha would show with this power, given the spread of redrawn differences.

    NaN without spread: then it is not known.
    """
    values = redrawn[np.isfinite(redrawn)]
    spread = float(values.std()) if len(values) else 0.0
    return float(ndtri(1 - alpha / 2) + ndtri(power)) * spread if spread > 0 else float("nan")


def with_scores(groups: Sequence[GroupPairs], scores: np.ndarray) -> list[GroupPairs]:
    """The same pairs and draws with another model's scores (P,) of the whole list."""
    return [replace(group, scores=np.asarray(scores, dtype=np.float64)[group.where]) for group in groups]


class PairedComparison:
    """Two models on the same pairs and the same redrawn people, by their accuracy."""

    def __init__(self, images: pd.DataFrame, pairs: pd.DataFrame, settings: Asked) -> None:
        self.images, self.pairs, self.settings = images, pairs, settings
        self._groups = cut(images, pairs, np.zeros(len(pairs)), settings)

    def difference(self, scores: np.ndarray, baseline: np.ndarray) -> pd.DataFrame:
        """Accuracy of `scores` minus that of `baseline` (P,) each: rows group and ALL_GROUPS (the mean).

        Columns group, difference, low, high (95 %), p (two-sided, from the redrawn differences). Fractions.
        """
        ours, theirs = (with_scores(self._groups, checked(self.pairs, values)) for values in (scores, baseline))
        found = _accuracies(ours, theirs)
        rows = [_row(name, "accuracy", *found[name]) for name in [group.name for group in ours] + [ALL_GROUPS]]
        return DIFFERENCES.build(rows)[["group", "difference", "low", "high", "p"]]


def paired_report(
    groups_a: Sequence[GroupPairs], groups_b: Sequence[GroupPairs], point: OperatingPoint
) -> pd.DataFrame:
    """Everything by which two models differ at a point, each at its own threshold of the same rule: DIFFERENCES.

    groups_*: of the same pairs with the same draws (see with_scores). Per group: accuracy (where there are folds), fmr,
    fnmr; for ALL_GROUPS: the mean accuracy and every fairness metric. Raises FairLabError for other pairs.
    """
    return paired_seeds([groups_a], [groups_b], point, 0)


def paired_seeds(
    runs_a: Sequence[Sequence[GroupPairs]], runs_b: Sequence[Sequence[GroupPairs]], point: OperatingPoint, seed: int
) -> pd.DataFrame:
    """As paired_report, of several trainings each, paired in their order; intervals are over people and seeds."""
    if len(runs_a) != len(runs_b) or not runs_a:
        raise FairLabError(f"{len(runs_a)} runs cannot be paired with {len(runs_b)}; expected equal numbers")
    each = [_differences(*both, point, seed) for both in zip(runs_a, runs_b, strict=True)]
    rows = []
    for group, metric in each[0]:
        values = np.array([found[group, metric][0] for found in each])
        redrawn = np.stack([found[group, metric][1] for found in each])
        least = each[0][group, metric][2] if len(each) == 1 else 0.0
        rows.append(_row(group, metric, float(values.mean()), two_level(values, redrawn, seed), least))
    return DIFFERENCES.build(rows)


Difference = tuple[float, np.ndarray, float]
"""(difference, redrawn differences (draws,), bound of it where no pair was decided differently or else 0)."""


def _differences(
    ours: Sequence[GroupPairs], theirs: Sequence[GroupPairs], point: OperatingPoint, seed: int = 0
) -> dict[tuple[str, str], Difference]:
    _check(ours, theirs)
    both = Both(at_point(ours, point), at_point(theirs, point))
    found: dict[tuple[str, str], Difference] = {}
    folded = all(len(np.unique(group.folds)) > 1 for group in ours)
    accuracies = _accuracies(ours, theirs) if folded else {}
    for number, mine in enumerate(ours):
        if folded:
            found[mine.name, "accuracy"] = accuracies[mine.name]
        for kind, name in enumerate(("fmr", "fnmr")):
            found[mine.name, name] = _of_rate(both, kind, number)
    if folded:
        found[ALL_GROUPS, "accuracy"] = accuracies[ALL_GROUPS]
    return found | {(ALL_GROUPS, name): change for name, change in both.measures(seed).items()}


def _of_rate(both: Both, kind: int, number: int) -> Difference:
    """The difference of two models' FMRs (kind 0) or FNMRs of a group, each at its own threshold."""
    mine, other = (side.groups[number] for side in both.sides)
    seen = [float(side.rates[kind, number]) for side in both.sides]
    gain = seen[0] - seen[1]
    if (kind == 0 and both.ours.sets_fmr) or not np.isfinite(
        gain
    ):  # what thresholds are set by is no property of a model
        return gain, np.full(mine.bootstrap.draws, np.nan), 0.0
    one, two = ((side.fmr, side.fnmr)[kind][:, number] for side in both.sides)
    redrawn = drawn_in(gain, one - two, both.variance(kind, number))
    of = mine.genuine == bool(kind)
    differ = (np.subtract(*both.match(number))[of] != 0).any()
    alike = np.array_equal(mine.scores, other.scores)
    least = 0.0 if alike or differ else clopper_pearson(0, mine.trials[1 - kind], one_sided=True)[1]
    return gain, redrawn, least


def _check(ours: Sequence[GroupPairs], theirs: Sequence[GroupPairs]) -> None:
    for mine, other in zip(ours, theirs, strict=False):
        if mine.name != other.name or not np.array_equal(mine.genuine, other.genuine):
            raise FairLabError("two models can be compared only on the same pairs, and these differ")
    if len(ours) != len(theirs):
        raise FairLabError(f"two models can be compared only on the same groups, not on {len(ours)} and {len(theirs)}")


def _accuracies(ours: Sequence[GroupPairs], theirs: Sequence[GroupPairs]) -> dict[str, Difference]:
    """Of each group and of ALL_GROUPS (the mean): accuracy over folds, a threshold for each group."""
    found: dict[str, Difference] = {}
    for mine, other in zip(ours, theirs, strict=True):
        if 0 in mine.counts:  # no accuracy, as in evaluate
            found[mine.name] = np.nan, np.full(mine.bootstrap.draws, np.nan), 0.0
            continue
        results = [verification.fold_accuracy(side.scores, side.genuine, side.folds) for side in (mine, other)]
        correct = [result.correct.astype(np.float32) for result in results]
        gain, alike = correct[0] - correct[1], np.array_equal(mine.scores, other.scores)
        chosen = [
            Choice.of(side.scores, side.genuine, result, side.trials)
            for side, result in zip((mine, other), results, strict=True)
        ]
        more = chosen[0].apart(chosen[1]) if gain.any() else 0.0
        redrawn = mine.bootstrap.mean(gain)
        redrawn = gain.mean() + mine.bootstrap.narrowing(gain, redrawn, more=more) * (redrawn - gain.mean())
        least = 0.0 if alike or gain.any() else clopper_pearson(0, sum(mine.trials), one_sided=True)[1]
        found[mine.name] = results[0].accuracy - results[1].accuracy, redrawn, least
    known = [item for item in found.values() if np.isfinite(item[0])]
    if not known:
        nothing = next(iter(found.values()))
        return found | {ALL_GROUPS: nothing}
    mean = float(np.mean([value for value, _, _ in known]))
    least = max(item[2] for item in known) if all(item[2] for item in known) else 0.0
    return found | {ALL_GROUPS: (mean, np.mean([redrawn for _, redrawn, _ in known], axis=0), least)}


def _row(group: str, metric: str, difference: float, redrawn: np.ndarray, least: float) -> dict[str, Any]:
    """A row of DIFFERENCES; nothing but the difference where one draw in twenty or more is not defined."""
    nothing = {"low": np.nan, "high": np.nan, "p": np.nan, "detectable": np.nan}
    row: dict[str, Any] = {"group": group, "metric": metric, "difference": difference, **nothing, "draws": len(redrawn)}
    if not np.isfinite(difference) or not np.isfinite(redrawn).mean() > 0.95:
        return row
    low, high = symmetric_interval(difference, redrawn)
    p, power = chance_of_none(redrawn, difference), detectable(redrawn)
    if least:  # no pair was decided differently: rarer differences than this were not to be seen
        low, high, p, power = -least, least, 1.0, least
    return row | {"low": low, "high": high, "p": p, "detectable": power}


def power_sentences(report: pd.DataFrame) -> list[str]:
    """What differences the pairs could not show, of the mean accuracy and of each group's rates, in sentences."""
    said = []
    for metric, what in (("accuracy", "mean accuracy"), ("fmr", "FMR"), ("fnmr", "FNMR")):
        rows = report[(report["metric"] == metric) & ((report["group"] == ALL_GROUPS) == (metric == "accuracy"))]
        limits = 100 * rows["detectable"].dropna()
        if len(limits):
            span = f"{limits.max():.2g}" if metric == "accuracy" else f"{limits.min():.2g} to {limits.max():.2g}"
            where = "" if metric == "accuracy" else ", depending on the group,"
            said.append(
                f"With these pairs a difference in {what} below {span} points{where} cannot be detected: it would "
                f"reach p < {ALPHA:g} in fewer than {100 * POWER:.0f} of 100 cases."
            )
    return said
