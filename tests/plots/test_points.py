"""Colours of many points as bytes."""

import numpy as np
import pytest

from fairlab.plots.colours import GREY, group_styles
from fairlab.plots.points import STEPS, coded
from fairlab.plots.spaces import NAMED_AT_MOST


def test_groups_have_their_colours_in_their_order() -> None:
    """Also a group that a map has no point of."""
    found = coded([np.array(["b", "a", "b"])], "group", ("a", "b", "c"))
    assert [entry.name for entry in found.entries] == ["a", "b", "c"]
    assert found.codes[0].tolist() == [1, 0, 1]
    assert found.colours == tuple(style.colour for style in group_styles(("a", "b", "c")).values())


def test_one_coding_for_all_maps() -> None:
    """A name has one colour, whichever map it is in."""
    left, right = np.array(["x", "y"]), np.array(["z", "y", "x"])
    found = coded([left, right], "identity", ())
    names = [entry.name for entry in found.entries]
    assert [names[code] for code in found.codes[0]] == left.tolist()
    assert [names[code] for code in found.codes[1]] == right.tolist()


def test_thousands_of_people_are_a_handful_and_grey_others_below() -> None:
    """The most frequent are named; the rest is one entry with its number, drawn below."""
    people = np.repeat([f"p{n}" for n in range(1000)], [20 if n < NAMED_AT_MOST else 2 for n in range(1000)])
    found = coded([people], "identity", ())
    assert len(found.entries) == NAMED_AT_MOST + 1
    assert (found.entries[-1].name, found.entries[-1].colour, found.entries[-1].under) == ("990 others", GREY, True)
    assert np.bincount(found.codes[0]).tolist() == [20] * NAMED_AT_MOST + [2 * 990]
    assert GREY not in found.colours[:-1]


def test_numbers_share_one_scale_and_none_is_grey() -> None:
    """From the lowest to the highest of all maps."""
    found = coded([np.array([0.0, 5.0]), np.array([10.0, np.nan])], "norm", ())
    assert found.scale == (0, 10)
    assert found.codes[0].tolist() == [0, round((STEPS - 1) / 2)]
    assert found.codes[1].tolist() == [STEPS - 1, STEPS]
    assert (len(found.colours), found.colours[STEPS]) == (STEPS + 1, GREY)


@pytest.mark.parametrize("values", [np.array([np.nan, np.nan]), np.array([3.0, 3.0])])
def test_equal_numbers_and_no_numbers_are_no_error(values: np.ndarray) -> None:
    """No division by zero."""
    assert len(coded([values], "norm", ()).codes[0]) == 2
