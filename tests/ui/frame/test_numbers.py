"""Numbers as people read them."""

import pandas as pd

from fairlab.tables import METRICS
from fairlab.ui.frame.numbers import NAN, cell, name_of, one, span, text


def test_a_rate_carries_its_interval() -> None:
    """The value, then its interval, small."""
    assert cell(0.905, 0.888, 0.92, 1, 100).replace("\\", "") == "90.5 :small[:gray[88.8\u00a0to\u00a092.0]]"


def test_what_is_not_defined_is_said() -> None:
    """NaN is "n/a", without an interval."""
    assert text(NAN) == "n/a"
    assert cell(NAN, 0.1, 0.2) == "n/a"
    assert span(NAN, 1.0) == ""


def test_a_difference_has_a_sign() -> None:
    """So that a gain is seen as one."""
    assert text(7.5, signed=True) == "+7.5"
    assert text(-0.5, signed=True) == "-0.5"


def test_operating_points_are_percent() -> None:
    """The stored name holds the fraction."""
    assert name_of("fmr=0.001") == "0.1\u00a0%"


def test_one_number_is_found_or_none() -> None:
    """A number that is not there, or not defined, is None."""
    rows = [
        ("run", "test", "all", "ser", "", 1.5, 1.2, 2.0, 10, 10),
        ("run", "test", "all", "std_points", "", NAN, NAN, NAN, 10, 10),
    ]
    table = pd.DataFrame(rows, columns=list(METRICS))
    found = one(table, "ser")
    assert found is not None
    assert found["value"] == 1.5
    assert one(table, "std_points") is None
    assert one(table, "ser", group="A") is None
