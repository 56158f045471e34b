"""Numbers in plain sentences: what differs between the groups, and whether that is more than chance would show."""

from __future__ import annotations

from collections.abc import Sequence

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
    for kind in ("fmr", "fnmr"):
        said.append(_of_rate(numbers, groups, point, kind))
    said += _of_metrics(numbers)
    return [sentence for sentence in said if sentence]


def _of_rate(numbers: pd.DataFrame, groups: Sequence[str], point: OperatingPoint, kind: str) -> str:
    rows = numbers[(numbers["metric"] == kind) & numbers["group"].isin(list(groups))]
    rows = rows.dropna(subset=["value"]).sort_values("value", kind="stable")
    if len(rows) < 2:
        return f"{kind.upper()}: fewer than two groups have it, so there is nothing to compare."
    least, most = rows.iloc[0], rows.iloc[-1]
    start = f"{point_words(point)[0].upper()}{point_words(point)[1:]}, {WORDS[kind]}"
    if most["value"] == least["value"]:
        return f"{start} equally often in all groups ({share(most['value'])})."
    both = " and ".join(
        f"{row['group']} ({share(row['value'])}, 95 % interval {share(row['low'])} to {share(row['high'])})"
        if row["low"] == row["low"]
        else f"{row['group']} ({share(row['value'])}, no interval)"
        for row in (most, least)
    )
    apart = most["low"] > least["high"]
    metric = f"gini_{kind}"
    beyond = _beyond(numbers, metric)
    verdict = (
        "That is more than chance would show."
        if beyond
        else "The pairs cannot tell this from chance."
        if beyond is not None
        else "The two intervals do not touch."
        if apart
        else "The two intervals overlap: the order may be chance."
    )
    return f"{start} most often in {both.replace(' and ', ', least often in ', 1)}. {verdict}"


def _value(numbers: pd.DataFrame, metric: str) -> float:
    found = numbers[(numbers["metric"] == metric) & (numbers["group"] == ALL_GROUPS)]["value"]
    return float(found.iloc[0]) if len(found) else float("nan")


def _beyond(numbers: pd.DataFrame, metric: str) -> bool | None:
    """Is a metric farther from fair than 95 % of perfectly fair models? None where it or the band is not defined."""
    value, limit = _value(numbers, metric), _value(numbers, f"{metric}_fair_p95")
    if value != value or limit != limit:
        return None
    return value > limit if limit >= FAIRNESS_METRICS.facts(metric)["fair_value"] else value < limit


def _of_metrics(numbers: pd.DataFrame) -> list[str]:
    beyond: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    for name in FAIRNESS_METRICS:
        facts = FAIRNESS_METRICS.facts(name)
        if facts["fair_value"] == facts["fair_value"] and (numbers["metric"] == name).any():
            beyond[_beyond(numbers, name)].append(facts["title"])
    said = []
    if beyond[True]:
        said.append(f"Beyond what a perfectly fair model would show by chance: {', '.join(beyond[True])}.")
    if beyond[False]:
        said.append(f"Within what chance alone would show: {', '.join(beyond[False])}.")
    if beyond[None]:
        said.append(f"Not defined here, or without a limit by chance: {', '.join(beyond[None])}.")
    return said
