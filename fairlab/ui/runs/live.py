"""Runs as they work: a table that renews itself, and everything about one of them."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import streamlit as st

from fairlab.api import Lab
from fairlab.formatting import duration
from fairlab.jobs.evaluate.caveats import of_runs
from fairlab.jobs.evaluate.provenance import met_other_data
from fairlab.plots.training import loss_figure, pull_figure, pulls, validation_figure
from fairlab.queue.turns import ACTIVE, ENDED_BADLY
from fairlab.storage.deletion_words import goes
from fairlab.store.database import list_runs
from fairlab.store.finding import SEPARATOR, known_tags
from fairlab.store.runs import CHOICE, RunRecord, read_run, read_status, state
from fairlab.tables import ANY, NUMBER, TEXT, WHOLE, Table
from fairlab.ui.frame import cached, choices
from fairlab.ui.frame.page import chart, plain
from fairlab.ui.launch.where import where_panel
from fairlab.ui.runs import beside
from fairlab.ui.runs.labels import labels_button, labels_line
from fairlab.ui.runs.queue import act, clone_panel, progress_line
from fairlab.ui.runs.routing import routing_panel
from fairlab.workspace import Workspace

COLOURS = {
    "done": "green",
    "running": "blue",
    "queued": "gray",
    "stopped": "orange",
    "failed": "red",
    "crashed": "red",
}
SHOWN = Table(
    Star=TEXT,
    Run=TEXT,
    Tags=ANY,
    Seed=WHOLE,
    Status=ANY,
    Progress=NUMBER,
    Doing=TEXT,
    Left=TEXT,
    Speed=TEXT,
    CPU=TEXT,
    Role=TEXT,
    Id=TEXT,
)
"""A row is a run, for people. Status: a list of one, which is drawn as a chip; Tags: a list."""
LOG_LINES = 200
LOG_BYTES = 100_000


def table_of(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs as a table for people; columns that would be empty for all of them are left out."""
    runs = runs.reset_index(drop=True)
    working = runs["status"] == "running"
    rows = list(runs.itertuples())
    progress = runs["progress"].where(working, (runs["status"] == "done").astype(float)).fillna(0.0)
    table = SHOWN.of(
        {
            "Star": ["★" if star else "" for star in runs["star"]],
            "Run": runs["title"],
            "Tags": [tags.split(SEPARATOR) if tags else [] for tags in runs["tags"]],
            "Seed": runs["seed"],
            "Status": [[status] for status in runs["status"]],
            "Progress": progress.astype(float),
            "Doing": [row.reason or (row.stage if row.status == "running" else "") for row in rows],
            "Left": [duration(row.eta_s) if row.status == "running" else "" for row in rows],
            "Speed": [f"{row.rate:.0f} {row.unit}/s" if row.status == "running" and row.rate else "" for row in rows],
            "CPU": [duration(seconds) for seconds in runs["train_s"]],
            "Role": runs["role"],
            "Id": runs["run_id"],
        }
    )
    idle = [name for name in ("Doing", "Left", "Speed", "CPU") if not (table[name] != "").any()]
    idle += [] if (table["Star"] != "").any() else ["Star"]
    idle += [] if table["Tags"].map(bool).any() else ["Tags"]
    if table["Seed"].nunique() == 1:
        idle.append("Seed")
    return table.drop(columns=idle)


