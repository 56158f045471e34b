"""Failures to enrol (ISO/IEC 19795-1, 3.2.1): templates or images of a pair list that give no embedding to compare.

Their pairs have no score. They stand in no error rate, and are counted beside it for each group: a system that drops hard
faces looks better than it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

SHOWN = 5


def failures(what: str, of: int, reasons: Mapping[str, str], lost: pd.DataFrame) -> dict[str, Any]:
    """Plain JSON values: what ("templates", "images"), failed, of, names (each with its reason), pairs (of each group how
    many genuine and impostor ones are lost); {} when none failed.

    of: how many there are in all; reasons: of each that failed, by name; lost: group and genuine of the pairs it leaves.
    """
    if not reasons and lost.empty:
        return {}
    counts = lost.assign(group=lost["group"].astype(str)).groupby("group", sort=False)["genuine"].agg(["sum", "size"])
    pairs = {
        str(row.Index): {"genuine": int(row.sum), "impostor": int(row.size - row.sum)} for row in counts.itertuples()
    }
    return {"what": what, "failed": len(reasons), "of": of, "names": dict(reasons), "pairs": pairs}


def joined(first: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, Any]:
    """Failures that were seen one after the other, of the same list."""
    if not first or not then:
        return dict(first or then)
    pairs = {group: dict(counts) for group, counts in first["pairs"].items()}
    for group, counts in then["pairs"].items():
        before = pairs.get(group, {"genuine": 0, "impostor": 0})
        pairs[group] = {kind: before[kind] + counts[kind] for kind in before}
    names = {**first["names"], **then["names"]}
    return {"what": first["what"], "failed": len(names), "of": first["of"], "names": names, "pairs": pairs}


def sentence(facts: Mapping[str, Any], named: bool = True) -> str:
    """The failures in words; "" when there are none. named: False where the text before has named them."""
    if not facts:
        return ""
    names = [f"{name} ({reason})" for name, reason in list(facts["names"].items())[:SHOWN]]
    more = ", ..." if facts["failed"] > SHOWN else ""
    who = f": {', '.join(names)}{more}" if named else ""
    share = f"{facts['failed']:,} of {facts['of']:,} {facts['what']} ({facts['failed'] / max(facts['of'], 1):.2%})"
    lost = [
        f"{group} {counts['genuine']:,} genuine and {counts['impostor']:,} impostor"
        for group, counts in facts["pairs"].items()
    ]
    left = f"their pairs are in no error rate: {'; '.join(lost)}" if lost else "they are in no pair"
    return f"Failures to enrol: {share}{who}; {left}."
