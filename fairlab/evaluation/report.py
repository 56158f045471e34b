"""All numbers of one run on one pair list, and of two runs side by side, with intervals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fairlab.config import Evaluation
from fairlab.errors import FairLabError
from fairlab.evaluation import verification
from fairlab.evaluation.fairness import FAIRNESS_METRICS, fair_band
from fairlab.evaluation.intervals import FEW_IDENTITIES, IdentityBootstrap, percentile_interval, rate_interval
from fairlab.tables import ALL_GROUPS, METRICS

CURVE = ("run_id", "protocol", "group", "threshold", "fmr", "tmr", "low", "high", "genuine_pairs", "impostor_pairs")
"""A row is a point of a group's ROC: tmr = 1 - fnmr at this fmr, low/high its 95 % band."""
CURVE_POINTS = 60
EER_THRESHOLDS = 201
"""Thresholds tried for each redrawn EER; the EER itself is exact."""


@dataclass(frozen=True)
class Results:
    """metrics: tables.METRICS; curves: CURVE; notes: sentences on what could not be measured and why."""

    metrics: pd.DataFrame
    curves: pd.DataFrame
    notes: list[str]


@dataclass
class _Group:
    """The pairs of one group, and the draws of its people."""

    name: str
    scores: np.ndarray
    genuine: np.ndarray
    folds: np.ndarray
    bootstrap: IdentityBootstrap
    where: np.ndarray
    accuracy: verification.FoldAccuracy | None = None
    redrawn_accuracy: np.ndarray = field(default_factory=lambda: np.empty(0))


def _groups(images: pd.DataFrame, pairs: pd.DataFrame, scores: np.ndarray, settings: Evaluation) -> list[_Group]:
    """Cut the pairs by group, with identities looked up; groups keep the order in which the pairs name them."""
    if len(scores) != len(pairs):
        raise FairLabError(f"there are {len(scores)} scores for {len(pairs)} pairs")
    if len(pairs) == 0:
        raise FairLabError("there are no pairs to evaluate")
    if not np.isfinite(scores).all():
        raise FairLabError(
            f"the score of pair {pairs['pair_id'].iloc[int(np.argmin(np.isfinite(scores)))]} is not a finite number"
        )
    identity = images.set_index("image_id")["identity"]
    first = identity.loc[pairs["image_a"]].to_numpy()
    second = identity.loc[pairs["image_b"]].to_numpy()
    genuine = pairs["genuine"].to_numpy(dtype=bool)
    found = []
    for number, name in enumerate(dict.fromkeys(pairs["group"])):
        of = np.flatnonzero((pairs["group"] == name).to_numpy())
        draws = IdentityBootstrap(first[of], second[of], genuine[of], settings.bootstrap, settings.seed * 1009 + number)
        found.append(_Group(str(name), scores[of], genuine[of], pairs["fold"].to_numpy()[of], draws, of))
    return found


def evaluate(
    run_id: str, images: pd.DataFrame, pairs: pd.DataFrame, scores: np.ndarray, settings: Evaluation
) -> Results:
    """Everything that is reported of a run on the pairs of one protocol.

    images: tables.IMAGES (image_id, identity are used); pairs: tables.PAIRS; scores (P,). Per group: accuracy, auc,
    eer, d_prime, and at each operating point "fmr=x" (threshold set on all groups' impostors together) fmr, fnmr, tar,
    tar_own_threshold. For all groups: mean_accuracy, the fairness metrics, their fair bands. Intervals are 95 %, over
    redrawn identities, group by group.
    """
    protocol = str(pairs["protocol"].iloc[0]) if len(pairs) else ""
    groups = _groups(images, pairs, scores, settings)
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
        _operating_point(groups, target, total, add, notes)
    _all_groups(groups, total, settings, add)
    curves = [_curve(run_id, protocol, group) for group in groups]
    return Results(pd.DataFrame(rows, columns=list(METRICS)), pd.concat(curves, ignore_index=True), notes)


def _counts(group: _Group) -> tuple[int, int]:
    return int(group.genuine.sum()), int((~group.genuine).sum())


