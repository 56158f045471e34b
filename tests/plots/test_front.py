"""The front of accuracy against unfairness as a figure."""

from __future__ import annotations

import pandas as pd

from fairlab.plots.front import front_figure


def points() -> pd.DataFrame:
    rows = [("A", 0.1, 0.3, True), ("B", 0.2, 0.1, True), ("C", 0.3, 0.2, False)]
    frame = pd.DataFrame(rows, columns=["model", "error", "unfairness", "on_front"])
    for name in ("error", "unfairness"):
        frame[f"{name}_low"], frame[f"{name}_high"] = frame[name] - 0.02, frame[name] + 0.05
    return frame


def test_the_axes_are_cut_to_the_shown_range() -> None:
    figure = front_figure(points(), "STD", (0.05, 0.06), (0.4, 0.4))
    assert list(figure.layout.xaxis.range) == [0.05, 0.4]
    assert list(figure.layout.yaxis.range) == [0.06, 0.4]
    assert figure.layout.yaxis.title.text == "STD"


def test_the_staircase_goes_over_the_front_alone() -> None:
    """From the upper edge down to the best accuracy, and right from the fairest to the edge."""
    stairs = front_figure(points(), "STD", (0.0, 0.0), (0.5, 0.5)).data[0]
    assert stairs.line.shape == "hv"
    assert list(zip(stairs.x, stairs.y, strict=True)) == [(0.1, 0.5), (0.1, 0.3), (0.2, 0.1), (0.5, 0.1)]


def test_beaten_models_are_hollow_and_all_have_both_intervals() -> None:
    _, front, beaten = front_figure(points(), "STD", (0.0, 0.0), (0.5, 0.5)).data
    assert (list(front.text), front.marker.symbol) == (["A", "B"], "circle")
    assert (list(beaten.text), beaten.marker.symbol) == (["C"], "circle-open")
    for trace in (front, beaten):
        for bars in (trace.error_x, trace.error_y):
            assert [round(value, 9) for value in bars.array] == [0.05] * len(trace.x)
            assert [round(value, 9) for value in bars.arrayminus] == [0.02] * len(trace.x)


def test_no_model_is_no_error() -> None:
    assert len(front_figure(points().iloc[:0], "STD", (0.0, 0.0), (1.0, 1.0)).data) == 0
