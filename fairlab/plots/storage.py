"""What lies on the disk: a bar for each study, run or data set, in parts by kind."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from fairlab.formatting import room
from fairlab.plots.colours import group_styles, styled, words

MOST, ROW_PX = 20, 30
KINDS, REST = 7, "the rest"
"""Kinds with a colour of their own, the largest."""


def storage_figure(table: pd.DataFrame, by: str) -> go.Figure:
    """Bytes by kind, stacked; largest bar on top, the first MOST of them.

    table: columns kind, bytes and `by`, whose values are the bars.
    """
    totals = table.groupby(by)["bytes"].sum().sort_values(ascending=False)
    bars = totals.index[:MOST].tolist()
    kinds = table.groupby("kind")["bytes"].sum().sort_values(ascending=False).index.tolist()
    small = kinds[KINDS:]
    table = table.assign(kind=table["kind"].where(~table["kind"].isin(small), REST))
    kinds = kinds[:KINDS] + ([REST] if small else [])
    figure = go.Figure()
    for kind, style in group_styles(kinds).items():
        part = table[table["kind"] == kind].groupby(by)["bytes"].sum().reindex(bars, fill_value=0)
        figure.add_bar(
            y=[words(name) for name in bars],
            x=part / 1e6,
            name=words(kind),
            orientation="h",
            marker={"color": style.colour},
            customdata=[room(size) for size in part],
            hovertemplate=f"%{{y}}<br>{words(kind)} %{{customdata}}<extra></extra>",
        )
    styled(figure, ROW_PX * len(bars) + 150)
    figure.update_layout(barmode="stack", margin={"l": 8, "t": 60}, legend={"traceorder": "normal"})
    figure.update_xaxes(title="MB")
    figure.update_yaxes(autorange="reversed", automargin=True)
    return figure
