"""Home: an empty workspace explains itself; a used one says what is there, what runs, what to look at next."""

import streamlit as st

from fairlab.files import app_root
from fairlab.runs.compare import studies
from fairlab.store.database import list_runs
from fairlab.ui import headline
from fairlab.ui.launching import start_preset
from fairlab.ui.page import plain, start

lab = start("FairLab", "A lab for fair face recognition by knowledge distillation.")
runs = list_runs(lab)
if runs.empty:
    st.markdown(
        "Face recognition fails some groups of people more than others. Here you train teachers that each know one "
        "group best, fuse them into one common space, and teach it to a small student. Then you look: where each space "
        "puts every face, who is taken for whom, and whether a difference between groups is more than chance."
    )
    with st.container(horizontal=True):
        if st.button("Run the demo study", type="primary", icon=":material/play_arrow:", key="demo"):
            start_preset(lab, "demo_mst_kd")
        if st.button("The short version", icon=":material/bolt:", key="quick"):
            start_preset(lab, "demo_quick")
    st.caption(
        "Generated faces of people who do not exist, about ten minutes on two processor cores, about 150 MB in the "
        "workspace; nothing leaves this machine. You may close the browser: the work goes on."
    )
    st.stop()

counts = runs["status"].value_counts()
known = studies(lab)
for column, (label, value) in zip(
    st.columns(5),
    [
        ("Studies", len(known)),
        ("Runs done", int(counts.get("done", 0))),
        ("Running", int(counts.get("running", 0))),
        ("Waiting", int(counts.get("queued", 0))),
        ("Need a look", int(sum(counts.get(name, 0) for name in ("failed", "crashed", "stopped")))),
    ],
    strict=True,
):
    column.metric(label, value, border=True)
if not known.empty:
    newest = known.iloc[0]
    st.subheader(plain(newest["title"]), anchor=False)
    st.progress(newest["done"] / max(newest["runs"], 1), f"{newest['done']} of {newest['runs']} runs done")
    headline.show(lab, str(newest["study_id"]))
    st.markdown("**What to look at next**")
    with st.container(horizontal=True):
        link = {"study": str(newest["study_id"])}
        for name, label, icon in [
            ("spaces", "A teacher beside the common space", "scatter_plot"),
            ("verification", "ROC per group", "fingerprint"),
            ("fairness", "Differences and chance", "balance"),
            ("compare", "All models as a table", "table_rows"),
        ]:
            st.page_link(app_root() / "pages" / f"{name}.py", label=label, icon=f":material/{icon}:", query_params=link)
