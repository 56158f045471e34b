"""Verification: who is taken for whom, per group: ROC, TAR at FAR, scores."""

import streamlit as st

from fairlab.ui import matching
from fairlab.ui.numbers import pick_point, pick_protocol
from fairlab.ui.page import start
from fairlab.ui.pickers import pick_space, pick_study, title_of

lab = start("Verification", "Two images: the same person or not? Rates per group, with 95 % intervals.")
study, models = pick_study(lab)
left, right, third = st.columns([2, 1, 1])
with left:
    run = pick_space("Model", models, "model", ("student", "adaptor", "baseline", "teacher"))
with right:
    protocol = pick_protocol(lab, run)
with third:
    point = pick_point(lab, study.study_id)
titles = {model.run_id: title_of(model, models) for model in models}
more = st.multiselect(
    "Overlay",
    [run_id for run_id in titles if run_id != run.run_id],
    format_func=lambda run_id: titles[run_id],
    key="over",
    bind="query-params",
    help="Other models of the study in the same figure.",
)
matching.roc(lab, [run.run_id, *more], run.dataset, protocol, titles)
matching.rates(lab, run, protocol)
matching.scores(lab, run, protocol, point)
