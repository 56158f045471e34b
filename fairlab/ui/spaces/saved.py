"""Saved selections on the page Spaces: keep what is selected under a name, bring it back, use it elsewhere, write it as files."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from fairlab.api import Lab
from fairlab.compare.selection_files import FIFTYONE, Format, column_name
from fairlab.data.dataset import Dataset
from fairlab.data.selections import MOST_NOTE
from fairlab.errors import FairLabError
from fairlab.files import app_root
from fairlab.tables import texts
from fairlab.ui.frame.page import plain, show_error
from fairlab.ui.spaces import selection
from fairlab.ui.spaces.maps import Side
from fairlab.workspace import Workspace

IN_A_LINK = 20_000
"""Images that a link can hold, and that a page hands to the browser as a file."""
JUST_SAVED, CHOSEN = "selection just saved", "saved selection"


def panel(lab: Workspace, data: Dataset, sides: Sequence[Side]) -> None:
    """A form to save what is selected, and the saved selections of the data set."""
    handle = Lab(lab).data[data.dataset_id].selections
    table = handle.table()
    with st.expander("Saved selections", icon=":material/bookmark:"):
        _form(lab, data)
        if name := st.session_state.pop(JUST_SAVED, ""):
            st.success(plain(f"Saved: {name}."), icon=":material/check:")
        if table.empty:
            st.caption(
                "None yet. A saved selection is a filter on Verification and Fairness, a recipe for a data set "
                "(Derive data set on Data), and a file for other tools."
            )
            return
        st.dataframe(_shown(table), hide_index=True)
        _one(lab, data, sides, table)


def _selected(data: Dataset) -> np.ndarray:
    """The images that are selected on the maps now, those that the data set has."""
    chosen = selection.selected(data.dataset_id)
    none = np.zeros(0, np.int64)
    return none if chosen is None else chosen[(chosen >= 0) & (chosen < len(data.images))]


def _form(lab: Workspace, data: Dataset) -> None:
    """Name, note, and a table instead of what is selected."""
    chosen = _selected(data)
    left, middle, right = st.columns([2, 3, 1.2], vertical_alignment="bottom")
    name = left.text_input("Name", key="save name", placeholder="hard-pairs", max_chars=100).strip()
    note = middle.text_input("Note", key="save note", placeholder="what you found", max_chars=MOST_NOTE)
    path = st.text_input(
        "Or a table on this machine that names images or people",
        key="save table",
        placeholder="/data/list.csv",
        help="CSV or parquet with a column image_id, image or path, or identity (all images of that person). Empty: the "
        "images selected on the maps.",
    ).strip()
    label = "Save" if path or not len(chosen) else f"Save {len(chosen):,} images"
    ready = bool(name) and (bool(path) or len(chosen) > 0)
    if right.button(label, icon=":material/bookmark_add:", key="save selection", width="stretch", disabled=not ready):
        selections = Lab(lab).data[data.dataset_id].selections
        try:
            if path:
                selections.save_table(name, path, note)
            else:
                selections.save(name, ids=chosen, note=note)
        except FairLabError as error:
            show_error(error)
            return
        st.session_state[JUST_SAVED] = st.session_state[CHOSEN] = name
        st.rerun()


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """The table for people: times to the minute, a column on what is wrong only where something is."""
    rows = [
        {
            "Selection": str(row.selection),
            "Images": f"{row.images:,}",
            "People": f"{row.identities:,}",
            "Saved (UTC)": str(row.created_at)[:16].replace("T", " "),
            "Note": str(row.note),
            **({"Cannot be used": str(row.state)} if table["state"].any() else {}),
        }
        for row in table.itertuples()
    ]
    return texts(rows, "Selection", "Images", "People", "Saved (UTC)", "Note")


def _one(lab: Workspace, data: Dataset, sides: Sequence[Side], table: pd.DataFrame) -> None:
    """What can be done with one of them."""
    if st.session_state.get(CHOSEN) not in set(table["selection"]):  # deleted, or of another data set
        st.session_state.pop(CHOSEN, None)
    name = st.selectbox("Selection", table["selection"], key=CHOSEN)
    row = table[table["selection"] == name].iloc[0]
    with st.container(horizontal=True, vertical_alignment="center"):
        if row["state"]:
            st.warning(plain(f"{name} cannot be used: {row['state']}."), icon=":material/warning:")
        else:
            _uses(lab, data, sides, str(name), int(row["images"]))
        with st.popover("Delete", icon=":material/delete:"):
            st.markdown(plain(f"The images of {name} stay in the data set."))
            if st.button("Delete this selection", key="delete selection"):
                Lab(lab).data.selections[data.dataset_id][str(name)].delete()
                st.rerun()


def _uses(lab: Workspace, data: Dataset, sides: Sequence[Side], name: str, images: int) -> None:
    few = images <= IN_A_LINK
    too_many = f"More than {IN_A_LINK:,} images: use the command." if not few else None
    if st.button("Show on the maps", icon=":material/select_all:", key="show saved", disabled=not few, help=too_many):
        selection.select(data.dataset_id, Lab(lab).data[data.dataset_id].selections[name].ids)
        st.rerun()
    for page in ("verification", "fairness"):
        st.page_link(
            app_root() / "pages" / f"{page}.py",
            label=page.capitalize(),
            icon=":material/filter_alt:",
            query_params={"selection": name},
        )
    runs = tuple(dict.fromkeys(side.run.run_id for side in sides))
    kinds: tuple[tuple[Format, str, tuple[str, ...]], ...] = (
        ("csv", "CSV", ()),
        ("parquet", "Parquet with both spaces", runs),
    )
    for kind, label, spaces in kinds:
        st.download_button(
            label,
            partial(_written, lab, data.dataset_id, name, kind, spaces),
            f"{name}.{kind}",
            icon=":material/download:",
            key=f"selection:{kind}",
            disabled=not few,
            help=too_many,
        )
    with st.popover("Other tools", icon=":material/terminal:"):
        command = f"fairlab data selections export {data.dataset_id} {name} --format"
        st.markdown("FiftyOne: a folder of PNG files with labels.json.")
        st.code(
            f"{command} fiftyone --out {name}\nfiftyone app view --dataset-dir {name} --type {FIFTYONE}",
            language="bash",
        )
        st.markdown("embedding-atlas: vectors and map positions of each space.")
        listed = " ".join(runs)
        x, y = (f"{axis}_{column_name(runs[0])}" for axis in "xy")
        st.code(
            f"{command} parquet --out {name}.parquet --space {listed}\nembedding-atlas {name}.parquet --x {x} --y {y}",
            language="bash",
        )


def _written(lab: Workspace, dataset_id: str, name: str, kind: Format, spaces: Sequence[str]) -> bytes:
    """The file, made when it is asked for."""
    with tempfile.TemporaryDirectory(prefix="fairlab-") as folder:
        path = Path(folder) / f"selection.{kind}"
        Lab(lab).data[dataset_id].selections[name].export(path, kind, spaces)
        return path.read_bytes()
