"""The map of a space as a figure: float arrays and row ids only, so that 20,000 points stay light."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import GREY, OKABE_ITO, SYMBOLS, group_styles, styled

DRAWN_AT_MOST = 20_000


def map_figure(
    points: pd.DataFrame, colour_by: str, groups: Sequence[str], selected: np.ndarray | None = None, height: int = 520
) -> go.Figure:
    """Points of a map. points: columns x, y, image_id and the column `colour_by` (text, or numbers for a scale).

    selected: image ids to stand out, None for no selection. Every point carries its image id as customdata.
    """
    figure = go.Figure()
    chosen = None if selected is None else set(np.asarray(selected).tolist())
    values = points[colour_by]
    if pd.api.types.is_numeric_dtype(values):
        parts = [("", points, {"color": values.to_numpy(np.float32), "colorscale": "Viridis", "showscale": True, "symbol": "circle"})]
    else:
        parts = [(name, points[values == name], style) for name, style in _styles(values, colour_by, groups).items()]
    for name, part, marker in parts:
        if part.empty:
            continue
        ids = part["image_id"].to_numpy()
        trace: dict[str, object] = {}
        if chosen is not None:
            trace = {"selectedpoints": [n for n, image in enumerate(ids.tolist()) if image in chosen]}
        figure.add_scattergl(
            x=part["x"].to_numpy(np.float32), y=part["y"].to_numpy(np.float32), mode="markers", name=name or colour_by,
            showlegend=bool(name), customdata=ids.reshape(-1, 1).tolist(), marker={"size": 5, "opacity": 0.85, **marker},
            selected={"marker": {"opacity": 1.0, "size": 8}}, unselected={"marker": {"opacity": 0.12}},
            hovertemplate=f"{name}<br>image %{{customdata[0]}}<extra></extra>", **trace,
        )
    figure.update_layout(dragmode="lasso", uirevision="map")
    styled(figure, height)
    figure.update_layout(margin={"l": 8, "r": 8, "t": 40, "b": 8}, legend={"itemsizing": "constant"})
    figure.update_xaxes(visible=False)
    figure.update_yaxes(visible=False, scaleanchor="x")
    return figure


def _styles(values: pd.Series, colour_by: str, groups: Sequence[str]) -> Mapping[str, dict[str, str]]:
    """Marker per value: groups have their own style; of other texts the most frequent get a colour, the rest is grey."""
    if colour_by == "group":
        return {name: {"color": style.colour, "symbol": style.symbol} for name, style in group_styles(groups).items()}
    counted = values.value_counts()
    frequent = list(counted.index[:10])
    styles = {
        name: {"color": OKABE_ITO[n % len(OKABE_ITO)], "symbol": SYMBOLS[n // len(OKABE_ITO)]} for n, name in enumerate(sorted(frequent))
    }
    return {**styles, **{name: {"color": GREY, "symbol": "circle-open"} for name in counted.index[10:]}}
