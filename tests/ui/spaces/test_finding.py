"""The search and the filters of the maps."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from fairlab.ui.spaces.finding import _coarse, find, kept

IMAGES = pd.DataFrame(
    {
        "identity": ["Anna", "Anna", "Hanna", "Bob", "0004"],
        "group": ["x", "x", "y", "y", "y"],
        "split": ["train", "test", "test", "test", "train"],
        "source": ["real"] * 5,
        "attribute.age": [10.0, 20.0, 30.0, 40.0, np.nan],
    }
)
DATA: Any = SimpleNamespace(images=IMAGES)


@pytest.mark.parametrize(
    ("typed", "ids"),
    [
        ("anna", [0, 1]),
        ("nna", [0, 1, 2]),
        (" Bob ", [3]),
        ("0004", [4]),
        ("4", [4]),
        ("image 2", [2]),
        ("5", []),
        ("zoe", []),
        ("", []),
    ],
)
def test_a_whole_name_then_part_of_one_then_a_number(typed: str, ids: list[int]) -> None:
    """The exact name wins; a number that names nobody is an image's."""
    found = find(DATA, typed)
    assert found.ids.tolist() == ids
    assert found.sentence


def test_filters_add_up_within_a_column_and_meet_between_columns() -> None:
    """split=test or train, and group=y."""
    mask = kept(DATA, ["group=y", "split=test", "split=train"])
    assert mask is not None
    assert mask.tolist() == [False, False, True, True, True]
    assert kept(DATA, []) is None


def test_numbers_are_filtered_by_quarters() -> None:
    """Of 0 to 8, a quarter each; four numbers are themselves; an unknown one is a value too."""
    ages = _coarse(pd.Series([*range(9), np.nan], dtype=float))
    assert ages.tolist() == [*["0 to 2"] * 3, *["2 to 4"] * 2, *["4 to 6"] * 2, *["6 to 8"] * 2, "n/a"]
    ten, unknown = kept(DATA, ["attribute.age=10"]), kept(DATA, ["attribute.age=n/a"])
    assert ten is not None
    assert unknown is not None
    assert (ten.tolist(), unknown.tolist()) == ([True] + [False] * 4, [False] * 4 + [True])
