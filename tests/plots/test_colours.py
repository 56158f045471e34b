"""A group looks the same everywhere, and no two look alike."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from fairlab.plots.colours import band, group_styles
from fairlab.plots.fairness import rate_figure
from fairlab.plots.verification import roc_figure


@pytest.mark.parametrize("count", [1, 4, 8, 12])
def test_every_group_has_a_look_of_its_own(count: int) -> None:
    styles = group_styles([f"g{n}" for n in range(count)])
    assert len({(style.colour, style.symbol) for style in styles.values()}) == count


def test_a_group_that_is_left_out_changes_no_colour() -> None:
    """Colours go by the data set's order of groups, not by what happens to be drawn."""
    groups = ("a", "b", "c")
    curves = pd.DataFrame(
        [("r", "test", group, 0.5, fmr, 0.9, 0.8, 0.95, 10, 10) for group in ("a", "c") for fmr in (0.1, 1.0)],
        columns=[
            "run_id",
            "protocol",
            "group",
            "threshold",
            "fmr",
            "tmr",
            "low",
            "high",
            "genuine_pairs",
            "impostor_pairs",
        ],
    )
    lines = {
        trace.name: trace.line.color
        for trace in roc_figure(curves, groups).data
        if trace.mode == "lines" and trace.name in groups
    }
    assert lines == {name: group_styles(groups)[name].colour for name in ("a", "c")}


def test_a_rate_is_drawn_with_its_interval_and_an_unknown_one_is_not_drawn() -> None:
    rows = pd.DataFrame(
        [("a", 0.2, 0.1, 0.4, 50, 60), ("b", np.nan, np.nan, np.nan, 50, 0)],
        columns=["group", "value", "low", "high", "genuine_pairs", "impostor_pairs"],
    )
    traces = [trace for trace in rate_figure(rows, ("a", "b"), "FMR").data if trace.y is not None and len(trace.y)]
    assert len(traces) == 1
    error = traces[0].error_y
    assert [*error.array, *error.arrayminus] == pytest.approx([0.2, 0.1])


def test_a_band_has_a_gap_where_its_ends_are_not_known() -> None:
    """Every closed piece spans from low to high at each of its places; none joins the two sides of a gap."""
    x = np.arange(7.0)
    low, high = x / 10, x / 10 + 0.3
    low[3] = np.nan
    high[6] = np.nan
    figure = go.Figure()
    band(figure, x, low, high, "#0072B2", "A")
    (trace,) = figure.data
    xs, ys = np.array(trace.x, float), np.array(trace.y, float)
    ends = [-1, *np.flatnonzero(np.isnan(xs)), len(xs)]
    pieces = [(xs[a + 1 : b], ys[a + 1 : b]) for a, b in pairwise(ends)]
    assert [sorted(set(places)) for places, _ in pieces] == [[0, 1, 2], [4, 5]]
    for places, heights in pieces:
        for place in set(places):
            here = heights[places == place]
            assert (here.min(), here.max()) == (low[int(place)], high[int(place)])
