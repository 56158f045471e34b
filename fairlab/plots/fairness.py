"""Figures of differences between groups, never without their intervals."""

from __future__ import annotations

import math
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
            _not_available(figure, words(group))
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
    figure.update_xaxes(
        type="category",
        categoryorder="array",
        categoryarray=[words(group) for group in groups],
        range=[-0.5, len(groups) - 0.5],
    )
    if pooled is not None:
        figure.add_hline(y=pooled, line={"dash": "dot", "color": "#888888"}, annotation_text="all groups")
    figure.update_yaxes(title=title or None, tickformat=".3~%")
    styled(figure, 300)
    return figure.update_layout(margin={"t": 8, "l": 48})


def _not_available(figure: go.Figure, label: str) -> None:
    """A group without the rate keeps its place, with "n/a" there, so that nobody takes it for forgotten."""
    figure.add_annotation(x=label, y=0.5, yref="paper", text="n/a", showarrow=False, opacity=0.7)


def band_figure(
    value: float, low: float, high: float, fair_p95: float, fair_middle: float, name: str, fair: float
) -> go.Figure:
    """A spread measure with its interval over the fair band: what a perfectly fair model would show by chance.

    `fair` is the least value possible. low and high may be NaN (no interval); fair_p95 NaN: chance sets no limit.
    """
    figure = go.Figure()
    known = [number for number in (value, high, fair_p95, fair_middle) if math.isfinite(number)]
    reach = max([*known, fair + 1e-9]) - fair
    limited = math.isfinite(fair_p95)
    figure.add_vrect(
        x0=fair,
        x1=fair_p95 if limited else fair + 1.06 * reach,
        fillcolor="rgba(0,158,115,0.18)",
        line_width=0,
        annotation_text="fair by chance (95 %)" if limited else "fair by chance: no limit",
        annotation_position="top left",
    )
    if math.isfinite(fair_middle):
        figure.add_vline(x=fair_middle, line={"dash": "dot", "color": "#009E73"})
    interval = math.isfinite(low) and math.isfinite(high)
    figure.add_scatter(
        x=[value],
        y=[words(name)],
        mode="markers",
        marker={"size": 13, "color": "#0072B2"},
        showlegend=False,
        error_x={
            "type": "data",
            "visible": interval,
            "symmetric": False,
            "array": [max(high - value, 0)] if interval else [0],
            "arrayminus": [max(value - low, 0)] if interval else [0],
            "thickness": 2,
            "width": 8,
        },
        hovertemplate=f"{words(name)} %{{x:.2f}} "
        + (f"[{low:.2f}, {high:.2f}]" if interval else "(no interval)")
        + "<extra></extra>",
    )
    figure.update_xaxes(range=[fair - 0.03 * reach, fair + 1.06 * reach])
    styled(figure, 170)
    figure.update_yaxes(showticklabels=False)  # the name stands above: beside it would take half of a narrow chart
    return figure.update_layout(margin={"t": 8, "l": 8})


def fdr_figure(curve: pd.DataFrame, at: float | None = None) -> go.Figure:
    """FDR over the FMR of all groups together, with its interval and the fair band; `at`: the operating point's FMR.

    curve: fmr_target, fdr, low, high, fair_p95 (a perfectly fair model stays above it in 95 % of cases).
    """
    figure = go.Figure()
    x = curve["fmr_target"].to_numpy(float)
    for low, high, colour, name in (
        (curve["fair_p95"], curve["fair_p95"] * 0 + 1, "rgba(0,158,115,0.18)", "fair by chance (95 %)"),
        (curve["low"], curve["high"], "rgba(0,114,178,0.18)", "95 % interval"),
    ):
        some = (low.notna() & high.notna()).to_numpy()  # no interval where a group shows no error
        low, high, both = low[some], high[some], [*x[some], *x[some][::-1]]
        figure.add_scatter(
            x=both, y=[*high, *low[::-1]], fill="toself", fillcolor=colour, line={"width": 0}, name=name, hoverinfo="skip"
        )  # fmt: skip
    figure.add_scatter(
        x=x,
        y=curve["fdr"],
        mode="lines",
        name="FDR",
        line={"color": "#0072B2", "width": 2.2},
        hovertemplate="FMR of all groups %{x:.3~%}<br>FDR %{y:.4f}<extra></extra>",
    )
    if at is not None:
        figure.add_vline(x=at, line={"dash": "dash", "color": "#888888"})
    figure.update_xaxes(type="log", title="FMR of all groups together", dtick=1, tickformat=".3~%")
    figure.update_yaxes(title="FDR (1 is fair)")
    return styled(figure, 320)


def matrix_figure(matrix: pd.DataFrame, groups: Sequence[str]) -> go.Figure:
    """FMR of impostors of one group against another at one threshold, as a square of numbers, darker for more.

    matrix: group_a, group_b, impostor_pairs, false_matches, fmr, low, high; a pair of groups stands there once.
    """
    both = {}
    for row in matrix.itertuples():
        both[row.group_a, row.group_b] = both[row.group_b, row.group_a] = row
    labels = [words(group) for group in groups]
    cells = [[both.get((one, two)) for two in groups] for one in groups]
    values = [[float("nan") if cell is None else cell.fmr for cell in line] for line in cells]
    said = [["" if cell is None else f"{100 * cell.fmr:.3g}%" for cell in line] for line in cells]
    hover = [
        [
            "not compared"
            if cell is None
            else f"{cell.false_matches:,} of {cell.impostor_pairs:,} impostor pairs"
            + (f"<br>95 %: {cell.low:.3%} to {cell.high:.3%}" if cell.low == cell.low else "")
            for cell in line
        ]
        for line in cells
    ]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=labels,
            y=labels,
            text=said,
            texttemplate="%{text}",
            customdata=hover,
            colorscale=[[0, "rgba(213,94,0,0.06)"], [1, "rgba(213,94,0,0.5)"]],
            showscale=False,
            xgap=3,
            ygap=3,
            hovertemplate="%{y} against %{x}<br>FMR %{text}<br>%{customdata}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(type="category", side="top")
    styled(figure, 120 + 56 * len(groups))
    return figure.update_layout(margin={"t": 48, "l": 110})
