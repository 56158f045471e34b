"""Runs side by side on the Runs page: which, and their curves, settings and numbers in one look each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from fairlab.compare.side_by_side import MOST, differing, quantities, readings, records_of, titles_of
from fairlab.plots.overlay import ACROSS, Look, heading, overlay
from fairlab.queue.turns import ACTIVE
from fairlab.store.runs import RunRecord, state
from fairlab.tables import EVENTS, texts
from fairlab.ui.frame import cached, choices
from fairlab.ui.frame.numbers import download
from fairlab.ui.frame.page import chart, plain
from fairlab.ui.frame.pickers import choose, choose_many
from fairlab.ui.runs.beside_numbers import numbers_panel
from fairlab.ui.runs.finding import newest
from fairlab.workspace import Workspace

KEY = "runs"
"""The link's parameter: run ids with commas between them."""
PANELS = 8
"""Curves shown unless others are chosen."""
SMOOTHING = {"0": "none", "0.6": "0.6", "0.9": "0.9", "0.97": "0.97"}
AXES = {
    "linear": "linear",
    "log-y": "logarithmic upwards",
    "log-x": "logarithmic across",
    "log-both": "both logarithmic",
}


def asked_for() -> list[str]:
    """Ids of the runs that the link, the ticks or the list ask for, also of runs that are gone."""
    return [name for text in choices.asked(KEY) for name in text.split(",") if name]


def ask_for(run_ids: Sequence[str]) -> None:
    """Choose these runs by hand; fewer than two are none."""
    choices.choose(KEY, [",".join(run_ids)] if len(run_ids) > 1 else [])


def pick_runs(runs: pd.DataFrame) -> list[str]:
    """The runs to see side by side: what was ticked above, or named here, or in the link. runs: list_runs."""
    asked = asked_for()
    here = [name for name in dict.fromkeys(asked) if name in set(runs["run_id"])]
    if gone := [name for name in dict.fromkeys(asked) if name not in here]:
        missing = ", ".join(plain(name[:80]) for name in gone)
        st.warning(
            f"Not in this workspace any more, or never: {missing}. It may have been deleted; the other runs are shown.",
            icon=":material/link_off:",
        )
    if len(here) > MOST:
        st.caption(f"The first {MOST} of these {len(here)} runs are shown; more curves cannot be told apart.")
    choices.keep(KEY, here := here[:MOST])
    offered = runs[runs["run_id"].isin([*newest(runs)["run_id"], *here])].iloc[::-1]
    names = {row.run_id: f"{row.title} · {row.run_id}" for row in offered.itertuples()}
    chosen = choose_many(
        "Runs side by side", list(names), KEY, names, max_selections=MOST,
        placeholder="Tick several rows above, or choose runs here", help="Their curves, what differs in their settings, and their numbers.",
    )  # fmt: skip
    choices.show(KEY, [",".join(chosen)])
    return chosen


def beside_panel(lab: Workspace, runs: pd.DataFrame) -> None:
    """Everything about the chosen runs; a hint while there are fewer than two."""
    st.subheader("Side by side", anchor=False)
    chosen = pick_runs(runs)
    if len(chosen) < 2:
        if chosen:
            st.caption("Choose one more run: two or more are shown side by side.")
        return
    records = records_of(lab, chosen)
    titles = titles_of(records)
    views = {"curves": "Curves", "settings": "What differs", "numbers": "Numbers"}
    match choose("Show", list(views), "beside", views):
        case "curves":
            curves_panel(lab, records, titles)
        case "settings":
            settings_panel(records, titles)
        case _:
            numbers_panel(lab, records, titles)


def curves_panel(lab: Workspace, records: Sequence[RunRecord], titles: Mapping[str, str]) -> None:
    """All curves of all runs in one figure, renewed while one of the runs works."""
    first = gathered(lab, records)
    known = quantities(first)
    if not known:
        st.caption("None of these runs has readings yet; curves appear with the first ones of a training.")
        return
    boxes = st.columns([3, 1, 1, 1.4])
    with boxes[0]:
        names = {name: heading(name) for name in known}
        shown = choose_many("Curves", known, "curves", names, placeholder=f"the first {PANELS}") or known[:PANELS]
    with boxes[1]:
        weight = choose("Smoothing", list(SMOOTHING), "smoothing", SMOOTHING, help=SMOOTHED)
    with boxes[2]:
        across = choose("Across", list(ACROSS), "across", ACROSS)
    with boxes[3]:
        axes = choose("Axes", list(AXES), "axes", AXES)
    look = Look(float(weight), across, axes in ("log-x", "log-both"), axes in ("log-y", "log-both"))
    live = any(state(record.folder).status in ACTIVE for record in records)

    @st.fragment(run_every=4 if live else None)
    def figure() -> None:
        events = gathered(lab, records) if live else first
        said = f"{', '.join(heading(name) for name in shown)} of {len(records)} runs over the {ACROSS[across]}"
        chart(overlay(events, titles, shown, look), "runs side by side", said, events[events["name"].isin(shown)])
        if without := [titles[record.run_id] for record in records if record.run_id not in set(events["run_id"])]:
            st.caption(plain(f"Without readings: {', '.join(without)}."))

    figure()


SMOOTHED = (
    "Each point is the mean of the readings so far, and a reading counts this much less than the one after it. The saved "
    "numbers are the readings themselves."
)


def gathered(lab: Workspace, records: Sequence[RunRecord]) -> pd.DataFrame:
    """The readings of all runs, with the measures of routings: tables.EVENTS."""
    return EVENTS.stack([readings(lab, record, cached.curves(record.folder)) for record in records])


def settings_panel(records: Sequence[RunRecord], titles: Mapping[str, str]) -> None:
    """Only the settings that are not the same in all runs."""
    table = differing(records)
    if table.empty:
        st.caption("These runs have the same settings, data, code and parents.")
        return
    shown = texts(
        [
            {"Setting": row["setting"], **{titles[name]: row[name] for name in titles}}
            for row in table.to_dict("records")
        ],
        "Setting",
    )
    st.dataframe(shown, hide_index=True, height=min(38 + 35 * len(shown), 640), key="settings side by side")
    st.caption("Settings that all of these runs share are left out. An empty cell: the run has no such setting.")
    download(table, "settings-side-by-side")
