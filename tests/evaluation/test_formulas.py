"""The formulas against numbers that other programs printed: fixtures/fairness.json, fairlearn 0.15, and by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairlab.evaluation import formulas

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
