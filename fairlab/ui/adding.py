"""Adding one's own data from the data page: look first, as a job; then add, as a job."""

from __future__ import annotations

from typing import Any

import streamlit as st

from fairlab import api
from fairlab.config import Source, parse
from fairlab.errors import FairLabError
from fairlab.files import read_json
from fairlab.store.runs import read_run
from fairlab.tables import MAYBE_WHOLE, TEXT, Table
from fairlab.ui import choices
from fairlab.ui.forms import settings_form
from fairlab.ui.page import facts, plain, show_error
from fairlab.ui.waiting import waiting
from fairlab.workspace import Workspace

LOOK, ADD = "look", "adding"
"""The link's parameters: the run that looks, and the run that adds."""


def form(lab: Workspace) -> None:
    """Where the data lie and how to take them; a look at them is the next step."""
    with st.expander(
        "Add your own data", icon=":material/add_photo_alternate:", expanded=bool({LOOK, ADD} & set(st.query_params))
    ):
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        path = left.text_input(
            "File or folder on this machine",
            key="add_path",
            placeholder="/data/RFW, /data/BUPT-BalancedFace, /data/faces_webface/train.rec, /data/lfw.bin",
            help="Folders of images, RFW, RecordIO (.rec), verification packs (.bin), shards (.tar), LMDB and Hugging Face parquet "
            "are recognised.",
        )
        look = right.button("Inspect", type="primary", icon=":material/search:", width="stretch", disabled=not path)
        with st.popover("More settings", icon=":material/tune:"):
            changes = settings_form(Source(), "add", skip=("path",))
        if look:
            _begin(lab, {**changes, "path": path.strip()})
        if ADD in st.query_params:
            _added(lab, st.query_params[ADD])
        elif LOOK in st.query_params:
            _looked(lab, st.query_params[LOOK])


def _begin(lab: Workspace, values: dict[str, Any]) -> None:
    try:
        run_id = api.inspect_data(lab, parse(Source, values, "these settings"))
    except FairLabError as error:
        show_error(error)
        return
    st.query_params.pop(ADD, None)
    st.query_params[LOOK] = run_id


def _looked(lab: Workspace, run_id: str) -> None:
    if not (lab.run(run_id) / "run.json").exists():
        st.warning("The link's look at data is not here (any more).")
        return
    if not waiting(lab, run_id, "Looking at the data"):
        return
    folder = lab.run(run_id)
    found = read_json(folder / "report.json")
    show(found)
    groups = list(found["groups"])
    for number, group in enumerate(groups):
        if not (folder / f"sheet-{number}.png").exists():
            break
        mean, sheet = st.columns([1, 6], vertical_alignment="center")
        mean.image((folder / f"mean-{number}.png").read_bytes(), caption=plain(group))
        sheet.image((folder / f"sheet-{number}.png").read_bytes())
        if (folder / f"align-{number}.png").exists():
            sheet.image((folder / f"align-{number}.png").read_bytes())
    st.caption("Left: the mean face, with rings where an aligned face has eyes, nose and mouth corners.")
    if (folder / "align-0.png").exists():
        st.caption(
            "Large: some faces as they are stored, with their five points (the eye on the picture's left is green), and "
            "below as they would be handed out, aligned."
        )
    st.markdown("**Adding it will** " + plain("; ".join(found["will_do"])) + ".")
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    source = read_run(lab, run_id).config.source
    assert source is not None
    name = left.text_input("Name of the data set", key="add_name", placeholder="from the path")
    if right.button("Add it", type="primary", icon=":material/add:", width="stretch"):
        try:
            adding = api.add_data(lab, source, name)
        except FairLabError as error:
            show_error(error)
            return
        del st.query_params[LOOK]
        st.query_params[ADD] = adding
        st.rerun()


def _added(lab: Workspace, run_id: str) -> None:
    if (lab.run(run_id) / "run.json").exists() and waiting(lab, run_id, "Adding the data"):
        name = read_run(lab, run_id).dataset
        st.success(f"{plain(name)} is a data set of this workspace now.", icon=":material/check:")
        if st.button("Show it", icon=":material/photo_library:"):
            choices.choose("set", [name])
            st.query_params.pop(ADD, None)
            st.rerun()


def show(found: dict[str, Any]) -> None:
    """A report (data.report) as figures, a table of groups, and what is wrong."""
    each = found["images_per_identity"]
    facts(
        ("Kind", plain(found["kind"]), "", plain(found["why"])),
        ("Images", f"{found['images']:,}", "", f"{found['looked_at']:,} of them were decoded for this report."),
        ("People", f"{found['identities']:,}", "", f"{each['least']} to {each['most']} images each."),
        ("Unreadable", f"{found['unreadable']:,}", "", f"Of {found['looked_at']:,} looked at; left out when added."),
    )
    rows = [
        {found["attribute"]: group, **found["groups"].get(group, {}), **found["pairs"].get(group, {})}
        for group in dict.fromkeys([*found["groups"], *found["pairs"]])
    ]
    counted = ("images", "identities", *(("genuine", "impostor", "folds") if found["pairs"] else ()))
    columns = Table(**{found["attribute"]: TEXT, **dict.fromkeys(counted, MAYBE_WHOLE)})
    st.dataframe(columns.build({name: row.get(name) for name in columns} for row in rows), hide_index=True)
    sizes = ", ".join(f"{size} ({count:,})" for size, count in list(found["sizes"].items())[:4])
    st.caption(plain(f"Sizes {sizes}; faces are taken {found['aligned']}; {found['duplicates']:,} duplicates."))
    if found["names"]:
        st.caption(plain(f"Read from the names: {found['names']}."))
    if len(found["parts"]) > 1:
        st.caption(plain("Parts: " + ", ".join(f"{part} {count:,}" for part, count in found["parts"].items()) + "."))
    for text in found["problems"]:
        st.warning(plain(text), icon=":material/warning:")
