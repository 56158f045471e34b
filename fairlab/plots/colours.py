"""Colours that say the same thing everywhere: a group has its colour, symbol and dash in every figure.

Okabe & Ito's palette, which colour-blind people can tell apart; symbols and dashes say it a second time.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#B2A800", "#7F7F7F")
SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "x", "star", "pentagon")
DASHES = ("solid", "dash", "dot", "dashdot")
GREY = "#888888"
WRONG = "#D62728"
Figure = go.Figure
"""What the functions of this room return, for annotations elsewhere."""


@dataclass(frozen=True)
class Style:
    """How one group is drawn."""

    colour: str
    symbol: str
    dash: str


def group_styles(groups: Sequence[str]) -> dict[str, Style]:
    """A style per group, by its place in `groups`; beyond eight the symbols shift so that no two are the same."""
    count = len(OKABE_ITO)
    return {
        group: Style(
            OKABE_ITO[n % count], SYMBOLS[(n + n // count) % len(SYMBOLS)], DASHES[(n + n // count) % len(DASHES)]
        )
        for n, group in enumerate(groups)
    }


def translucent(colour: str, alpha: float) -> str:
    """A "#rrggbb" colour with opacity 0..1, as plotly takes it."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"


DRAWN = ("scatter", "scattergl", "bar", "heatmap")
"""Kinds of traces in our figures."""
_ELSEWHERE = {"scene", "geo", "map", "mapbox", "polar", "ternary"}


@cache
def _template() -> go.layout.Template:
    """plotly_white without the kinds of figures that we have none of: plotly copies and checks all of it for each figure, which
    took more time than everything else about one."""
    whole = pio.templates["plotly_white"].to_plotly_json()
    layout = {name: value for name, value in whole["layout"].items() if name not in _ELSEWHERE}
    return go.layout.Template(layout=layout, data={kind: whole["data"][kind] for kind in DRAWN})


def styled(figure: go.Figure, height: int = 380) -> go.Figure:
    """The house style. Nothing is painted behind the figure and text has the page's colour, which may be light or dark."""
    figure.update_layout(
        height=height,
        template=_template(),
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 56, "r": 16, "t": 36, "b": 48},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0, "title": None},
        hoverlabel={"namelength": -1},
    )
    grid = {"gridcolor": "rgba(128,128,128,0.18)", "zeroline": False, "linecolor": "rgba(128,128,128,0.45)"}
    figure.update_xaxes(**grid)
    figure.update_yaxes(**grid)
    return figure


def legend_below(figure: go.Figure, entries: int) -> go.Figure:
    """A legend of many entries under the figure, which grows by its rows, so that it never lies over the curves."""
    rows = -(-entries // 2)
    room, height = 24 * rows, int(figure.layout.height or 380)
    return figure.update_layout(
        height=height + room,
        legend={"yanchor": "top", "y": -64 / max(height - 84, 1)},
        margin={"t": 16, "b": 72 + room},
    )


def band(figure: go.Figure, x: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, label: str) -> None:
    """Fill between two curves over x, in a curve's colour; it appears and goes with the curve called `label`.

    Where an end is not known (NaN) there is no band: each stretch between is a shape of its own, for plotly closes a line at
    every gap, upper and lower ends apart.
    """
    known = np.isfinite(low) & np.isfinite(high)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    xs: list[float] = []
    ys: list[float] = []
    for start, stop in edges.reshape(-1, 2):
        xs += [*([np.nan] if xs else []), *x[start:stop], *x[start:stop][::-1]]
        ys += [*([np.nan] if ys else []), *high[start:stop], *low[start:stop][::-1]]
    figure.add_scatter(
        x=xs,
        y=ys,
        fill="toself",
        fillcolor=translucent(colour, 0.14),
        line={"width": 0},
        hoverinfo="skip",
        showlegend=False,
        legendgroup=label,
    )


def bars(
    values: pd.Series, low: pd.Series, high: pd.Series, colour: str, thickness: float = 1.5, width: float = 5
) -> dict[str, Any]:
    """An interval (N,) at every mark, as plotly takes it for error_x or error_y."""
    return {
        "type": "data", "symmetric": False, "array": high - values, "arrayminus": values - low, "thickness": thickness,
        "width": width, "color": colour,
    }  # fmt: skip


def words(text: object) -> str:
    """Text from data as plotly shows it letter by letter: it reads a part of HTML, formulas, and in hovers its templates."""
    return html.escape(str(text), quote=False).replace("$", "&#36;").replace("%{", "&#37;{")
