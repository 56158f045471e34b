"""Numbers in plain sentences: what differs between the groups, and whether that is more than chance would show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from fairlab.evaluation.fairness import FAIRNESS_METRICS
from fairlab.evaluation.operating import OperatingPoint
from fairlab.tables import ALL_GROUPS

WORDS = {"fmr": "strangers are taken for the same person", "fnmr": "the same person is not recognised"}


def share(value: float, digits: int = 2) -> str:
    """A fraction as a percentage with as many digits as it needs: 3.3 %, 0.041 %."""
    return f"{float(f'{100 * value:.{digits}g}'):g} %"


def point_words(point: OperatingPoint) -> str:
    """Where the threshold stands, in words."""
    if point.rule == "threshold":
        return f"at the threshold {point.value:g}"
    if point.rule == "own":
        return f"with a threshold for each group, at its own FMR of {share(point.value)}"
    return f"at one threshold for everybody, set where all groups together reach an FMR of {share(point.value)}"


def summary(numbers: pd.DataFrame, groups: Sequence[str], point: OperatingPoint, missing: str = "") -> list[str]:
    """Sentences on a point's numbers (operating.NUMBERS). Says what is, and what is not, beyond chance."""
    said = (
        [f"{missing[0].upper()}{missing[1:]}; rates below rest on too few errors to rank the groups."]
        if missing
        else []
    )
    rows = numbers[["group", "metric", "value", "low", "high"]].to_dict("records")
    values = {row["metric"]: row["value"] for row in rows if row["group"] == ALL_GROUPS}
    for kind in ("fmr", "fnmr"):
        known = [
            row for row in rows if row["metric"] == kind and row["group"] in groups and row["value"] == row["value"]
        ]
        said.append(_of_rate(known, values, point, kind))
    said += _of_metrics(values)
    return [sentence for sentence in said if sentence]


def _of_rate(rows: Sequence[Mapping[str, Any]], values: Mapping[str, float], point: OperatingPoint, kind: str) -> str:
    """On one rate: group, value, low, high of each group."""
    if len(rows) < 2:
        return f"{kind.upper()}: fewer than two groups have it, so there is nothing to compare."
    order = sorted(rows, key=lambda row: float(row["value"]))
    least, most = order[0], order[-1]
    words = point_words(point)
    start = f"{words[0].upper()}{words[1:]}, {WORDS[kind]}" if kind == "fmr" else f"There, {WORDS[kind]}"
    if most["value"] == least["value"]:
        return f"{start} equally often in all groups ({share(most['value'])})."
    extremes = [
        f"{row['group']} ({share(row['value'])}, 95 % interval {share(row['low'])} to {share(row['high'])})"
        if row["low"] == row["low"]
        else f"{row['group']} ({share(row['value'])}, no interval)"
        for row in (most, least)
    ]
    apart = most["low"] > least["high"]
    beyond = _beyond(values, f"gini_{kind}")
    verdict = (
        "That is more than chance would show."
        if beyond
        else "The pairs cannot tell this from chance."
        if beyond is not None
        else "The two intervals do not touch."
        if apart
        else "The two intervals overlap: the order may be chance."
    )
    return f"{start} most often in {extremes[0]}, least often in {extremes[1]}. {verdict}"


def _beyond(values: Mapping[str, float], metric: str) -> bool | None:
    """Is a metric farther from fair than 95 % of perfectly fair models? None where it or the band is not defined."""
    value, limit = (values.get(name, float("nan")) for name in (metric, f"{metric}_fair_p95"))
    if value != value or limit != limit:
        return None
    return value > limit if limit >= FAIRNESS_METRICS.facts(metric)["fair_value"] else value < limit


def _of_metrics(values: Mapping[str, float]) -> list[str]:
    beyond: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    for name in FAIRNESS_METRICS:
        facts = FAIRNESS_METRICS.facts(name)
        if facts["fair_value"] == facts["fair_value"] and name in values:
            beyond[_beyond(values, name)].append(facts["title"])
    said = []
    if beyond[True]:
        said.append(f"Beyond what a perfectly fair model would show by chance: {', '.join(beyond[True])}.")
    if beyond[False]:
        said.append(f"Within what chance alone would show: {', '.join(beyond[False])}.")
    if beyond[None]:
        said.append(f"Not defined here, or without a limit by chance: {', '.join(beyond[None])}.")
    return said
