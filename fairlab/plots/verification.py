"""The ROC of every group: who is taken for whom, from strict to loose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import DASHES, Style, band, group_styles, styled, words

FEW_ERRORS = 10
"""Left of the point with so many false matches a curve is drawn faint: it hangs on single pairs."""
POINT = {"size": 11, "line": {"width": 1.6, "color": "#ffffff"}}
"""How the operating point is marked on a curve."""


def roc_figure(
    curves: pd.DataFrame,
    groups: Sequence[str],
    names: Mapping[str, str] | None = None,
    points: pd.DataFrame | None = None,
) -> go.Figure:
    """ROC of every group (and of every run in `curves`, told apart by the line): TMR over FMR on a log scale.

    curves: columns of evaluation's CURVE; names: run_id -> title; points: group, fmr, tmr at the operating point of the
    first run, which are marked. The band is the 95 % interval over identities, drawn
    for a single run; the faint part rests on fewer than FEW_ERRORS false matches.
    """
    figure = go.Figure()
    runs = list(dict.fromkeys(curves["run_id"]))
    styles = group_styles(groups)
    for number, run_id in enumerate(runs):
        for group in groups:
            part = curves[(curves["run_id"] == run_id) & (curves["group"] == group) & (curves["fmr"] > 0)]
            if part.empty:
                continue
            part = part.sort_values(["fmr", "tmr"])
            style, label = styles[group], words(group)
            if len(runs) == 1:
                fmr, low, high = part[["fmr", "low", "high"]].to_numpy(float).T
                band(figure, fmr, low, high, style.colour, label)
            else:
                style = Style(style.colour, style.symbol, DASHES[number % len(DASHES)])
                label = words(f"{group} · {(names or {}).get(run_id, run_id)}")
            errors = np.round(part["fmr"] * part["impostor_pairs"])
            few = int((errors < FEW_ERRORS).sum())
            _line(figure, part.iloc[few:], style, label, faint=False)
            if few:
                _line(figure, part.iloc[: few + 1], style, label, faint=True)
    for row in () if points is None else points.itertuples():
        if row.group in styles and row.fmr > 0:
            style = styles[row.group]
            figure.add_scatter(
                x=[row.fmr],
                y=[row.tmr],
                mode="markers",
                marker={**POINT, "color": style.colour, "symbol": style.symbol},
                showlegend=False,
                hovertemplate=f"{words(row.group)} at the operating point<br>FMR {row.fmr:.3%}<br>TAR {row.tmr:.1%}<extra></extra>",
            )
    figure.update_xaxes(
        type="log",
        title="false match rate (FMR)",
        dtick=1,
        tickformat=".3~%",
        minor={"dtick": "D1", "showgrid": True, "gridcolor": "rgba(128,128,128,0.08)"},
    )
    figure.update_yaxes(title="true accept rate (1 - FNMR)", range=[0, 1.01], tickformat=".0%")
    return styled(figure, 440)


def _line(figure: go.Figure, part: pd.DataFrame, style: Style, label: str, faint: bool) -> None:
    """A stretch of a curve; the faint one stands behind its full one's entry in the legend."""
    if part.empty:  # never more than few false matches: the legend still names the group
        part = pd.DataFrame({name: [np.nan] for name in part.columns})
    errors = np.round(part["fmr"] * part["impostor_pairs"])
    shown = ["low", "high", "threshold", "genuine_pairs", "impostor_pairs"]
    figure.add_scatter(
        x=part["fmr"].to_numpy(float),
        y=part["tmr"].to_numpy(float),
        mode="lines",
        name=label,
        legendgroup=label,
        showlegend=not faint,
        opacity=0.35 if faint else 1.0,
        line={"color": style.colour, "dash": style.dash, "width": 2.2},
        customdata=np.column_stack([part[shown].to_numpy(float), errors]),
        hovertemplate=f"{label}<br>FMR %{{x:.3~%}} (%{{customdata[5]:,.0f}} of %{{customdata[4]:,.0f}} impostor pairs)"
        "<br>TAR %{y:.1%} [%{customdata[0]:.1%}, %{customdata[1]:.1%}] of %{customdata[3]:,.0f} genuine pairs"
        "<br>threshold %{customdata[2]:.3f}" + ("<br>rests on few false matches" if faint else "") + "<extra></extra>",
    )
