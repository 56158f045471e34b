"""Gaps with traits as they are and held equal, and the effect of each trait, with intervals."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import GREY, OKABE_ITO, bars, styled, words

KINDS = (("gap", "as it is", OKABE_ITO[5], "circle"), ("remains", "traits held equal", OKABE_ITO[2], "diamond"))


def gaps_figure(gaps: pd.DataFrame, rate: str) -> go.Figure:
    """gaps: evaluation.causes.GAPS; rate: FNMR, FMR or score. Two marks per group, each with its 95 % interval."""
    figure = go.Figure()
    for key, title, colour, symbol in KINDS:
        part = gaps[gaps[key].notna().to_numpy()]
        figure.add_scatter(
            x=part[key],
            y=[words(name) for name in part["group"]],
            mode="markers",
            orientation="h",
            offsetgroup=key,
            name=title,
            marker={"color": colour, "symbol": symbol, "size": 10},
            error_x=bars(part[key], part[f"{key}_low"], part[f"{key}_high"], colour),
            hovertemplate=f"%{{y}}, {title}: %{{x:+.3f}}<extra></extra>",
        )
    figure.add_vline(x=0, line={"color": GREY, "dash": "dot"})
    figure.update_layout(scattermode="group", scattergap=0.5)
    shown = ".3f" if rate == "score" else "+.0%"
    figure.update_xaxes(title=f"gap in {rate} to the mean of the other groups", tickformat=shown)
    figure.update_yaxes(autorange="reversed", type="category")
    return styled(figure, 120 + 62 * max(len(gaps), 1))


def effects_figure(effects: pd.DataFrame, rate: str) -> go.Figure:
    """effects: evaluation.causes.EFFECTS. A mark per trait with its 95 % interval; grey where it may be chance."""
    figure = go.Figure()
    names = [f"{words(row.trait)}, {row.of}" for row in effects.itertuples()]
    sure = (effects["p_adjusted"] < 0.05).to_numpy()
    for beyond, title, colour in ((True, "beyond chance", OKABE_ITO[4]), (False, "may be chance", GREY)):
        part = effects[sure == beyond]
        figure.add_scatter(
            x=part["effect"],
            y=[name for name, is_sure in zip(names, sure, strict=True) if is_sure == beyond],
            mode="markers",
            name=title,
            marker={"color": colour, "symbol": "circle" if beyond else "circle-open", "size": 10},
            error_x=bars(part["effect"], part["low"], part["high"], colour),
            hovertemplate="%{y}: %{x:+.4f} per standard deviation<extra></extra>",
        )
    figure.add_vline(x=0, line={"color": GREY, "dash": "dot"})
    figure.update_xaxes(
        title=f"change of {rate} per standard deviation", tickformat=".3f" if rate == "score" else "+.1%"
    )
    figure.update_yaxes(autorange="reversed", type="category", categoryorder="array", categoryarray=names)
    return styled(figure, 120 + 34 * max(len(effects), 1))
