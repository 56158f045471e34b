"""Runs: what works and how far it is; curves, log, stop, resume, delete."""

import streamlit as st

from fairlab.runs.compare import read_study, studies
from fairlab.store.database import list_runs
from fairlab.ui.live import run_panel, runs_table
from fairlab.ui.page import empty, start
from fairlab.ui.pickers import choose

lab = start("Runs", "Every run is a process of its own: closing the browser or the app stops nothing.")
runs = list_runs(lab)
if runs.empty:
    empty(
        "Teachers, adaptors and students are shown here while they train.",
        "Nothing has been started yet.",
        "fairlab demo",
    )
known = studies(lab)
names = {"all": "all studies", **dict(zip(known["study_id"], known["title"] + " · " + known["study_id"], strict=True))}
options = list(names)
study = choose("Study", options, "study", names, index=1 if len(options) > 1 else 0)
run_ids = None if study == "all" else list(read_study(lab, study).run_ids)
shown = runs if run_ids is None else runs[runs["run_id"].isin(run_ids)]
live = bool(shown["status"].isin(["running", "queued"]).any())
runs_table(lab, run_ids, live)
if shown.empty:
    st.caption("The runs of this study have been deleted.")
    st.stop()
titles = {row.run_id: f"{row.title} · {row.run_id}" for row in shown.itertuples()}
first = next((n for n, status in enumerate(shown["status"]) if status == "running"), 0)
st.subheader("One run", anchor=False)
run_panel(lab, choose("Run", list(titles), "run", titles, index=first))
