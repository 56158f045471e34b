"""Accuracies as two widely used tools print them, beside ours: to reproduce published numbers, not to judge by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fairlab.evaluation.compat import COMPAT, compat_accuracy
from fairlab.tables import ALL_GROUPS, METRICS

Values = Mapping[str, np.ndarray | str]
"""By mode of COMPAT: squared distances or scores (P,) as it takes them, or why there are none."""


def column_of(mode: str, what: str = "accuracy") -> str:
    """The name of a peer's number in the table of metrics: accuracy, or std (spread over folds, in its own convention)."""
    return f"{what}/{mode}"


def peer_rows(run_id: str, pairs: pd.DataFrame, values: Values) -> tuple[pd.DataFrame, list[str]]:
    """(tables.METRICS, notes): per group accuracy and its spread over folds by every mode, and the mean of the groups.

    A peer gives no interval, so low and high are NaN; notes say what is not defined and why.
    """
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    protocol = str(pairs["protocol"].iloc[0])
    genuine, groups = pairs["genuine"].to_numpy(bool), pairs["group"].astype(str).to_numpy()

    def add(group: str, metric: str, value: float, of: np.ndarray) -> None:
        counts = int(genuine[of].sum()), int((~genuine[of]).sum())
        row = (run_id, protocol, group, metric, "", value, np.nan, np.nan, *counts)
        rows.append(dict(zip(METRICS, row, strict=True)))

    for mode in COMPAT:
        given = values.get(mode, "it needs embeddings, but there are only scores")
        if isinstance(given, str):
            notes.append(not_available(mode, protocol, given))
            continue
        found = []
        for group in dict.fromkeys(groups):
            of = groups == group
            result = compat_accuracy(mode, given[of], genuine[of])
            if result.reason:
                notes.append(not_available(mode, protocol, result.reason))
                continue
            add(str(group), column_of(mode), result.accuracy, of)
            add(str(group), column_of(mode, "std"), result.std, of)
            found.append(result.accuracy)
        if found and len(found) == len(set(groups)):
            add(ALL_GROUPS, column_of(mode), float(np.mean(found)), np.ones(len(pairs), dtype=bool))
    return METRICS.build(rows), list(dict.fromkeys(notes))


def not_available(mode: str, protocol: str, reason: str = "") -> str:
    """The note on a peer's number that is not defined on a list of pairs."""
    return f"{COMPAT[mode].title}'s accuracy is n/a on the {protocol} pairs: {reason}"
