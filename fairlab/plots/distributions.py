"""The scores of every group's genuine and impostor pairs above each other, and where thresholds cut them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fairlab.plots.colours import GREY, styled, translucent, words

BINS = 80
KINDS = ((True, "genuine", "#009E73"), (False, "impostor", "#D55E00"))


def distributions_figure(
    scores: Mapping[str, np.ndarray],
    genuine: Mapping[str, np.ndarray],
    thresholds: Mapping[str, float],
    groups: Sequence[str],
) -> go.Figure:
    """A row per group: share of its genuine and of its impostor pairs in each bin of the score, and its threshold.

    Counted here, so that any number of pairs stays light; shares, so that kinds of different size can be compared.
    """
    shown = [group for group in groups if group in scores and len(scores[group])]
    figure = make_subplots(rows=max(len(shown), 1), cols=1, shared_xaxes=True, vertical_spacing=0.02)
    if not shown:
        return styled(figure, 200)
    every = np.concatenate([scores[group] for group in shown])
    low, high = float(every.min()), float(every.max())
    if high - low < 1e-6:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    middle = (edges[:-1] + edges[1:]) / 2
    for row, group in enumerate(shown, start=1):
        for kind, name, colour in KINDS:
            of = scores[group][genuine[group] == kind]
            counts = np.histogram(of, edges)[0]
            figure.add_scatter(
                x=middle,
                y=counts / max(len(of), 1),
                mode="lines",
                line={"color": colour, "width": 1.4, "shape": "hvh"},
                fill="tozeroy",
                fillcolor=translucent(colour, 0.3),
                name=name,
                legendgroup=name,
                showlegend=row == 1,
                customdata=np.column_stack([counts, edges[:-1], edges[1:]]),
                hovertemplate=f"{words(group)}: %{{customdata[0]:,}} of {len(of):,} {name} pairs (%{{y:.1%}})"
                "<br>score %{customdata[1]:.3f} to %{customdata[2]:.3f}<extra></extra>",
                row=row,
                col=1,
            )
        figure.update_yaxes(title={"text": words(group), "standoff": 4}, showticklabels=False, row=row, col=1)
        if np.isfinite(thresholds.get(group, np.nan)):
            figure.add_vline(x=thresholds[group], line={"dash": "dash", "color": GREY, "width": 1.6}, row=row, col=1)
    figure.update_xaxes(title="score (cosine); dashed: the threshold", row=len(shown), col=1)
    return styled(figure, 110 + 84 * len(shown))
