"""What the numbers of one model say about fairness, in words a newcomer understands and a reviewer accepts."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from fairlab import __version__
from fairlab.evaluation.fairness_report import FairnessReport, metric_p
from fairlab.evaluation.fdr_curve import FdrCurve
from fairlab.evaluation.metrics import FAIRNESS_METRICS
from fairlab.evaluation.summary import point_words
from fairlab.plots.fairness import band_figure, fdr_figure, matrix_figure, rate_figure
from fairlab.tables import ALL_GROUPS, texts
from fairlab.ui.frame.numbers import HARD_SPACE, cell, download, span, text
from fairlab.ui.frame.page import chart, facts, plain
from fairlab.ui.judge.evidence import Evidence

BANDS = ("std_points", "ser", "gini_fmr", "gini_fnmr")
"""Measures drawn over what chance would show; all others stand in the table."""


def alone(at: FairnessReport) -> pd.DataFrame:
    """The numbers over all groups, by metric."""
    return at.numbers[at.numbers["group"] == ALL_GROUPS].set_index("metric")


def adjust(at: FairnessReport) -> FairnessReport:
    """The report, its measures' p values adjusted for being many where the reader wants that."""
    wanted = st.toggle(
        "Adjust for the number of measures (Holm)",
        key="holm",
        help="With 20 measures, about one looks beyond chance even for a perfectly fair model. Holm's rule keeps the "
        "chance of even one such false alarm at 5 %.",
    )
    return at.adjusted("holm") if wanted else at


def summary(at: FairnessReport, found: Evidence) -> None:
    """What is, and what is not, beyond chance; and how all of it was computed, one click away."""
    st.info("\n".join(f"- {plain(sentence)}" for sentence in at.summary), icon=":material/balance:")
    with st.popover("How is this computed?", icon=":material/help:"):
        st.markdown(
            "\n".join(
                f"- {line}"
                for line in (
                    f"Rates: {plain(point_words(at.at.point))}. A pair matches if its score reaches the threshold.",
                    plain(at.method) + ".",
                    "Intervals of measures over groups: chance alone moves such a measure away from fair. Test sets "
                    "are simulated for smaller and larger differences between groups; the interval holds every value "
                    "that could have produced the one measured.",
                    "A threshold set at an FMR is set again in every resample.",
                    f"By chance: {1000:,} simulated test sets in which every group has the pooled rate. They are as "
                    f"large as these pairs are worth (pairs that share people count less).",
                    "Accuracy: ten folds, each decided at the threshold that is best on the other nine; one threshold "
                    "per group, as in the papers.",
                    f"Pairs {plain(at.pairs_hash[:16])}, {plain(found.protocol)}; FairLab {plain(__version__)}.",
                )
            )
        )
    if at.notes:
        st.caption("\n".join(f"- {plain(note)}" for note in at.notes))


def cards(at: FairnessReport) -> None:
    """The numbers that papers print, with intervals."""
    numbers = alone(at)
    counts = at.groups
    pairs = f"{int(counts['genuine_pairs'].sum()):,} + {int(counts['impostor_pairs'].sum()):,}"
    facts(
        _card(numbers, "mean_accuracy", "Mean accuracy, %", 1, 100, "Mean of the groups' accuracies; ten folds, one "
        "threshold per group, as in the papers."),
        _card(numbers, "worst_accuracy", "Worst group, %", 1, 100, "Accuracy of the least accurate group. Its "
        "interval allows for any group being the worst."),
        _card(numbers, "std_points", "STD, points", 2, 1, "Sample standard deviation of the accuracies."),
        _card(numbers, "ser", "SER", 2, 1, "Skewed error ratio: largest error divided by smallest error of the groups."),
        ("Pairs", pairs, f"{len(counts)} groups", "Genuine and impostor pairs, all groups together."),
    )  # fmt: skip


def _card(
    numbers: pd.DataFrame, metric: str, label: str, digits: int, factor: float, meaning: str
) -> tuple[str, str, str, str]:
    if metric not in numbers.index or pd.isna(numbers.loc[metric, "value"]):
        return label, "n/a", "", meaning
    row = numbers.loc[metric]
    between = span(row["low"], row["high"], digits, factor)
    return label, text(row["value"], digits, factor), f"95 %: {between}" if between else "", meaning


