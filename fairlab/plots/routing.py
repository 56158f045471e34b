"""Where a gate routes the images of each group, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fairlab.plots.colours import GREY, OKABE_ITO, group_styles, styled, words

COLUMNS = 4
"""Teachers in a row."""
PANEL_PX = 230
TITLE = 28
"""Letters of a teacher's name above its panel."""
MEASURED = {
    "entropy": ("entropy of the overall shares / log n", OKABE_ITO[0], "solid"),
    "own_rate": ("routed to the group's own teacher", OKABE_ITO[2], "solid"),
    "chance": ("chance, 1 / n", GREY, "dot"),
}


def shares_figure(shares: pd.DataFrame, groups: Sequence[str]) -> go.Figure:
    """A panel per teacher: the share of each group's images that were routed to it, over the epochs.

    shares: evaluation.routing.SHARES; groups: all of the data set, which have their colours by their order.
    """
    teachers = list(dict.fromkeys(shares["teacher"]))
    columns = max(min(COLUMNS, len(teachers)), 1)
    rows = max(-(-len(teachers) // columns), 1)
    titles = [words(name if len(name) <= TITLE else name[: TITLE - 1] + "…") for name in teachers]
    figure = make_subplots(rows, columns, shared_yaxes=True, shared_xaxes=True, subplot_titles=titles)
    styles = group_styles(list(dict.fromkeys([*groups, *shares["group"]])))
    for place, teacher in enumerate(teachers):
        row, column = place // columns + 1, place % columns + 1
        for group, style in styles.items():
            part = shares[(shares["teacher"] == teacher) & (shares["group"] == group)].sort_values("epoch")
            if part.empty:
                continue
            figure.add_scatter(
                x=part["epoch"],
                y=part["share"],
                mode="lines+markers",
                name=words(group),
                legendgroup=group,
                showlegend=place == 0,
                line={"color": style.colour, "dash": style.dash},
                marker={"symbol": style.symbol, "size": 5},
                customdata=part[["routed", "images"]].to_numpy(),
                hovertemplate=f"{words(group)} %{{y:.1%}} (%{{customdata[0]}} routings of %{{customdata[1]}} images)"
                "<br>epoch %{x}<extra></extra>",
                row=row,
                col=column,
            )
        figure.add_hline(1 / len(teachers), line={"color": GREY, "width": 1, "dash": "dot"}, row=row, col=column)
    styled(figure, PANEL_PX * rows + 70)
    figure.update_layout(legend={"y": 1.0 + 34 / (PANEL_PX * rows)}, margin={"t": 66})
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(title="share of the group", col=1)
    figure.update_xaxes(title="epoch", row=rows)
    return figure


def measures_figure(measures: pd.DataFrame) -> go.Figure:
    """Over the epochs: how evenly the teachers are used and how often groups get their own one; below, information in bits."""
    figure = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.12, row_heights=[0.6, 0.4])
    for name, (label, colour, dash) in MEASURED.items():
        if name == "chance" and not measures["own_rate"].notna().any():
            continue
        if measures[name].notna().any():
            figure.add_scatter(
                x=measures["epoch"],
                y=measures[name],
                mode="lines",
                name=label,
                line={"color": colour, "dash": dash},
                hovertemplate=f"{label} %{{y:.3f}}<br>epoch %{{x}}<extra></extra>",
                row=1,
                col=1,
            )
    figure.add_scatter(
        x=measures["epoch"],
        y=measures["information_bits"],
        mode="lines",
        name="I(group; teacher), bits",
        line={"color": OKABE_ITO[5]},
        hovertemplate="I(group; teacher) %{y:.4f} bits<br>epoch %{x}<extra></extra>",
        row=2,
        col=1,
    )
    styled(figure, 340)
    figure.update_yaxes(title="0 to 1", range=[0, 1.02], row=1, col=1)
    figure.update_yaxes(title="bits", rangemode="tozero", row=2, col=1)
    figure.update_xaxes(title="epoch", row=2, col=1)
    return figure
