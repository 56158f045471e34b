"""Models: those trained here and those from files; add one, judge any on any data set."""

import streamlit as st

from fairlab.compare.models import list_models
from fairlab.files import app_root
from fairlab.ui.frame import cached
from fairlab.ui.frame.page import start, stop
from fairlab.ui.models import parts, study_folders

lab = start(
    "Models", "Every model in this workspace, trained here or added from a file. Evaluate any of them on any data set."
)
models = list_models(lab)
parts.form(lab, open_at_first=models.empty)
study_folders.form(lab)
if models.empty:
    st.info("No models yet: add one from a file, or train some on Launch.", icon=":material/info:")
    stop()
parts.table(models)
st.subheader("Evaluate a model on a data set", anchor=False)
if cached.datasets(lab):
    parts.judge(lab, models)
else:
    st.info("No data set to evaluate a model on yet.", icon=":material/info:")
    if st.button("Add a data set", type="primary", icon=":material/add_photo_alternate:", key="to data"):
        st.switch_page(app_root() / "pages" / "data.py")
