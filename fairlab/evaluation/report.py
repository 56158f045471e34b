"""All numbers of one run on one pair list, and of two runs side by side, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fairlab.config import Evaluation
from fairlab.evaluation import verification
from fairlab.evaluation.fairness import FAIRNESS_METRICS, fair_band, fair_draws
from fairlab.evaluation.groups import GroupPairs, checked, cut
from fairlab.evaluation.intervals import (
    FEW_IDENTITIES,
    chance_of_none,
    chance_points,
    effective_pairs,
    percentile_interval,
    rate_interval,
    share_interval,
    spread_interval,
)
from fairlab.tables import ALL_GROUPS, METRICS

CURVE = ("run_id", "protocol", "group", "threshold", "fmr", "tmr", "low", "high", "genuine_pairs", "impostor_pairs")
"""A row is a point of a group's ROC: tmr = 1 - fnmr at this fmr, low/high its 95 % band."""
CURVE_POINTS = 60
EER_THRESHOLDS = 201
"""Thresholds tried for each redrawn EER; the EER itself is exact."""
FAIR_DRAWS = 1000
"""Equal groups drawn to learn what a metric shows by chance."""


@dataclass(frozen=True)
class Results:
    """metrics: tables.METRICS; curves: CURVE; notes: sentences on what could not be measured and why."""

    metrics: pd.DataFrame
    curves: pd.DataFrame
    notes: list[str]


def evaluate(
    run_id: str, images: pd.DataFrame, pairs: pd.DataFrame, scores: np.ndarray, settings: Evaluation
) -> Results:
    """Everything that is reported of a run on the pairs of one protocol.

    images: tables.IMAGES (image_id, identity are used); pairs: tables.PAIRS; scores (P,). Per group: accuracy, auc,
    eer, d_prime, and at each operating point "fmr=x" (threshold set on all groups' impostors together) fmr, fnmr, tar,
    tar_own_threshold. For all groups: mean_accuracy, fmr and fnmr, the fairness metrics and "<metric>_fair_p95" (value:
    95 % point of a perfectly fair model; low, high: its 2.5 % point and median). Intervals are 95 %, over redrawn
    identities, group by group, at the thresholds found.
    """
    protocol = str(pairs["protocol"].iloc[0]) if len(pairs) else ""
    groups = cut(images, pairs, scores, settings)
    rows: list[dict[str, Any]] = []
    notes: list[str] = []

    def add(
        group: str, metric: str, value: float, low: float, high: float, counts: tuple[int, int], point: str = ""
    ) -> None:
        rows.append(
            dict(zip(METRICS, (run_id, protocol, group, metric, point, value, low, high, *counts), strict=True))
        )

    total = (int(pairs["genuine"].sum()), int((~pairs["genuine"].astype(bool)).sum()))
    for group in groups:
        _group_numbers(group, add, notes)
    for target in settings.fmr_targets:
        _operating_point(groups, target, total, settings, add, notes)
    _all_groups(groups, total, settings, add, notes)
    curves = [_curve(run_id, protocol, group) for group in groups]
    return Results(pd.DataFrame(rows, columns=list(METRICS)), pd.concat(curves, ignore_index=True), notes)