def rates(at: FairnessReport, found: Evidence) -> None:
    """FMR and FNMR of every group at the operating point, and its accuracy, with intervals."""
    wanted = (
        ("fmr", "FMR at the operating point"),
        ("fnmr", "FNMR at the operating point"),
        ("accuracy", "Accuracy, one threshold per group"),
    )
    for column, (metric, title) in zip(st.columns(3), wanted, strict=True):
        rows = at.numbers[at.numbers["metric"] == metric]
        pooled = rows[rows["group"] == ALL_GROUPS]["value"]
        with column:
            st.markdown(f"**{title}**")
            figure = rate_figure(rows, found.names, "", float(pooled.iloc[0]) if len(pooled) else None)
            chart(figure, f"rate:{metric}", title, table=rows)
    st.caption("Bars: 95 % intervals over people. Dotted: all groups together.")


def bands(at: FairnessReport) -> None:
    """STD, SER and the Gini coefficients over what a perfectly fair model would show by chance."""
    numbers = alone(at)
    for column, name in zip(st.columns(len(BANDS)), BANDS, strict=True):
        about = FAIRNESS_METRICS[name]
        label = about.title + (", points" if about.unit == "points" else "")
        with column:
            if name not in numbers.index or pd.isna(numbers.loc[name, "value"]):
                st.caption(f"{plain(label)}: not defined here.")
                continue
            if f"{name}_fair_p95" not in numbers.index:
                st.caption(f"{plain(label)}: no chance limit here, because each group's threshold sets its FMR.")
                continue
            row, band = numbers.loc[name], numbers.loc[f"{name}_fair_p95"]
            figure = band_figure(
                row["value"], row["low"], row["high"], band["value"], band["high"], label, about.fair_value
            )
            st.markdown(f"**{plain(label)}**")
            chart(figure, f"band:{name}", f"{label} and the fair band", table=numbers.loc[[name]].reset_index())
    st.caption(
        "Green: what a perfectly fair model would show by chance on these pairs (up to the 95th percentile; dotted: "
        "the median). Only a point to the right of the green is evidence of a difference."
    )


def metric_tables(at: FairnessReport) -> None:
    """Every registered fairness metric: value, interval, what is fair, what chance shows; formulas a click away."""
    rows, about_all = [], []
    if at.adjust:
        st.caption("p values are adjusted for the number of measures (Holm).")
    for row in at.metrics.itertuples():
        fair = row.fair_value
        known = row.value == row.value
        limit = row.fair_p95
        rows.append(
            {
                "Metric": plain(row.title),
                "Value": cell(row.value, row.low, row.high, 3) if known else ":gray[n/a: not defined here]",
                "Fair value": "" if fair != fair else f"{fair:.5g}",
                "A fair model, by chance": "" if fair != fair else ("no limit" if limit != limit else plain(f"{'up' if limit >= fair else 'down'} to {limit:.3f}")),
                "Beyond chance?": "" if fair != fair else {True: "**yes**", False: "no", None: "n/a"}[None if pd.isna(row.beyond) else bool(row.beyond)],
                "p": plain(metric_p(row.p, row.p_adjusted)),
                "Beware": plain(row.trap),
            }
        )  # fmt: skip
        about_all.append({"Metric": plain(row.title), "Formula": plain(row.formula), "Source": plain(row.source)})
    st.table(texts(rows, "Metric"), border="horizontal", hide_index=True)
    with st.expander("Formulas and sources"):
        st.table(texts(about_all, "Metric"), border="horizontal", hide_index=True)
    download(at.metrics, f"fairness-{at.at.point.name}")


def discrepancy(curve: FdrCurve, at: FairnessReport) -> None:
    """FDR over all operating points, and the area under it."""
    if curve.reason:
        st.caption(plain(f"FDR over operating points: n/a, {curve.reason}."))
        return
    point = at.at.point
    figure = fdr_figure(curve.table, point.value if point.rule == "pooled" else None)
    chart(figure, "fdr", "FDR over the operating point", table=curve.table)
    st.caption(
        f"Area under it (mean over log FMR, {plain(text(100 * curve.table['fmr_target'].iloc[0], 2))}{HARD_SPACE}% to "
        f"10{HARD_SPACE}%): {cell(curve.area, curve.low, curve.high, 4)}. 1 is fair; near 1 for every working system, so "
        "look at the rates too."
    )


def matrix(at: FairnessReport, found: Evidence) -> None:
    """Who is taken for whom between groups at the one threshold, as far as these pairs say it."""
    across = at.matrix[at.matrix["group_a"] != at.matrix["group_b"]]
    if across.empty:
        st.caption(
            "These pairs compare people within a group only. All comparisons (below) give the rate between any two groups."
        )
        return
    chart(matrix_figure(at.matrix, found.names), "matrix", "FMR between groups", table=at.matrix)
    st.caption(
        "False match rate between two people, by row and column group, at the single threshold; hover for counts and "
        "95 % intervals."
    )
