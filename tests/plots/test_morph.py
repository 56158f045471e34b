"""From one map to another: the ends are the maps, a turned map does not move, a selection stands out in every step."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fairlab.plots import morph
from fairlab.plots.morph import STEPS, morph_figure


def maps(count: int = 60) -> tuple[pd.DataFrame, pd.DataFrame]:
    random = np.random.default_rng(0)
    before = pd.DataFrame(
        {"image_id": np.arange(count), "x": random.normal(size=count), "y": random.normal(size=count)}
    )
    after = before.assign(x=random.normal(size=count), y=random.normal(size=count)).iloc[::-1]
    return before.assign(group=np.where(before["image_id"] % 2, "odd", "even")), after


def test_a_map_that_is_turned_moved_and_scaled_stands_still() -> None:
    before, _ = maps()
    turned = before.assign(x=7 - 3 * before["y"], y=3 * before["x"] + 1)
    figure = morph_figure(before, turned, ["even", "odd"], ("A", "B"))
    for step in figure.frames:
        for trace, shown in zip(figure.data, step.data, strict=True):
            assert np.allclose(trace.x, shown.x, atol=2e-4)
            assert np.allclose(trace.y, shown.y, atol=2e-4)


def test_the_steps_lead_from_one_end_to_the_other_in_straight_lines() -> None:
    before, after = maps()
    figure = morph_figure(before, after.iloc[:50], ["even", "odd"], ("A", "B"))
    assert len(figure.frames) == STEPS + 1
    assert sum(len(trace.x) for trace in figure.data) == 50
    for number, trace in enumerate(figure.data):
        way = np.array([step.data[number].x for step in figure.frames])
        assert np.allclose(way[0], trace.x)
        assert np.allclose(way, np.linspace(way[0], way[-1], STEPS + 1), atol=2e-4)
        assert not np.allclose(way[0], way[-1], atol=0.1)


def test_a_selection_keeps_its_colour_and_stands_out() -> None:
    before, after = maps()
    figure = morph_figure(before, after, ["even", "odd"], ("A", "B"), np.array([2, 4, 5]))
    shown = {(trace.name, trace.marker.opacity): trace for trace in figure.data}
    assert shown["even", 1.0].customdata.ravel().tolist() == [2, 4]
    assert shown["odd", 1.0].customdata.ravel().tolist() == [5]
    assert shown["even", 1.0].marker.color == shown["even", 0.12].marker.color
    assert [trace.name for trace in figure.data if trace.showlegend] == ["even", "odd"]
    assert all(list(step.traces) == list(range(len(figure.data))) for step in figure.frames)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_hardly_any_points_are_no_error(count: int) -> None:
    before, after = maps(count)
    figure = morph_figure(before, after, ["even", "odd"], ("A", "B"))
    assert sum(len(trace.x) for trace in figure.data) == count
    assert all(np.isfinite(trace.x).all() for trace in figure.data)


def test_of_many_points_some_are_drawn_and_all_that_are_selected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(morph, "POINTS", 100)
    before, after = maps(300)
    chosen = np.arange(1, 300, 4)
    figure = morph_figure(before, after, ["even", "odd"], ("A", "B"), chosen)
    drawn = np.concatenate([trace.customdata.ravel() for trace in figure.data])
    assert np.isin(chosen, drawn).all()
    assert len(drawn) <= 100 + len(chosen)
