"""What every registered fairness metric promises; a new one is tested here without an edit."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fairlab.evaluation import FAIRNESS_METRICS

FACTS = {"of", "title", "unit", "fair_value", "formula", "source", "trap"}
ARGUMENTS = {"accuracy": 1, "rates": 2}
NAMES = FAIRNESS_METRICS.names()
SPREADS = [name for name in NAMES if not np.isnan(FAIRNESS_METRICS.facts(name)["fair_value"])]


def call(name: str, *values: np.ndarray) -> float:
    """The metric on as many of the arrays as it takes."""
    return FAIRNESS_METRICS[name](*values[: ARGUMENTS[FAIRNESS_METRICS.facts(name)["of"]]])


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name: str) -> None:
    """All facts are there, in words, and the arguments are those that `of` announces."""
    facts = FAIRNESS_METRICS.facts(name)
    assert set(facts) == FACTS
    assert facts["unit"] in {"points", "ratio", "score", "fraction"}
    assert all(facts[fact].strip() for fact in FACTS - {"fair_value"})
    assert len(inspect.signature(FAIRNESS_METRICS[name]).parameters) == ARGUMENTS[facts["of"]]
    assert FAIRNESS_METRICS[name].__doc__


@pytest.mark.parametrize("name", SPREADS)
@pytest.mark.parametrize("groups", [2, 3, 7])
def test_equal_groups_are_fair(name: str, groups: int) -> None:
    found = call(name, np.full(groups, 0.9), np.full(groups, 0.3))
    assert found == pytest.approx(FAIRNESS_METRICS.facts(name)["fair_value"], abs=1e-12)


@pytest.mark.parametrize("name", SPREADS)
def test_one_group_has_no_difference(name: str) -> None:
    assert np.isnan(call(name, np.array([0.9]), np.array([0.2])))


@pytest.mark.parametrize("name", SPREADS)
def test_groups_further_apart_are_less_fair(name: str) -> None:
    fair = FAIRNESS_METRICS.facts(name)["fair_value"]
    near = call(name, np.array([0.88, 0.9, 0.92]), np.array([0.18, 0.2, 0.22]))
    far = call(name, np.array([0.80, 0.9, 0.95]), np.array([0.10, 0.2, 0.30]))
    assert abs(far - fair) > abs(near - fair) > 0


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=80, deadline=None)
@given(arrays(np.float64, st.tuples(st.just(2), st.integers(1, 6)), elements=st.sampled_from([0, 0.001, 0.2, 0.5, 1])))
def test_it_is_a_number_or_not_defined_and_knows_no_order(name: str, rates: np.ndarray) -> None:
    """Zeros, ones, single groups: finite or NaN, never infinite, no warning; groups in another order give the same."""
    with np.errstate(all="raise"):
        found = call(name, *rates)
        turned = call(name, *rates[:, ::-1])
    assert not np.isinf(found)
    assert found == pytest.approx(turned, nan_ok=True, abs=1e-12)
