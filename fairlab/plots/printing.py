"""Figures on paper: white ground and dark words, whatever the page looks like, and the script that draws them."""

from __future__ import annotations

from functools import cache
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

FONT = "Arial, Helvetica, sans-serif"
"""Fonts of one width each on Windows, macOS and Linux (Arial, Helvetica, Liberation Sans, Nimbus Sans). A saved SVG names its
font: Inkscape, rsvg-convert and LaTeX's tools read none that is embedded."""
INK, GROUND, GRID = "#1D2733", "#FFFFFF", "#D9E0E7"
"""Words, ground and lines of a saved figure: the page's light theme."""


def dressed(figure: go.Figure, ink: str, ground: str) -> go.Figure:
    """The same figure with words and ground in these colours. The caller's is changed."""
    for update in (figure.update_xaxes, figure.update_yaxes):
        update(tickfont={"color": ink}, title={"font": {"color": ink}})
    figure.update_layout(font={"color": ink, "family": FONT}, legend={"font": {"color": ink}}, paper_bgcolor=ground)
    return figure.update_annotations(font={"color": ink})


def page_of(figure: go.Figure) -> bytes:
    """A figure as an HTML page that needs nothing from elsewhere."""
    printed = dressed(type(figure)(figure), INK, GROUND).update_layout(plot_bgcolor=GROUND)
    page: str = printed.to_html(include_plotlyjs=True)
    return page.encode()


def part_of_page(figure: go.Figure) -> str:
    """A figure as a piece of an HTML page that has drawing_script() in it."""
    printed = dressed(type(figure)(figure), INK, GROUND).update_layout(plot_bgcolor=GROUND)
    part: str = printed.to_html(full_html=False, include_plotlyjs=False, config={"displaylogo": False})
    return part


def look() -> dict[str, Any]:
    """What the browser needs to dress a figure for paper (ui/frame/printing.py)."""
    return {"font": FONT, "ink": INK, "ground": GROUND, "grid": GRID}


@cache
def drawing_script() -> bytes:
    """plotly.js, as the Python package brings it: the browser draws a figure for paper with it."""
    return get_plotlyjs().encode()
