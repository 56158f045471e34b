"""Differences between groups, as figures."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from fairlab.plots.colours import group_styles
from fairlab.plots.fairness import band_figure, fdr_figure, matrix_figure, rate_figure

NAN = float("nan")


def rows(*values: tuple[str, float, float, float]) -> pd.DataFrame:
    table = pd.DataFrame(values, columns=["group", "value", "low", "high"])
    return table.assign(genuine_pairs=50, impostor_pairs=60)


def test_every_group_has_its_mark_its_interval_and_its_counts() -> None:
    groups = ("A", "B")
    figure = rate_figure(rows(("A", 0.2, 0.1, 0.4), ("B", 0.5, 0.45, 0.6)), groups, "FMR")
    styles = group_styles(groups)
    for trace, upper, lower in zip(figure.data, (0.2, 0.1), (0.1, 0.05), strict=True):
        assert (trace.marker.color, trace.marker.symbol) == (styles[trace.name].colour, styles[trace.name].symbol)
        assert trace.error_y.array[0] == pytest.approx(upper)
        assert trace.error_y.arrayminus[0] == pytest.approx(lower)
        assert "50 genuine" in trace.hovertemplate
        assert "60 impostor" in trace.hovertemplate


def test_a_group_without_the_rate_keeps_its_place_and_says_so() -> None:
    """In the middle of three: the axis has all three, "n/a" stands where the mark would."""
    figure = rate_figure(rows(("A", 0.2, 0.1, 0.4), ("B", NAN, NAN, NAN), ("C", 0.3, 0.2, 0.5)), ("A", "B", "C"), "")
    assert [trace.name for trace in figure.data] == ["A", "C"]
    assert list(figure.layout.xaxis.categoryarray) == ["A", "B", "C"]
    assert tuple(figure.layout.xaxis.range) == (-0.5, 2.5)
    assert [(note.x, note.text) for note in figure.layout.annotations] == [("B", "n/a")]


def test_all_groups_together_are_a_line() -> None:
    figure = rate_figure(rows(("A", 0.2, 0.1, 0.4)), ("A",), "", pooled=0.25)
    assert (figure.layout.shapes[0].y0, figure.layout.shapes[0].y1) == (0.25, 0.25)


def test_names_from_data_stay_text() -> None:
    bad = "<a href='http://evil.example'>x</a>"
    figure = rate_figure(rows((bad, 0.2, 0.1, 0.4)), (bad,), "")
    assert "<a" not in figure.to_json().replace("\\u003c", "<").replace("&lt;a", "")


def test_the_band_reaches_from_fair_to_the_95_percent_point_and_the_axis_holds_everything() -> None:
    figure = band_figure(1.4, 0.6, 2.2, 1.17, 0.65, "STD", 0.0)
    band = figure.layout.shapes[0]
    assert (band.x0, band.x1) == (0.0, 1.17)
    assert figure.data[0].error_x.array[0] == pytest.approx(0.8)
    assert figure.data[0].error_x.arrayminus[0] == pytest.approx(0.8)
    low, high = figure.layout.xaxis.range
    assert low < 0
    assert high > 2.2


@pytest.mark.parametrize(
    ("value", "low", "high", "p95", "middle"),
    [(2.0, NAN, NAN, 1.5, 1.2), (2.0, 1.0, 4.0, NAN, 1.7), (1.0, NAN, NAN, NAN, NAN), (2.0, 1.0, 4.0, np.inf, np.inf)],
)
def test_unknown_ends_and_limits_are_drawn_as_unknown(
    value: float, low: float, high: float, p95: float, middle: float
) -> None:
    """No NaN reaches the axis; without a limit the band fills it and says so."""
    figure = band_figure(value, low, high, p95, middle, "SER", 1.0)
    assert all(math.isfinite(end) for end in figure.layout.xaxis.range)
    assert all(math.isfinite(shape.x1) for shape in figure.layout.shapes)
    assert all(math.isfinite(end) for end in [*figure.data[0].error_x.array, *figure.data[0].error_x.arrayminus])
    assert ("no limit" in figure.layout.annotations[0].text) == (not math.isfinite(p95))
    assert ("no interval" in figure.data[0].hovertemplate) == math.isnan(low)
    assert figure.data[0].error_x.visible == (not math.isnan(low))


def test_figures_paint_nothing_behind_themselves() -> None:
    for figure in (rate_figure(rows(("A", 0.2, 0.1, 0.4)), ("A",), ""), band_figure(1, 0, 2, 1, 0.5, "STD", 0)):
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"


def test_the_matrix_is_whole_though_each_pair_of_groups_stands_once() -> None:
    """Both halves show the same numbers; what was not compared is empty, not zero."""
    table = pd.DataFrame(
        [("A", "A", 100, 3, 0.03, 0.01, 0.06), ("A", "B", 200, 1, 0.005, 0.0, 0.02)],
        columns=["group_a", "group_b", "impostor_pairs", "false_matches", "fmr", "low", "high"],
    )
    square = matrix_figure(table, ("A", "B")).data[0]
    assert [list(line) for line in square.text] == [["3%", "0.5%"], ["0.5%", ""]]
    assert list(square.z[0]) == [0.03, 0.005]
    assert math.isnan(square.z[1][1])
    assert "3 of 100 impostor pairs" in square.customdata[0][0]
    assert square.customdata[1][1] == "not compared"


def test_the_curve_of_discrepancy_lies_in_its_interval_over_the_fair_band() -> None:
    table = pd.DataFrame(
        {
            "fmr_target": [0.01, 0.1],
            "fdr": [0.97, 0.95],
            "low": [0.9, 0.9],
            "high": [1.0, 0.99],
            "fair_p95": [0.99, 0.98],
        }
    )
    fair, interval, line = fdr_figure(table, at=0.05).data
    assert list(line.y) == [0.97, 0.95]
    assert list(interval.y) == [1.0, 0.99, 0.9, 0.9]
    assert list(fair.y) == [1.0, 1.0, 0.98, 0.99]


def test_small_rates_have_ticks_that_differ() -> None:
    """An axis up to 0.2 % must not read 0 %, 0 %, 0 %: the format keeps decimals (d3's ~ drops the zeros behind them)."""
    figure = rate_figure(rows(("A", 0.002, 0.001, 0.003)), ("A",), "")
    assert figure.layout.yaxis.tickformat == ".3~%"
