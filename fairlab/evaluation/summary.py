"""Numbers in plain sentences: what differs between the groups, and whether that is more than chance would show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from fairlab.evaluation.intervals import holm
from fairlab.evaluation.metrics import FAIRNESS_METRICS
from fairlab.evaluation.operating import OperatingPoint
from fairlab.tables import ALL_GROUPS

ALPHA = 0.05
"""A measure is beyond chance where a perfectly fair model shows as much in at most this share of test sets."""
ADJUST = ("", "holm")
"""How p values are adjusted for being many: not at all, or by Holm's rule."""
WORDS = {"fmr": "impostor pairs are accepted", "fnmr": "genuine pairs are rejected"}


def share(value: float, digits: int = 2) -> str:
    """A fraction as a percentage with as many digits as it needs: 3.3 %, 0.041 %."""
    return f"{float(f'{100 * value:.{digits}g}'):g} %"


def point_words(point: OperatingPoint) -> str:
    """Where the threshold stands, in words."""
    if point.rule == "threshold":
        return f"at the threshold {point.value:g}"
    if point.rule == "own":
        return f"with a threshold for each group, at its own FMR of {share(point.value)}"
    return f"at one threshold for all groups, set at an overall FMR of {share(point.value)}"


def adjusted(p: Mapping[str, float], adjust: str) -> dict[str, float]:
    """p of each measure, adjusted for there being several; NaN stays."""
    values = np.array(list(p.values()), dtype=float)
    return dict(zip(p, (holm(values) if adjust == "holm" else values).tolist(), strict=True))


def summary(
    numbers: pd.DataFrame, groups: Sequence[str], point: OperatingPoint, missing: str = "", adjust: str = ""
) -> list[str]:
    """Sentences on a point's numbers (operating.NUMBERS). Says what is, and what is not, beyond chance."""
    said = (
        [f"{missing[0].upper()}{missing[1:]}; rates below rest on too few errors to rank the groups."]
        if missing
        else []
    )
    rows = numbers[["group", "metric", "value", "low", "high"]].to_dict("records")
    values = {row["metric"]: row["value"] for row in rows if row["group"] == ALL_GROUPS}
    of_kind = {
        kind: [row for row in rows if row["metric"] == kind and row["group"] in groups and row["value"] == row["value"]]
        for kind in ("fmr", "fnmr", "accuracy")
    }
    said += [_of_rate(of_kind[kind], values, point, kind) for kind in ("fmr", "fnmr")]
    said += [_worst_groups(of_kind, point), *_of_metrics(values, adjust)]
    return [sentence for sentence in said if sentence]


def _of_rate(rows: Sequence[Mapping[str, Any]], values: Mapping[str, float], point: OperatingPoint, kind: str) -> str:
    """On one rate: group, value, low, high of each group."""
    if len(rows) < 2:
        return f"{kind.upper()}: fewer than two groups have it, so there is nothing to compare."
    if point.rule == "own" and kind == "fmr":
        return f"Each group has its own threshold, set at an FMR of {share(point.value)}."
    order = sorted(rows, key=lambda row: float(row["value"]))
    least, most = order[0], order[-1]
    words = point_words(point)
    there = "With these thresholds" if point.rule == "own" else "At this threshold"
    start = f"{words[0].upper()}{words[1:]}, {WORDS[kind]}" if kind == "fmr" else f"{there}, {WORDS[kind]}"
    if most["value"] == least["value"]:
        return f"{start} equally often in all groups ({share(most['value'])})."
    extremes = [
        f"{row['group']} ({share(row['value'])}, 95 % interval {share(row['low'])} to {share(row['high'])})"
        if row["low"] == row["low"]
        else f"{row['group']} ({share(row['value'])}, no interval)"
        for row in (most, least)
    ]
    beyond = _beyond(values, f"gini_{kind}")
    apart, known = most["low"] > least["high"], most["low"] == most["low"] and least["high"] == least["high"]
    verdict = (
        "That is more than chance would show."
        if beyond
        else "With these pairs, this difference could be chance."
        if beyond is not None
        else "The two intervals do not touch."
        if apart
        else "The two intervals overlap, so the order could be chance."
        if known
        else "Without intervals, the order could be chance."
    )
    return f"{start} most often in {extremes[0]}, least often in {extremes[1]}. {verdict}"


def _worst_groups(of_kind: Mapping[str, Sequence[Mapping[str, Any]]], point: OperatingPoint) -> str:
    """Which group is worst by FMR, by FNMR and by accuracy, and why these may be three groups."""
    kinds = [kind for kind in ("fmr", "fnmr", "accuracy") if len({row["value"] for row in of_kind[kind]}) > 1]
    if point.rule == "own":
        kinds = [kind for kind in kinds if kind != "fmr"]
    worst = {
        kind: str(max(of_kind[kind], key=lambda row: row["value"] * (-1 if kind == "accuracy" else 1))["group"])
        for kind in kinds
    }
    if len(worst) < 2:
        return ""
    names = {"fmr": "the highest FMR", "fnmr": "the highest FNMR", "accuracy": "the lowest accuracy"}
    if len(set(worst.values())) == 1:
        listed = [names[kind] for kind in worst]
        return f"{worst[kinds[0]]} has {', '.join(listed[:-1])} and {listed[-1]}."
    parts = [f"{worst[kind]} has {names[kind]}" for kind in worst]
    why = (
        "every group gets the same FMR at its own threshold, while accuracy weighs both errors at the threshold that is best for the group"
        if point.rule == "own"
        else "at one threshold for all, a group with higher scores has more false matches, and one with lower scores more false "
        "non-matches"
        + (
            ", while accuracy gives each group its own threshold and shows only how well its scores separate"
            if "accuracy" in worst
            else ""
        )
    )
    return f"{', '.join(parts[:-1])} and {parts[-1]}: {why}."


def _beyond(values: Mapping[str, float], metric: str) -> bool | None:
    """Do at most ALPHA of perfectly fair models show as much? None where the metric or its limit is not defined."""
    p, limit = (values.get(f"{metric}_{name}", float("nan")) for name in ("p", "fair_p95"))
    return None if p != p or limit != limit else p <= ALPHA


def _of_metrics(values: Mapping[str, float], adjust: str) -> list[str]:
    """Which measures are beyond chance, and how many would be so if nothing differed."""
    known = {
        name: values[f"{name}_p"]
        for name in FAIRNESS_METRICS
        if _beyond(values, name) is not None and values[name] == values[name]
    }
    titles = {name: FAIRNESS_METRICS[name].title for name in FAIRNESS_METRICS}
    undefined = [
        titles[name]
        for name in FAIRNESS_METRICS
        if name in values and name not in known and FAIRNESS_METRICS[name].has_fair_value
    ]  # fmt: skip
    p = adjusted(known, adjust)
    beyond = [titles[name] for name in known if p[name] <= ALPHA]
    within = [titles[name] for name in known if p[name] > ALPHA]
    said = []
    after = f", adjusted for {len(known)} measures (Holm)" if adjust else ""
    if beyond:
        said.append(f"Beyond what a perfectly fair model would show by chance{after}: {', '.join(beyond)}.")
    if within:
        said.append(f"Consistent with chance{after}: {', '.join(within)}.")
    if known and not adjust:
        by_chance = ALPHA * len(known)
        said.append(
            f"{len(beyond)} of {len(known)} measures are beyond chance; in a perfectly fair model about {by_chance:.1f} would be, "
            "by chance alone."
        )
    if undefined:
        said.append(f"Undefined, or no chance limit available: {', '.join(undefined)}.")
    return said
