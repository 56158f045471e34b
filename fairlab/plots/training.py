"""Curves of a training: loss terms apart, accuracy of every group on held-out people."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import OKABE_ITO, group_styles, styled, words
from fairlab.tables import NUMBER, TEXT, WHOLE, Table

POINTS = 1500
"""Readings drawn per curve; more are thinned evenly."""
PULLS = Table(step=WHOLE, name=TEXT, ratio=NUMBER, against=TEXT)
"""A row is a step at which a term pulled `ratio` times as hard as the term `against`."""
TERMS = {
    "loss": ("all", OKABE_ITO[7]),
    "identity": ("identity", OKABE_ITO[0]),
    "distillation": ("distillation", OKABE_ITO[5]),
}


def _thin(table: pd.DataFrame) -> pd.DataFrame:
    return table.iloc[:: max(1, -(-len(table) // POINTS))]


def loss_figure(events: pd.DataFrame) -> go.Figure:
    """The loss and its terms over the steps; terms that are always zero are left out. events: tables.EVENTS."""
    figure = go.Figure()
    for name, (label, colour) in TERMS.items():
        part = _thin(events[events["name"] == name])
        if part.empty or (name != "loss" and not part["value"].any()):
            continue
        figure.add_scatter(
            x=part["step"],
            y=part["value"],
            mode="lines",
            name=label,
            line={"color": colour, "width": 2 if name == "loss" else 1.5},
            hovertemplate=f"{label} %{{y:.3f}}<br>step %{{x}}<extra></extra>",
        )
    figure.update_xaxes(title="step")
    figure.update_yaxes(title="loss", rangemode="tozero")
    return styled(figure, 320)


def pulls(events: pd.DataFrame) -> pd.DataFrame:
    """How hard each further loss term pulls at the embeddings, against identity (or the first term without it).

    Columns step, name (of the term), ratio (of the lengths of their gradients, at the step of the reading) and against
    (the name of the other term); empty where fewer than two terms were read.
    """
    read = events[events["name"].str.startswith("gradient/")]
    terms = read.assign(name=read["name"].str.removeprefix("gradient/")).pivot(
        index="step", columns="name", values="value"
    )
    if terms.shape[1] < 2:
        return PULLS.build()
    base = "identity" if "identity" in terms else terms.columns[0]
    ratios = terms.drop(columns=base).div(terms[base].where(terms[base] > 0), axis=0)
    return ratios.reset_index().melt("step", var_name="name", value_name="ratio").dropna().assign(against=base)


def pull_figure(events: pd.DataFrame) -> go.Figure:
    """The ratios of `pulls` over the steps, on a logarithmic axis with a line where both pull alike."""
    figure = go.Figure()
    table = pulls(events)
    for number, name in enumerate(table["name"].unique()):
        part = _thin(table[table["name"] == name])
        label, colour = TERMS.get(name, (words(name), OKABE_ITO[1 + number % 4]))
        figure.add_scatter(
            x=part["step"],
            y=part["ratio"],
            mode="lines",
            name=label,
            line={"color": colour, "width": 1.5},
            hovertemplate=f"{label}/{part['against'].iloc[0]} gradient ratio %{{y:.3g}}<br>step %{{x}}<extra></extra>",
        )
    figure.add_hline(1.0, line={"color": "#888888", "width": 1, "dash": "dot"})
    figure.update_xaxes(title="step")
    figure.update_yaxes(title="pull", type="log")
    return styled(figure, 190)


def validation_figure(events: pd.DataFrame, groups: Sequence[str]) -> go.Figure:
    """Accuracy on held-out people after every pass, per group and their mean."""
    figure = go.Figure()
    styles = group_styles(groups)
    for group in groups:
        part = events[events["name"] == f"validation_accuracy/{group}"]
        if part.empty:
            continue
        style = styles[group]
        figure.add_scatter(
            x=part["epoch"] + 1,
            y=part["value"],
            mode="lines+markers",
            name=words(group),
            line={"color": style.colour, "dash": style.dash},
            marker={"symbol": style.symbol, "size": 6},
            hovertemplate=f"{words(group)} %{{y:.1%}}<br>epoch %{{x}}<extra></extra>",
        )
    mean = events[events["name"] == "validation_accuracy"]
    if not mean.empty:
        figure.add_scatter(
            x=mean["epoch"] + 1,
            y=mean["value"],
            mode="lines",
            name="mean",
            line={"color": "#888888", "width": 3},
            hovertemplate="mean %{y:.1%}<br>epoch %{x}<extra></extra>",
        )
    figure.update_xaxes(title="epoch", dtick=max(1, len(mean) // 12))
    figure.update_yaxes(title="accuracy, held-out people", tickformat=".0%")
    return styled(figure, 320)
