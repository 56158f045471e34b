"""Stored numbers as people read them: a rate with its interval, or "n/a" and never a lone number."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from fairlab.compare.exports import as_csv
from fairlab.jobs.evaluate.by_protocol import known_protocols
from fairlab.store.runs import RunRecord
from fairlab.tables import ALL_GROUPS
from fairlab.ui.frame import cached
from fairlab.ui.frame.page import plain
from fairlab.ui.frame.pickers import choose
from fairlab.workspace import Workspace

NAN = float("nan")
HARD_SPACE = "\u00a0"
NOT_MEASURABLE = "not measurable"


def text(value: float, digits: int = 1, factor: float = 1.0, signed: bool = False) -> str:
    """A number as text; "n/a" when it is not defined. factor 100 makes percent of a fraction."""
    return "n/a" if value != value else f"{factor * value:{'+' if signed else ''}.{digits}f}"


def span(low: float, high: float, digits: int = 1, factor: float = 1.0, signed: bool = False) -> str:
    """An interval as text, "" when there is none."""
    if low != low or high != high:
        return ""
    return HARD_SPACE.join((text(low, digits, factor, signed), "to", text(high, digits, factor, signed)))


def cell(
    value: float,
    low: float = NAN,
    high: float = NAN,
    digits: int = 1,
    factor: float = 1.0,
    signed: bool = False,
    strong: bool = False,
) -> str:
    """A table cell in Markdown: the number, its interval small behind it."""
    shown = plain(text(value, digits, factor, signed))
    shown = f"**{shown}**" if strong else shown
    between = span(low, high, digits, factor, signed)
    return f"{shown} :small[:gray[{plain(between)}]]" if between and value == value else shown


def one(metrics: pd.DataFrame, metric: str, group: str = ALL_GROUPS, point: str = "") -> pd.Series | None:
    """The row of one number; None when it is not there or not defined."""
    where = (metrics["metric"] == metric) & (metrics["group"] == group) & (metrics["operating_point"] == point)
    found = metrics[where]
    return None if found.empty or found["value"].isna().iloc[0] else found.iloc[0]


def pick_protocol(lab: Workspace, run: RunRecord, dataset_id: str) -> str:
    """Which list of scored pairs; the final one first. Protocols that only count have places of their own. "" without any."""
    counted = {name for name, facts in known_protocols().items() if facts.get("scored") is False}
    known = list(dict.fromkeys(cached.results(lab, run.run_id, dataset_id, "metrics")["protocol"]))
    known = [name for name in known if name not in counted]
    if not known:
        return ""
    names = {"test": "test pairs", "validation": "validation pairs (for choosing settings)"} | protocol_titles()
    return choose("Pairs", sorted(known, key=lambda name: name != "test"), "pairs", names)


def protocol_titles() -> dict[str, str]:
    """What further protocols are called on pages."""
    return {name: str(facts["title"]) for name, facts in known_protocols().items()}


def name_of(point: str) -> str:
    """An operating point's rate in percent: "fmr=0.001" is "0.1 %"."""
    return f"{100 * float(point.partition('=')[2]):g}{HARD_SPACE}%"


def download(table: pd.DataFrame, name: str, late: bool = False) -> None:
    """A table as CSV; text that a spreadsheet would run is disarmed. late: it is written when it is asked for."""
    st.download_button(
        "Download as CSV",
        partial(as_csv, table) if late else as_csv(table),
        f"{name}.csv",
        "text/csv",
        icon=":material/download:",
        key=f"csv:{name}",
    )
