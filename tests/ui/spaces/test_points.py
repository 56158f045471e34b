"""Points as the browser gets them."""

import numpy as np
import pytest

from fairlab.ui.spaces.points import centred, people_whole


def test_both_directions_are_scaled_alike() -> None:
    """The longer side fills the square but for a margin; shapes are not stretched."""
    xy = np.array([[10, 5], [30, 5], [10, 6], [30, 6]], np.float32)
    places = centred(xy)
    assert np.abs(places).max() == pytest.approx(1 / 1.05)
    assert (np.ptp(places[:, 0]) / np.ptp(places[:, 1])) == pytest.approx(20, rel=1e-5)
    assert places.mean(axis=0) == pytest.approx([0, 0], abs=1e-6)


def test_equal_places_are_the_middle_and_none_is_none() -> None:
    """No division by zero."""
    assert centred(np.full((3, 2), 7, np.float32)).tolist() == [[0, 0]] * 3
    assert centred(np.empty((0, 2), np.float32)).shape == (0, 2)


def test_too_many_points_are_people_taken_whole() -> None:
    """Each person is drawn with all images or with none, as many as fit, always the same."""
    people = np.random.default_rng(0).integers(0, 300, 5000)
    rows = people_whole(people, 1000)
    assert 900 < len(rows) <= 1000
    assert (np.diff(rows) > 0).all()
    taken = np.unique(people[rows])
    assert len(rows) == np.isin(people, taken).sum()
    assert np.array_equal(rows, people_whole(people, 1000))