def _group_numbers(group: GroupPairs, add: Any, notes: list[str]) -> None:
    counts = group.counts
    if 0 in counts:
        missing = "genuine" if counts[0] == 0 else "impostor"
        notes.append(f"{group.name}: no {missing} pair, so accuracy, AUC and EER are n/a")
        for name in ("accuracy", "auc", "eer", "d_prime"):
            add(group.name, name, np.nan, np.nan, np.nan, counts)
        return
    if group.bootstrap.identities < FEW_IDENTITIES:
        notes.append(f"{group.name}: only {group.bootstrap.identities} identities, intervals are indicative")
    found = group.accuracy = verification.fold_accuracy(group.scores, group.genuine, group.folds)
    group.redrawn_accuracy = group.bootstrap.mean(found.correct)
    # The mean over folds and the mean over pairs are the same when folds are equally large; the interval is of the latter.
    wrong = int((~found.correct).sum())
    low, high = rate_interval(wrong, len(found.correct), 1 - group.redrawn_accuracy)
    add(group.name, "accuracy", found.accuracy, 1 - high, 1 - low, counts)
    area, error = verification.auc(group.scores, group.genuine), verification.eer(group.scores, group.genuine)
    if area < 0.5:
        notes.append(
            f"{group.name}: AUC {area:.3f} is below one half; are genuine and impostor swapped, or distances taken for scores?"
        )
    # Perfectly parted scores stay parted in every draw. What is known then: so many comparisons of one genuine with one
    # impostor pair, each pair used once, all went right.
    once = min(counts)
    add(group.name, "auc", area, *share_interval(area, once, group.bootstrap.auc(group.scores)), counts)
    thresholds = np.unique(np.quantile(group.scores, np.linspace(0, 1, EER_THRESHOLDS)))
    add(group.name, "eer", error, *share_interval(error, once, group.bootstrap.eer(group.scores, thresholds)), counts)
    distance = verification.d_prime(group.scores, group.genuine)
    add(group.name, "d_prime", distance, *_interval(distance, group.bootstrap.d_prime(group.scores)), counts)


def _interval(value: float, redrawn: np.ndarray) -> tuple[float, float]:
    """Percentile interval of a measure, none where the measure or more than one draw in twenty is not defined.

    An interval from the few draws in which a measure exists would be of another quantity.
    """
    known = np.isfinite(value) and np.isfinite(redrawn).mean() > 0.95
    return percentile_interval(redrawn) if known else (float("nan"), float("nan"))


def _operating_point(
    groups: list[GroupPairs], target: float, total: tuple[int, int], settings: Evaluation, add: Any, notes: list[str]
) -> None:
    """Rates of every group at the one threshold where all groups' impostors together reach FMR `target` at most."""
    point = f"fmr={target:g}"
    impostors = np.concatenate([group.scores[~group.genuine] for group in groups])
    if not verification.measurable(target, len(impostors)):
        notes.append(
            f"FMR {target:g} is not measurable: {len(impostors)} impostor pairs let {target * len(impostors):.1f} false matches be "
            f"expected, at least {verification.EXPECTED_ERRORS} are needed"
        )
        return
    threshold = verification.threshold_at_fmr(impostors, target)
    add(ALL_GROUPS, "threshold", threshold, np.nan, np.nan, total, point)
    pooled = [verification.count_errors(group.scores, group.genuine, threshold) for group in groups]
    redrawn: dict[str, list[np.ndarray]] = {"fmr": [], "fnmr": []}
    for group, found in zip(groups, pooled, strict=True):
        counts = group.counts
        match = group.scores >= threshold
        fmr, fnmr = group.bootstrap.rate(match, False), group.bootstrap.rate(~match, True)
        redrawn["fmr"].append(fmr)
        redrawn["fnmr"].append(fnmr)
        add(group.name, "fmr", found.fmr, *rate_interval(found.false_matches, counts[1], fmr), counts, point)
        low, high = rate_interval(found.false_non_matches, counts[0], fnmr)
        add(group.name, "fnmr", found.fnmr, low, high, counts, point)
        add(group.name, "tar", 1 - found.fnmr, 1 - high, 1 - low, counts, point)
        _own_threshold(group, target, point, add, notes)
    errors = np.array([[found.false_matches, found.false_non_matches] for found in pooled]).T
    pairs = np.array([[found.impostor, found.genuine] for found in pooled]).T
    drawn = [np.array(redrawn[name]).T for name in ("fmr", "fnmr")]
    fair = []
    for kind, (name, wrong, of, values) in enumerate(zip(("fmr", "fnmr"), errors, pairs, drawn, strict=True)):
        some = of > 0  # groups with such pairs
        together = np.average(values[:, some], axis=1, weights=of[some]) if some.any() else np.empty(0)
        rate = wrong.sum() / of.sum() if some.any() else np.nan
        add(ALL_GROUPS, name, rate, *rate_interval(int(wrong.sum()), int(of.sum()), together), total, point)
        # Seeds of their own: metrics of both rates need draws that are independent of each other.
        fair.append(fair_draws(rate, effective_pairs(wrong, of, values), 2 * settings.seed + kind, FAIR_DRAWS))
    if not pairs.all():
        return  # a group without a rate: nothing can be said over groups
    certain = bool(((errors > 0) & (errors < pairs)).all())
    if not certain and len(groups) > 1:
        notes.append(f"at FMR {target:g} a group shows no error of a kind: the measures over groups have no interval")
    rates = errors / pairs
    over_groups("rates", tuple(rates), drawn, fair, certain, lambda *row: add(ALL_GROUPS, *row, total, point))


