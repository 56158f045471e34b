"""Runs as they work: a table that renews itself, and everything about one of them."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from fairlab.errors import FairLabError
from fairlab.plots.training import loss_figure, validation_figure
from fairlab.runs import launch
from fairlab.store.database import list_runs
from fairlab.store.events import read_events
from fairlab.store.runs import children, read_run, read_status, state
from fairlab.ui import cached
from fairlab.ui.page import chart_config, duration, plain, show_error
from fairlab.workspace import Workspace

ICONS = {"done": "✅", "running": "⏳", "queued": "🕓", "stopped": "⏸️", "failed": "❌", "crashed": "💥"}
ENDED_BADLY = launch.ENDED_BADLY


def table_of(lab: Workspace, run_ids: list[str] | None) -> pd.DataFrame:
    """The runs to show, as a table for people."""
    runs = list_runs(lab)
    if run_ids is not None:
        runs = runs[runs["run_id"].isin(run_ids)]
    left = [duration(row.eta_s) if row.status == "running" else "" for row in runs.itertuples()]
    rate = [f"{row.rate:.0f} {row.unit}/s" if row.status == "running" and row.rate else "" for row in runs.itertuples()]
    stage = [row.reason or (row.stage if row.status == "running" else "") for row in runs.itertuples()]
    progress = runs["progress"].where(runs["status"] == "running", (runs["status"] == "done").astype(float))
    return pd.DataFrame(
        {
            "": runs["status"].map(ICONS),
            "Run": runs["title"],
            "Status": runs["status"],
            "Progress": progress.fillna(0.0),
            "Doing": stage,
            "Left": left,
            "Speed": rate,
            "CPU": runs["train_s"].map(duration),
            "Role": runs["role"],
            "Seed": runs["seed"],
            "Id": runs["run_id"],
        }
    )


def runs_table(lab: Workspace, run_ids: list[str] | None, live: bool) -> None:
    """The table, renewed every two seconds while something works."""

    @st.fragment(run_every=2 if live else None)
    def table() -> None:
        shown = table_of(lab, run_ids)
        st.dataframe(
            shown,
            hide_index=True,
            height=min(38 + 35 * len(shown), 680),
            column_config={
                "Progress": st.column_config.ProgressColumn(
                    min_value=0.0, max_value=1.0, format="percent", width="small"
                )
            },
        )
        if live and not shown["Status"].isin(["running", "queued"]).any():
            st.rerun()

    table()


def run_panel(lab: Workspace, run_id: str) -> None:
    """One run: what it does now, its curves, log and settings, and the buttons that change it."""
    record = read_run(lab, run_id)
    _buttons(lab, run_id)
    live = state(record.folder).status in ("running", "queued")

    @st.fragment(run_every=2 if live else None)
    def now() -> None:
        view = state(record.folder)
        if view.status == "running":
            speed = f" · {view.rate:.0f} {view.unit}/s" if view.rate else ""
            left = f" · about {duration(view.eta_s)} left of this stage" if view.eta_s else ""
            st.progress(min(max(view.progress or 0.0, 0.0), 1.0), plain(f"{view.stage}{speed}{left}"))
        elif view.reason:
            st.warning(plain(view.reason), icon=":material/info:")
        _curves(lab, run_id)
        if live and view.status not in ("running", "queued"):
            st.rerun()

    now()
    with st.expander("Log", icon=":material/article:"):
        path = record.folder / "log.txt"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        st.code("\n".join(lines[-200:]) or "nothing yet", language=None, height=260)
    with st.expander("Settings", icon=":material/tune:"):
        st.json(record.config.model_dump(mode="json", exclude_none=True), expanded=2)
        said = read_status(record.folder)
        facts = {
            name: said[name]
            for name in ("attempt", "bitwise", "classes", "training_images", "started_at", "finished_at")
            if name in said
        }
        st.json(
            {"run_id": run_id, "parents": list(record.parents), "folder": str(record.folder), **facts}, expanded=True
        )


def _curves(lab: Workspace, run_id: str) -> None:
    record = read_run(lab, run_id)
    events = read_events(record.folder)
    if events.empty:
        if record.config.training is not None:
            st.caption("Curves appear with the first readings.")
        return
    groups = cached.dataset(lab, record.dataset).groups
    left, right = st.columns(2)
    left.plotly_chart(
        loss_figure(events), theme=None, config=chart_config(), key=f"loss:{run_id}", alt="loss terms over the steps"
    )
    right.plotly_chart(
        validation_figure(events, groups),
        theme=None,
        config=chart_config(),
        key=f"val:{run_id}",
        alt="accuracy on held-out people",
    )
    last = events[events["name"].isin(["lr", "images_per_s", "grad_norm"])].groupby("name")["value"].last()
    st.caption(
        f"learning rate {last.get('lr', float('nan')):g} · gradient norm {last.get('grad_norm', float('nan')):.2f} · "
        f"{last.get('images_per_s', float('nan')):.0f} images/s · step {int(events['step'].max())}"
    )


def _buttons(lab: Workspace, run_id: str) -> None:
    view = state(lab.run(run_id))
    with st.container(horizontal=True):
        if st.button(
            "Stop",
            icon=":material/stop:",
            disabled=view.status not in ("running", "queued"),
            key="stop",
            help="Saves its state first; resume goes on exactly there.",
        ):
            _do(lambda: launch.stop(lab, run_id), "Asked to stop: it saves its state first.")
        if st.button("Resume", icon=":material/play_arrow:", disabled=view.status not in ENDED_BADLY, key="resume"):
            _do(lambda: launch.resume(lab, run_id), "Queued again.")
        with st.popover("Delete", icon=":material/delete:", disabled=view.status == "running"):
            using = children(lab, run_id)
            if using:
                st.warning(
                    f"{len(using)} runs build on this one; they keep their results but could not be made again without it."
                )
            sure = st.checkbox("Yes, delete this run and its files", key=f"sure:{run_id}")
            if st.button("Delete for good", type="primary", disabled=not sure, key="delete"):
                _do(lambda: launch.delete(lab, run_id, force=True), "Deleted.")


def _do(action: Callable[[], None], said: str) -> None:
    try:
        action()
    except FairLabError as error:
        show_error(error)
        return
    st.toast(said)
    st.rerun()