def runs_table(lab: Workspace, run_ids: list[str] | None, live: bool, key: str, study_id: str = "") -> None:
    """How far they are, and the table, renewed every two seconds while something works; one ticked row chooses the run
    under `key`, several are seen side by side.
    """

    @st.fragment(run_every=2 if live else None)
    def table() -> None:
        runs = list_runs(lab)
        progress_line(lab, runs, run_ids, study_id)
        runs = runs if run_ids is None else runs[runs["run_id"].isin(run_ids)]
        ids = runs["run_id"].tolist()

        def choose_row() -> None:
            rows = [ids[row] for row in st.session_state["runs table"]["selection"]["rows"] if row < len(ids)]
            beside.ask_for([*(name for name in beside.asked_for() if name not in ids), *rows])
            if len(rows) == 1:
                choices.choose(key, rows)
            st.session_state["row chosen"] = True

        ticked = [place for place, name in enumerate(ids) if name in set(beside.asked_for())]
        standing = st.session_state.get("runs table", {}).get("selection", {}).get("rows", [])
        if len(ticked) > 1 and sorted(standing) != ticked:
            st.session_state["runs table"] = {"selection": {"rows": ticked, "columns": [], "cells": []}}
        st.dataframe(
            table_of(runs),
            hide_index=True,
            height=min(38 + 35 * len(runs), 640),
            key="runs table",
            on_select=choose_row,
            selection_mode="multi-row",
            column_config={
                "Status": st.column_config.MultiselectColumn(
                    options=list(COLOURS), color=list(COLOURS.values()), width=95
                ),
                "Progress": st.column_config.ProgressColumn(min_value=0.0, max_value=1.0, format="percent", width=140),
                "Star": st.column_config.TextColumn(width=50),
                "Tags": st.column_config.ListColumn(width="small"),
                "Doing": st.column_config.TextColumn(width="medium"),
                "Id": st.column_config.TextColumn(width="small"),
            },
        )
        done = int((runs["status"] == "done").sum())
        st.caption(
            f"{done} of {len(runs)} done. Tick a row to see its details below, several to see them side by side."
        )
        if st.session_state.pop("row chosen", False) or (live and not runs["status"].isin(ACTIVE).any()):
            st.rerun()

    table()


def run_panel(lab: Workspace, run_id: str) -> None:
    """One run: what it does now, its curves, log and settings, and the buttons that change it."""
    record = read_run(lab, run_id)
    labels_line(Lab(lab).runs[run_id])
    if said := st.session_state.pop("said", ""):
        st.toast(said)
    first = state(record.folder).status
    live = first in ACTIVE
    _buttons(lab, record, first)
    for text in of_runs(lab, [run_id], record.dataset):
        st.caption(f":material/warning: {plain(text)}")

    @st.fragment(run_every=2 if live else None)
    def now() -> None:
        view = state(record.folder)
        if view.status == "running":
            speed = f" · {view.rate:.0f} {view.unit}/s" if view.rate else ""
            left = f" · about {duration(view.eta_s)} left of this stage" if view.eta_s else ""
            share = min(max(view.progress or 0.0, 0.0), 1.0)
            st.progress(share, plain(f"{share:.0%} · {view.stage}{speed}{left}"))
        elif view.reason:
            show = st.error if view.status in ("failed", "crashed") else st.info
            show(plain(f"{view.status}: {view.reason}"), icon=":material/info:")
        _curves(lab, record)
        routing_panel(lab, record, cached.curves(record.folder))
        if live and view.status != first:
            st.rerun()

    now()
    _log(record)
    _settings(lab, record)
    clone_panel(lab, record)