def _own_threshold(group: GroupPairs, target: float, point: str, add: Any, notes: list[str]) -> None:
    """TAR as papers give it: each group with a threshold of its own at FMR `target`."""
    counts = group.counts
    if not verification.measurable(target, counts[1]):
        notes.append(f"{group.name}: TAR at its own FMR {target:g} is not measurable with {counts[1]} impostor pairs")
        add(group.name, "tar_own_threshold", np.nan, np.nan, np.nan, counts, point)
        return
    threshold = verification.threshold_at_fmr(group.scores[~group.genuine], target)
    errors = verification.count_errors(group.scores, group.genuine, threshold)
    low, high = rate_interval(errors.false_non_matches, counts[0], group.bootstrap.rate(group.scores < threshold, True))
    add(group.name, "tar_own_threshold", 1 - errors.fnmr, 1 - high, 1 - low, counts, point)


def _all_groups(
    groups: list[GroupPairs], total: tuple[int, int], settings: Evaluation, add: Any, notes: list[str]
) -> None:
    """Mean accuracy and the metrics over the groups that have an accuracy; n/a without any."""
    known = [(group, group.accuracy) for group in groups if group.accuracy is not None]
    if not known:
        add(ALL_GROUPS, "mean_accuracy", np.nan, np.nan, np.nan, total)
        return
    accuracy = np.array([found.accuracy for _, found in known])
    redrawn = np.array([group.redrawn_accuracy for group, _ in known]).T
    sizes = np.array([len(group.scores) for group, _ in known])
    mean = float(accuracy.mean())
    add(ALL_GROUPS, "mean_accuracy", mean, *share_interval(mean, int(sizes.sum()), redrawn.mean(1)), total)
    right = np.array([found.correct.sum() for _, found in known])
    certain = bool((right < sizes).all())
    if not certain:
        notes.append("a group shows no error: the measures over groups have no interval")
    effective = effective_pairs(right, sizes, redrawn)
    fair = fair_draws(mean, effective, settings.seed, FAIR_DRAWS)
    over_groups("accuracy", (accuracy,), [redrawn], [fair], certain, lambda *row: add(ALL_GROUPS, *row, total))
    if len(known) > 1 and np.isinf(fair_band(mean, effective, settings.seed).ser[2]):
        notes.append("so few errors are expected that chance alone sets no limit to SER")


def over_groups(
    of: str, values: tuple[np.ndarray, ...], redrawn: list[np.ndarray], fair: list[np.ndarray], certain: bool, add: Any
) -> None:
    """Every metric `of` "accuracy" or "rates", with its interval, and `<metric>_fair_p95`, what a fair model would show.

    values: a (G,) per argument of the metric; redrawn, fair: a (draws, G) per argument. The fair row holds the 95 %
    point, and as low and high the 2.5 % point and the median. certain: every group shows an error. A group without one
    has none in any draw either, so intervals would be too narrow and are left out.
    """
    for name in FAIRNESS_METRICS:
        facts, metric = FAIRNESS_METRICS.facts(name), FAIRNESS_METRICS[name]
        if facts["of"] != of:
            continue
        value = metric(*values)
        by_people = np.array([metric(*row) for row in zip(*redrawn, strict=True)])
        if np.isnan(facts["fair_value"]):
            add(name, value, *(_interval(value, by_people) if certain else (np.nan, np.nan)))
            continue
        by_chance = np.array([metric(*row) for row in zip(*fair, strict=True)])
        interval = spread_interval(value, by_people, by_chance, facts["fair_value"], facts["unit"] == "ratio")
        add(name, value, *(interval if certain else (np.nan, np.nan)))
        low, middle, high = chance_points(by_chance, facts["fair_value"])
        add(f"{name}_fair_p95", high, low, middle)


