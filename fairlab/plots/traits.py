"""Traits of images: how they are spread in every group, a panel per trait."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fairlab.plots.colours import group_styles, styled, words

BINS, COLUMNS, PANEL_PX, TEXTS = 24, 3, 230, 8


def traits_figure(traits: Mapping[str, np.ndarray], of_images: np.ndarray, groups: Sequence[str]) -> go.Figure:
    """A panel per trait: the share of each group's images in 24 equal bins, or with each of its 8 most frequent texts.

    traits: by name, (N,) float64 with NaN where unknown, or object of str with ""; of_images (N,): the group of every image. Counted here, so that any number of images stays light; images whose trait is
    unknown are left out of the shares.
    """
    columns = min(COLUMNS, max(len(traits), 1))
    rows = max(-(-len(traits) // columns), 1)
    figure = make_subplots(
        rows, columns, subplot_titles=[words(name) for name in traits], horizontal_spacing=0.07,
        vertical_spacing=0.3 / rows,
    )  # fmt: skip
    styles = group_styles(groups)
    for number, (name, values) in enumerate(traits.items()):
        row, column = number // columns + 1, number % columns + 1
        places, shares = shares_in_bins(values, of_images, groups)
        for group in groups:
            figure.add_scatter(
                x=places if numeric(values) else [words(str(place)) for place in places],
                y=100 * shares[group],
                mode="lines" if numeric(values) else "markers",
                name=words(group),
                legendgroup=words(group),
                showlegend=number == 0,
                line={"color": styles[group].colour, "shape": "hvh", "width": 1.6},
                marker={"color": styles[group].colour, "symbol": styles[group].symbol, "size": 8},
                hovertemplate=f"{words(group)}: %{{y:.1f}} % of the images<br>{words(name)} %{{x}}<extra></extra>",
                row=row,
                col=column,
            )
    for row in range(1, rows + 1):
        figure.update_yaxes(title="% of the images", row=row, col=1)
    styled(figure, PANEL_PX * rows + 84)
    figure.update_layout(margin={"t": 72}, legend={"y": 1 + 26 / (PANEL_PX * rows - 36)})  # above the panels' titles
    return figure.update_annotations(font={"size": 13})


def numeric(values: np.ndarray) -> bool:
    """Are they numbers? Otherwise they are texts."""
    return values.dtype != object


def shares_in_bins(
    values: np.ndarray, of_images: np.ndarray, groups: Sequence[str]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """(middles of BINS equal bins or the TEXTS most frequent texts (K,), share of a group's known images in each (K,))."""
    known = ~np.isnan(values) if numeric(values) else values != ""
    values, of = values[known], of_images[known]
    if numeric(values):
        ends = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        edges = (
            np.linspace(*ends, BINS + 1) if ends[1] > ends[0] else np.linspace(ends[0] - 0.5, ends[0] + 0.5, BINS + 1)
        )
        places = (edges[:-1] + edges[1:]) / 2
        counts = {group: np.histogram(values[of == group], edges)[0] for group in groups}
    else:
        places = pd.Series(values, dtype=object).value_counts().index[:TEXTS].to_numpy()
        counts = {group: np.array([(values[of == group] == text).sum() for text in places]) for group in groups}
    return places, {group: count / max(int((of == group).sum()), 1) for group, count in counts.items()}
