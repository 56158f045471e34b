"""The formulas against numbers that other programs printed: fixtures/fairness.json, fairlearn 0.15, and by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairlab.evaluation import FAIRNESS_METRICS, formulas
from fairlab.evaluation.formulas import max_geomean, werm, werm_fair

GOLDEN: dict[str, Any] = json.loads((Path(__file__).with_name("fixtures") / "fairness.json").read_text())
PAIRS = np.full(4, 1000)


@pytest.fixture(params=["normal", "zero_group"])
def case(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = GOLDEN[request.param]
    return found


def rates(case: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(case["fmr"]), np.array(case["fnmr"])


def test_measures_of_both_rates(case: dict[str, Any]) -> None:
    for name in ("fdr", "garbe", "werm"):
        found = getattr(formulas, name)(*rates(case))
        assert found == pytest.approx(case[name], abs=1e-12), name


def test_ir_has_a_value_only_without_zeros() -> None:
    """Where the other program says infinite, ours says that there is none."""
    assert formulas.ir(*rates(GOLDEN["normal"])) == pytest.approx(GOLDEN["normal"]["ir"], abs=1e-12)
    assert GOLDEN["zero_group"]["ir"] == np.inf
    assert np.isnan(formulas.ir(*rates(GOLDEN["zero_group"])))


def test_measures_of_one_rate() -> None:
    fmr, fnmr = rates(GOLDEN["normal"])
    wanted = GOLDEN["normal"]
    assert formulas.gini(fmr) == pytest.approx(wanted["gini_fmr"], abs=1e-12)
    assert formulas.gini(fnmr) == pytest.approx(wanted["gini_fnmr"], abs=1e-12)
    assert formulas.max_geomean(fmr) == pytest.approx(wanted["max_geo_fmr"], abs=1e-12)
    assert formulas.max_geomean(fmr, PAIRS) == pytest.approx(wanted["max_geo_fmr"], abs=1e-12)
    assert formulas.max_mean(fmr) == pytest.approx(wanted["max_mean_fmr"], abs=1e-12)
    assert formulas.max_min(fmr) == pytest.approx(wanted["max_min_fmr"], abs=1e-12)


def test_measures_of_accuracies() -> None:
    """STD is the sample's (n-1), which is what the papers print."""
    wanted = GOLDEN["normal"]
    accuracy = np.array(wanted["acc"]) / 100
    assert 100 * accuracy.mean() == pytest.approx(wanted["avg"], abs=1e-12)
    assert formulas.std_points(accuracy) == pytest.approx(wanted["std1"], abs=1e-12)
    assert formulas.std_points(accuracy) != pytest.approx(wanted["std0"], abs=0.1)
    assert formulas.ser(accuracy) == pytest.approx(wanted["ser"], abs=1e-12)
    assert formulas.gap_points(accuracy) == pytest.approx(wanted["gap"], abs=1e-12)
    assert formulas.worst_accuracy(accuracy) == pytest.approx(0.9337, abs=1e-12)


def test_a_zero_stands_in_the_geometric_mean_as_its_bound() -> None:
    """0 of 3,000: one-sided 95 % bound .0009980790 (scipy and R's binom.test agree)."""
    found = formulas.max_geomean(np.array([0.004, 0.0]), np.array([3000, 3000]))
    assert found == pytest.approx(np.sqrt(0.004 / 0.0009980790119965555), rel=1e-12)
    assert np.isnan(formulas.max_geomean(np.array([0.004, 0.0])))
    assert np.isnan(formulas.max_geomean(np.zeros(2), np.array([3000, 3000]))), "all zero: nothing to compare"


def test_shares_of_accepted_pairs_and_odds_by_hand() -> None:
    """10 impostors and 10 genuine pairs each: (1 + 8) / 20 and (3 + 9) / 20 are accepted."""
    fmr, fnmr, ten = np.array([0.1, 0.3]), np.array([0.2, 0.1]), np.array([10, 10])
    assert formulas.accepted(fmr, fnmr, ten, ten) == pytest.approx([0.45, 0.6], abs=1e-15)
    assert formulas.equalized_odds_difference(fmr, fnmr) == pytest.approx(0.2, abs=1e-15)
    assert formulas.equalized_odds_ratio(fmr, fnmr) == pytest.approx(1 / 3, abs=1e-15)
    assert formulas.min_max(np.array([0.45, 0.6])) == pytest.approx(0.75, abs=1e-15)


@pytest.mark.parametrize("name", ["gini", "max_min", "min_max", "max_mean", "max_geomean"])
def test_where_nobody_errs_nothing_is_said(name: str) -> None:
    """All zero: neither 0, as if that were fair, nor infinite."""
    with np.errstate(all="raise"):
        assert np.isnan(getattr(formulas, name)(np.zeros(3)))


def test_werm_of_groups_without_any_error_is_not_zero() -> None:
    assert np.isnan(formulas.werm(np.zeros(3), np.array([0.1, 0.2, 0.3])))


def test_werm_of_equal_groups_is_a_little_below_one() -> None:
    """e = 1e-5 stands in the denominators only: sqrt(.001 / .00101 * .1 / .10001) = 0.99498789 for FMR .1 %, FNMR 10 %."""
    assert werm_fair(0.001, 0.1) == pytest.approx(0.994987, abs=1e-6)
    assert werm(np.full(4, 0.001), np.full(4, 0.1)) == pytest.approx(werm_fair(0.001, 0.1), abs=1e-12)
    assert FAIRNESS_METRICS["werm"].fair_at(0.001, 0.1) == werm_fair(0.001, 0.1)
    assert FAIRNESS_METRICS["max_min_fmr"].fair_at(0.001, 0.1) == 1.0


def test_a_lifted_zero_that_exceeds_the_largest_rate_leaves_nothing_to_say() -> None:
    """No largest value is below its own mean: one false match of 120 is .83 %, and none of 120 may still be 2.47 %."""
    rates, pairs = np.array([1 / 120, 0.0]), np.array([120, 120])
    assert np.isnan(max_geomean(rates, pairs))
    assert max_geomean(np.array([5 / 120, 0.0]), pairs) >= 1
    assert np.isnan(werm(np.array([5e-6, 0.0]), np.array([0.1, 0.1])))
    assert werm(np.array([5e-3, 0.0]), np.array([0.1, 0.1])) >= 1


def test_no_name_is_torn_by_the_names_of_rates() -> None:
    """The X of "arXiv" is no rate."""
    for name in FAIRNESS_METRICS:
        metric = FAIRNESS_METRICS[name]
        for fact in ("title", "formula", "source", "trap"):
            assert not re.search(r"ar(FMR|FNMR)iv", getattr(metric, fact))
            assert not re.search(r"\bX(\b|_)", getattr(metric, fact))
    assert FAIRNESS_METRICS["gini_fmr"].formula == "n/(n-1) * sum|FMR_i - FMR_j| / (2 n^2 mean FMR)"
