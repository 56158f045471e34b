"""Data: the images, people, groups and pairs of a data set."""

import numpy as np
import streamlit as st

from fairlab.data.images import mean_face
from fairlab.ui.gallery import Face, faces
from fairlab.ui.page import plain, start
from fairlab.ui.pickers import choose, pick_dataset

lab = start("Data", "What a data set holds: images, people, groups, and the pairs that models are judged on.")
data = pick_dataset(lab)
images, pairs = data.images, data.pairs
shown = st.columns(5)
for column, (label, value) in zip(
    shown, [("Images", len(images)), ("People", images["identity"].nunique()), (plain(data.attribute), len(data.groups)), ("Pairs", len(pairs)), ("Pixels", f"{data.image_px} x {data.image_px}")], strict=True,
):
    column.metric(label, f"{value:,}" if isinstance(value, int) else value, border=True)
if data.info.get("notes"):
    st.caption(plain(data.info["notes"]))

st.subheader("Mean face of each group", anchor=False)
for column, group in zip(st.columns(max(len(data.groups), 4)), data.groups, strict=False):
    column.image(np.kron(mean_face(data, group), np.ones((3, 3, 1), np.uint8)), caption=plain(group))
st.caption("Aligned images give a face; a blur would mean that they are not aligned.")

st.subheader("Faces", anchor=False)
left, middle, right = st.columns(3)
with left:
    split = choose("Part", list(dict.fromkeys(images["split"])), "split", {})
with middle:
    group = choose("Group", list(data.groups), "group", {})
part = images[(images["split"] == split) & (images["group"] == group)]
people = list(dict.fromkeys(part["identity"]))
with right:
    first = st.number_input("From person number", 1, max(len(people), 1), 1, 5, key="d_from", bind="query-params")
for person in people[int(first) - 1 : int(first) + 4]:
    rows = part[part["identity"] == person].head(12)
    faces(data.dataset_id, [Face(int(image), person if n == 0 else "") for n, image in enumerate(rows["image_id"])], f"people:{person}", 72)

st.subheader("Pairs", anchor=False)
counts = pairs.groupby(["protocol", "group"], sort=False).agg(genuine=("genuine", "sum"), pairs=("genuine", "size"), folds=("fold", "nunique"))
counts.insert(1, "impostor", counts["pairs"] - counts["genuine"])
st.dataframe(counts.reset_index(), hide_index=True)
left, right = st.columns(2)
for column, genuine, title in ((left, True, "the same person"), (right, False, "different people, chosen to be alike")):
    with column:
        st.markdown(f"**{title}**")
        some = pairs[(pairs["group"] == group) & (pairs["genuine"] == genuine) & (pairs["protocol"] == pairs["protocol"].iloc[-1])].head(5)
        both = [Face(int(image), f"pair {row.pair_id}") for row in some.itertuples() for image in (row.image_a, row.image_b)]
        faces(data.dataset_id, both, f"pairs:{genuine}", 84)

st.subheader("Images by part and group", anchor=False)
table = images.groupby(["split", "group", "source"], sort=False).agg(images=("image_id", "size"), people=("identity", "nunique"))
st.dataframe(table.reset_index(), hide_index=True)
st.caption(f"Fingerprint {data.fingerprint[:16]}: another fingerprint is other data.")
