"""Soft group shares: how much of each group the images have."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from fairlab.plots.colours import group_styles, styled, words

BINS = 20


def shares_figure(values: np.ndarray, groups: Sequence[str]) -> go.Figure:
    """Of shares (N, G), 0..1, rows of NaN left out: a line per group, images in each of 20 equal bins of its share.

    Counted here, so that any number of images stays light; the counts are on a log axis, since most shares are near 0 or 1.
    """
    values = values[~np.isnan(values[:, 0])]
    edges = np.linspace(0, 1, BINS + 1)
    figure = go.Figure()
    styles = group_styles(groups)
    for number, group in enumerate(groups):
        counts = np.histogram(values[:, number], edges)[0]
        figure.add_scatter(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts,
            mode="lines+markers",
            name=words(group),
            line={"color": styles[group].colour, "shape": "hvh", "width": 1.6},
            marker={"symbol": styles[group].symbol, "size": 7},
            customdata=np.column_stack([edges[:-1], edges[1:]]),
            hovertemplate=f"{words(group)}: %{{y:,}} of {len(values):,} images"
            "<br>share %{customdata[0]:.2f} to %{customdata[1]:.2f}<extra></extra>",
        )
    figure.update_xaxes(title="share of the group in an image", range=[0, 1])
    figure.update_yaxes(title="images", type="log")
    return styled(figure, 320)
