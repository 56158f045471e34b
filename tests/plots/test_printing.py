"""Figures for paper: white ground and dark words, also of a figure that a dark page has shown."""

from __future__ import annotations

import plotly.graph_objects as go

from fairlab.plots.colours import styled
from fairlab.plots.printing import GROUND, INK, dressed, page_of

PALE, DARK = "#C6CFD8", "#10161D"


def light(colour: str) -> float:
    """Relative luminance of #RRGGBB (WCAG 2)."""
    parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    r, g, b = ((c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4) for c in parts)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_words_can_be_read_on_the_ground() -> None:
    assert (light(GROUND) + 0.05) / (light(INK) + 0.05) >= 4.5, "WCAG 2 AA"


def test_the_html_of_a_dark_page_s_chart_is_for_paper_and_the_shown_one_stays_dark() -> None:
    """It had the dark page's pale words on white: axes, legend and notes."""
    shown = dressed(styled(go.Figure().add_scatter(x=[1], y=[2], name="one")), PALE, DARK)
    shown.add_annotation(text="n/a", font={"color": PALE})
    page = page_of(shown).decode()
    figure = page[page.index("Plotly.newPlot") :]
    assert PALE not in figure
    assert DARK not in figure
    assert INK in figure
    assert shown.layout.paper_bgcolor == DARK
    assert shown.layout.xaxis.tickfont.color == PALE
