"""One number along every setting that a study varies: a panel per setting, all with the same scale of the number."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fairlab.errors import FairLabError
from fairlab.plots.axis import scale_of
from fairlab.plots.colours import OKABE_ITO, bars, styled, translucent, words

COLUMNS, PANEL_PX = 3, 260


def multiples_figure(parts: Mapping[str, pd.DataFrame], measure: str, title: str) -> go.Figure:
    """Small multiples of one measure, so that the setting that changes it most is seen.

    parts: by the heading of each setting, rows of compare.varied.along. Models that differ in the panel's setting alone are
    joined by a line; bars are their 95 % intervals. title: of the measure. Raises FairLabError without a setting.
    """
    if not parts:
        raise FairLabError("the study varies no setting (grid.vary), so there is nothing to draw it along")
    columns = min(COLUMNS, len(parts))
    rows = -(-len(parts) // columns)
    figure = make_subplots(
        rows, columns, shared_yaxes="all", subplot_titles=[words(name) for name in parts],
        horizontal_spacing=0.03, vertical_spacing=0.32 / rows,
    )  # fmt: skip
    for number, (heading, part) in enumerate(parts.items()):
        row, column = number // columns + 1, number % columns + 1
        numeric = pd.api.types.is_numeric_dtype(part["value"])
        for line, own in part.groupby("line", sort=False, observed=True):
            figure.add_trace(_line(own, str(line), heading, measure, numeric), row=row, col=column)
        if numeric and part["value"].notna().any():
            figure.update_xaxes(scale_of(part["value"].dropna()), row=row, col=column)
    styled(figure, PANEL_PX * rows + 40)
    figure.update_annotations(font={"size": 13})
    for row in range(1, rows + 1):
        figure.update_yaxes(title=words(title), row=row, col=1)
    return figure.update_layout(showlegend=False)


def _line(own: pd.DataFrame, line: str, heading: str, measure: str, numeric: bool) -> go.Scatter:
    low, high = own[f"{measure}_low"], own[f"{measure}_high"]
    return go.Scatter(
        x=own["value"] if numeric else [words(value) for value in own["value"]],
        y=own[measure],
        mode="lines+markers" if numeric else "markers",
        line={"color": translucent(OKABE_ITO[0], 0.55), "width": 1.5},
        marker={"color": OKABE_ITO[0], "size": 7},
        error_y=bars(own[measure], low, high, translucent(OKABE_ITO[0], 0.4), thickness=1, width=3),
        customdata=pd.DataFrame({"low": low, "high": high}).to_numpy(float),
        hovertemplate=f"{words(line)}<br>{words(heading)} %{{x}}<br>%{{y:.2f}} [%{{customdata[0]:.2f}}, %{{customdata[1]:.2f}}]"
        "<extra></extra>",
    )
