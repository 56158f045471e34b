"""Points as the browser gets them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from fairlab.ui.spaces import points
from fairlab.ui.spaces.points import centred


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
    """Each person is drawn with all images or with none; of a person with more images than are drawn, some."""
    people = np.random.default_rng(0).integers(0, 300, 5000)
    drawn = rows_drawn(people, 1000)
    assert 900 < len(drawn) <= 1000
    assert len(drawn) == np.isin(people, people[drawn]).sum()
    assert len(rows_drawn(np.zeros(90), 50)) == 50


def rows_drawn(people: np.ndarray, most: int) -> np.ndarray:
    """Of a map with one image in each row, of these people."""
    images = pd.DataFrame({"identity": people.astype(str), "group": "g"})
    table = pd.DataFrame({"image_id": np.arange(len(people)), "x": 0.0, "y": 1.0})
    drawn = points._points.__wrapped__(
        "", "", most, SimpleNamespace(points=table), SimpleNamespace(images=images)
    ).drawn
    assert drawn is not None
    return np.asarray(drawn)
