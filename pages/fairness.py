"""Fairness: how the system's errors differ between groups, and what of it is more than chance."""

import pandas as pd
import streamlit as st

from fairlab.evaluation.fairness import FAIRNESS_METRICS
from fairlab.plots.fairness import band_figure, rate_figure
from fairlab.tables import ALL_GROUPS
from fairlab.ui import cached
from fairlab.ui.judging import group_sentence, spread_sentence
from fairlab.ui.numbers import download, metrics_of, number, one, percent, pick_point, pick_protocol
from fairlab.ui.page import chart_config, plain, start
from fairlab.ui.pickers import pick_space, pick_study

lab = start("Fairness", "Errors of the system for each group, with intervals; never one number alone.")
study, models = pick_study(lab)
left, middle, right = st.columns([2, 1, 1])
with left:
    run = pick_space("Model", models, "model", ("student", "adaptor", "baseline", "teacher"))
with middle:
    protocol = pick_protocol(lab, run)
with right:
    point = pick_point(lab, study.study_id)
groups, metrics = cached.dataset(lab, run.dataset).groups, metrics_of(lab, run, protocol)
st.info(plain(f"{spread_sentence(metrics)} {group_sentence(metrics, groups, point)}"), icon=":material/balance:")

mean, std, ser = (one(metrics, name) for name in ("mean_accuracy", "std_points", "ser"))
for column, (label, text, help_) in zip(st.columns(4), [
    ("Mean accuracy", f"{percent(mean['value'], mean['low'], mean['high'])} %" if mean is not None else "n/a", "Mean of the groups' accuracies, ten folds each, threshold per group as in the papers."),
    ("STD, points", number(std["value"], std["low"], std["high"]) if std is not None else "n/a", "Sample standard deviation of the accuracies. The interval leans upwards: redrawing adds spread."),
    ("SER", number(ser["value"], ser["low"], ser["high"]) if ser is not None else "n/a", "Largest error divided by smallest error."),
    ("Pairs", f"{int(metrics.iloc[0]['genuine_pairs']):,} + {int(metrics.iloc[0]['impostor_pairs']):,}", "Genuine and impostor pairs of a group."),
], strict=True):
    column.metric(label, text, border=True, help=help_)

first, second, third = st.columns(3)
for column, (metric, title, at) in zip((first, second, third), [("accuracy", "accuracy (threshold per group)", ""), ("fmr", "FMR at one threshold", point), ("fnmr", "FNMR at one threshold", point)], strict=True):
    rows = metrics[(metrics["metric"] == metric) & (metrics["operating_point"] == at)]
    pooled = rows[rows["group"] == ALL_GROUPS]
    with column:
        if rows[rows["group"] != ALL_GROUPS].empty:
            st.warning("Not measurable at this operating point: too few impostor pairs.")
            continue
        st.plotly_chart(rate_figure(rows, groups, title, None if pooled.empty else float(pooled.iloc[0]["value"])), theme=None, config=chart_config(), key=f"rate:{metric}", alt=title)
for name, label, fair in (("std_points", "STD", 0.0), ("ser", "SER", 1.0)):
    value, band = one(metrics, name), one(metrics, f"{name}_fair_p95")
    if value is not None and band is not None and value["value"] == value["value"]:
        st.plotly_chart(band_figure(value["value"], value["low"], value["high"], band["value"], band["high"], label, fair), theme=None, config=chart_config(), key=f"band:{name}", alt=f"{label} and the fair band")
st.caption("Green: what a perfectly fair model of this accuracy would show by chance on these pairs (95 %, dotted: median).")

rows = []
for name in FAIRNESS_METRICS:
    facts = FAIRNESS_METRICS.facts(name)
    found = one(metrics, name, point=point if facts["of"] == "rates" else "")
    shown = "not measurable here" if found is None else number(found["value"], found["low"], found["high"], 3)
    rows.append({"Metric": facts["title"], "Value [95 %]": shown, "Fair is": facts["fair_value"], "Formula": facts["formula"], "Trap": facts["trap"], "Source": facts["source"]})
st.dataframe(pd.DataFrame(rows), hide_index=True)
download(metrics, f"metrics-{run.run_id}-{protocol}")
