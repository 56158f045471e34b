"""The faces of a selection, and the neighbours of one face in each space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import streamlit as st

from fairlab.data.dataset import Dataset
from fairlab.store.index import neighbours
from fairlab.ui.frame import choices
from fairlab.ui.frame.gallery import Face, faces
from fairlab.ui.frame.page import plain
from fairlab.ui.spaces import selection
from fairlab.ui.spaces.maps import Side, among
from fairlab.workspace import Workspace

SHOWN_FACES, NEAREST = 60, 12


def chosen_faces(data: Dataset, drawn: bool = True) -> None:
    """The selected images as faces, their groups counted; a click asks for a face's neighbours. drawn: maps are shown."""
    chosen = selection.selected(data.dataset_id)
    images = data.images
    chosen = None if chosen is None else chosen[(chosen >= 0) & (chosen < len(images))]
    if chosen is None or len(chosen) == 0:
        if drawn:
            st.info(
                "Draw a lasso or a box around points, click one, or find people by name: their faces appear here.",
                icon=":material/gesture:",
            )
        return
    part = images.iloc[chosen]
    counts = ", ".join(f"{plain(group)} {count}" for group, count in part["group"].value_counts().items())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(
            f"**{len(chosen):,} of {len(images):,} images selected**, {part['identity'].nunique():,} people: {counts}"
        )
        if st.button("Clear", icon=":material/close:", key="clear"):
            selection.select(data.dataset_id, None)
            st.rerun()
    spaced = part.iloc[np.unique(np.linspace(0, len(part) - 1, min(len(part), SHOWN_FACES)).astype(int))]
    asked = choices.asked(selection.FACE, data.dataset_id)
    shown = [
        Face(int(row.image_id), row.identity, row.group, state="chosen" if [str(row.image_id)] == asked else "")
        for row in spaced.itertuples()
    ]
    _ask(data, faces(data.dataset_id, shown, "selected", pictures=data.has_images))
    if len(part) > SHOWN_FACES:
        st.caption(
            f"Showing {SHOWN_FACES} of {len(part):,}, evenly spaced. Click a face for its neighbours in both spaces."
        )


def _ask(data: Dataset, clicked: int | None) -> None:
    if clicked is not None and choices.asked(selection.FACE, data.dataset_id) != [str(clicked)]:
        choices.choose(selection.FACE, [str(clicked)], data.dataset_id)
        st.rerun()


def asked_face(data: Dataset) -> int | None:
    """The face whose neighbours the link asks for."""
    asked = choices.asked(selection.FACE, data.dataset_id)
    choices.show(selection.FACE, asked)
    if not asked:
        return None
    if not asked[-1].isdecimal() or int(asked[-1]) >= len(data.images):
        st.warning(
            plain(f"Image {asked[-1][:20]} of this link is not in this data set; click a face instead."),
            icon=":material/link_off:",
        )
        choices.show(selection.FACE, [])
        return None
    return int(asked[-1])


def neighbour_panels(
    lab: Workspace, data: Dataset, sides: Sequence[Side], image_id: int, splits: Sequence[str] = ()
) -> None:
    """The nearest faces of one face in each space, among these parts of the data; another person is marked."""
    images = data.images.set_index("image_id")
    me = images.loc[image_id]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Nearest neighbours", anchor=False)
        if st.button("Close", icon=":material/close:", key="close"):
            choices.choose(selection.FACE, [])
            st.rerun()
    picture, words = st.columns([1, 7], vertical_alignment="center")
    with picture:
        if data.has_images:
            faces(data.dataset_id, [Face(image_id, state="chosen")], "query", 104)
    words.markdown(
        f"**{plain(me['identity'])}**, {plain(me['group'])}, {plain(me['split'])} (image {image_id}).  \n"
        "Green frame: the same person. Red frame: another person, named."
    )
    columns = [column for _ in range(0, len(sides), 2) for column in st.columns(2, gap="medium", border=True)]
    for column, item in zip(columns, sides, strict=False):
        with column:
            embeddings, index = among(lab, item.run.run_id, data.dataset_id, splits)
            found = neighbours(index, embeddings, image_id, NEAREST)
            shown = [_face(row.image_id, row.score, images.loc[row.image_id], me) for row in found.itertuples()]
            right = sum(face.state == "right" for face in shown)
            mine = images.loc[images.index.isin(index.ids) & (images["identity"] == me["identity"])]
            most = min(len(mine.drop(index=image_id, errors="ignore")), len(shown))
            st.markdown(
                f"**{plain(item.run.title)}**: {right} of the {len(shown)} nearest are the same person (at most "
                f"{most} possible)"
            )
            _ask(data, faces(data.dataset_id, shown, f"near:{item.name}", pictures=data.has_images))
            exact = "exact search" if index.recall == 1 else f"approximate search, recall {index.recall:.2f}"
            parts = f" Among {', '.join(splits)} only." if splits else ""
            st.caption(
                f"Number under a face: cosine in {embeddings.vectors.shape[1]} dimensions; {exact}.{plain(parts)}"
            )


def _face(image_id: int, score: float, other: pd.Series, me: pd.Series) -> Face:
    if other["identity"] == me["identity"]:
        return Face(int(image_id), other["identity"], f"{score:.3f}", "same person", "right")
    mark = "another person" if other["group"] == me["group"] else "another group"
    return Face(int(image_id), other["identity"], f"{score:.3f}", mark, "wrong")
