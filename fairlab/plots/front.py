"""The front of accuracy against unfairness: every model a point with both intervals, the front a staircase."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import GREY, OKABE_ITO, bars, styled, translucent, words

KINDS = ((True, "on the front", "circle", OKABE_ITO[0]), (False, "beaten in both", "circle-open", GREY))


def front_figure(points: pd.DataFrame, title: str, low: tuple[float, float], high: tuple[float, float]) -> go.Figure:
    """Models by error and unfairness, both fractions that are to be small; the axes go from `low` to `high` alone.

    points: rows of compare.front.FRONT. title: the measure of unfairness.
    """
    figure = go.Figure()
    front = points[points["on_front"]].sort_values(["error", "unfairness"])
    if len(front):
        figure.add_scatter(
            x=[front["error"].iloc[0], *front["error"], high[0]],
            y=[high[1], *front["unfairness"], front["unfairness"].iloc[-1]],
            mode="lines",
            line={"color": translucent(OKABE_ITO[0], 0.6), "shape": "hv", "width": 2},
            fill=None,
            hoverinfo="skip",
            showlegend=False,
        )
    for on_front, name, symbol, colour in KINDS:
        part = points[points["on_front"] == on_front]
        if part.empty:
            continue
        ends = [f"{axis}{end}" for axis in ("error", "unfairness") for end in ("_low", "_high")]
        figure.add_scatter(
            x=part["error"],
            y=part["unfairness"],
            mode="markers",
            name=name,
            text=[words(model) for model in part["model"]],
            marker={"color": colour, "symbol": symbol, "size": 11, "line": {"width": 2, "color": colour}},
            error_x=bars(part["error"], part["error_low"], part["error_high"], translucent(colour, 0.55), 1.2, 4),
            error_y=bars(
                part["unfairness"],
                part["unfairness_low"],
                part["unfairness_high"],
                translucent(colour, 0.55),
                1.2,
                4,
            ),
            customdata=part[ends].to_numpy(float),
            hovertemplate="%{text}<br>error %{x:.2%} [%{customdata[0]:.2%}, %{customdata[1]:.2%}]<br>unfairness %{y:.4f} "
            "[%{customdata[2]:.4f}, %{customdata[3]:.4f}]<extra></extra>",
        )
    styled(figure, 420)
    figure.update_xaxes(title="error (1 - mean accuracy)", range=[low[0], high[0]], tickformat=".3~%")
    figure.update_yaxes(title=words(title), range=[low[1], high[1]])
    return figure
