"""Fairness: how the system's errors differ between groups, and what of it is more than chance."""

import streamlit as st

from fairlab.evaluation.operating import OperatingPoint
from fairlab.ui import cached, caveats, counted, differing, judging, protocols, verifying
from fairlab.ui.evidence import evidence, fdr_of, pick_attributes, too_many
from fairlab.ui.numbers import pick_protocol
from fairlab.ui.operating import pick_operating_point
from fairlab.ui.overlaps import overlap_note
from fairlab.ui.page import start, stop
from fairlab.ui.pickers import pick_models, pick_space, title_of, trained_on

lab = start("Fairness", "Errors of the system for each group, with intervals; never one number alone.")
shown = pick_models(lab, "numbers")
data = cached.dataset(lab, shown.dataset_id)
left, middle, right = st.columns([2, 1, 1.3])
with left:
    run = pick_space("Model", shown.models, "model", ("student", "adaptor", "baseline", "teacher"))
with middle:
    protocol = pick_protocol(lab, run, shown.dataset_id)
with right:
    by = pick_attributes(data)
overlap_note(lab, trained_on(lab, run), shown.dataset_id)
caveats.show(data, [run])
if not protocol or too_many(run, data, protocol):
    verifying.stored(lab, run, data, protocol)
    counted.matrix(run, data, OperatingPoint("pooled", 0.01))
    protocols.panel(lab, run, data)
    stop()
found = evidence(lab, run, data, protocol, by)
point, at = pick_operating_point(found)
at = judging.adjust(at)
judging.summary(at, found)
judging.cards(at)
st.subheader("Rates per group", anchor=False)
judging.rates(at, found)
st.subheader("Is the spread more than chance?", anchor=False)
judging.bands(at)
st.subheader("Measures of unfairness", anchor=False)
judging.metric_tables(at)
st.subheader("From strict to loose", anchor=False)
judging.discrepancy(fdr_of(found), at)
st.subheader("Between groups", anchor=False)
if not counted.matrix(run, data, point):
    judging.matrix(at, found)
    protocols.panel(lab, run, data)
st.subheader("Against another model", anchor=False)
titles = {model.run_id: title_of(model, shown.models) for model in shown.models}
differing.against(lab, found, point, shown.models, titles, data, by)
