"""Soft group shares as a figure."""

from __future__ import annotations

import numpy as np

from fairlab.plots.shares import BINS, shares_figure


def test_every_image_with_shares_is_in_a_bin_of_each_group() -> None:
    values = np.array([[0.0, 1.0], [0.52, 0.48], [1.0, 0.0], [np.nan, np.nan]])
    figure = shares_figure(values, ("A", "B"))
    assert [trace.name for trace in figure.data] == ["A", "B"]
    assert [int(sum(trace.y)) for trace in figure.data] == [3, 3]
    assert (figure.data[0].y[0], figure.data[0].y[10], figure.data[0].y[BINS - 1]) == (1, 1, 1)
    assert figure.data[0].line.color != figure.data[1].line.color


def test_many_images_are_as_light_as_few() -> None:
    random = np.random.default_rng(0).dirichlet(np.ones(4), 100_000)
    assert len(shares_figure(random, tuple("ABCD")).to_json()) < 30_000
