"""The data page's parts: people with their images, pairs side by side, counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from fairlab.data.dataset import Dataset
from fairlab.data.images import mean_face
from fairlab.ui.frame import choices
from fairlab.ui.frame.gallery import Face, faces
from fairlab.ui.frame.page import facts, plain
from fairlab.ui.frame.pickers import choose

PEOPLE, IMAGES_EACH, PAIRS = 5, 12, 6
FROM = "first"
"""The link's parameter: the number of the first person shown."""


def summary(data: Dataset) -> None:
    """How much there is of what, and what the data set says of itself."""
    images, pairs = data.images, data.pairs
    facts(
        (
            "Images",
            f"{len(images):,}",
            "",
            f"{data.image_px} x {data.image_px} pixels, RGB." if data.has_images else "By name only.",
        ),
        ("People", f"{images['identity'].nunique():,}", "", "Over all parts; no person is in two parts."),
        (
            f"Groups by {plain(data.attribute)}",
            str(len(data.groups)),
            "",
            "Groups as named in the data; FairLab never infers them.",
        ),
        ("Pairs", f"{len(pairs):,}", "", "Genuine and impostor comparisons that models are evaluated on."),
    )
    if data.info.get("notes"):
        st.caption(plain(data.info["notes"]))


def mean_faces(data: Dataset) -> None:
    """The mean image of every group, as many in a row as there is width for."""
    if not data.has_images:
        st.caption("None: this data set came as a table of names and pairs.")
        return
    with st.container(horizontal=True):
        for group in data.groups:
            face = np.kron(mean_face(data, group), np.ones((4, 4, 1), np.uint8))
            st.image(face, caption=plain(group), width=170)
    st.caption("Eyes and a mouth show that the images are aligned; a uniform blur shows that they are not.")


def people(data: Dataset) -> str:
    """Images of some people of one part and group; returns the group chosen."""
    images = data.images
    left, middle, right = st.columns(3)
    with left:
        split = choose("Part", list(dict.fromkeys(images["split"])), "split", {}, of=data.dataset_id)
    with middle:
        group = choose("Group", list(data.groups), "group", {}, of=data.dataset_id)
    part = images[(images["split"] == split) & (images["group"] == group)]
    names = list(dict.fromkeys(part["identity"]))
    last = max(len(names) - PEOPLE + 1, 1)
    with right:
        first = _from_person(last, f"{data.dataset_id} {split} {group}")
    if not names:
        st.info(f"{plain(group)} has no images in this part.")
    if not data.has_images:
        st.dataframe(part[part["identity"].isin(names[int(first) - 1 :][:PEOPLE])], hide_index=True)
        return group
    for name in names[int(first) - 1 :][:PEOPLE]:
        rows = part[part["identity"] == name].head(IMAGES_EACH)
        label, pictures = st.columns([1, 6], vertical_alignment="center")
        label.caption(plain(name))
        with pictures:
            faces(data.dataset_id, [Face(int(image)) for image in rows["image_id"]], f"people:{name}", 72)
    return group


def _from_person(last: int, of: str) -> int:
    """The number of the first person shown; a choice in the link, which begins anew with each part and group."""
    asked = choices.asked(FROM, of)
    first = min(int(asked[-1]), last) if asked and asked[-1].isdecimal() and int(asked[-1]) else 1
    choices.place(FROM, first)
    number = int(
        st.number_input(
            "Start at person number", 1, last, step=PEOPLE, key=FROM, on_change=choices.taken, args=(FROM, of)
        )
    )
    choices.placed(FROM)
    choices.show(FROM, [str(number)])
    return number


def pairs(data: Dataset, group: str) -> None:
    """Some genuine and impostor pairs of a group, and how many there are."""
    final = data.pairs[(data.pairs["group"] == group) & (data.pairs["protocol"] == data.pairs["protocol"].iloc[-1])]
    for column, genuine, title in zip(st.columns(2), (True, False), ("The same person", "Two people"), strict=True):
        some = final[final["genuine"] == genuine].iloc[:: max(1, len(final) // 2 // PAIRS)].head(PAIRS)
        both = [Face(int(image)) for row in some.itertuples() for image in (row.image_a, row.image_b)]
        with column:
            st.markdown(f"**{title}**")
            if data.has_images:
                faces(data.dataset_id, both, f"pairs:{genuine}", 66, together=2)
            else:
                names = data.images["location"].astype(str)
                shown = {side: names.loc[some[side]].tolist() for side in ("image_a", "image_b")}
                st.dataframe(pd.DataFrame({**shown}), hide_index=True)
    counts = data.pairs.groupby(["protocol", "group"], sort=False).agg(
        genuine=("genuine", "sum"), all=("genuine", "size"), folds=("fold", "nunique")
    )
    counts.insert(1, "impostor", counts["all"] - counts["genuine"])
    st.dataframe(counts.reset_index().drop(columns="all"), hide_index=True)


def counts(data: Dataset) -> pd.DataFrame:
    """Images and people of every part and group."""
    table = data.images.groupby(["split", "source", "group"], sort=False).agg(
        images=("image_id", "size"), people=("identity", "nunique")
    )
    return table.reset_index().rename(columns={"split": "part"})
