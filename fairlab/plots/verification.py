"""Figures of who is taken for whom: ROC per group, and the scores behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import DASHES, group_styles, styled, translucent, words


def roc_figure(curves: pd.DataFrame, groups: Sequence[str], names: Mapping[str, str] | None = None) -> go.Figure:
    """ROC of every group (and of every run in `curves`, told apart by the line): TMR over FMR on a log scale.

    curves: columns of evaluation's CURVE; the band is the 95 % interval over identities, drawn for a single run.
    """
    figure = go.Figure()
    runs = list(dict.fromkeys(curves["run_id"]))
    styles = group_styles(groups)
    for number, run_id in enumerate(runs):
        for group in groups:
            part = curves[(curves["run_id"] == run_id) & (curves["group"] == group)].sort_values("fmr")
            if part.empty:
                continue
            style = styles[group]
            if len(runs) == 1:
                band = pd.concat([part["fmr"], part["fmr"][::-1]]), pd.concat([part["high"], part["low"][::-1]])
                figure.add_scatter(
                    x=band[0],
                    y=band[1],
                    fill="toself",
                    fillcolor=translucent(style.colour, 0.14),
                    line={"width": 0},
                    hoverinfo="skip",
                    showlegend=False,
                    legendgroup=group,
                )
            dash = style.dash if len(runs) == 1 else DASHES[number % len(DASHES)]
            label = words(group if len(runs) == 1 else f"{group} · {(names or {}).get(run_id, run_id)}")
            first = part.iloc[0]
            figure.add_scatter(
                x=part["fmr"],
                y=part["tmr"],
                mode="lines",
                name=label,
                legendgroup=group,
                line={"color": style.colour, "dash": dash, "width": 2.2},
                customdata=np.stack([part["low"], part["high"], part["threshold"]], axis=1),
                hovertemplate=f"{label}<br>FMR %{{x:.4f}} · TAR %{{y:.1%}} [%{{customdata[0]:.1%}}, %{{customdata[1]:.1%}}]"
                f"<br>threshold %{{customdata[2]:.3f}} · {first['genuine_pairs']} genuine, {first['impostor_pairs']} impostor pairs<extra></extra>",
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


def histogram_figure(pairs: pd.DataFrame, threshold: float | None = None) -> go.Figure:
    """Scores of one group's genuine and impostor pairs. pairs: columns score, genuine."""
    figure = go.Figure()
    low, high = float(pairs["score"].min()), float(pairs["score"].max())
    bins = {"start": low, "end": high + 1e-9, "size": max((high - low) / 50, 1e-6)}
    for genuine, name, colour in ((True, "genuine", "#009E73"), (False, "impostor", "#D55E00")):
        part = pairs.loc[pairs["genuine"] == genuine, "score"]
        figure.add_histogram(
            x=part,
            xbins=bins,
            name=f"{name} ({len(part)})",
            marker={"color": translucent(colour, 0.55), "line": {"width": 0}},
            hovertemplate="score %{x}<br>%{y} pairs<extra>" + name + "</extra>",
        )
    figure.update_layout(barmode="overlay")
    if threshold is not None:
        figure.add_vline(x=threshold, line={"dash": "dash", "color": "#888888"}, annotation_text="threshold")
    figure.update_xaxes(title="score (cosine)")
    figure.update_yaxes(title="pairs")
    return styled(figure, 300)
