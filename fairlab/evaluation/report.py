"""All numbers of one run on one pair list, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fairlab.evaluation import verification
from fairlab.evaluation.accuracies import over_accuracies
from fairlab.evaluation.clusters import auc_influence, d_prime_influence
from fairlab.evaluation.groups import Asked, GroupPairs, cut
from fairlab.evaluation.intervals import FEW_IDENTITIES, normal_interval, share_interval, variance_of
from fairlab.evaluation.operating import LEAST_FALSE, OperatingPoint, at_point, numbers_at
from fairlab.evaluation.rows import UNKNOWN, Rows
from fairlab.evaluation.spread import angle, rate_of
from fairlab.tables import METRICS, NUMBER, TEXT, WHOLE, Table

CURVE = Table(
    run_id=TEXT, protocol=TEXT, group=TEXT, threshold=NUMBER, fmr=NUMBER, tmr=NUMBER, low=NUMBER, high=NUMBER,
    genuine_pairs=WHOLE, impostor_pairs=WHOLE,
)  # fmt: skip
"""A row is a point of a group's ROC: tmr = 1 - fnmr at this fmr, low/high its 95 % band."""
CURVE_POINTS = 60
AT_A_TIME = 50_000_000
"""Comparisons of scores with thresholds held at once: 50 MB."""
EER_STEPS = 401
"""Thresholds tried for each redrawn EER; the EER itself is exact."""


@dataclass(frozen=True)
class Results:
    """metrics: tables.METRICS; curves: CURVE; notes: sentences on what could not be measured and why."""

    metrics: pd.DataFrame
    curves: pd.DataFrame
    notes: list[str]


def evaluate(run_id: str, images: pd.DataFrame, pairs: pd.DataFrame, scores: np.ndarray, settings: Asked) -> Results:
    """Everything that is reported of a run on the pairs of one protocol.

    images: tables.IMAGES (image_id, identity are used); pairs: tables.PAIRS; scores (P,). Per group: accuracy, auc,
    eer, d_prime, and at each operating point "fmr=x" (threshold set on all groups' impostors together) fmr, fnmr, tar,
    tar_own_threshold. For all groups: mean_accuracy, fmr and fnmr, the fairness metrics and "<metric>_fair_p95" (value:
    95 % point of a perfectly fair model; low, high: its 2.5 % point and median). Intervals are 95 %, over redrawn
    identities, group by group; thresholds that are set at an FMR are set anew in every draw.
    """
    protocol = str(pairs["protocol"].iloc[0]) if len(pairs) else ""
    return evaluate_groups(run_id, protocol, cut(images, pairs, scores, settings), settings)


def evaluate_groups(run_id: str, protocol: str, groups: list[GroupPairs], settings: Asked) -> Results:
    """As evaluate(), of pairs that are cut by group already, e.g. by other attributes than the data set's own."""
    rows, notes = Rows(run_id, protocol), []
    for group in groups:
        notes += _group_numbers(group, rows)
    tables = []
    for target in settings.fmr_targets:
        missing = verification.why_not_measurable(target, sum(group.counts[1] for group in groups))
        if missing:
            notes.append(missing)
            continue
        numbers, more = _operating_point(groups, target, settings.seed, rows)
        tables.append(numbers)
        notes += more
    accuracies, more = over_accuracies(groups, settings.seed)
    tables, notes = [accuracies, *tables], [*notes, *more]
    tables = [table.assign(run_id=run_id, protocol=protocol) for table in tables]
    metrics = pd.concat([rows.table(), *tables], ignore_index=True)
    curves = [_curve(run_id, protocol, group) for group in groups]
    return Results(metrics[list(METRICS)], CURVE.stack(curves), notes)


def _group_numbers(group: GroupPairs, rows: Rows) -> list[str]:
    """Add what needs no operating point; returns sentences on what is odd or missing."""
    counts, notes = group.counts, []
    if 0 in counts:
        for name in ("auc", "eer", "d_prime"):
            rows.add(group.name, name, UNKNOWN, counts)
        missing = "genuine" if counts[0] == 0 else "impostor"
        return [f"{group.name}: no {missing} pair, so accuracy, AUC and EER are n/a"]
    if group.bootstrap.identities < FEW_IDENTITIES:
        notes.append(f"{group.name}: only {group.bootstrap.identities} identities, intervals are indicative")
    for name, metric, *ends in separation(group):
        rows.add(name, metric, (ends[0], ends[1], ends[2]), counts)
        if metric == "auc" and ends[0] < 0.5:
            notes.append(
                f"{name}: AUC {ends[0]:.3f} is below one half; are genuine and impostor swapped, or distances used as scores?"
            )
    return notes


def separation(group: GroupPairs) -> list[tuple[str, str, float, float, float]]:
    """(group, metric, value, low, high) of AUC, EER and d', of a group with both kinds of pairs."""
    area, error = verification.auc(group.scores, group.genuine), verification.eer(group.scores, group.genuine)
    distance = verification.d_prime(group.scores, group.genuine)
    # Of perfectly parted scores this is known: so many comparisons of one genuine with one impostor pair, each pair used
    # once, all went right.
    once, people, clusters = min(group.trials), group.bootstrap.identities, group.bootstrap.clusters
    of_area = clusters.variance(auc_influence(group.scores, group.genuine))
    of_error = _redrawn_eer(group)
    of_distance = clusters.variance(d_prime_influence(group.scores, group.genuine, distance))
    return [
        (group.name, "auc", area, *share_interval(area, of_area, people, once)),
        (group.name, "eer", error, *share_interval(error, variance_of(of_error), people, once)),
        (group.name, "d_prime", distance, *normal_interval(distance, of_distance, people)),
    ]


