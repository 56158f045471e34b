"""What a number does along a setting that a study varies: a line per kind of model, an interval at every point."""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import GREY, bars, group_styles, legend_below, styled, translucent, words

LOGARITHMIC = 30
"""From this ratio of the largest to the smallest value on, all above 0, the axis of values is logarithmic."""


def axis_figure(
    table: pd.DataFrame, measure: str, setting: str, title: str, level: tuple[str, float] | None = None
) -> go.Figure:
    """One measure along one setting.

    table: rows of compare.varied.along: line, value, and the column `measure` with _low and _high. Numbers are joined by
    lines, names stand side by side as points. setting: the heading of the values; title: that of the measure. level: name
    and value of a model that does not hang on the setting, drawn as a dotted line.
    """
    figure = go.Figure()
    numeric = pd.api.types.is_numeric_dtype(table["value"])
    lines = list(dict.fromkeys(table["line"]))
    for line, style in group_styles(lines).items():
        part = table[table["line"] == line]
        low, high = part[f"{measure}_low"], part[f"{measure}_high"]
        figure.add_scatter(
            x=part["value"] if numeric else [words(value) for value in part["value"]],
            y=part[measure],
            mode="lines+markers" if numeric else "markers",
            name=words(line),
            connectgaps=False,
            line={"color": style.colour, "dash": style.dash, "width": 2},
            marker={"color": style.colour, "symbol": style.symbol, "size": 9},
            error_y=bars(part[measure], low, high, translucent(style.colour, 0.7)),
            customdata=pd.DataFrame({"low": low, "high": high}).to_numpy(float),
            hovertemplate=f"{words(line)}<br>{words(setting)} %{{x}}<br>%{{y:.2f}} [%{{customdata[0]:.2f}}, %{{customdata[1]:.2f}}]"
            "<extra></extra>",
        )
    if level is not None:
        figure.add_hline(
            y=level[1],
            line={"dash": "dot", "color": GREY},
            annotation_text=words(level[0]),
            annotation_position="top left",
        )
    if numeric:
        figure.update_xaxes(scale_of(table["value"]))
    else:
        order = [words(value) for value in dict.fromkeys(table["value"])]
        figure.update_xaxes(type="category", categoryorder="array", categoryarray=order, range=[-0.5, len(order) - 0.5])
    styled(figure, 320)
    figure.update_xaxes(title=words(setting))
    figure.update_yaxes(title=words(title))
    return legend_below(figure, len(lines)) if lines else figure


def scale_of(values: pd.Series) -> dict[str, Any]:
    """The axis of a setting's numbers: logarithmic where they are far apart, a tick at each."""
    spread = len(values) and values.min() > 0 and values.max() / values.min() >= LOGARITHMIC
    ticks = sorted(set(values))
    return {"type": "log" if spread else "linear", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}
