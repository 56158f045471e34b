"""Who is taken for whom, as figures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fairlab.plots.colours import group_styles
from fairlab.plots.verification import FEW_ERRORS, roc_figure

COLUMNS = ["run_id", "protocol", "group", "threshold", "fmr", "tmr", "low", "high", "genuine_pairs", "impostor_pairs"]


def curves(runs: tuple[str, ...] = ("r",), groups: tuple[str, ...] = ("A", "B"), impostors: int = 1000) -> pd.DataFrame:
    rates = np.array([1, 2, 5, 10, 50, impostors]) / impostors
    rows = [
        (run, "test", group, 1 - rate, rate, tmr := 0.4 + 0.1 * place, tmr - 0.05, tmr + 0.05, 900, impostors)
        for run in runs
        for group in groups
        for place, rate in enumerate(rates)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def lines(figure: object) -> list:
    return [trace for trace in figure.data if trace.fill is None]  # type: ignore[attr-defined]


def test_the_curve_is_the_table_and_the_axis_of_rates_is_logarithmic() -> None:
    """Faint and full part together are all points, the joint drawn by both."""
    figure = roc_figure(curves(), ("A", "B"))
    assert figure.layout.xaxis.type == "log"
    full, faint = (
        next(line for line in lines(figure) if line.name == "A" and (line.opacity < 1) == few) for few in (False, True)
    )
    assert list(full.x) == [0.01, 0.05, 1.0]
    assert list(full.y) == pytest.approx([0.7, 0.8, 0.9])
    assert list(faint.x) == [0.001, 0.002, 0.005, 0.01]


def test_the_faint_part_rests_on_fewer_than_ten_false_matches() -> None:
    """Ten of 1,000 are drawn in full; the hover names the counts."""
    for line in lines(roc_figure(curves(), ("A",))):
        errors = line.customdata[:, 5]
        assert (errors == np.round(np.asarray(line.x) * 1000)).all()
        assert (errors.min() < FEW_ERRORS) == (line.opacity < 1)
        assert "impostor pairs" in line.hovertemplate
        assert "genuine pairs" in line.hovertemplate


def test_every_group_is_once_in_the_legend_even_when_all_of_it_is_faint() -> None:
    """With five impostor pairs nothing is measurable, and still the group is there."""
    for table in (curves(), curves(impostors=5)):
        shown = [line.name for line in lines(roc_figure(table, ("A", "B"))) if line.showlegend]
        assert shown == ["A", "B"]


def test_the_band_is_drawn_for_one_run_and_holds_the_curve() -> None:
    figure = roc_figure(curves(), ("A", "B"))
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(bands) == 2
    assert list(bands[0].y) == pytest.approx([*np.arange(0.45, 1.0, 0.1), *np.arange(0.85, 0.3, -0.1)])
    assert not [trace for trace in roc_figure(curves(("r", "s")), ("A", "B")).data if trace.fill == "toself"]


def test_several_runs_keep_the_groups_colour_and_differ_in_the_line() -> None:
    styles = group_styles(("A", "B"))
    drawn = [line for line in lines(roc_figure(curves(("r", "s")), ("A", "B"), {"r": "Teacher"})) if line.showlegend]
    assert [line.name for line in drawn] == ["A · Teacher", "B · Teacher", "A · s", "B · s"]
    assert [line.line.color for line in drawn] == [styles["A"].colour, styles["B"].colour] * 2
    assert drawn[0].line.dash == drawn[1].line.dash != drawn[2].line.dash


def test_a_rate_of_zero_has_no_place_on_a_logarithmic_axis() -> None:
    table = curves(groups=("A",))
    table.loc[0, "fmr"] = 0.0
    assert all(x > 0 for line in lines(roc_figure(table, ("A",))) for x in line.x)


def test_nothing_to_draw_is_an_empty_figure() -> None:
    assert len(roc_figure(curves().iloc[:0], ("A",)).data) == 0


def test_names_from_data_stay_text() -> None:
    """Group and run names with HTML are escaped in legend and hover."""
    bad = "<a href='http://evil.example'>x</a>"
    for table, names in ((curves(groups=(bad,)), None), (curves(("r", "s"), groups=("A",)), {"s": bad})):
        for line in lines(roc_figure(table, tuple(table["group"].unique()), names)):
            assert "<a" not in line.name
            assert "<a" not in line.hovertemplate


def test_figures_paint_nothing_behind_themselves() -> None:
    """Light and dark pages shine through."""
    figure = roc_figure(curves(), ("A",))
    assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"


def test_the_operating_point_is_marked_in_the_groups_colour() -> None:
    points = pd.DataFrame({"group": ["B", "A"], "fmr": [0.02, 0.0], "tmr": [0.7, 0.5]})
    marks = [trace for trace in roc_figure(curves(), ("A", "B"), points=points).data if trace.mode == "markers"]
    assert [(mark.x[0], mark.y[0], mark.marker.color) for mark in marks] == [
        (0.02, 0.7, group_styles(("A", "B"))["B"].colour)
    ], "a rate of zero has no place on a logarithmic axis"
