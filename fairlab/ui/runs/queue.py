"""The queue on the Runs page: how far a study is, whose turn it is, and the buttons that change it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from fairlab.api import Lab
from fairlab.api.run import Run
from fairlab.errors import FairLabError
from fairlab.queue import edit
from fairlab.queue.progress import sentence, study_progress
from fairlab.queue.turns import ACTIVE
from fairlab.store.database import list_runs
from fairlab.store.finding import known_tags
from fairlab.store.runs import RunRecord
from fairlab.store.studies import studies
from fairlab.tables import TEXT, WHOLE, Table
from fairlab.ui.frame import choices
from fairlab.ui.frame.forms import settings_form
from fairlab.ui.frame.page import plain, show_error
from fairlab.ui.runs.labels import labels_button, labels_line
from fairlab.workspace import Workspace

CHOSEN = "queue chosen"


def progress_line(lab: Workspace, runs: pd.DataFrame, run_ids: Sequence[str] | None, study_id: str) -> None:
    """A bar and a sentence on how far these runs are; nothing where all is done."""
    about = runs if run_ids is None else runs[runs["run_id"].isin(run_ids)]
    if not about["status"].isin(ACTIVE).any():
        return
    found = study_progress(lab, runs, edit.look_at(lab, runs), run_ids, study_id)
    st.progress(min(max(found.share, 0.0), 1.0), plain(sentence(found)))


def study_buttons(lab: Workspace, study_id: str, runs: pd.DataFrame) -> None:
    """Tags and note of a study; stop all of it, or go on with what ended badly; runs: its rows of list_runs."""
    active, bad = int(runs["status"].isin(ACTIVE).sum()), len(edit.ended_badly(runs))
    study = Lab(lab).studies[study_id]
    labels_line(study)
    with st.container(horizontal=True):
        labels_button(lab, study, f"study {study_id}", known_tags(studies(lab)))
        if active:
            with st.popover("Stop the study", icon=":material/stop:"):
                st.markdown(
                    f"{active} runs are waiting or running. Running ones save their state first; resume continues from there."
                )
                if st.button("Stop them all", type="primary", key="stop study"):
                    act(lambda: Lab(lab).studies[study_id].stop(), "Stopping.")
        if bad and st.button(
            f"Resume failed, crashed and stopped runs ({bad})",
            icon=":material/replay:",
            key="resume study",
            help="They continue from their last checkpoints.",
        ):
            act(lambda: Lab(lab).studies[study_id].resume(), "Back in the queue.")


def queue_panel(lab: Workspace, runs: pd.DataFrame, key: str) -> None:
    """What works and what waits in the whole workspace, in starting order; a click on a row chooses it to be changed.

    runs: list_runs, as the page has it; the table renews itself while anything is active.
    """
    if not (runs["status"] == "queued").any():
        return

    @st.fragment(run_every=3)
    def panel() -> None:
        table = edit.queue_table(lab, list_runs(lab))
        waiting = table[table["place"] > 0]
        if waiting.empty:
            st.rerun()
        ids = table["run_id"].tolist()
        names = dict(zip(table["run_id"], table["title"] + " · " + table["run_id"], strict=True))

        def choose_row() -> None:
            rows = st.session_state[f"{key} table"]["selection"]["rows"]
            if rows and rows[0] < len(ids) and ids[rows[0]] in set(waiting["run_id"]):
                st.session_state[CHOSEN] = list(dict.fromkeys([*st.session_state.get(CHOSEN, []), ids[rows[0]]]))

        st.dataframe(
            shown(table),
            hide_index=True,
            height=min(38 + 35 * len(table), 330),
            key=f"{key} table",
            on_select=choose_row,
            selection_mode="single-row",
            column_config={
                "Turn": st.column_config.TextColumn(width=60),
                "Run": st.column_config.TextColumn(width="medium"),
                "Waits for": st.column_config.TextColumn(width="large"),
            },
        )
        _change(lab, waiting["run_id"].tolist(), names)

    with st.expander(
        f"Queue: {int((runs['status'] == 'queued').sum())} waiting", icon=":material/queue:", expanded=True
    ):
        panel()


SHOWN = Table(**{"Turn": TEXT, "Run": TEXT, "Seed": WHOLE, "Waits for": TEXT, "Study": TEXT, "Where": TEXT})
"""A row is a run that works or waits, for people."""


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """queueing.queue_table for people; columns in which all rows are alike are left out."""
    view = SHOWN.of(
        {
            "Turn": [
                str(place) if place else "works" if status == "running" else "there"
                for place, status in zip(table["place"], table["status"], strict=True)
            ],
            "Run": table["title"],
            "Seed": table["seed"],
            "Waits for": table["waits_for"].str.removeprefix("waits for "),
            "Study": table["study"],
            "Where": [
                name if count == 1 else f"{name}, {count:.0f} processes"
                for name, count in zip(table["engine"], table["devices"], strict=True)
            ],
        }
    )
    alike = [name for name in ("Seed", "Study", "Where") if view[name].nunique() == 1 and (view[name] != "slurm").all()]
    return view.drop(columns=alike)


def _change(lab: Workspace, waiting: list[str], names: dict[str, str]) -> None:
    """Choose waiting runs, by name: rows move while one looks at them."""
    st.session_state[CHOSEN] = [name for name in st.session_state.get(CHOSEN, []) if name in waiting]
    chosen = st.multiselect(
        "Waiting runs to change",
        waiting,
        format_func=lambda name: names.get(name, name),
        key=CHOSEN,
        label_visibility="collapsed",
        placeholder="Choose waiting runs here, or click their rows",
    )
    queue = Lab(lab).runs
    verbs: dict[str, tuple[str, Callable[[Sequence[str | Run]], object], str]] = {
        "first": ("To the top", queue.first, "vertical_align_top"),
        "earlier": ("Earlier", queue.earlier, "arrow_upward"),
        "later": ("Later", queue.later, "arrow_downward"),
        "hold": ("Hold", queue.hold, "pause"),
        "release": ("Release", queue.release, "play_arrow"),
        "cancel": ("Cancel", queue.stop, "close"),
    }
    meaning = {
        "first": "They start next, together with the waiting runs they build on.",
        "hold": "They do not start until they are released.",
        "cancel": "They are stopped before they begin; resume queues them again.",
    }
    with st.container(horizontal=True):
        for name, (label, do, icon) in verbs.items():
            pressed = st.button(
                label, icon=f":material/{icon}:", key=f"queue {name}", disabled=not chosen, help=meaning.get(name)
            )
            if pressed:
                act(lambda do=do: do(chosen), f"{label}: done.")  # type: ignore[misc]


def clone_panel(lab: Workspace, record: RunRecord) -> None:
    """A run again with other settings, from a form of its own settings."""
    if (
        record.role not in edit.CLONED
        or record.elsewhere
        or not st.toggle("Clone with other settings", key=f"clone {record.run_id}")
    ):
        return
    unused = [name for name in type(record.config).model_fields if getattr(record.config, name) is None]
    dials = settings_form(record.config, f"clone:{record.run_id}", skip=["role", "method", "data", *unused])
    st.code(_command(record.run_id, dials), language="bash")
    if st.button("Clone", icon=":material/content_copy:", disabled=not dials, key="clone"):

        def clone() -> None:
            run, new = Lab(lab).runs[record.run_id].clone(dials)
            choices.choose("run", [run.run_id])
            st.session_state["said"] = (
                "Queued." if new else "A run with these settings exists already; it is shown here."
            )

        act(clone, "")


def _command(run_id: str, dials: dict[str, Any]) -> str:
    import json
    import shlex

    words = ["fairlab", "runs", "clone", run_id]
    for name, value in dials.items():
        words += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    return " ".join(shlex.quote(word) for word in words)


def act(action: Callable[[], Any], said: str) -> None:
    """Do what a button says, tell it, and draw the page anew; or say in one sentence why not."""
    try:
        action()
    except FairLabError as error:
        show_error(error)
        return
    if said:
        st.toast(said)
    st.rerun()