def _curves(lab: Workspace, record: RunRecord) -> None:
    events = cached.curves(record.folder)
    if events.empty:
        if record.config.training is not None:
            st.caption("Curves appear with the first readings.")
        return
    left, right = st.columns(2)
    with left:
        st.markdown("**Loss and its terms**")
        chart(loss_figure(events), f"loss:{record.run_id}", "loss terms over the steps")
        pull = pulls(events)
        if not pull.empty:
            chart(pull_figure(events), f"pull:{record.run_id}", "gradient of each loss term relative to identity")
    with right:
        st.markdown("**Accuracy on held-out people**")
        here = record.dataset in cached.datasets(lab)  # it may have been deleted since
        groups = cached.dataset(lab, record.dataset).groups if here else record.config.data.groups
        chart(validation_figure(events, groups), f"val:{record.run_id}", "accuracy on held-out people")
    words = {
        "lr": "learning rate {:g}",
        "grad_norm": "gradient norm {:.2f}",
        "images_per_s": "{:.0f} images/s",
        "genuine_pairs": "{:.1f} genuine pairs a batch",
        "primary_size": "{:.1f} identities in the primary group",
    }
    last = events[events["name"].isin(list(words))].groupby("name")["value"].last()
    said = [text.format(last[name]) for name, text in words.items() if name in last]
    latest = pull.groupby("name").last().itertuples()
    said += [f"{row.Index}/{row.against} gradient ratio {row.ratio:.3g}" for row in latest]
    st.caption(plain(" · ".join([f"step {int(events['step'].max()):,}", *said])))


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file that may be long, at most LOG_BYTES of it."""
    if not path.exists():
        return []
    with open(path, "rb") as handle:
        handle.seek(max(0, handle.seek(0, os.SEEK_END) - LOG_BYTES))
        return handle.read().decode("utf-8", errors="replace").splitlines()[-lines:]


def _log(record: RunRecord) -> None:
    with st.expander("Log", icon=":material/article:"):
        path = record.folder / "log.txt"
        lines = tail(path, LOG_LINES)
        st.code("\n".join(lines) or "nothing yet", language=None, height=260)


def _settings(lab: Workspace, record: RunRecord) -> None:
    with st.expander("Settings and origin", icon=":material/tune:"):
        said = read_status(record.folder)
        names = (
            "attempt",
            "bitwise",
            "accepted_data",
            "classes",
            "training_images",
            *CHOICE,
            "started_at",
            "finished_at",
        )
        about = {"run_id": record.run_id, "parents": list(record.parents), "folder": str(record.folder)}
        left, right = st.columns(2)
        left.json(record.config.model_dump(mode="json", exclude_none=True), expanded=2)
        right.json({**about, **{name: said[name] for name in names if name in said}}, expanded=True)


def _buttons(lab: Workspace, record: RunRecord, status: str) -> None:
    run_id = record.run_id
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(status, color=COLOURS.get(status, "gray"))  # type: ignore[arg-type]
        if st.button(
            "Stop",
            icon=":material/stop:",
            disabled=status not in ACTIVE,
            key="stop",
            help="It saves its state first; resume continues exactly there.",
        ):
            act(lambda: Lab(lab).runs[run_id].stop(), "Stopping: it saves its state first.")
        if st.button("Resume", icon=":material/play_arrow:", disabled=status not in ENDED_BADLY, key="resume"):
            act(lambda: Lab(lab).runs[run_id].resume(), "Back in the queue.")
        if status in ENDED_BADLY and met_other_data(lab, record):
            with st.popover("Continue with changed data", icon=":material/difference:"):
                st.markdown(
                    "The data set has changed since this run started. The run can continue with the current data; it "
                    "then records that it used both."
                )
                if st.button("Continue with the changed data", type="primary", key="other data"):
                    act(lambda: Lab(lab).runs[run_id].resume(other_data=True), "Back in the queue.")
        where_panel(lab, record, status)
        labels_button(lab, Lab(lab).runs[run_id], f"run {run_id}", known_tags(list_runs(lab)))
        with st.popover("Delete", icon=":material/delete:", disabled=status == "running"):
            for line in goes(Lab(lab).runs[run_id].what_goes()):
                st.caption(plain(line))
            st.caption("Runs built on it keep their results but cannot be reproduced.")
            sure = st.checkbox("Yes, delete this run and its files", key=f"sure:{run_id}")
            if st.button("Delete permanently", type="primary", disabled=not sure, key="delete"):
                act(lambda: _delete(lab, run_id), "Deleted.")


def _delete(lab: Workspace, run_id: str) -> None:
    Lab(lab).runs[run_id].delete(force=True)
    choices.forget(run_id)
