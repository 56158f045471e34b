"""Figures of differences between groups, never without their intervals."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import group_styles, styled, translucent, words


def rate_figure(metrics: pd.DataFrame, groups: Sequence[str], title: str, pooled: float | None = None) -> go.Figure:
    """One rate per group with its 95 % interval; `pooled`: a line for all groups together.

    metrics: rows of tables.METRICS of one metric, one per group, values as fractions.
    """
    figure = go.Figure()
    styles = group_styles(groups)
    for group in groups:
        part = metrics[metrics["group"] == group]
        if part.empty or part["value"].isna().all():
            continue
        row = part.iloc[0]
        figure.add_scatter(
            x=[words(group)],
            y=[row["value"]],
            mode="markers",
            name=words(group),
            showlegend=False,
            marker={"size": 12, "color": styles[group].colour, "symbol": styles[group].symbol},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [row["high"] - row["value"]],
                "arrayminus": [row["value"] - row["low"]],
                "thickness": 2,
                "width": 8,
                "color": translucent(styles[group].colour, 0.8),
            },
            hovertemplate=f"{words(group)}<br>%{{y:.2%}} [{row['low']:.2%}, {row['high']:.2%}]<br>{row['genuine_pairs']} genuine, "
            f"{row['impostor_pairs']} impostor pairs<extra></extra>",
        )
    if pooled is not None:
        figure.add_hline(y=pooled, line={"dash": "dot", "color": "#888888"}, annotation_text="all groups")
    figure.update_yaxes(title=title or None, tickformat=".0%")
    styled(figure, 300)
    return figure.update_layout(margin={"t": 8, "l": 48})


def band_figure(
    value: float, low: float, high: float, fair_p95: float, fair_middle: float, name: str, fair: float
) -> go.Figure:
    """A spread measure with its interval over the fair band: what a perfectly fair model would show by chance."""
    figure = go.Figure()
    figure.add_vrect(
        x0=fair,
        x1=fair_p95,
        fillcolor="rgba(0,158,115,0.18)",
        line_width=0,
        annotation_text="fair by chance (95 %)",
        annotation_position="top left",
    )
    figure.add_vline(x=fair_middle, line={"dash": "dot", "color": "#009E73"})
    figure.add_scatter(
        x=[value],
        y=[name],
        mode="markers",
        marker={"size": 13, "color": "#0072B2"},
        showlegend=False,
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [max(high - value, 0)],
            "arrayminus": [max(value - low, 0)],
            "thickness": 2,
            "width": 8,
        },
        hovertemplate=f"{name} %{{x:.2f}} [{low:.2f}, {high:.2f}]<extra></extra>",
    )
    reach = max(high, fair_p95, value) - fair
    figure.update_xaxes(range=[fair - 0.03 * reach, fair + 1.06 * reach])
    styled(figure, 170)
    return figure.update_layout(margin={"t": 8})
