"""Files of the user's own, in two steps that Data and Models share: inspect by a job, then add by a job."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from fairlab.errors import FairLabError
from fairlab.ui.frame.page import show_error
from fairlab.ui.frame.waiting import waiting
from fairlab.workspace import Workspace

LOOK, ADD = "look", "adding"
"""The link's parameters: the run that inspects, and the run that adds."""


def begun() -> bool:
    """Does the link name a job of one of the two steps?"""
    return bool({LOOK, ADD} & set(st.query_params))


def path_field(label: str, key: str, placeholder: str, help: str) -> tuple[str, bool]:
    """Where the files are, and whether Inspect was pressed."""
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    path = left.text_input(label, key=key, placeholder=placeholder, help=help)
    pressed = right.button("Inspect", type="primary", icon=":material/search:", width="stretch", disabled=not path)
    return path.strip(), pressed


def begin(start: Callable[[], str]) -> None:
    """Start a job that inspects."""
    try:
        run_id = start()
    except FairLabError as error:
        show_error(error)
        return
    st.query_params.pop(ADD, None)
    st.query_params[LOOK] = run_id


def show(
    lab: Workspace,
    what: str,
    looked: Callable[[Workspace, str], None],
    added: Callable[[Workspace, str], None],
) -> None:
    """The step that the link names: its progress, then what it found. what: "data" or "model"."""
    for key, doing, then in ((ADD, "Adding the", added), (LOOK, "Inspecting the", looked)):
        if key not in st.query_params:
            continue
        run_id = st.query_params[key]
        if not (lab.run(run_id) / "run.json").exists():
            st.warning(
                "The job in this link has been deleted. Press Inspect to start again.", icon=":material/link_off:"
            )
        elif waiting(lab, run_id, f"{doing} {what}"):
            then(lab, run_id)
        return


def add_field(label: str, key: str, placeholder: str, add: Callable[[str], str]) -> None:
    """A name, and the button that starts the second step."""
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    name = left.text_input(label, key=key, placeholder=placeholder)
    if right.button("Add it", type="primary", icon=":material/add:", width="stretch"):
        try:
            adding = add(name.strip())
        except FairLabError as error:
            show_error(error)
            return
        del st.query_params[LOOK]
        st.query_params[ADD] = adding
        st.rerun()
