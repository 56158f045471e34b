"""Lorenz curves, and a person's scores."""

from __future__ import annotations

import numpy as np

from fairlab.evaluation.people import LORENZ
from fairlab.plots.people import lorenz_figure, person_figure


def test_a_group_without_errors_has_no_curve() -> None:
    rows = [("A", "false-match", x, x**0.5, x) for x in (0.0, 0.5, 1.0)]
    rows += [("<b>", "false-match", x, np.nan, np.nan) for x in (0.0, 1.0)]
    figure = lorenz_figure(LORENZ.build(rows), ["A", "<b>"])
    assert [trace.name for trace in figure.data] == ["A", "A, by chance"]
    assert list(figure.data[0].y) == [0, 0.5**0.5, 1]


def test_a_persons_scores_are_all_drawn() -> None:
    own = {"genuine": np.array([0.6, 0.7]), "impostor": np.empty(0)}
    others = {"genuine": np.linspace(0, 1, 101), "impostor": np.linspace(0, 0.5, 101)}
    figure = person_figure(own, 0.4, others)
    assert list(figure.data[0].x) == [0.6, 0.7]
    assert np.allclose(figure.data[1].x, [0.05, 0.5, 0.95])
    assert len(figure.data) == 3
