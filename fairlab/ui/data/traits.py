"""On the data page: traits of the images, imported from a table or measured, and what they are in every group."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from fairlab.api import Lab
from fairlab.data.beside import by_recipe
from fairlab.data.dataset import Dataset
from fairlab.data.pixel_traits import MEANINGS
from fairlab.data.traits import traits_of
from fairlab.errors import FairLabError
from fairlab.ui.fairness.reasons import measure
from fairlab.ui.frame.page import plain, show_error
from fairlab.workspace import Workspace


def panel(lab: Workspace, data: Dataset) -> None:
    """Import, measuring, and the values in every group."""
    try:
        traits = traits_of(data)
    except FairLabError as error:
        show_error(error)
        return
    if not by_recipe(data):
        _form(lab, data, traits.names)
    if not traits.names:
        st.caption(
            "None. A trait is a number of every image that may go with errors, such as pose, age or a quality score: Fairness "
            "then shows what of a group's gap remains when it is held equal, and what leaving out poor images does."
        )
        return
    st.dataframe(Lab(lab).data[data.dataset_id].traits.summary(), hide_index=True)
    st.caption("low, median, high: 5, 50 and 95 % points of the images' values.")
    if known := [f"{name}: {MEANINGS[name]}" for name in traits.names if name in MEANINGS]:
        st.caption(plain("; ".join(known) + "."))


def _form(lab: Workspace, data: Dataset, names: tuple[str, ...]) -> None:
    left, middle, right = st.columns([4, 1, 1], vertical_alignment="bottom")
    path = left.text_input(
        "Table of traits on this machine",
        key=f"traits of:{data.dataset_id}",
        placeholder="/data/ofiq.csv",
        help="CSV or parquet: a column image_id, image or path, and a column of numbers per trait; an empty cell is unknown. "
        "Traits of the same name are replaced.",
    ).strip()
    if middle.button("Import", icon=":material/upload_file:", key="import traits", width="stretch", disabled=not path):
        _do(lambda: Lab(lab).data[data.dataset_id].traits.add(path))
    pixels = data.has_images
    if right.button(
        "Measure", icon=":material/straighten:", key="measure traits", width="stretch", disabled=not pixels,
        help="Brightness, contrast, sharpness, skin brightness and uneven light, from the pixels of all images.",
    ):  # fmt: skip
        measure(lab, data)
    if names:
        with st.popover("Remove a trait", icon=":material/delete:"):
            gone = st.selectbox("Trait", names, key=f"trait gone:{data.dataset_id}", format_func=plain)
            if st.button("Remove", key="remove trait", type="primary"):
                _do(lambda: Lab(lab).data[data.dataset_id].traits.remove(gone))


def _do(work: Callable[[], object]) -> None:
    try:
        work()
    except FairLabError as error:
        show_error(error)
        return
    st.rerun()
