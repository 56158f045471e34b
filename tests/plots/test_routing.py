"""Routing over the epochs, as data of the figures."""

from __future__ import annotations

import pandas as pd

from fairlab.evaluation.routing import MEASURES, SHARES
from fairlab.plots.colours import group_styles
from fairlab.plots.routing import measures_figure, shares_figure


def shares(teachers: int = 3) -> pd.DataFrame:
    rows = [
        (epoch, group, f"Teacher {number}", 10, number, number / 10)
        for epoch in (1, 2)
        for group in ("A", "B <b>")
        for number in range(teachers)
    ]
    return SHARES.build(rows)


def test_a_panel_per_teacher_has_a_line_per_group() -> None:
    """In the groups' own colours, each named once; the dotted line is 1 / n."""
    figure = shares_figure(shares(), ("B <b>", "A"))
    assert len(figure.data) == 6
    assert [trace.name for trace in figure.data if trace.showlegend] == ["B &lt;b&gt;", "A"]
    assert figure.data[0].line.color == group_styles(("B <b>", "A"))["B <b>"].colour
    assert list(figure.data[4].y) == [0.2, 0.2]
    assert [shape.y0 for shape in figure.layout.shapes] == [1 / 3] * 3


def test_many_teachers_take_several_rows() -> None:
    one, many = shares_figure(shares(4), ()), shares_figure(shares(9), ())
    assert many.layout.height > 2 * one.layout.height - 100
    assert len(many.data) == 18


def test_without_own_teachers_there_is_no_chance_to_compare_with() -> None:
    """And what is not known has no line."""
    row = {"epoch": 1, "entropy": 0.9, "information_bits": 0.1, "chance": 0.25}
    names = [trace.name for trace in measures_figure(MEASURES.build([row])).data]
    assert names == ["entropy of the overall shares / log n", "I(group; teacher), bits"]
    both = [trace.name for trace in measures_figure(MEASURES.build([{**row, "own_rate": 0.4}])).data]
    assert both[1:3] == ["routed to the group's own teacher", "chance, 1 / n"]
    assert len(measures_figure(MEASURES.build()).data) == 1
