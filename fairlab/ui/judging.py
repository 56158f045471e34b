"""What the numbers of one model say about fairness, in words a newcomer understands and a reviewer accepts."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from fairlab.evaluation.fairness import FAIRNESS_METRICS
from fairlab.plots.fairness import band_figure, rate_figure
from fairlab.tables import ALL_GROUPS
from fairlab.ui.numbers import NOT_MEASURABLE, cell, name_of, one, span, text
from fairlab.ui.page import chart, facts, plain

SPREADS = (("std_points", "STD, points", 0.0), ("ser", "SER", 1.0))


def spread_sentence(metrics: pd.DataFrame) -> str:
    """Is the spread of the groups' accuracies more than chance would show?"""
    std, band = one(metrics, "std_points"), one(metrics, "std_points_fair_p95")
    if std is None or band is None:
        return "With one group there is nothing to compare."
    beyond = std["value"] > band["value"]
    return (
        f"The groups' accuracies differ by STD {std['value']:.2f} points; a perfectly fair model of this accuracy would "
        f"show up to {band['value']:.2f} by chance on these pairs. "
        + ("That is more than chance." if beyond else "That is within chance: no difference is shown.")
    )


def group_sentence(metrics: pd.DataFrame, groups: Sequence[str], point: str) -> str:
    """For which group are impostors accepted most and least at the one threshold, and do the intervals part?"""
    rows = metrics[(metrics["metric"] == "fmr") & (metrics["operating_point"] == point) & metrics["group"].isin(groups)]
    rows = rows.dropna(subset=["value"]).sort_values("value")
    if len(rows) < 2:
        return "At this operating point the rates cannot be measured with these pairs."
    least, most = rows.iloc[0], rows.iloc[-1]
    apart = most["low"] > least["high"]
    return (
        f"At one threshold for all (FMR {name_of(point)} over everybody), impostors of {most['group']} are accepted most often "
        f"({100 * most['value']:.1f} %), those of {least['group']} least ({100 * least['value']:.1f} %); "
        + ("their intervals do not touch." if apart else "their intervals overlap, so the order may be chance.")
    )


def verdict(metrics: pd.DataFrame, groups: Sequence[str], point: str) -> None:
    """Both sentences, and the three numbers that papers print, with intervals."""
    st.info(plain(f"{spread_sentence(metrics)} {group_sentence(metrics, groups, point)}"), icon=":material/balance:")
    mean, worst = one(metrics, "mean_accuracy"), one(metrics, "worst_accuracy")
    std, ser = one(metrics, "std_points"), one(metrics, "ser")
    counts = metrics[metrics["group"].isin(groups)].drop_duplicates("group")
    pairs = f"{int(counts['genuine_pairs'].sum()):,} + {int(counts['impostor_pairs'].sum()):,}"
    facts(
        _card(
            "Mean accuracy, %",
            mean,
            1,
            100,
            "Mean of the groups' accuracies; ten folds, a threshold for each group, as in the papers.",
        ),
        _card(
            "Worst group, %",
            worst,
            1,
            100,
            "Accuracy of the group with the lowest. Redrawing people pulls its interval down.",
        ),
        _card(
            "STD, points",
            std,
            2,
            1,
            "Sample standard deviation of the accuracies.",
        ),
        _card("SER", ser, 2, 1, "Skewed error ratio: largest error divided by smallest error of the groups."),
        ("Pairs", pairs, f"{len(counts)} groups", "Genuine and impostor pairs, all groups together."),
    )


def _card(label: str, row: pd.Series | None, digits: int, factor: float, meaning: str) -> tuple[str, str, str, str]:
    if row is None:
        return label, "n/a", "", meaning
    between = span(row["low"], row["high"], digits, factor)
    return label, text(row["value"], digits, factor), f"95 %: {between}" if between else "", meaning


def rates(metrics: pd.DataFrame, groups: Sequence[str], point: str) -> None:
    """Accuracy, FMR and FNMR of every group side by side, with intervals."""
    wanted = (
        ("accuracy", "Accuracy, a threshold for each group", ""),
        ("fmr", "FMR at one threshold", point),
        ("fnmr", "FNMR at one threshold", point),
    )
    for column, (metric, title, at) in zip(st.columns(3), wanted, strict=True):
        rows = metrics[(metrics["metric"] == metric) & (metrics["operating_point"] == at)]
        pooled = one(metrics, metric, point=at)
        with column:
            st.markdown(f"**{title}**")
            if rows[rows["group"] != ALL_GROUPS].empty:
                st.warning("Not measurable at this operating point: too few impostor pairs.", icon=":material/warning:")
                continue
            figure = rate_figure(rows, groups, "", None if pooled is None else float(pooled["value"]))
            chart(figure, f"rate:{metric}", title)
    st.caption("Bars: 95 % intervals over redrawn people. Dotted: all groups together, where the threshold was set.")


def bands(metrics: pd.DataFrame) -> None:
    """STD and SER over what a perfectly fair model would show by chance."""
    for column, (name, label, fair) in zip(st.columns(2), SPREADS, strict=True):
        value, band = one(metrics, name), one(metrics, f"{name}_fair_p95")
        with column:
            if value is None or band is None:
                st.caption(f"{label}: not defined here.")
                continue
            figure = band_figure(value["value"], value["low"], value["high"], band["value"], band["high"], label, fair)
            chart(figure, f"band:{name}", f"{label} and the fair band")
    st.caption(
        "Green: what a perfectly fair model of this accuracy would show by chance on these pairs (up to the 95 % point; "
        "dotted: the median). Only a point right of the green is evidence of a difference."
    )


def metric_table(metrics: pd.DataFrame, point: str) -> pd.DataFrame:
    """Every registered fairness metric in Markdown: value, what fair is, formula, trap, source."""
    rows = []
    for name in FAIRNESS_METRICS:
        about = FAIRNESS_METRICS.facts(name)
        found = one(metrics, name, point=point if about["of"] == "rates" else "")
        fair = about["fair_value"]
        rows.append(
            {
                "Metric": plain(about["title"]),
                "Of": "accuracy" if about["of"] == "accuracy" else "FMR and FNMR",
                "Value": f":gray[{NOT_MEASURABLE}]"
                if found is None
                else cell(found["value"], found["low"], found["high"], 3),
                "Fair is": "" if fair != fair else f"{fair:g}",
                "Formula": plain(about["formula"]),
                "Beware": plain(about["trap"]),
                "Source": plain(about["source"]),
            }
        )
    return pd.DataFrame(rows).sort_values("Of", kind="stable", ignore_index=True)
