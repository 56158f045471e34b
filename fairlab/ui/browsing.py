"""The parts of the Data page: counts, mean faces, people, pairs."""

from __future__ import annotations

import numpy as np
import streamlit as st

from fairlab.data.base import Dataset
from fairlab.data.images import mean_face
from fairlab.ui.gallery import Face, faces
from fairlab.ui.page import plain
from fairlab.ui.pickers import choose

PEOPLE_SHOWN, IMAGES_SHOWN, PAIRS_SHOWN = 5, 12, 5


@st.cache_data(max_entries=8, show_spinner=False)
def _mean_faces(fingerprint: str, _data: Dataset) -> dict[str, np.ndarray]:
    return {group: mean_face(_data, group) for group in _data.groups}


def counts(data: Dataset) -> None:
    """The data set in five numbers."""
    shown = {
        "Images": f"{len(data.images):,}",
        "People": f"{data.images['identity'].nunique():,}",
        "Groups": f"{len(data.groups):,}",
        "Pairs": f"{len(data.pairs):,}",
        "Pixels": f"{data.image_px} x {data.image_px}",
    }
    for column, (label, value) in zip(st.columns(len(shown)), shown.items(), strict=True):
        column.metric(label, value, border=True)
    st.caption(f"Groups are values of: {plain(data.attribute)}. {plain(data.info.get('notes', ''))}")


def mean_faces(data: Dataset) -> None:
    """Every group's mean face: sharp where images are aligned."""
    st.subheader("Mean face of each group", anchor=False)
    means = _mean_faces(data.fingerprint, data)
    for column, (group, face) in zip(st.columns(max(len(means), 4)), means.items(), strict=False):
        enlarged = np.kron(face, np.ones((max(1, 144 // len(face)),) * 2 + (1,), np.uint8))
        column.image(enlarged, caption=plain(group))
    st.caption("Aligned images give a face; a shapeless blur would mean that they are not aligned.")


def people(data: Dataset) -> str:
    """Faces of a few people, a row each; returns the chosen group."""
    st.subheader("Faces", anchor=False)
    left, middle, right = st.columns(3)
    with left:
        split = choose("Part", list(dict.fromkeys(data.images["split"])), "split", {})
    with middle:
        group = choose("Group", list(data.groups), "group", {})
    part = data.images[(data.images["split"] == split) & (data.images["group"] == group)]
    names = list(dict.fromkeys(part["identity"]))
    with right:
        first = st.number_input(
            f"From person (of {len(names)})", 1, max(len(names), 1), 1, PEOPLE_SHOWN, key="from", bind="query-params"
        )
    for person in names[int(first) - 1 : int(first) - 1 + PEOPLE_SHOWN]:
        st.caption(plain(person))
        rows = part[part["identity"] == person].head(IMAGES_SHOWN)
        faces(data.dataset_id, [Face(int(image)) for image in rows["image_id"]], f"people:{person}", 72)
    return group


def pairs(data: Dataset, group: str) -> None:
    """How many pairs there are, and a few of the group's."""
    st.subheader("Pairs", anchor=False)
    by = data.pairs.groupby(["protocol", "group"], sort=False)
    table = by.agg(genuine=("genuine", "sum"), pairs=("genuine", "size"), folds=("fold", "nunique"))
    table.insert(1, "impostor", table["pairs"] - table["genuine"])
    st.dataframe(table.reset_index(), hide_index=True)
    protocol = data.pairs["protocol"].iloc[-1] if len(data.pairs) else ""
    of_group = data.pairs_of(protocol)
    of_group = of_group[of_group["group"] == group]
    titles = ((True, "the same person"), (False, "different people, chosen to be alike"))
    for column, (genuine, title) in zip(st.columns(2), titles, strict=True):
        with column:
            st.markdown(f"**{title}**")
            some = of_group[of_group["genuine"] == genuine].head(PAIRS_SHOWN)
            both = [
                Face(int(i), f"pair {row.pair_id}") for row in some.itertuples() for i in (row.image_a, row.image_b)
            ]
            faces(data.dataset_id, both, f"pairs:{genuine}", 84)


def parts(data: Dataset) -> None:
    """Images and people of every part and group."""
    st.subheader("Parts", anchor=False)
    by = data.images.groupby(["split", "group", "source"], sort=False)
    table = by.agg(images=("image_id", "size"), people=("identity", "nunique")).reset_index()
    st.dataframe(table, hide_index=True, height=38 + 35 * min(len(table), 16))
    st.caption(f"Fingerprint {data.fingerprint[:16]}: another fingerprint is other data.")
