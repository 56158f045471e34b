"""On the data page: traits of the images, measured or imported, and how they are spread in every group."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from fairlab.api import Lab
from fairlab.data.dataset import Dataset
from fairlab.data.kept_beside import borrows
from fairlab.data.traits import SOURCES, Trait, names_beside, summary, traits_fingerprint
from fairlab.errors import FairLabError
from fairlab.jobs.data.measuring import METHOD
from fairlab.jobs.data.starts import latest_job
from fairlab.plots.traits import traits_figure
from fairlab.store.runs import state
from fairlab.ui.frame import cached
from fairlab.ui.frame.page import chart, plain, show_error
from fairlab.ui.frame.waiting import waiting
from fairlab.workspace import Workspace

SHOWN = 9
"""Panels of the histogram at first."""


def panel(lab: Workspace, data: Dataset) -> None:
    """Measure, import and remove; a panel per trait, and a table of every trait in every group."""
    try:
        traits = cached.traits(data)
    except FairLabError as error:
        show_error(error)
        return
    if not borrows(data):
        _ways(lab, data)
    if not traits:
        st.caption(
            "None. Traits say more of an image than whose it is: measure sharpness, brightness and contrast, or import a table "
            "with pose, age, quality ..."
        )
        return
    key = f"traits:{data.dataset_id}"
    names = st.multiselect(
        "Traits", list(traits), list(traits)[:SHOWN], format_func=plain, key=key, placeholder="Choose traits"
    )
    if names:
        figure = _figure(data.dataset_id, _version(data), tuple(names), traits, data)
        chart(figure, f"spread of {key}", "How each trait is spread in every group.", _table(data))
    st.dataframe(_table(data), hide_index=True)
    for name in names:
        st.caption(f"**{plain(name)}**: {SOURCES[traits[name].source]}. {_meant(traits[name])}")


def _meant(trait: Trait) -> str:
    return f"A larger value means {plain(trait.meaning)}." if trait.meaning else ""


def _version(data: Dataset) -> str:
    return f"{data.fingerprint} {traits_fingerprint(data)}"


def _table(data: Dataset) -> pd.DataFrame:
    return _summary(data.dataset_id, _version(data), data).drop(columns="meaning")


@st.cache_data(max_entries=8, show_spinner="Counting traits")
def _summary(name: str, version: str, _data: Dataset) -> pd.DataFrame:
    return summary(_data, cached.traits(_data))


@st.cache_data(max_entries=8, show_spinner="Counting traits")
def _figure(name: str, version: str, names: tuple[str, ...], _traits: dict[str, Trait], _data: Dataset) -> Any:
    return traits_figure(
        {trait: _traits[trait].values for trait in names}, _data.images["group"].astype(str).to_numpy(), _data.groups
    )


def _ways(lab: Workspace, data: Dataset) -> None:
    """Measure by a job, import a table, remove one."""
    name = data.dataset_id
    handle = Lab(lab).data[name].traits
    job = latest_job(lab, METHOD, lambda config: config.measuring is not None and config.measuring.dataset == name)
    if job:
        waiting(lab, job, "Measuring traits")
        if state(lab.run(job)).status in ("running", "queued"):
            return
    form, below = st.container(), st.container()
    skip = below.checkbox("Leave out rows of images that are not in this data set", key=f"skip unknown:{name}")
    left, middle, right = form.columns([4, 1, 1], vertical_alignment="bottom")
    path = left.text_input(
        "Table of traits on this machine",
        key=f"traits of:{name}",
        placeholder="/data/traits.csv",
        help="CSV or parquet: a column image_id, image or path, and a column of numbers or texts per trait; an empty cell is "
        "unknown. Imported traits of the same name are replaced, others stay.",
    ).strip()
    if middle.button("Import", icon=":material/upload_file:", key="import traits", width="stretch", disabled=not path):
        _do(lambda: handle.add(path, skip_unknown=skip))
    if data.has_images and right.button(
        "Measure",
        icon=":material/straighten:",
        key="measure traits",
        width="stretch",
        help=f"Sharpness, brightness, contrast, skin luminance and size of {len(data.images):,} images, by a background job.",
    ):
        _do(handle.measure)
    beside = list(names_beside(data))
    if beside:
        left, right = st.columns([5, 1], vertical_alignment="bottom")
        gone = left.selectbox("Remove a trait", beside, None, format_func=plain, key=f"trait to remove:{name}")
        if right.button("Remove", icon=":material/delete:", key="remove trait", width="stretch", disabled=gone is None):
            _do(lambda: handle.remove(str(gone)))


def _do(action: Any) -> None:
    try:
        action()
    except FairLabError as error:
        show_error(error)
        return
    st.rerun()
