"""Verification: who is taken for whom, per group: ROC, TAR at FAR, scores."""

import streamlit as st

from fairlab.ui import cached, protocols, verifying
from fairlab.ui.numbers import metrics_of, pick_point, pick_protocol
from fairlab.ui.overlaps import overlap_note
from fairlab.ui.page import start
from fairlab.ui.pickers import choose_many, pick_models, pick_space, title_of, trained_on

lab = start(
    "Verification", "Two images: the same person or not? Rates per group, with 95 % intervals over redrawn people."
)
shown = pick_models(lab, "numbers")
columns = st.columns([2, 1.3, 1, 2])
with columns[0]:
    run = pick_space("Model", shown.models, "model", ("student", "adaptor", "baseline", "teacher"))
with columns[1]:
    protocol = pick_protocol(lab, run, shown.dataset_id)
with columns[2]:
    point = pick_point(run, shown.dataset_id)
data = cached.dataset(lab, shown.dataset_id)
titles = {model.run_id: title_of(model, shown.models) for model in shown.models}
with columns[3]:
    more = choose_many(
        "Beside it",
        [name for name in titles if name != run.run_id],
        "over",
        titles,
        placeholder="other models",
        help="Other models of the study in the same figure, told apart by the line.",
    )
metrics = metrics_of(lab, run, shown.dataset_id, protocol)
overlap_note(lab, trained_on(lab, run), shown.dataset_id)
verifying.roc(lab, (run.run_id, *more), protocol, data, titles)
st.subheader("True accept rate at a false match rate", anchor=False)
verifying.tar_tables(metrics, data, run, protocol)
st.subheader("Scores", anchor=False)
verifying.scores(lab, run, protocol, data, metrics, point)
protocols.panel(lab, run, data, protocol, point)
