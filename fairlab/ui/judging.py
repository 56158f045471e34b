"""The parts of the Fairness page: what the numbers say in words, rates per group, spread against chance."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from fairlab.evaluation.fairness import FAIRNESS_METRICS
from fairlab.plots.fairness import band_figure, rate_figure
from fairlab.tables import ALL_GROUPS
from fairlab.ui.numbers import number, one, percent
from fairlab.ui.page import chart_config, plain

SPREADS = (("std_points", "STD", 0.0), ("ser", "SER", 1.0))


def spread_sentence(metrics: pd.DataFrame) -> str:
    """Is the spread of the groups' accuracies more than chance would show?"""
    std, band = one(metrics, "std_points"), one(metrics, "std_points_fair_p95")
    if std is None or band is None or std["value"] != std["value"]:
        return "With one group there is nothing to compare."
    verdict = (
        "That is more than chance."
        if std["value"] > band["value"]
        else "That is within chance: no difference is shown."
    )
    return (
        f"The groups' accuracies differ by STD {std['value']:.2f} points; a perfectly fair model of this accuracy would "
        f"show up to {band['value']:.2f} by chance on these pairs. {verdict}"
    )


def group_sentence(metrics: pd.DataFrame, groups: Sequence[str], point: str) -> str:
    """Which group is falsely matched most and least at the one threshold, and do their intervals part?"""
    rows = metrics[(metrics["metric"] == "fmr") & (metrics["operating_point"] == point) & metrics["group"].isin(groups)]
    rows = rows.dropna(subset=["value"]).sort_values("value")
    if len(rows) < 2:
        return "At this operating point the rates of several groups cannot be compared."
    least, most = rows.iloc[0], rows.iloc[-1]
    apart = (
        "their intervals do not touch." if most["low"] > least["high"] else "their intervals overlap: it may be chance."
    )
    return (
        f"At one threshold for all, the system accepts impostors most often in {most['group']} ({100 * most['value']:.1f} %) "
        f"and least often in {least['group']} ({100 * least['value']:.1f} %); {apart}"
    )


def summary(metrics: pd.DataFrame, groups: Sequence[str], point: str) -> None:
    """The page's answer in two sentences, then the four numbers with intervals."""
    said = f"{spread_sentence(metrics)} {group_sentence(metrics, groups, point)}"
    st.info(plain(said), icon=":material/balance:")
    mean, std, ser = (one(metrics, name) for name in ("mean_accuracy", "std_points", "ser"))
    counts = one(metrics, "mean_accuracy")
    cells = [
        (
            "Mean accuracy, %",
            percent(mean["value"]) if mean is not None else "n/a",
            mean,
            100,
            "Mean over the groups; ten folds, threshold per group as in the papers.",
        ),
        (
            "STD, points",
            number(std["value"]) if std is not None else "n/a",
            std,
            1,
            "Sample standard deviation (n-1) of the groups' accuracies. Redrawing people adds spread, so its interval leans upwards.",
        ),
        (
            "SER",
            number(ser["value"]) if ser is not None else "n/a",
            ser,
            1,
            "Largest error of a group divided by the smallest.",
        ),
    ]
    columns = st.columns(4)
    for column, (label, text, row, factor, help_) in zip(columns, cells, strict=False):
        column.metric(label, text, border=True, help=help_)
        if row is not None and row["low"] == row["low"]:
            column.caption(f"95 % interval {factor * row['low']:.2f} to {factor * row['high']:.2f}")
    if counts is not None:
        columns[3].metric("Pairs", f"{int(counts['genuine_pairs'] + counts['impostor_pairs']):,}", border=True)
        columns[3].caption(f"{int(counts['genuine_pairs']):,} genuine, {int(counts['impostor_pairs']):,} impostor")


def rates(metrics: pd.DataFrame, groups: Sequence[str], point: str) -> None:
    """Accuracy, FMR and FNMR of every group, each with its interval."""
    shown = (
        ("accuracy", "Accuracy, threshold per group", ""),
        ("fmr", "FMR, one threshold", point),
        ("fnmr", "FNMR, one threshold", point),
    )
    for column, (metric, title, at) in zip(st.columns(3), shown, strict=True):
        rows = metrics[(metrics["metric"] == metric) & (metrics["operating_point"] == at)]
        pooled = rows[rows["group"] == ALL_GROUPS]
        with column:
            st.markdown(f"**{title}**")
            if rows[rows["group"] != ALL_GROUPS].empty:
                st.warning("Not measurable at this operating point: too few impostor pairs.")
                continue
            figure = rate_figure(rows, groups, "", None if pooled.empty else float(pooled.iloc[0]["value"]))
            st.plotly_chart(figure, theme=None, config=chart_config(), key=f"rate:{metric}", alt=title)


def spreads(metrics: pd.DataFrame) -> None:
    """STD and SER over what a perfectly fair model would show by chance."""
    st.subheader("Spread against chance", anchor=False)
    for name, label, fair in SPREADS:
        value, band = one(metrics, name), one(metrics, f"{name}_fair_p95")
        if value is None or band is None or value["value"] != value["value"]:
            st.caption(f"{label}: n/a (one group only, or a group without any error).")
            continue
        # the band's row holds: value = 95 % point, low = 2.5 % point, high = median
        figure = band_figure(value["value"], value["low"], value["high"], band["value"], band["high"], label, fair)
        st.plotly_chart(figure, theme=None, config=chart_config(), key=f"band:{name}", alt=f"{label} and the fair band")
    st.caption(
        "Green: what a perfectly fair model of this accuracy would show by chance on these pairs (95 %; dotted: median)."
    )


def all_metrics(metrics: pd.DataFrame, point: str) -> pd.DataFrame:
    """Every fairness metric with its interval, what is fair, formula, trap and source."""
    rows = []
    for name in FAIRNESS_METRICS:
        facts = FAIRNESS_METRICS.facts(name)
        found = one(metrics, name, point=point if facts["of"] == "rates" else "")
        value = "not measurable here" if found is None else number(found["value"], found["low"], found["high"], 3)
        fair = facts["fair_value"]
        rows.append(
            {
                "Metric": facts["title"], "Value [95 %]": value, "Fair is": "" if fair != fair else f"{fair:g}",
                "Formula": facts["formula"], "Trap": facts["trap"], "Source": facts["source"],
            }
        )  # fmt: skip
    return pd.DataFrame(rows)
