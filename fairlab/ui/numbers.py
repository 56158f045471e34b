"""Stored numbers as tables for people: a rate with its interval and counts, or "n/a" with the reason."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from fairlab.runs.compare import read_study
from fairlab.store.runs import RunRecord
from fairlab.tables import ALL_GROUPS
from fairlab.ui import cached
from fairlab.ui.pickers import choose
from fairlab.workspace import Workspace


def percent(value: float, low: float = float("nan"), high: float = float("nan"), digits: int = 1) -> str:
    """A fraction as percent with its interval; "n/a" when it is not known."""
    if value != value:
        return "n/a"
    interval = "" if low != low else f" [{100 * low:.{digits}f}, {100 * high:.{digits}f}]"
    return f"{100 * value:.{digits}f}{interval}"


def number(value: float, low: float = float("nan"), high: float = float("nan"), digits: int = 2) -> str:
    """A plain number with its interval; "n/a" when it is not defined."""
    if value != value:
        return "n/a"
    interval = "" if low != low else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return f"{value:.{digits}f}{interval}"


def metrics_of(lab: Workspace, run: RunRecord, protocol: str) -> pd.DataFrame:
    """A run's stored numbers on one protocol."""
    table = cached.results(lab, run.run_id, "metrics")
    return table[table["protocol"] == protocol]


def one(metrics: pd.DataFrame, metric: str, group: str = ALL_GROUPS, point: str = "") -> pd.Series | None:
    """The row of one number, or None."""
    found = metrics[(metrics["metric"] == metric) & (metrics["group"] == group) & (metrics["operating_point"] == point)]
    return None if found.empty else found.iloc[0]


def pick_protocol(lab: Workspace, run: RunRecord) -> str:
    """Which pair list; the final one first."""
    known = list(dict.fromkeys(cached.results(lab, run.run_id, "metrics")["protocol"]))
    names = {"test": "test pairs", "validation": "validation pairs (for choosing settings)"}
    return choose("Pairs", sorted(known, key=lambda name: name != "test"), "pairs", names)


def pick_point(lab: Workspace, study_id: str) -> str:
    """The operating point: FMR of all groups' impostors together, at which the one threshold is set."""
    targets = sorted(read_study(lab, study_id).config.evaluation.fmr_targets, reverse=True)
    options = [f"fmr={target:g}" for target in targets]
    names = {option: f"FMR {100 * target:g} %" for option, target in zip(options, targets, strict=True)}
    return choose(
        "Operating point",
        options,
        "point",
        names,
        help="One threshold for everybody, set where all groups' impostor pairs together reach this false match rate.",
    )


def tar_table(metrics: pd.DataFrame, groups: Sequence[str]) -> pd.DataFrame:
    """TAR@FAR in percent per group: at the one threshold, and at each group's own, as papers print it."""
    rows = []
    for group in groups:
        part = metrics[metrics["group"] == group]
        counts = part.iloc[0] if len(part) else None
        row = {
            "Group": group,
            "Genuine pairs": None if counts is None else counts["genuine_pairs"],
            "Impostor pairs": None if counts is None else counts["impostor_pairs"],
        }
        for name, label in (("auc", "AUC"), ("eer", "EER %")):
            found = one(metrics, name, group)
            row[label] = (
                "n/a"
                if found is None
                else (number(found["value"], digits=4) if name == "auc" else percent(found["value"]))
            )
        for point in sorted(set(part["operating_point"]) - {""}, key=lambda text: -float(text.partition("=")[2])):
            target = f"{100 * float(point.partition('=')[2]):g} %"
            for metric, label in (
                ("tar", f"TAR@{target}, one threshold"),
                ("fmr", f"FMR there ({target} pooled)"),
                ("tar_own_threshold", f"TAR@{target}, own threshold"),
            ):
                found = one(metrics, metric, group, point)
                known = found is not None and found["value"] == found["value"]
                row[label] = (
                    percent(found["value"], found["low"], found["high"])
                    if known and found is not None
                    else "not measurable"
                )
        rows.append(row)
    return pd.DataFrame(rows)


def download(table: pd.DataFrame, name: str) -> None:
    """A table as CSV; cells that a spreadsheet would run are disarmed."""
    safe = table.map(
        lambda cell: "'" + cell if isinstance(cell, str) and cell[:1] in "=+-@\t" and not _is_number(cell) else cell
    )
    st.download_button(
        "CSV", safe.to_csv(index=False), f"{name}.csv", "text/csv", icon=":material/download:", key=f"csv:{name}"
    )


def _is_number(text: str) -> bool:
    try:
        float(text.split()[0])
    except (ValueError, IndexError):
        return False
    return True
