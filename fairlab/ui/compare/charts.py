"""A study's charts beside its table: what numbers do along a varied setting, and accuracy against unfairness."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from fairlab.compare.front import MEASURES as UNFAIRNESS
from fairlab.compare.front import front_of
from fairlab.compare.varied import MEASURES, along, axes_of, headings, numeric
from fairlab.plots.axis import axis_figure
from fairlab.plots.front import front_figure
from fairlab.plots.multiples import multiples_figure
from fairlab.ui.frame.page import chart, plain
from fairlab.ui.frame.pickers import choose

TITLES = {"mean": "mean accuracy, %", "std": "STD, points", "ser": "SER", "worst": "worst group's accuracy, %"}


def along_settings(table: pd.DataFrame, whole: pd.DataFrame) -> None:
    """Accuracy and each measure of unfairness along one varied setting; nothing where the study varies none.

    table: the rows that pass the filters; whole: all, among them the baseline.
    """
    axes = axes_of(table)
    if not axes or table.empty:
        return
    st.subheader("Along a setting", anchor=False)
    short = headings(whole)
    titles = dict(zip(axes, short.values(), strict=True))
    if len(axes) > 1:
        all_settings(table, titles)
    setting = choose("Setting", axes, "along", titles)
    part = along(table, setting)
    if part.empty:
        st.caption("No model that passes the filters depends on this setting.")
        return
    baseline = whole[(whole["run_id"] == whole["baseline"]) & ~whole["run_id"].isin(part["run_id"])]
    columns = st.columns(2)
    for place, measure in enumerate(MEASURES):
        level = None
        if len(baseline) and baseline[measure].notna().all():
            level = (str(baseline["model"].iloc[0]), float(baseline[measure].iloc[0]))
        numbers = part[["line", "value", measure, f"{measure}_low", f"{measure}_high"]]
        with columns[place % 2]:
            figure = axis_figure(numbers, measure, titles[setting], TITLES[measure], level)
            chart(figure, f"along {measure}", f"{TITLES[measure]} along {titles[setting]}", numbers)
    joined = "" if numeric(table, setting) else " The values are names, so no line joins them."
    st.caption(f"Bars: 95 % intervals. Dotted: the baseline, where it does not depend on the setting.{joined}")


def all_settings(table: pd.DataFrame, titles: Mapping[str, str]) -> None:
    """One measure along every varied setting, so that the one that matters is seen. titles: headings by dotted setting."""
    measure = choose("All settings at once", list(MEASURES), "multiples", TITLES)
    parts = {title: part for setting, title in titles.items() if len(part := along(table, setting))}
    if parts:
        numbers = pd.concat([part.assign(setting=title) for title, part in parts.items()])
        figure = multiples_figure(parts, measure, TITLES[measure])
        chart(figure, "along all", f"{TITLES[measure]} along {', '.join(parts)}, a panel each", numbers)
        st.caption("A line joins models that differ in this setting alone; all panels have the same scale.")


def front(table: pd.DataFrame) -> None:
    """The front of accuracy against unfairness over the shown rows, with what it rules and what is left out."""
    if table.empty:
        return
    st.subheader("Accuracy against unfairness", anchor=False)
    titles = {name: measure.title for name, measure in UNFAIRNESS.items()}
    measure = choose("Measure of unfairness", list(titles), "unfairness", titles)
    found = front_of(table, measure)
    if len(found.points):
        figure = front_figure(found.points, found.title, found.low, found.high)
        chart(figure, "front", f"error of every model against {found.title}, and the front", found.points)
    for sentence in found.sentences():
        st.caption(plain(sentence))
