"""Points inside a drawn line."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.measure import points_in_poly

from fairlab.ui.spaces.lasso import combined, corners_of, inside, rising


@pytest.mark.parametrize("corners", [3, 7, 60])
def test_the_same_points_as_another_library_finds(corners: int) -> None:
    """scikit-image's even-odd rule, on lines that cross themselves too."""
    random = np.random.default_rng(corners)
    line = random.uniform(-1, 1, (corners, 2))
    places = random.uniform(-1.2, 1.2, (5000, 2)).astype(np.float32)
    assert np.array_equal(inside(line, places), points_in_poly(places.astype(np.float64), line))


def test_a_circle_holds_its_share() -> None:
    """Of evenly spread points, pi r^2 of the square's area."""
    angles = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 500), np.linspace(-1, 1, 500)), -1).reshape(-1, 2)
    share = inside(0.5 * np.stack([np.cos(angles), np.sin(angles)], 1), grid).mean()
    assert share == pytest.approx(np.pi * 0.25 / 4, rel=0.01)


def test_no_points_and_a_flat_line() -> None:
    """Nothing is inside, and nothing is raised."""
    assert not inside(np.array([[0, 0], [1, 0], [2, 0]]), np.array([[1.0, 0.0]])).any()
    assert inside(np.array([[0, 0], [1, 0], [0, 1]]), np.empty((0, 2))).shape == (0,)


@pytest.mark.parametrize(
    "sent",
    [None, "x", {}, [], [0, 0, 1, 1], [0, 0, 1, 1, 2], [0, 0, 1, 1, 2, "2"], [0, 0, 1, 1, 2, float("nan")], [0] * 9000],
)
def test_what_is_no_line_is_refused(sent: object) -> None:
    """A browser may send anything."""
    assert corners_of(sent) is None


@given(st.lists(st.integers(0, 50)))
def test_each_id_once_and_rising(ids: list[int]) -> None:
    """As numpy does it, and for no id too."""
    given_ids = np.array(ids, dtype=np.int64)
    assert np.array_equal(rising(given_ids), np.unique(given_ids))


def test_a_selection_grows_and_shrinks() -> None:
    """Shift adds, Alt takes away, neither replaces."""
    before, drawn = np.array([1, 5, 9]), np.array([9, 2])
    assert combined(before, drawn, "new").tolist() == [2, 9]
    assert combined(before, drawn, "add").tolist() == [1, 2, 5, 9]
    assert combined(before, drawn, "take").tolist() == [1, 5]
    assert combined(None, drawn, "add").tolist() == [2, 9]
    assert combined(None, drawn, "take").tolist() == []
