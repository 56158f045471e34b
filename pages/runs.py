"""Runs: what works, what waits and how far it is; curves, log; order, hold, stop, resume, clone, delete."""

import streamlit as st

from fairlab.compare.compare import imported
from fairlab.store.database import list_runs
from fairlab.store.studies import read_study, studies
from fairlab.ui.frame.page import empty, start, stop
from fairlab.ui.frame.pickers import ADDED, ALL, choose
from fairlab.ui.runs.beside import beside_panel
from fairlab.ui.runs.finding import find, study_names
from fairlab.ui.runs.live import ACTIVE, run_panel, runs_table
from fairlab.ui.runs.queue import queue_panel, study_buttons

lab = start("Runs", "Every run is its own process: closing the browser or the app does not stop it.")
runs = list_runs(lab)
if runs.empty:
    empty(
        "Teachers, adaptors and students appear here while they train.",
        "Nothing has been started yet.",
        "fairlab demo",
    )
known = studies(lab)
names = {ALL: "all runs", **study_names(known)}
first = 1 if len(names) > 1 else 0
added = [model.run_id for model in imported(lab)]
names |= {ADDED: "models added from files"} if added else {}
study = choose("Study", list(names), "study", names, index=first)
run_ids = None if study == ALL else added if study == ADDED else list(read_study(lab, study).run_ids)
shown = runs if run_ids is None else runs[runs["run_id"].isin(run_ids)]
if shown.empty:
    st.info("The runs of this study have been deleted.", icon=":material/info:")
    stop()
everything, shown = shown, find(shown)
if shown.empty:
    st.info("No run matches; remove a word or a filter.", icon=":material/search_off:")
    stop()
run_ids = run_ids if len(shown) == len(everything) else shown["run_id"].tolist()
runs_table(lab, run_ids, bool(shown["status"].isin(ACTIVE).any()), "run", "" if study in (ALL, ADDED) else study)
if study not in (ALL, ADDED):
    study_buttons(lab, study, everything)
queue_panel(lab, runs, "queue")
beside_panel(lab, runs)
titles = {row.run_id: f"{row.title} · {row.run_id}" for row in shown.itertuples()}
worth = [*shown.index[shown["status"] == "running"], *shown.index[shown["role"] == "student"], shown.index[0]]
st.subheader("One run", anchor=False)
run_panel(lab, choose("Run", list(titles), "run", titles, index=shown.index.get_loc(worth[0])))
