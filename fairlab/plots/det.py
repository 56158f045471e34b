"""DET: both error rates on axes on which normally distributed scores make straight lines (probit)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from scipy.special import ndtri

from fairlab.plots.colours import DASHES, Style, band, group_styles, legend_below, styled, words
from fairlab.plots.verification import FEW_ERRORS, POINT

TICKS = (1e-5, 1e-4, 1e-3, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)


def det_figure(
    curves: pd.DataFrame,
    groups: Sequence[str],
    names: Mapping[str, str] | None = None,
    points: pd.DataFrame | None = None,
) -> go.Figure:
    """FNMR over FMR of every group, both axes in probits; arguments as roc_figure's. The band is drawn for a single run."""
    figure = go.Figure()
    runs = list(dict.fromkeys(curves["run_id"]))
    styles = group_styles(groups)
    shown: list[float] = []
    for number, run_id in enumerate(runs):
        for group in groups:
            part = curves[(curves["run_id"] == run_id) & (curves["group"] == group)]
            part = part[(part["fmr"] > 0) & (part["fmr"] < 1) & (part["tmr"] < 1) & (part["tmr"] > 0)].sort_values(
                "fmr"
            )
            if part.empty:
                continue
            style, label = styles[group], words(group)
            if len(runs) == 1:
                _band(figure, part, style, label)
            else:
                style = Style(style.colour, style.symbol, DASHES[number % len(DASHES)])
                label = words(f"{group} · {(names or {}).get(run_id, run_id)}")
            shown += [*part["fmr"], *(1 - part["tmr"])]
            _line(figure, part, style, label)
    if points is not None:
        for row in points.itertuples():
            if row.group in styles and 0 < row.fmr < 1 and 0 < row.tmr < 1:
                figure.add_scatter(
                    x=[ndtri(row.fmr)],
                    y=[ndtri(1 - row.tmr)],
                    mode="markers",
                    marker={**POINT, "color": styles[row.group].colour, "symbol": styles[row.group].symbol},
                    showlegend=False,
                    hovertemplate=f"{words(row.group)} at the operating point<br>FMR {row.fmr:.3%}<br>FNMR {1 - row.tmr:.2%}<extra></extra>",
                )
    for axis, title in (
        (figure.update_xaxes, "false match rate (FMR)"),
        (figure.update_yaxes, "false non-match rate (FNMR)"),
    ):
        axis(
            title=title,
            tickvals=[float(ndtri(tick)) for tick in TICKS],
            ticktext=[f"{100 * tick:g}%" for tick in TICKS],
        )
    if shown:
        low, high = (float(ndtri(np.clip(edge, 1e-7, 1 - 1e-7))) for edge in (min(shown), max(shown)))
        figure.update_xaxes(range=[low - 0.1, min(high, float(ndtri(0.8))) + 0.1])
    styled(figure, 440)
    return legend_below(figure, len(runs) * len(groups)) if len(runs) > 1 else figure


def _band(figure: go.Figure, part: pd.DataFrame, style: Style, label: str) -> None:
    """low and high of the table are of the TMR, so FNMR lies between 1 - high and 1 - low."""
    inside = part[(part["high"] < 1) & (part["low"] > 0)]
    if inside.empty:
        return
    x, low, high = inside[["fmr", "low", "high"]].to_numpy(float).T
    band(figure, ndtri(x), ndtri(1 - high), ndtri(1 - low), style.colour, label)


def _line(figure: go.Figure, part: pd.DataFrame, style: Style, label: str) -> None:
    errors = np.round(part["fmr"] * part["impostor_pairs"])
    few = (errors < FEW_ERRORS).to_numpy()
    fmr, fnmr = part["fmr"].to_numpy(float), 1 - part["tmr"].to_numpy(float)
    figure.add_scatter(
        x=ndtri(fmr),
        y=ndtri(fnmr),
        mode="lines",
        name=label,
        legendgroup=label,
        line={"color": style.colour, "dash": style.dash, "width": 2.2},
        customdata=np.column_stack([fmr, fnmr, part[["low", "high", "threshold"]].to_numpy(float), errors, few]),
        hovertemplate=f"{label}<br>FMR %{{customdata[0]:.3~%}} (%{{customdata[5]:,.0f}} false matches)"
        "<br>FNMR %{customdata[1]:.2%}<br>threshold %{customdata[4]:.3f}<extra></extra>",
    )
