"""Everything at one operating point: the rates of every group there, what is unfair about them, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError
from fairlab.evaluation import verification
from fairlab.evaluation.chance import fair_draws
from fairlab.evaluation.fairness import FAIRNESS_METRICS, Rates
from fairlab.evaluation.groups import GroupPairs
from fairlab.evaluation.intervals import (
    chance_points,
    defined_interval,
    effective_pairs,
    rate_interval,
    spread_interval,
)
from fairlab.tables import ALL_GROUPS, METRICS

Rule = Literal["pooled", "own", "threshold"]
PREFIX: dict[str, Rule] = {"fmr": "pooled", "own_fmr": "own", "threshold": "threshold"}
NUMBERS = METRICS.without("run_id", "protocol")
"""Columns of a table of numbers of one run on one protocol."""


@dataclass(frozen=True)
class OperatingPoint:
    """Where the threshold stands. rule "pooled": one threshold, where all groups' impostors together reach FMR `value`;
    "own": a threshold for each group, at its own FMR `value`, as papers have it; "threshold": `value` itself.
    """

    rule: Rule
    value: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.value) if self.rule == "threshold" else 0 <= self.value <= 1):
            what = "a threshold is a finite number" if self.rule == "threshold" else "an FMR lies between 0 and 1"
            raise FairLabError(f"{what}, not {self.value:g}")

    @property
    def name(self) -> str:
        """As tables name it: "fmr=0.01", "own_fmr=0.01", "threshold=0.3"."""
        prefix = next(prefix for prefix, rule in PREFIX.items() if rule == self.rule)
        return f"{prefix}={float(self.value)!r}" if self.rule == "threshold" else f"{prefix}={self.value:g}"

    @classmethod
    def of(cls, name: str) -> OperatingPoint:
        """The point of a name. Raises FairLabError for no such name."""
        prefix, _, value = name.partition("=")
        try:
            return cls(PREFIX[prefix], float(value))
        except (KeyError, ValueError) as error:
            raise FairLabError(
                f"{name!r} is no operating point; right would be fmr=0.01, own_fmr=0.01 or threshold=0.3"
            ) from error


@dataclass(frozen=True)
class AtPoint:
    """The groups at an operating point. thresholds (G,), NaN for a group that has none; counts per group; fmr, fnmr
    (draws, G): rates with people redrawn; missing: why the point cannot be measured, or "".
    """

    point: OperatingPoint
    groups: Sequence[GroupPairs]
    thresholds: np.ndarray
    counts: tuple[verification.Counts, ...]
    fmr: np.ndarray
    fnmr: np.ndarray
    missing: str = ""

    @property
    def errors(self) -> np.ndarray:
        """(2, G) false matches and false non-matches."""
        return np.array([[found.false_matches, found.false_non_matches] for found in self.counts]).T

    @property
    def pairs(self) -> np.ndarray:
        """(2, G) impostor and genuine pairs."""
        return np.array([[found.impostor, found.genuine] for found in self.counts]).T


def at_point(groups: Sequence[GroupPairs], point: OperatingPoint) -> AtPoint:
    """The groups' errors at a point, with their people redrawn. Raises FairLabError where no threshold can be set at all."""
    thresholds, missing = _thresholds(groups, point)
    counts, drawn = [], ([], [])  # type: tuple[list[verification.Counts], tuple[list[np.ndarray], list[np.ndarray]]]
    for group, threshold in zip(groups, thresholds, strict=True):
        counts.append(verification.count_errors(group.scores, group.genuine, threshold))
        match = group.scores >= threshold
        drawn[0].append(group.bootstrap.rate(match, False))
        drawn[1].append(group.bootstrap.rate(~match, True))
    return AtPoint(point, groups, thresholds, tuple(counts), np.array(drawn[0]).T, np.array(drawn[1]).T, missing)


def _thresholds(groups: Sequence[GroupPairs], point: OperatingPoint) -> tuple[np.ndarray, str]:
    if point.rule == "threshold":
        return np.full(len(groups), float(point.value)), ""
    impostors = [group.scores[~group.genuine] for group in groups]
    if point.rule == "pooled":
        together = np.concatenate(impostors)
        at = verification.threshold_at_fmr(together, point.value)
        return np.full(len(groups), at), verification.why_not_measurable(point.value, len(together))
    few = [group.name for group, own in zip(groups, impostors, strict=True) if len(own) == 0]
    if few:
        raise FairLabError(f"group {few[0]} has no impostor pair, so it has no threshold of its own")
    why = [verification.why_not_measurable(point.value, len(own)) for own in impostors]
    thresholds = np.array([verification.threshold_at_fmr(own, point.value) for own in impostors])
    return thresholds, next((text for text in why if text), "")


