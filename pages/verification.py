"""Verification: who is taken for whom, per group: ROC, TAR at FAR, scores."""

import pandas as pd
import streamlit as st

from fairlab.plots.verification import histogram_figure, roc_figure
from fairlab.ui import cached
from fairlab.ui.numbers import download, metrics_of, one, pick_point, pick_protocol, tar_table
from fairlab.ui.page import chart_config, plain, start
from fairlab.ui.pickers import choose, pick_space, pick_study, title_of

lab = start("Verification", "Two images: the same person or not? Rates per group, with 95 % intervals over redrawn people.")
study, models = pick_study(lab)
left, right, third = st.columns([2, 1, 1])
with left:
    run = pick_space("Model", models, "model", ("student", "adaptor", "baseline", "teacher"))
with right:
    protocol = pick_protocol(lab, run)
with third:
    point = pick_point(lab, study.study_id)
data = cached.dataset(lab, run.dataset)
titles = {model.run_id: title_of(model, models) for model in models}
more = st.multiselect("Overlay", [name for name in titles if name != run.run_id], format_func=titles.get, key="over", bind="query-params", help="Other models of the study in the same figure.")
curves = pd.concat([cached.results(lab, name, "curves") for name in (run.run_id, *more)])
st.plotly_chart(roc_figure(curves[curves["protocol"] == protocol], data.groups, titles), theme=None, config=chart_config(), key="roc", alt="ROC per group")
st.caption("Left is strict: few strangers let in. The band is the 95 % interval of the TAR; it is drawn for one model at a time.")

st.subheader("True accept rate at a false match rate", anchor=False)
metrics = metrics_of(lab, run, protocol)
table = tar_table(metrics, data.groups)
st.dataframe(table, hide_index=True)
st.caption(
    "In percent, with 95 % intervals. One threshold: the same for everybody, as in use. Own threshold: each group its own, as papers print it, "
    "which hides that groups need different thresholds. Not measurable: fewer than ten false matches could be expected."
)
download(table, f"tar-{run.run_id}-{protocol}")

st.subheader("Scores", anchor=False)
group = choose("Group", list(data.groups), "group", {})
pairs = data.pairs_of(protocol).merge(cached.results(lab, run.run_id, "scores"), on="pair_id")
found = one(metrics, "threshold", point=point)
threshold = None if found is None else float(found["value"])
st.plotly_chart(histogram_figure(pairs[pairs["group"] == group], threshold), theme=None, config=chart_config(), key="scores", alt="scores of genuine and impostor pairs")
st.caption(f"{plain(group)}: impostors right of the threshold are false matches, genuine pairs left of it are false non-matches.")
