"""The map of a space as a Plotly figure: for notebooks, and for browsers without WebGL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import GREY, OKABE_ITO, SYMBOLS, WRONG, group_styles, styled, words

NAMED_AT_MOST = 10
"""Values with a colour of their own; the rest is grey. People cannot tell more colours apart."""
OTHERS = "others"
NAMED = tuple(colour for colour in OKABE_ITO if colour != "#7F7F7F")
"""Colours of named values: grey means the others, and nobody else."""
FIXED = {
    "same person": {"color": OKABE_ITO[2], "symbol": "circle"},
    "another person": {"color": WRONG, "symbol": "x"},
}


def map_figure(
    points: pd.DataFrame,
    colour_by: str,
    groups: Sequence[str],
    selected: np.ndarray | None = None,
    height: int = 520,
    title: str = "",
) -> go.Figure:
    """Points of a map. points: columns x, y, image_id and the column `colour_by` (text, or numbers for a scale).

    selected: image ids to stand out, None for no selection. Every point carries its image id as customdata.
    title: what a scale of numbers means.
    """
    figure = go.Figure()
    values = points[colour_by]
    if pd.api.types.is_numeric_dtype(values):
        marker = {
            "color": values.to_numpy(np.float32),
            "colorscale": "Viridis",
            "showscale": True,
            "colorbar": {"title": {"text": title or colour_by, "side": "right"}, "thickness": 10, "outlinewidth": 0},
        }
        _points(figure, points, "", marker, selected)
    else:
        shown, styles = _named(values.astype(str), colour_by, groups)
        for name, style in styles.items():
            _points(figure, points[shown == name], name, dict(style), selected)
    styled(figure, height)
    figure.update_layout(
        dragmode="lasso",
        uirevision="map",
        margin={"l": 4, "r": 4, "t": 34, "b": 4},
        legend={"itemsizing": "constant"},
    )
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    return figure


def _points(
    figure: go.Figure, part: pd.DataFrame, name: str, marker: dict[str, Any], selected: np.ndarray | None
) -> None:
    if part.empty:
        return
    ids = part["image_id"].to_numpy()
    picked: dict[str, Any] = {}
    if selected is not None:
        picked = {"selectedpoints": np.flatnonzero(np.isin(ids, selected)).tolist()}
    figure.add_scattergl(
        x=part["x"].to_numpy(np.float32),
        y=part["y"].to_numpy(np.float32),
        mode="markers",
        name=words(name),
        showlegend=bool(name),
        customdata=ids.astype(np.int32).reshape(-1, 1),
        marker={"size": 5, "opacity": 0.85, **marker},
        selected={"marker": {"opacity": 1.0, "size": 8}},
        unselected={"marker": {"opacity": 0.1}},
        hovertemplate=f"{words(name)}<br>image %{{customdata[0]}}<extra></extra>",
        **picked,
    )


def _named(
    values: pd.Series, colour_by: str, groups: Sequence[str]
) -> tuple[pd.Series, Mapping[str, Mapping[str, str]]]:
    """The name each point is drawn under, and a marker per name, the grey rest first so that it lies below."""
    if colour_by == "group":
        return values, {
            name: {"color": style.colour, "symbol": style.symbol} for name, style in group_styles(groups).items()
        }
    if set(values) <= set(FIXED):
        return values, FIXED
    counted = values.value_counts()
    frequent = sorted(counted.index[:NAMED_AT_MOST])
    styles = {
        name: {"color": NAMED[n % len(NAMED)], "symbol": SYMBOLS[n // len(NAMED)]} for n, name in enumerate(frequent)
    }
    if len(counted) <= NAMED_AT_MOST:
        return values, styles
    rest = f"{len(counted) - NAMED_AT_MOST:,} {OTHERS}"
    return values.where(values.isin(frequent), rest), {rest: {"color": GREY, "symbol": "circle"}, **styles}
