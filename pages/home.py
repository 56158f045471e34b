"""Home: an empty workspace explains itself; a used one says what is there, what runs, what to look at next."""

import streamlit as st

from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.store.database import list_runs
from fairlab.store.studies import studies
from fairlab.ui.compare import headline
from fairlab.ui.frame.page import facts, plain, start, stop
from fairlab.ui.launch.plans import draw_plan, start_preset

lab = start("FairLab", "A lab for fair face recognition by knowledge distillation.")
runs = list_runs(lab)
if runs.empty:
    st.markdown(
        "Face recognition fails some groups of people more than others. Here you train teachers that each know one "
        "group best, fuse them into one common space, and teach it to a small student. Then you look: where each space "
        "puts every face, who is mistaken for whom, and whether a difference between groups is more than chance."
    )
    with st.container(horizontal=True):
        if st.button("Run the demo study", type="primary", icon=":material/play_arrow:", key="demo"):
            start_preset(lab, "demo_mst_kd")
        if st.button("The short version", icon=":material/bolt:", key="quick"):
            start_preset(lab, "demo_quick")
    st.caption(
        "Generated faces of people who do not exist, about ten minutes on two processor cores, about 400 MB in the "
        "workspace; nothing leaves this machine. You can close the browser: the work continues."
    )
    st.markdown("**What the demo study does**")
    draw_plan(lab, expand(load_preset("demo_mst_kd"), "demo_mst_kd", lab))
    stop()

counts = runs["status"].value_counts()
known = studies(lab)
work = runs[runs["method"] != "inspect"]  # a look at a file that is none has done its work
lost = int(work["status"].isin(["failed", "crashed", "stopped"]).sum())
facts(
    ("Studies", str(len(known)), "", "A study is a grid of runs started together."),
    ("Runs done", str(counts.get("done", 0)), "", "Their results stay in the workspace and are reused."),
    ("Working", str(counts.get("running", 0)), f"{counts.get('queued', 0)} waiting", "Each runs in its own process."),
    ("Needs attention", str(lost), "", "Runs that stopped, failed or crashed. Resume them on Runs."),
)
for study in headline.newest(lab, known):
    st.subheader(plain(study["title"]), anchor=False)
    headline.progress(lab, str(study["study_id"]))
    headline.show(lab, str(study["study_id"]))
