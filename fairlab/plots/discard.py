"""Error against discard: a curve per group of its error rate as more of the worst pairs are left out."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import GREY, band, group_styles, styled, words
from fairlab.tables import ALL_GROUPS


def discard_figure(curves: pd.DataFrame, groups: Sequence[str], rate: str) -> go.Figure:
    """curves: evaluation.discard.CURVES; rate: FNMR or FMR. A band is the 95 % interval; all groups together in grey."""
    figure, styles = go.Figure(), group_styles(groups)
    for name in [*groups, ALL_GROUPS]:
        part = curves[(curves["group"] == name).to_numpy()]
        if part.empty:
            continue
        shown = "all groups" if name == ALL_GROUPS else words(name)
        colour = GREY if name == ALL_GROUPS else styles[name].colour
        x = part["left_out"].to_numpy()
        if name != ALL_GROUPS:
            band(figure, x, part["low"].to_numpy(), part["high"].to_numpy(), colour, shown)
        figure.add_scatter(
            x=x,
            y=part["rate"],
            mode="lines",
            name=shown,
            legendgroup=shown,
            line={
                "color": colour,
                "width": 2,
                "dash": "dot" if name == ALL_GROUPS else styles[name].dash,
                "shape": "hv",
            },
            customdata=part[["errors", "pairs"]].to_numpy(),
            hovertemplate=f"{shown}: %{{x:.1%}} of its pairs left out, {rate} %{{y:.2%}} "
            "(%{customdata[0]:,} of %{customdata[1]:,})<extra></extra>",
        )
    figure.update_xaxes(title="share of the group's pairs left out, the worst first", tickformat=".0%")
    figure.update_yaxes(title=rate, tickformat=".1%", rangemode="tozero")
    return styled(figure, 380)
