"""A whole study at a glance: every model a row, every group a mark, the mean with its interval."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import GREY, bars, group_styles, styled, words

ROW_PX = 34


def models_figure(table: pd.DataFrame, groups: Sequence[str]) -> go.Figure:
    """Accuracy of every model on every group, in percent, joined by a line: a short line is a fair model.

    table: rows of runs.compare, first row on top; columns model, mean, mean_low, mean_high, accuracy:<group>. A second
    model of one name is numbered.
    """
    figure = go.Figure()
    before = table.groupby("model").cumcount()
    names = [
        words(f"{model} ({number + 1})" if number else model)
        for model, number in zip(table["model"], before, strict=True)
    ]
    columns = [f"accuracy:{group}" for group in groups]
    lowest, highest = table[columns].min(axis=1), table[columns].max(axis=1)
    lines_x = [x for low, high in zip(lowest, highest, strict=True) for x in (low, high, None)]
    lines_y = [y for name in names for y in (name, name, None)]
    figure.add_scatter(
        x=lines_x,
        y=lines_y,
        mode="lines",
        line={"color": "rgba(128,128,128,0.35)", "width": 5},
        hoverinfo="skip",
        showlegend=False,
    )
    for group, style in group_styles(groups).items():
        figure.add_scatter(
            x=table[f"accuracy:{group}"],
            y=names,
            mode="markers",
            name=words(group),
            marker={"color": style.colour, "symbol": style.symbol, "size": 9},
            customdata=table[[f"accuracy:{group}_low", f"accuracy:{group}_high"]].to_numpy(float),
            hovertemplate=f"%{{y}}<br>{words(group)} %{{x:.1f}} % [%{{customdata[0]:.1f}}, %{{customdata[1]:.1f}}]<extra></extra>",
        )
    figure.add_scatter(
        x=table["mean"],
        y=names,
        mode="markers",
        name="mean",
        marker={"color": GREY, "symbol": "line-ns-open", "size": 16, "line": {"width": 2.5, "color": GREY}},
        error_x=bars(table["mean"], table["mean_low"], table["mean_high"], GREY, 1.6),
        hovertemplate="%{y}<br>mean %{x:.1f} %<extra></extra>",
    )
    styled(figure, ROW_PX * len(table) + 90)
    figure.update_layout(margin={"l": 8, "t": 40}, legend={"entrywidth": 62})
    figure.update_xaxes(title="accuracy, %")
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=True)
    return figure
