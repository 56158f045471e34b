"""Figures of a search: how often the right person comes first, second ..., and what strangers and enrolled people meet."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import band, group_styles, styled, words


def cmc_figure(cmc: pd.DataFrame, groups: Sequence[str]) -> go.Figure:
    """Share of each group's probes that find their person at a rank or better (identification.CMC), with its band."""
    figure = go.Figure()
    _lines(figure, cmc, groups, "rank", "rate", "rank %{x}<br>found %{y:.2%}")
    figure.update_xaxes(title="rank", type="log", dtick="D2")
    figure.update_yaxes(title="found at this rank or better", tickformat=".0%")
    return styled(figure, 380)


def open_set_figure(curves: pd.DataFrame, groups: Sequence[str]) -> go.Figure:
    """FNIR over FPIR of each group (identification.IDENTIFICATION_CURVE), with the band of the FNIR."""
    figure = go.Figure()
    _lines(figure, curves[curves["fpir"] > 0], groups, "fpir", "fnir", "FPIR %{x:.3~%}<br>FNIR %{y:.2%}")
    figure.update_xaxes(title="false positive identification rate (FPIR)", type="log", dtick=1, tickformat=".3~%")
    figure.update_yaxes(title="enrolled people not found (FNIR)", tickformat=".0%")
    return styled(figure, 380)


def _lines(figure: go.Figure, table: pd.DataFrame, groups: Sequence[str], x: str, y: str, hover: str) -> None:
    styles = group_styles(groups)
    for group in groups:
        part = table[(table["group"] == group) & table[y].notna()].sort_values(x)
        if part.empty:
            continue
        style, label = styles[group], words(group)
        known = part.dropna(subset=["low", "high"])
        at, low, high = known[[x, "low", "high"]].to_numpy(float).T
        band(figure, at, low, high, style.colour, label)
        figure.add_scatter(
            x=part[x],
            y=part[y],
            mode="lines",
            name=label,
            legendgroup=label,
            line={"color": style.colour, "dash": style.dash, "width": 2.2},
            customdata=part[["low", "high"]].to_numpy(float),
            hovertemplate=f"{label}<br>{hover} [%{{customdata[0]:.2%}}, %{{customdata[1]:.2%}}]<extra></extra>",
        )
