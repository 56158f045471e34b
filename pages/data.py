"""Data: the images, people, groups and pairs of a data set."""

import streamlit as st

from fairlab.ui.data import adding, albums, moving, recipes, sharing, traits
from fairlab.ui.frame import caveats, overlaps, ways
from fairlab.ui.frame.page import start, stop
from fairlab.ui.frame.pickers import pick_dataset

lab = start("Data", "Images, people and groups of a data set, and the pairs that models are evaluated on.")
adding.form(lab)
data = pick_dataset(lab)
recipes.form(lab, data)
albums.summary(data)
caveats.show(data)
if not moving.panel(lab, data):
    stop()
st.subheader("Faces", anchor=False)
group = albums.people(data)
st.subheader("Mean face of each group", anchor=False)
albums.mean_faces(data)
st.subheader("Pairs", anchor=False)
if data.pairs.empty:
    ways.pairs(lab, data)
else:
    albums.pairs(data, group)
st.subheader("Images by part and group", anchor=False)
st.dataframe(albums.counts(data), hide_index=True)
st.subheader("Soft group shares", anchor=False)
sharing.panel(lab, data)
st.subheader("Traits of images", anchor=False)
traits.panel(lab, data)
st.subheader("Train/test overlap", anchor=False)
overlaps.panel(lab, data)
st.caption(f"Fingerprint {data.fingerprint[:16]}: a different fingerprint means different data.")
