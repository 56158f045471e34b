"""How few people make most errors, and how one person's scores lie: Lorenz curves, and scores beside the threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import GREY, OKABE_ITO, group_styles, styled, translucent, words

KINDS = (("genuine", OKABE_ITO[2], "circle"), ("impostor", OKABE_ITO[5], "x"))


def lorenz_figure(table: pd.DataFrame, groups: Sequence[str]) -> go.Figure:
    """A line per group: the share of its errors that its worst people make; dotted and pale: by chance.

    table: rows of evaluation.people.LORENZ of one kind of error; groups without an error have no line.
    """
    figure, styles = go.Figure(), group_styles(groups)
    for group in groups:
        part = table[(table["group"] == group).to_numpy() & table["errors"].notna().to_numpy()]
        if part.empty:
            continue
        style = styles[group]
        figure.add_scatter(
            x=part["people"],
            y=part["errors"],
            mode="lines",
            name=words(group),
            legendgroup=words(group),
            line={"color": style.colour, "dash": style.dash, "width": 2},
            hovertemplate=f"{words(group)}: the worst %{{x:.1%}} of people make %{{y:.1%}}<extra></extra>",
        )
        figure.add_scatter(
            x=part["people"],
            y=part["by_chance"],
            mode="lines",
            name=words(f"{group}, by chance"),
            legendgroup=words(group),
            showlegend=False,
            line={"color": translucent(style.colour, 0.45), "dash": "dot", "width": 1.5},
            hovertemplate=f"{words(group)}, by chance: the worst %{{x:.1%}} make %{{y:.1%}}<extra></extra>",
        )
    figure.update_xaxes(title="share of the people, those with most errors first", range=[0, 1], tickformat=".0%")
    figure.update_yaxes(title="share of the errors", range=[0, 1.02], tickformat=".0%")
    return styled(figure, 360)


def person_figure(scores: Mapping[str, np.ndarray], threshold: float, others: Mapping[str, np.ndarray]) -> go.Figure:
    """One person's genuine and impostor scores as marks, above those of the person's group as boxes, and the threshold.

    scores, others: (n,) by "genuine" and "impostor".
    """
    figure = go.Figure()
    for kind, colour, symbol in KINDS:
        own = scores[kind]
        if len(own):
            figure.add_scatter(
                x=own,
                y=[f"{kind}, this person"] * len(own),
                mode="markers",
                name=kind,
                marker={"color": translucent(colour, 0.7), "symbol": symbol, "size": 9},
                hovertemplate=f"{kind}: %{{x:.4f}}<extra></extra>",
            )
        if len(others[kind]):
            low, middle, high = np.quantile(others[kind], [0.05, 0.5, 0.95])
            figure.add_scatter(
                x=[low, middle, high],
                y=[f"{kind}, group"] * 3,
                mode="lines+markers",
                marker={"color": GREY, "size": [6, 10, 6], "symbol": ["line-ns-open", "diamond", "line-ns-open"]},
                line={"color": GREY},
                hovertemplate=f"{kind} of the group, 5 %, 50 % and 95 %: %{{x:.4f}}<extra></extra>",
                showlegend=False,
            )
    figure.add_vline(x=threshold, line={"color": GREY, "dash": "dash"})
    figure.update_xaxes(title="score")
    figure.update_yaxes(autorange="reversed")
    return styled(figure, 260)
