"""What every registered fairness metric promises; a new one is tested here without an edit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fairlab.evaluation import FAIRNESS_METRICS
from fairlab.evaluation.formulas import Number
from fairlab.evaluation.metrics import Rates

WORDS = ("title", "unit", "formula", "source", "trap")
NAMES = list(FAIRNESS_METRICS)
LEAST = {"werm": 1e-4}
"""WERM adds 1e-5 to the rates in its mean, and so is a little below 1 for equal groups."""
SPREADS = [name for name in NAMES if not np.isnan(FAIRNESS_METRICS[name].fair_value)]


def call(name: str, fmr: np.ndarray, fnmr: np.ndarray) -> Number:
    """The metric on the first values as accuracies, or on both as rates of 100 pairs each."""
    pairs = np.full(np.shape(fmr)[-1], 100)
    given = fmr if FAIRNESS_METRICS[name].of == "accuracy" else Rates(fmr, fnmr, pairs, pairs)
    return FAIRNESS_METRICS[name](given)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is(name: str) -> None:
    """All facts are there, in words, and the arguments are those that `of` announces."""
    metric = FAIRNESS_METRICS[name]
    assert metric.name == name
    assert metric.unit in {"points", "ratio", "score", "fraction", "share"}
    assert metric.of in {"accuracy", "rates"}
    assert set(metric.kinds) <= {"fmr", "fnmr"}
    assert bool(metric.kinds) == (metric.of == "rates")
    assert all(getattr(metric, words).strip() for words in WORDS)


@pytest.mark.parametrize("name", SPREADS)
@pytest.mark.parametrize("groups", [2, 3, 7])
def test_equal_groups_are_fair(name: str, groups: int) -> None:
    found = call(name, np.full(groups, 0.9), np.full(groups, 0.3))
    assert found == pytest.approx(FAIRNESS_METRICS[name].fair_value, abs=LEAST.get(name, 1e-12))


@pytest.mark.parametrize("name", SPREADS)
def test_one_group_has_no_difference(name: str) -> None:
    assert np.isnan(call(name, np.array([0.9]), np.array([0.2])))


@pytest.mark.parametrize("name", SPREADS)
def test_groups_further_apart_are_less_fair(name: str) -> None:
    fair = FAIRNESS_METRICS[name].fair_value
    near = call(name, np.array([0.88, 0.9, 0.92]), np.array([0.22, 0.2, 0.18]))
    far = call(name, np.array([0.80, 0.9, 0.95]), np.array([0.30, 0.2, 0.10]))
    assert abs(far - fair) > abs(near - fair) > 0


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=80, deadline=None)
@given(arrays(np.float64, st.tuples(st.just(2), st.integers(1, 6)), elements=st.sampled_from([0, 0.001, 0.2, 0.5, 1])))
def test_it_is_a_number_or_not_defined_and_knows_no_order(name: str, rates: np.ndarray) -> None:
    """Zeros, ones, single groups: finite or NaN, never infinite, no warning; groups in another order give the same, and
    many test sets at once the same as one after the other."""
    with np.errstate(all="raise"):
        found = call(name, *rates)
        turned = call(name, *rates[:, ::-1])
        many = call(name, *np.stack([rates, rates[:, ::-1]], axis=1))
    assert not np.isinf(found)
    assert found == pytest.approx(turned, nan_ok=True, rel=1e-9, abs=1e-12)
    assert np.asarray(many) == pytest.approx([found, turned], nan_ok=True, rel=1e-9, abs=1e-12)