def _curve(run_id: str, protocol: str, group: GroupPairs) -> pd.DataFrame:
    """The group's ROC at FMRs from one false match up to 1, evenly on a log scale, with a band for the TMR."""
    genuine, impostor = group.counts
    if genuine == 0 or impostor == 0:
        return pd.DataFrame(columns=list(CURVE))
    targets = np.unique(np.round(np.geomspace(1, impostor, CURVE_POINTS)).astype(int)) / impostor
    impostors = np.sort(group.scores[~group.genuine])[::-1]
    thresholds = np.unique([verification.threshold_at_fmr(impostors, target) for target in targets])[::-1]
    fmr, fnmr = verification.rates(group.scores, group.genuine, thresholds)
    missed = group.scores[:, None] < thresholds[None, :]
    redrawn = group.bootstrap.rate(missed, True)
    ends = [rate_interval(round(rate * genuine), genuine, redrawn[:, at]) for at, rate in enumerate(fnmr)]
    high, low = 1 - np.array(ends).T
    columns = (run_id, protocol, group.name, thresholds, fmr, 1 - fnmr, low, high, genuine, impostor)
    return pd.DataFrame(dict(zip(CURVE, columns, strict=True)))


class PairedComparison:
    """Two models on the same pairs and the same redrawn people: what differs beyond chance."""

    def __init__(self, images: pd.DataFrame, pairs: pd.DataFrame, settings: Evaluation) -> None:
        self.images, self.pairs, self.settings = images, pairs, settings
        self._groups = cut(images, pairs, np.zeros(len(pairs)), settings)

    def difference(self, scores: np.ndarray, baseline: np.ndarray) -> pd.DataFrame:
        """Accuracy of `scores` minus that of `baseline` (P,) each: rows group and ALL_GROUPS (the mean).

        Columns group, difference, low, high (95 %), p (two-sided, from the redrawn differences). Fractions.
        """
        for values in (scores, baseline):
            checked(self.pairs, values)
        rows: list[dict[str, Any]] = []
        all_redrawn = []
        for group in self._groups:
            if 0 in group.counts:  # no accuracy, as in evaluate
                rows.append({"group": group.name, "difference": np.nan, "low": np.nan, "high": np.nan, "p": np.nan})
                continue
            results = [
                verification.fold_accuracy(np.asarray(values)[group.where], group.genuine, group.folds)
                for values in (scores, baseline)
            ]
            gain = results[0].correct.astype(np.float32) - results[1].correct.astype(np.float32)
            redrawn = group.bootstrap.mean(gain)
            all_redrawn.append(redrawn)
            rows.append(_difference_row(group.name, results[0].accuracy - results[1].accuracy, redrawn))
        known = [row["difference"] for row in rows if np.isfinite(row["difference"])]
        mean = float(np.mean(known)) if known else np.nan
        rows.append(_difference_row(ALL_GROUPS, mean, np.mean(all_redrawn, axis=0) if known else np.empty(0)))
        return pd.DataFrame(rows)


def _difference_row(group: str, difference: float, redrawn: np.ndarray) -> dict[str, Any]:
    low, high = percentile_interval(redrawn)
    return {"group": group, "difference": difference, "low": low, "high": high, "p": chance_of_none(redrawn)}
