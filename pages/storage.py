"""Storage: what lies on the disk, archives, and deletion that says first what it reaches."""

import streamlit as st

from fairlab.ui.frame import cached
from fairlab.ui.frame.page import start
from fairlab.ui.storage import parts

lab = start(
    "Storage", "Disk use, free space, export, import and deletion. Nothing is deleted before you have seen the list."
)
parts.overview(lab)
st.subheader("Free space", anchor=False)
parts.room_to_make(lab)
st.subheader("Archives", anchor=False)
parts.take_away(lab)
if cached.datasets(lab):
    st.subheader("Delete a data set or a study", anchor=False)
    parts.delete_whole(lab)
    st.subheader("Delete a person", anchor=False)
    parts.delete_person(lab)
    st.subheader("Age limits", anchor=False)
    parts.age_limit(lab)
