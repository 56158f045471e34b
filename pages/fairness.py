"""Fairness: how the system's errors differ between groups, and what of it is more than chance."""

import streamlit as st

from fairlab.ui import cached, judging
from fairlab.ui.numbers import download, metrics_of, pick_point, pick_protocol
from fairlab.ui.overlaps import overlap_note
from fairlab.ui.page import start
from fairlab.ui.pickers import pick_models, pick_space, trained_on

lab = start("Fairness", "Errors of the system for each group, with intervals; never one number alone.")
shown = pick_models(lab, "numbers")
left, middle, right = st.columns([2, 1, 1])
with left:
    run = pick_space("Model", shown.models, "model", ("student", "adaptor", "baseline", "teacher"))
with middle:
    protocol = pick_protocol(lab, run, shown.dataset_id)
with right:
    point = pick_point(run, shown.dataset_id)
groups, metrics = cached.dataset(lab, shown.dataset_id).groups, metrics_of(lab, run, shown.dataset_id, protocol)
overlap_note(lab, trained_on(lab, run), shown.dataset_id)
judging.verdict(metrics, groups, point)
st.subheader("Rates per group", anchor=False)
judging.rates(metrics, groups, point)
st.subheader("Is the spread more than chance?", anchor=False)
judging.bands(metrics)
st.subheader("Metrics of unfairness", anchor=False)
st.table(judging.metric_table(metrics, point), border="horizontal", hide_index=True)
download(metrics, f"metrics-{run.run_id}-{protocol}")