def _group_numbers(group: _Group, add: Any, notes: list[str]) -> None:
    counts = _counts(group)
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
    area = verification.auc(group.scores, group.genuine)
    if area < 0.5:
        notes.append(
            f"{group.name}: AUC {area:.3f} is below one half; are genuine and impostor swapped, or distances taken for scores?"
        )
    add(group.name, "auc", area, *percentile_interval(group.bootstrap.auc(group.scores)), counts)
    thresholds = np.unique(np.quantile(group.scores, np.linspace(0, 1, EER_THRESHOLDS)))
    redrawn = group.bootstrap.eer(group.scores, thresholds)
    add(group.name, "eer", verification.eer(group.scores, group.genuine), *percentile_interval(redrawn), counts)
    add(group.name, "d_prime", verification.d_prime(group.scores, group.genuine), np.nan, np.nan, counts)


def _operating_point(groups: list[_Group], target: float, total: tuple[int, int], add: Any, notes: list[str]) -> None:
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
    add(ALL_GROUPS, "fmr", sum(item.false_matches for item in pooled) / max(total[1], 1), np.nan, np.nan, total, point)
    add(
        ALL_GROUPS,
        "fnmr",
        sum(item.false_non_matches for item in pooled) / max(total[0], 1),
        np.nan,
        np.nan,
        total,
        point,
    )
    redrawn: dict[str, list[np.ndarray]] = {"fmr": [], "fnmr": []}
    for group, found in zip(groups, pooled, strict=True):
        counts = _counts(group)
        match = group.scores >= threshold
        fmr, fnmr = group.bootstrap.rate(match, False), group.bootstrap.rate(~match, True)
        redrawn["fmr"].append(fmr)
        redrawn["fnmr"].append(fnmr)
        add(group.name, "fmr", found.fmr, *rate_interval(found.false_matches, counts[1], fmr), counts, point)
        low, high = rate_interval(found.false_non_matches, counts[0], fnmr)
        add(group.name, "fnmr", found.fnmr, low, high, counts, point)
        add(group.name, "tar", 1 - found.fnmr, 1 - high, 1 - low, counts, point)
        _own_threshold(group, target, point, add, notes)
    rates = np.array([[item.fmr, item.fnmr] for item in pooled])
    drawn = [np.array(redrawn[name]).T for name in ("fmr", "fnmr")]
    for name in FAIRNESS_METRICS:
        if FAIRNESS_METRICS.facts(name)["of"] == "rates":
            metric = FAIRNESS_METRICS[name]
            values = np.array([metric(a, b) for a, b in zip(*drawn, strict=True)])
            value = metric(rates[:, 0], rates[:, 1])
            # An interval from the few draws in which the metric exists would be of another quantity.
            known = np.isfinite(value) and np.isfinite(values).mean() > 0.95
            add(ALL_GROUPS, name, value, *(percentile_interval(values) if known else (np.nan, np.nan)), total, point)


def _own_threshold(group: _Group, target: float, point: str, add: Any, notes: list[str]) -> None:
    """TAR as papers give it: each group with a threshold of its own at FMR `target`."""
    counts = _counts(group)
    if not verification.measurable(target, counts[1]):
        notes.append(f"{group.name}: TAR at its own FMR {target:g} is not measurable with {counts[1]} impostor pairs")
        add(group.name, "tar_own_threshold", np.nan, np.nan, np.nan, counts, point)
        return
    threshold = verification.threshold_at_fmr(group.scores[~group.genuine], target)
    errors = verification.count_errors(group.scores, group.genuine, threshold)
    low, high = rate_interval(errors.false_non_matches, counts[0], group.bootstrap.rate(group.scores < threshold, True))
    add(group.name, "tar_own_threshold", 1 - errors.fnmr, 1 - high, 1 - low, counts, point)