def _redrawn_eer(group: GroupPairs) -> np.ndarray:
    """Redrawn equal error rates (draws,), the threshold set anew in every draw: rates are carried along as in `moving`."""
    thresholds = np.unique(group.scores)
    fmr, fnmr = verification.rates(group.scores, group.genuine, thresholds)
    at = int(np.argmin(np.abs(fmr - fnmr)))
    match = group.scores >= thresholds[at]
    drawn = group.bootstrap.errors(match)
    noise = [angle(redrawn) - angle(rate[at]) for redrawn, rate in zip(drawn, (fmr, fnmr), strict=True)]
    reach = 6 * max(float(np.nanstd(part)) for part in noise)
    near = np.flatnonzero(
        (np.abs(angle(fmr) - angle(fmr[at])) <= reach) | (np.abs(angle(fnmr) - angle(fnmr[at])) <= reach)
    )
    near = np.unique(near[np.linspace(0, len(near) - 1, min(EER_STEPS, len(near))).astype(int)])
    false, missed = (rate_of(angle(rate[near]) + part[:, None]) for rate, part in zip((fmr, fnmr), noise, strict=True))
    gap = np.where(np.isfinite(false - missed), np.abs(false - missed), np.inf)
    best = (np.arange(len(gap)), gap.argmin(1))
    found: np.ndarray = (false[best] + missed[best]) / 2
    return found


def _operating_point(groups: list[GroupPairs], target: float, seed: int, rows: Rows) -> tuple[pd.DataFrame, list[str]]:
    """Rates of every group at the one threshold where all groups' impostors together reach FMR `target` at most."""
    point = OperatingPoint("pooled", target)
    numbers, notes = numbers_at(at_point(groups, point), seed)
    return numbers, [*notes, *(note for group in groups for note in _own_threshold(group, target, point.name, rows))]


def _own_threshold(group: GroupPairs, target: float, point: str, rows: Rows) -> list[str]:
    """TAR as papers give it: each group with a threshold of its own at FMR `target`."""
    counts = group.counts
    if not verification.measurable(target, counts[1]):
        rows.add(group.name, "tar_own_threshold", UNKNOWN, counts, point)
        return [f"{group.name}: TAR at its own FMR {target:g} is not measurable with {counts[1]} impostor pairs"]
    at = at_point([group], OperatingPoint("own", target))
    errors, redrawn = at.counts[0], at.fnmr[:, 0]
    low, high = share_interval(errors.fnmr, variance_of(redrawn), group.bootstrap.identities, group.trials[0])
    rows.add(group.name, "tar_own_threshold", (1 - errors.fnmr, 1 - high, 1 - low), counts, point)
    return []


def _curve(run_id: str, protocol: str, group: GroupPairs) -> pd.DataFrame:
    """The group's ROC at FMRs from one false match up to 1, evenly on a log scale, with a band for the TMR."""
    genuine, impostor = group.counts
    if genuine == 0 or impostor == 0:
        return CURVE.build()
    targets = np.unique(np.round(np.geomspace(1, impostor, CURVE_POINTS)).astype(int)) / impostor
    thresholds = np.unique(verification.thresholds_at_fmr(group.scores[~group.genuine], targets))[::-1]
    fmr, fnmr = verification.rates(group.scores, group.genuine, thresholds)
    varied = _curve_variance(group, thresholds, fmr, fnmr)
    people, trials = group.bootstrap.identities, group.trials[0]
    ends = [share_interval(rate, float(spread), people, trials) for rate, spread in zip(fnmr, varied, strict=True)]
    high, low = 1 - np.array(ends).T
    columns = (run_id, protocol, group.name, thresholds, fmr, 1 - fnmr, low, high, genuine, impostor)
    return CURVE.of(dict(zip(CURVE, columns, strict=True)))


def _curve_variance(group: GroupPairs, thresholds: np.ndarray, fmr: np.ndarray, fnmr: np.ndarray) -> np.ndarray:
    """Variance (T,) of the FNMR at the FMR that each of the thresholds (T,) has, thresholds set anew in every draw.

    NaN for a threshold that one false match sets: anybody's luck moves it, and how far is not known.
    """
    parts = np.array_split(np.arange(len(thresholds)), 1 + len(thresholds) * len(group.scores) // AT_A_TIME)
    impostors, genuines = np.sort(group.scores[~group.genuine]), np.sort(group.scores[group.genuine])
    found = np.empty(len(thresholds))
    for part in parts:
        false, missed = group.bootstrap.errors(group.scores[:, None] >= thresholds[part])
        noise = angle(false) - angle(fmr[part])
        reach = 3 * np.nanstd(noise, axis=0)
        ends = [rate_of(angle(fmr[part]) + side * reach) for side in (-1, 1)]
        counts = [np.clip((end * len(impostors)).round().astype(int), 1, len(impostors)) for end in ends]
        below = [np.searchsorted(genuines, impostors[len(impostors) - count]) / len(genuines) for count in counts]
        length = np.subtract(*(angle(count / len(impostors)) for count in counts[::-1]))
        rise = angle(below[1]) - angle(below[0])
        slope = np.where(length > 0, rise / np.where(length > 0, length, 1), 0.0)
        found[part] = np.nanvar(rate_of(angle(missed) - slope * noise), axis=0)
    found[fmr * group.trials[1] < LEAST_FALSE] = np.nan
    return found
