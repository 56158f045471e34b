"""Fairness: how the system's errors differ between groups, and what of it is more than chance."""

import streamlit as st

from fairlab.ui import cached, judging
from fairlab.ui.numbers import download, metrics_of, pick_point, pick_protocol
from fairlab.ui.overlaps import overlap_note
from fairlab.ui.page import start
from fairlab.ui.pickers import pick_space, pick_study

lab = start("Fairness", "Errors of the system for each group, with intervals; never one number alone.")
study, models = pick_study(lab, needs_numbers=True)
left, middle, right = st.columns([2, 1, 1])
with left:
    run = pick_space("Model", models, "model", ("student", "adaptor", "baseline", "teacher"))
with middle:
    protocol = pick_protocol(lab, run)
with right:
    point = pick_point(lab, study.study_id)
groups, metrics = cached.dataset(lab, run.dataset).groups, metrics_of(lab, run, protocol)
overlap_note(lab, run.dataset, run.dataset)
judging.verdict(metrics, groups, point)
st.subheader("Rates per group", anchor=False)
judging.rates(metrics, groups, point)
st.subheader("Is the spread more than chance?", anchor=False)
judging.bands(metrics)
st.subheader("Metrics of unfairness", anchor=False)
st.table(judging.metric_table(metrics, point), border="horizontal", hide_index=True)
download(metrics, f"metrics-{run.run_id}-{protocol}")
