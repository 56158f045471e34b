"""The models page's form for a folder of MST-KD's official checkpoints: inspected by a job, then imported as one study."""

from __future__ import annotations

from typing import Any

import streamlit as st

from fairlab.api import Lab
from fairlab.errors import FairLabError
from fairlab.files import app_root, read_json
from fairlab.settings.study import StudyFolder, parse
from fairlab.tables import texts
from fairlab.ui.frame import cached
from fairlab.ui.frame.forms import settings_form
from fairlab.ui.frame.page import plain, show_error
from fairlab.ui.frame.pickers import choose
from fairlab.ui.frame.waiting import waiting
from fairlab.workspace import Workspace

LOOK, STUDY = "folder", "imported"
"""The link's parameters: the run that inspects the folder, and the study that it became."""


def form(lab: Workspace) -> None:
    """Where the folder lies, what is in it, and the button that imports it."""
    begun = bool({LOOK, STUDY} & set(st.query_params))
    with st.expander("Import MST-KD's official checkpoints", icon=":material/drive_folder_upload:", expanded=begun):
        st.caption(
            "Teachers, adaptors and students from the folders of the authors' code become one study, evaluated on your "
            "test set."
        )
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        path = left.text_input("Folder on this machine", key="folder_path", placeholder="/models/MST-KD").strip()
        pressed = right.button(
            "Inspect", key="folder look", icon=":material/search:", width="stretch", disabled=not path
        )
        with st.popover("Details", icon=":material/tune:"):
            changes = settings_form(StudyFolder(), "folder", skip=("path",))
        if pressed:
            _inspect(lab, {**changes, "path": path})
        if STUDY in st.query_params:
            _imported(lab, st.query_params[STUDY])
        elif LOOK in st.query_params:
            _looked(lab, st.query_params[LOOK])


def _inspect(lab: Workspace, values: dict[str, Any]) -> None:
    try:
        run_id = Lab(lab).studies.inspect(parse(StudyFolder, values, "these settings")).run_id
    except FairLabError as error:
        show_error(error)
        return
    st.query_params.pop(STUDY, None)
    st.query_params[LOOK] = run_id


def _looked(lab: Workspace, run_id: str) -> None:
    if not (lab.run(run_id) / "run.json").exists():
        st.warning("The job in this link has been deleted. Press Inspect to start again.", icon=":material/link_off:")
        return
    if not waiting(lab, run_id, "Inspecting the folder"):
        return
    report = read_json(lab.run(run_id) / "report.json")
    show(report)
    sets = [name for name in cached.datasets(lab) if len(cached.dataset(lab, name).pairs)]
    if not sets:
        st.info("Add a data set with pairs first, e.g. RFW: the models are evaluated on it.", icon=":material/info:")
        return
    first, second, third = st.columns([2, 2, 1], vertical_alignment="bottom")
    with first:
        dataset_id = choose("Evaluate on", sets, "test", {})
    name = second.text_input("Name of the study", key="folder_name", placeholder="from the folder").strip()
    if third.button("Import", type="primary", key="folder import", icon=":material/add:", width="stretch"):
        try:
            study = Lab(lab).studies.import_(report, dataset_id, name)
        except FairLabError as error:
            show_error(error)
            return
        del st.query_params[LOOK]
        st.query_params[STUDY] = study.study_id
        st.rerun()


def show(report: dict[str, Any]) -> None:
    """A row for each model of a report (jobs.models.study_folders.report_of), and the notes."""
    rows = [
        {
            "Model": plain(row["title"]),
            "Step": str(row["step"]),
            "Why this step": plain(row["why"]),
            "Folder": plain(row["folder"]),
        }
        for row in report["models"]
    ]
    st.table(texts(rows, "Model"), border="horizontal", hide_index=True)
    for text in [*report["notes"], *dict.fromkeys(note for row in report["models"] for note in row["notes"])]:
        st.caption(plain(text))


def _imported(lab: Workspace, study_id: str) -> None:
    try:
        study = Lab(lab).studies[study_id]
    except FairLabError as error:
        show_error(error)
        return
    st.success(f"{plain(study.title)} is imported: {plain(study.outlook())}.", icon=":material/check:")
    with st.container(horizontal=True):
        for page, label in (("runs", "Runs"), ("compare", "Compare")):
            st.page_link(
                app_root() / "pages" / f"{page}.py",
                label=label,
                query_params={"study": study_id, "on": study.info.config.dataset},
            )
