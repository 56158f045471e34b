"""Fairness: how the system's errors differ between groups, and what of it is more than chance."""

import streamlit as st

from fairlab.evaluation.operating import OperatingPoint
from fairlab.ui.fairness import differing, measures, reasons, repairing, reporting
from fairlab.ui.frame import cached, caveats
from fairlab.ui.frame.numbers import pick_protocol
from fairlab.ui.frame.overlaps import overlap_note
from fairlab.ui.frame.page import start, stop
from fairlab.ui.frame.pickers import pick_models, pick_space, title_of, trained_on
from fairlab.ui.judge import behind, chosen, counted, protocols
from fairlab.ui.judge.evidence import evidence, fdr_of, pick_attributes, too_many
from fairlab.ui.judge.operating import pick_operating_point
from fairlab.ui.verification import figures

lab = start("Fairness", "Error rates of each group, with intervals; never one number alone.")
shown = pick_models(lab, "numbers")
data = cached.dataset(lab, shown.dataset_id)
left, middle, right = st.columns([2, 1, 1.3])
with left:
    run = pick_space("Model", shown.models, "model", ("student", "adaptor", "baseline", "teacher"))
with middle:
    protocol = pick_protocol(lab, run, shown.dataset_id)
with right:
    by = pick_attributes(data)
picked = chosen.pick_selection(lab, data)
overlap_note(lab, trained_on(lab, run), shown.dataset_id)
caveats.show(data, [run])
if not protocol or too_many(run, data, protocol, picked):
    figures.stored(lab, run, data, protocol, picked)
    counted.matrix(run, data, OperatingPoint("pooled", 0.01))
    protocols.panel(lab, run, data)
    stop()
found = evidence(lab, run, data, protocol, by, picked)
point, at = pick_operating_point(found)
at = measures.adjust(at)
measures.summary(at, found)
measures.cards(at)
st.subheader("Rates per group", anchor=False)
measures.rates(at, found)
st.subheader("Is the spread more than chance?", anchor=False)
measures.bands(at)
st.subheader("Fairness measures", anchor=False)
measures.metric_tables(at)
st.subheader("From strict to loose", anchor=False)
measures.discrepancy(fdr_of(found), at)
st.subheader("Between groups", anchor=False)
if picked is not None or not counted.matrix(run, data, point):
    measures.matrix(at, found)
    protocols.panel(lab, run, data)
behind.sections(lab, found, point, shown.models, data, by)
reasons.panel(lab, found, point, run, data)
if picked is None:
    reporting.panel(lab, run, data, point, protocol)
    st.subheader("Repair without training", anchor=False)
    repairing.panel(lab, run, data, point, protocol)
st.subheader("Comparison with another model", anchor=False)
titles = {model.run_id: title_of(model, shown.models) for model in shown.models}
differing.against(lab, found, point, shown.models, titles, data, by)
