"""Data sets that numbers are of and that are not in the workspace: each is named, with the form that brings it back."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from fairlab.api import Lab
from fairlab.errors import FairLabError
from fairlab.files import app_root
from fairlab.jobs.data.missing import Missing, missing
from fairlab.ui.frame import cached
from fairlab.ui.frame.page import plain, show_error
from fairlab.ui.frame.waiting import waiting
from fairlab.workspace import Workspace

JOB = "finding"
"""In the session: of each data set, the job that brings it back."""


def panel(lab: Workspace, names: Sequence[str], folded: bool = False) -> None:
    """Name each data set and offer to find it. folded: only a line each, which opens."""
    for name in names:
        lost = missing(lab, name)
        if not folded:
            st.warning(plain(lost.sentence()), icon=":material/folder_off:")
            _form(lab, lost)
            continue
        with st.expander(f"Data set {plain(name)} is not in this workspace", icon=":material/folder_off:"):
            st.markdown(plain(lost.sentence()))
            _form(lab, lost)


def _form(lab: Workspace, lost: Missing) -> None:
    name = lost.dataset_id
    jobs: dict[str, str] = st.session_state.setdefault(JOB, {})
    job = jobs.get(name, "")
    if job and (lab.run(job) / "run.json").exists() and waiting(lab, job, "Restoring it"):
        if name in cached.datasets(lab):
            st.rerun()
        jobs.pop(name)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        to = ""
        if lost.path:
            to = st.text_input("Where are these images now?", key=f"find in:{name}", placeholder=lost.path)
        if lost.made or lost.path:
            label, icon = ("Create it again", "replay") if lost.made else ("Find it", "search")
            if st.button(
                label, icon=f":material/{icon}:", type="primary", key=f"find:{name}", disabled=not to and not lost.made
            ):
                try:
                    jobs[name] = Lab(lab).data.find(name, to).run_id
                except FairLabError as error:
                    show_error(error)
                else:
                    st.rerun()
        if not lost.made:
            st.page_link(
                app_root() / "pages" / "data.py", label="Add the data set again", icon=":material/add_photo_alternate:"
            )
    st.caption("Or in a terminal:")
    st.code(lost.command(), language="bash")
