"""A job that a page has started: its progress, a way to stop it, and how it ended."""

from __future__ import annotations

import streamlit as st

from fairlab.api import Lab
from fairlab.formatting import duration
from fairlab.store.runs import state
from fairlab.ui.frame.page import plain
from fairlab.workspace import Workspace


def waiting(lab: Workspace, run_id: str, doing: str) -> bool:
    """Progress of a job, with a way to stop it; True once it is done. Says why it ended otherwise."""
    view = state(lab.run(run_id))
    if view.status == "done":
        return True
    stuck = view.status == "queued" and view.reason  # what it builds on ended badly
    if stuck or view.status not in ("running", "queued"):
        st.error(plain(view.reason or f"the job is {view.status}"), icon=":material/error:")
        if view.status in ("stopped", "crashed") and st.button(
            "Resume", icon=":material/play_arrow:", key=f"go on {run_id}"
        ):
            Lab(lab).runs[run_id].resume()
            st.rerun()
        return False

    @st.fragment(run_every=1)
    def progress() -> None:
        now = state(lab.run(run_id))
        if now.status not in ("running", "queued"):
            st.rerun()
        left, right = st.columns([5, 1], vertical_alignment="center")
        left_over = f" · {duration(now.eta_s)} left" if now.eta_s else ""
        left.progress(now.progress or 0.0, f"{doing}: {plain(now.stage or 'waiting for its turn')}{left_over}")
        if right.button("Stop", icon=":material/stop:", key=f"stop {run_id}"):
            Lab(lab).runs[run_id].stop()

    progress()
    return False
