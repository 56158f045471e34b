"""The front of two objectives: the golden values of fairical's arithmetic, closed forms, and what must hold for any points."""

from __future__ import annotations

import numpy as np
import pytest

from fairlab.evaluation.pareto import FrontSize, front_size, hypervolume, on_front, within

G22 = np.array([[0.05, 0.3], [0.08, 0.18], [0.1, 0.25], [0.15, 0.1], [0.3, 0.06]])
"""METHODS_ADDITIONS.md G22, checked there with pymoo's Hypervolume as fairical calls it."""


def test_the_golden_front() -> None:
    assert on_front(G22).tolist() == [True, True, False, True, True]
    assert hypervolume(G22) == pytest.approx(0.8714, abs=1e-9)
    size = front_size(G22)
    assert (size.count, size.share) == (4, 0.8)
    assert size.spread_product == pytest.approx(0.06, abs=1e-9)
    assert size.spread_mean == pytest.approx(0.245, abs=1e-9)


def test_one_point_rules_its_rectangle() -> None:
    assert hypervolume(np.array([[0.25, 0.5]])) == pytest.approx(0.75 * 0.5, abs=1e-12)
    assert hypervolume(np.array([[0.0, 0.0]])) == 1.0
    assert hypervolume(np.array([[1.0, 0.0], [0.2, 1.5]])) == 0.0
    assert hypervolume(np.empty((0, 2))) == 0.0


def test_the_area_is_that_of_points_thrown_at_the_square() -> None:
    """The share of a fine lattice that some point dominates, another way to the same area."""
    points = np.random.default_rng(3).random((12, 2))
    middle = (np.arange(1000) + 0.5) / 1000
    x, y = np.meshgrid(middle, middle)
    ruled = np.zeros_like(x, bool)
    for first, second in points:
        ruled |= (x >= first) & (y >= second)
    assert hypervolume(points) == pytest.approx(ruled.mean(), abs=3e-3)


def test_order_and_beaten_points_change_nothing() -> None:
    random = np.random.default_rng(7)
    points = random.random((40, 2))
    order = random.permutation(40)
    assert hypervolume(points[order]) == pytest.approx(hypervolume(points), abs=1e-12)
    assert (on_front(points)[order] == on_front(points[order])).all()
    assert hypervolume(points[on_front(points)]) == pytest.approx(hypervolume(points), abs=1e-12)


def test_equal_points_are_on_the_front_together_and_count_once() -> None:
    points = np.array([[0.2, 0.4], [0.2, 0.4], [0.2, 0.5]])
    assert on_front(points).tolist() == [True, True, False]
    assert hypervolume(points) == pytest.approx(0.8 * 0.6, abs=1e-12)


def test_what_is_not_defined_is_not_perfectly_fair() -> None:
    """fairical counts an undefined measure as 0, which beats everything."""
    points = np.array([[0.3, 0.2], [0.1, np.nan], [np.nan, 0.0]])
    assert on_front(points).tolist() == [True, False, False]
    assert hypervolume(points) == pytest.approx(0.7 * 0.8, abs=1e-12)
    assert front_size(points) == FrontSize(1, 1.0, 0.0, 0.0)
    assert np.isnan(front_size(points[1:]).share)


def test_axes_cut_to_a_range() -> None:
    """Stretching both axes alike leaves the front as it is; the area is that of the cut square."""
    shown = within(G22, (0.0, 0.0), (0.5, 0.5))
    assert (on_front(shown) == on_front(G22)).all()
    assert hypervolume(shown) == pytest.approx(hypervolume(G22, (0.5, 0.5)) / 0.25, abs=1e-12)
    with pytest.raises(ValueError, match="a range rises on both axes"):
        within(G22, (0.1, 0.1), (0.1, 0.2))
    with pytest.raises(ValueError, match="two objectives each"):
        on_front(np.zeros((3, 3)))
