"""Storage: what lies on the disk, archives, and deletion that says first what it reaches."""

import streamlit as st

from fairlab.ui import cached, storing
from fairlab.ui.page import start

lab = start("Storage", "Disk use, free space, export, import and delete. What is deleted is listed first.")
storing.overview(lab)
st.subheader("Free space", anchor=False)
storing.room_to_make(lab)
st.subheader("Archives", anchor=False)
storing.take_away(lab)
if cached.datasets(lab):
    st.subheader("Delete a data set or a study", anchor=False)
    storing.delete_whole(lab)
    st.subheader("Delete a person", anchor=False)
    storing.delete_person(lab)
    st.subheader("Age limits", anchor=False)
    storing.age_limit(lab)
