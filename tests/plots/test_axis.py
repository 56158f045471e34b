"""A measure along a varied setting."""

from __future__ import annotations

import pandas as pd
import pytest

from fairlab.plots.axis import axis_figure


def table(values: list[object], lines: list[str]) -> pd.DataFrame:
    rows = [(line, value, 10.0 * n, 10.0 * n - 2, 10.0 * n + 3) for line in lines for n, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["line", "value", "std", "std_low", "std_high"])


def test_numbers_are_joined_and_every_point_has_its_interval() -> None:
    figure = axis_figure(table([1.0, 10.0, 100.0], ["A", "B"]), "std", "kd_weight", "STD")
    assert [trace.name for trace in figure.data] == ["A", "B"]
    for trace in figure.data:
        assert trace.mode == "lines+markers"
        assert list(trace.x) == [1.0, 10.0, 100.0]
        assert list(trace.y) == [0.0, 10.0, 20.0]
        assert list(trace.error_y.array) == [3.0] * 3
        assert list(trace.error_y.arrayminus) == [2.0] * 3
    assert figure.layout.xaxis.title.text == "kd_weight"
    assert figure.data[0].marker.symbol != figure.data[1].marker.symbol


@pytest.mark.parametrize(
    ("values", "kind"), [([1.0, 10.0, 100.0], "log"), ([0.1, 0.3], "linear"), ([0.0, 90.0], "linear")]
)
def test_values_of_many_sizes_have_a_logarithmic_axis(values: list[object], kind: str) -> None:
    figure = axis_figure(table(values, ["A"]), "std", "x", "STD")
    assert figure.layout.xaxis.type == kind
    assert list(figure.layout.xaxis.tickvals) == values


def test_names_are_points_that_nothing_joins() -> None:
    figure = axis_figure(table(["vit", "tiny"], ["A"]), "std", "backbone", "STD", ("Student without KD", 4.0))
    assert figure.data[0].mode == "markers"
    assert figure.layout.xaxis.type == "category"
    assert list(figure.layout.xaxis.categoryarray) == ["vit", "tiny"]
    assert figure.layout.shapes[0].y0 == figure.layout.shapes[0].y1 == 4.0
    assert figure.layout.annotations[0].text == "Student without KD"
