"""Curves of many runs in one figure: smoothing, epochs, thinning, one legend."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from fairlab.errors import FairLabError
from fairlab.plots.overlay import DRAWN, LEAST, Look, epochs_of, overlay, smoothed, thinned
from fairlab.tables import EVENTS


def events(run: str, values: dict[str, list[float]], steps_per_epoch: int = 2) -> pd.DataFrame:
    return EVENTS.build(
        (run, step, (step - 1) // steps_per_epoch, name, value, 0.5 * step)
        for name, line in values.items()
        for step, value in enumerate(line, 1)
    )


def test_smoothing_is_adams_moving_average() -> None:
    """m = w m + (1 - w) x, divided by 1 - w^t (arXiv 1412.6980, algorithm 1), as a loop."""
    values, weight, moment = np.random.default_rng(0).normal(size=60), 0.9, 0.0
    expected = []
    for count, value in enumerate(values, 1):
        moment = weight * moment + (1 - weight) * value
        expected.append(moment / (1 - weight**count))
    assert np.allclose(smoothed(values, weight), expected)
    assert np.array_equal(smoothed(values, 0), values)


def test_epochs_count_from_the_start_and_between_passes() -> None:
    whole = events("a", {"loss": [1.0] * 8}, steps_per_epoch=4)
    assert np.allclose(epochs_of(whole), np.arange(1, 9) / 4)
    assert np.allclose(epochs_of(whole[whole["step"] <= 6]), np.arange(1, 7) / 4)  # the second pass still runs
    assert len(epochs_of(EVENTS.build())) == 0


def test_thinning_keeps_the_ends_and_never_more_than_asked() -> None:
    for count in (1, 2, 59, 60, 61, 4000):
        kept = thinned(count, 60)
        assert kept[0] == 0
        assert kept[-1] == count - 1
        assert len(kept) == min(count, 60)
    assert len(thinned(0, 60)) == 0


def test_each_run_is_once_in_the_legend_and_alike_in_every_panel() -> None:
    both = pd.concat(
        [events("a", {"loss": [3, 2, 1], "lr": [1, 1, 1]}), events("b", {"lr": [2, 2]}), events("gone", {"lr": [1]})]
    )
    figure = overlay(both, {"b": "<b>bold</b> $x$", "a": "A"}, ["loss", "lr"], Look(log_y=True, across="time"))
    assert [(trace.legendgroup, trace.showlegend) for trace in figure.data] == [("a", True), ("a", False), ("b", True)]
    assert figure.data[0].line == figure.data[1].line != figure.data[2].line
    assert figure.data[2].name == "&lt;b&gt;bold&lt;/b&gt; &#36;x&#36;"
    assert figure.data[0].x.tolist() == [0.5, 1.0, 1.5]
    assert figure.layout.yaxis.type == "log"
    assert [note.text for note in figure.layout.annotations] == ["loss", "learning rate"]


def test_a_term_that_is_not_part_of_a_loss_is_not_drawn() -> None:
    both = pd.concat([events("a", {"distillation": [0.0, 0.0]}), events("b", {"distillation": [0.0, 1.0]})])
    assert [trace.legendgroup for trace in overlay(both, {"a": "A", "b": "B"}, ["distillation"]).data] == ["b"]


def test_twenty_long_runs_are_drawn_quickly_and_few_points_are_sent() -> None:
    names = [f"curve{number}" for number in range(8)]
    many = pd.concat([events(f"r{run}", {name: list(np.arange(4000.0)) for name in names}) for run in range(20)])
    start = time.process_time()
    figure = overlay(many, {f"r{run}": f"R {run}" for run in range(20)}, names, Look(0.9, "epoch"))
    assert time.process_time() - start < 10  # 0.9 s of a processor of 2026
    assert len(figure.data) == 160
    assert sum(len(trace.x) for trace in figure.data) <= max(DRAWN, 160 * LEAST)
    styles = {(trace.line.color, trace.line.dash, trace.marker.symbol) for trace in figure.data}
    assert len(styles) == 20


@pytest.mark.parametrize(("wrong", "said"), [({"smoothing": 1.0}, "below 1"), ({"smoothing": -0.1}, "at least 0"), ({"across": "days"}, "not 'days'")])  # fmt: skip
def test_a_look_that_there_is_not_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(FairLabError, match=said):
        Look(**wrong)  # type: ignore[arg-type]
    with pytest.raises(FairLabError, match="at least one curve"):
        overlay(EVENTS.build(), {}, [])
