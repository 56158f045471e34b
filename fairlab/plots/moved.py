"""How many of an image's neighbours are the same in two spaces, per group."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import group_styles, styled, words

BINS = 20
"""Beyond so many neighbours, counts are put together."""


def overlap_figure(images: pd.DataFrame, k: int, groups: Sequence[str]) -> go.Figure:
    """A line per group: the share of its images that keep so many of their k neighbours.

    images: tables.MOVED_IMAGES; an overlap J means 2 k J / (1 + J) neighbours in common. Images without one are left out.
    """
    figure = go.Figure()
    known = images[images["overlap"].notna()]
    width = max(1, -(-k // BINS))
    starts = np.arange(0, k + 1, width)
    labels = [str(low) if width == 1 or low == k else f"{low} to {min(low + width - 1, k)}" for low in starts]
    for group, style in group_styles(groups).items():
        overlap = known.loc[known["group"] == group, "overlap"].to_numpy(np.float64)
        if not len(overlap):
            continue
        common = np.rint(2 * k * overlap / (1 + overlap)).astype(int)
        counts = np.bincount(common // width, minlength=len(starts))
        figure.add_scatter(
            x=labels,
            y=counts / len(overlap),
            mode="lines+markers",
            name=words(group),
            line={"color": style.colour, "dash": style.dash, "width": 2},
            marker={"color": style.colour, "symbol": style.symbol, "size": 7},
            customdata=counts,
            hovertemplate=f"{words(group)}: %{{customdata:,}} of {len(overlap):,} images (%{{y:.1%}})<br>keep %{{x}} of {k} "
            "neighbours<extra></extra>",
        )
    styled(figure, 300)
    figure.update_xaxes(title=f"of {k} nearest neighbours, the same in both spaces", type="category")
    figure.update_yaxes(title="share of the group's images", tickformat=".0%", rangemode="tozero")
    return figure