def _all_groups(groups: list[_Group], total: tuple[int, int], settings: Evaluation, add: Any) -> None:
    """Mean accuracy and the metrics over the groups that have an accuracy; n/a without any."""
    known = [(group, group.accuracy) for group in groups if group.accuracy is not None]
    if not known:
        add(ALL_GROUPS, "mean_accuracy", np.nan, np.nan, np.nan, total)
        return
    accuracy = np.array([found.accuracy for _, found in known])
    redrawn = np.array([group.redrawn_accuracy for group, _ in known]).T
    mean = float(accuracy.mean())
    add(ALL_GROUPS, "mean_accuracy", mean, *percentile_interval(redrawn.mean(1)), total)
    for name in FAIRNESS_METRICS:
        if FAIRNESS_METRICS.facts(name)["of"] == "accuracy":
            metric = FAIRNESS_METRICS[name]
            value = metric(accuracy)
            values = np.array([metric(row) for row in redrawn])
            add(
                ALL_GROUPS,
                name,
                value,
                *(percentile_interval(values) if np.isfinite(value) else (np.nan, np.nan)),
                total,
            )
    variance = np.maximum(np.nanvar(redrawn, axis=0), 1e-12)
    effective = np.minimum(mean * (1 - mean) / variance, [len(group.scores) for group, _ in known])
    band = fair_band(mean, effective, settings.seed)
    for name, (low, middle, high) in (("std_points", band.std_points), ("ser", band.ser)):
        add(ALL_GROUPS, f"{name}_fair_p95", high, low, middle, total)


def _curve(run_id: str, protocol: str, group: _Group) -> pd.DataFrame:
    """The group's ROC at FMRs from one false match up to 1, evenly on a log scale, with a band for the TMR."""
    genuine, impostor = _counts(group)
    if genuine == 0 or impostor == 0:
        return pd.DataFrame(columns=list(CURVE))
    targets = np.unique(np.round(np.geomspace(1, impostor, CURVE_POINTS)).astype(int)) / impostor
    impostors = np.sort(group.scores[~group.genuine])[::-1]
    thresholds = np.unique([verification.threshold_at_fmr(impostors, target) for target in targets])[::-1]
    fmr, fnmr = verification.rates(group.scores, group.genuine, thresholds)
    missed = group.scores[:, None] < thresholds[None, :]
    redrawn = group.bootstrap.rate(missed, True)
    low, high = np.nanquantile(1 - redrawn, [0.025, 0.975], axis=0)
    columns = (run_id, protocol, group.name, thresholds, fmr, 1 - fnmr, low, high, genuine, impostor)
    return pd.DataFrame(dict(zip(CURVE, columns, strict=True)))


class PairedComparison:
    """Two models on the same pairs and the same redrawn people: what differs beyond chance."""

    def __init__(self, images: pd.DataFrame, pairs: pd.DataFrame, settings: Evaluation) -> None:
        self.images, self.pairs, self.settings = images, pairs, settings
        self._groups = _groups(images, pairs, np.zeros(len(pairs)), settings)

    def difference(self, scores: np.ndarray, baseline: np.ndarray) -> pd.DataFrame:
        """Accuracy of `scores` minus that of `baseline` (P,) each: rows group and ALL_GROUPS (the mean).

        Columns group, difference, low, high (95 %), p (two-sided, from the redrawn differences). Fractions.
        """
        rows, all_redrawn = [], []
        for group in self._groups:
            results = [
                verification.fold_accuracy(values[group.where], group.genuine, group.folds)
                for values in (scores, baseline)
            ]
            gain = results[0].correct.astype(np.float32) - results[1].correct.astype(np.float32)
            redrawn = group.bootstrap.mean(gain)
            all_redrawn.append(redrawn)
            rows.append(_difference_row(group.name, results[0].accuracy - results[1].accuracy, redrawn))
        mean = float(np.mean([row["difference"] for row in rows]))
        rows.append(_difference_row(ALL_GROUPS, mean, np.mean(all_redrawn, axis=0)))
        return pd.DataFrame(rows)


def _difference_row(group: str, difference: float, redrawn: np.ndarray) -> dict[str, Any]:
    low, high = percentile_interval(redrawn)
    values = redrawn[np.isfinite(redrawn)]
    # Share of draws on the other side of zero, twice; never 0, as the number of draws is finite.
    tail = (1 + min((values <= 0).sum(), (values >= 0).sum())) / (1 + len(values))
    return {"group": group, "difference": difference, "low": low, "high": high, "p": float(min(1.0, 2 * tail))}