def numbers_at(at: AtPoint, seed: int) -> tuple[pd.DataFrame, list[str]]:
    """(NUMBERS, notes) of a point: per group fmr, fnmr and tar, for ALL_GROUPS threshold (if there is one for all), fmr,
    fnmr, the fairness metrics of rates and `<metric>_fair_p95`. Notes say what has no interval and why.
    """
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    errors, pairs = at.errors, at.pairs
    total = (int(pairs[1].sum()), int(pairs[0].sum()))

    def add(group: str, metric: str, value: float, low: float, high: float, counts: tuple[int, int] = total) -> None:
        rows.append(dict(zip(NUMBERS, (group, metric, at.point.name, value, low, high, *counts), strict=True)))

    if at.point.rule != "own":
        add(ALL_GROUPS, "threshold", float(at.thresholds[0]), np.nan, np.nan)
    for number, (group, found) in enumerate(zip(at.groups, at.counts, strict=True)):
        counts = group.counts
        if at.point.rule == "own":
            add(group.name, "threshold", float(at.thresholds[number]), np.nan, np.nan, counts)
        add(
            group.name,
            "fmr",
            found.fmr,
            *rate_interval(found.false_matches, counts[1], at.fmr[:, number], group.trials[1]),
            counts,
        )
        low, high = rate_interval(found.false_non_matches, counts[0], at.fnmr[:, number], group.trials[0])
        add(group.name, "fnmr", found.fnmr, low, high, counts)
        add(group.name, "tar", 1 - found.fnmr, 1 - high, 1 - low, counts)
    drawn, fair = (at.fmr, at.fnmr), []
    for kind, name in enumerate(("fmr", "fnmr")):
        wrong, of, some = errors[kind], pairs[kind], pairs[kind] > 0
        together = np.average(drawn[kind][:, some], axis=1, weights=of[some]) if some.any() else np.empty(0)
        rate = wrong.sum() / of.sum() if some.any() else np.nan
        trials = sum(group.trials[1 - kind] for group in at.groups)
        add(ALL_GROUPS, name, rate, *rate_interval(int(wrong.sum()), int(of.sum()), together, trials))
        # Seeds of their own: metrics of both rates need draws that are independent of each other.
        fair.append(fair_draws(rate, effective_pairs(wrong, of, drawn[kind]), 2 * seed + kind))
    if not pairs.all():
        notes.append(f"at {at.point.name} a group lacks genuine or impostor pairs: the measures that need them are n/a")
    certain = {
        kind: bool(((errors[at_] > 0) & (errors[at_] < pairs[at_])).all()) for at_, kind in enumerate(("fmr", "fnmr"))
    }
    if not all(certain.values()) and len(at.groups) > 1:
        notes.append(f"at {at.point.name} a group shows no error of a kind: the measures over groups have no interval")
    rates = np.divide(errors, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)
    values, redrawn, by_chance = (Rates(*both, *pairs) for both in (rates, drawn, fair))
    over_groups("rates", values, redrawn, by_chance, certain, lambda *row: add(ALL_GROUPS, *row))
    return NUMBERS.build(rows), notes


def over_groups(of: str, values: Any, redrawn: Any, fair: Any, certain: dict[str, bool] | bool, add: Any) -> None:
    """Every metric `of` "accuracy" or "rates", with its interval, and `<metric>_fair_p95`, what a fair model would show.

    values: what the metric takes; redrawn, fair: the same with an axis of draws in front. The fair row holds the 95 %
    point, and as low and high the 2.5 % point and the median. certain: does every group show an error (of the kinds a
    metric looks at)? A group without one has none in any draw either, so intervals would be too narrow and are left out.
    """
    for name in FAIRNESS_METRICS:
        facts, metric = FAIRNESS_METRICS.facts(name), FAIRNESS_METRICS[name]
        if facts["of"] != of:
            continue
        value, by_people = float(metric(values)), np.asarray(metric(redrawn))
        sure = certain if isinstance(certain, bool) else all(certain[kind] for kind in facts["kinds"])
        if np.isnan(facts["fair_value"]):
            add(name, value, *(defined_interval(value, by_people) if sure else (np.nan, np.nan)))
            continue
        by_chance = np.asarray(metric(fair))
        interval = spread_interval(value, by_people, by_chance, facts["fair_value"], facts["unit"] == "ratio")
        add(name, value, *(interval if sure else (np.nan, np.nan)))
        low, middle, high = chance_points(by_chance, facts["fair_value"])
        add(f"{name}_fair_p95", high, low, middle)
