"""Calibration curves against the golden values, scikit-learn, and what they must do at their ends."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from fairlab.errors import FairLabError
from fairlab.evaluation.repair.calibrators import along, beta, beta_chance, knots, platt
from tests.evaluation.repair.golden import GOLDEN


def golden(name: str) -> tuple[np.ndarray, np.ndarray, dict[str, list[float]]]:
    given = GOLDEN["G19"]["inputs"][name]
    return np.array(given["cosines"]), np.array(given["genuine"], bool), GOLDEN["G19"]["outputs"][name]


@pytest.mark.parametrize("name", ["first", "second_a_would_be_negative"])
def test_golden_beta_and_isotonic(name: str) -> None:
    scores, genuine, wanted = golden(name)
    curve = beta(scores, genuine, "the cohort")
    np.testing.assert_allclose(curve, wanted["a_b_c"], atol=1e-9)
    np.testing.assert_allclose(beta_chance(scores, *curve), wanted["beta_p"], atol=1e-10)
    np.testing.assert_allclose(
        along(scores, *knots(scores, genuine, "isotonic", "x")), wanted["isotonic_p"], atol=1e-12
    )


def sample(count: int = 400) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(5)
    genuine = random.random(count) < 0.4
    return np.round(np.where(genuine, 0.5, 0.1) + 0.2 * random.normal(size=count), 2).clip(-1, 1), genuine


def test_isotonic_is_scikit_learns_also_beyond_its_ends() -> None:
    scores, genuine = sample()
    asked = np.linspace(-1, 1, 301)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(scores, genuine).predict(asked)
    np.testing.assert_allclose(along(asked, *knots(scores, genuine, "isotonic", "x")), theirs, atol=1e-12)


def test_platts_curve_is_scikit_learns_with_balanced_classes() -> None:
    scores, genuine = sample()
    theirs = LogisticRegression(C=1.0, class_weight="balanced", tol=1e-10, max_iter=10_000)
    theirs.fit(scores[:, None], genuine)
    np.testing.assert_allclose(
        platt(scores, genuine, "x"), (theirs.coef_[0, 0], theirs.intercept_[0]), rtol=1e-5, atol=1e-5
    )


def test_bins_hold_equally_many_pairs_and_give_their_share() -> None:
    scores = np.arange(20) / 20
    genuine = np.arange(20) >= 9
    places, chances = knots(scores, genuine, "bins", "x")
    shares = [0, 0, 0, 0, 0.5, 1, 1, 1, 1, 1]
    np.testing.assert_allclose(along(scores, places, chances), np.repeat(shares, 2), atol=1e-12)
    np.testing.assert_allclose(along(np.array([-1.0, 2.0]), places, chances), [0, 1])


@pytest.mark.parametrize(("fit", "said"), [(beta, "do not overlap"), (platt, "")])
def test_scores_that_do_not_overlap(fit: object, said: str) -> None:
    """Beta calibration has no finite curve there; Platt's has, by its penalty."""
    scores, genuine = np.array([0.1, 0.2, 0.7, 0.8]), np.array([False, False, True, True])
    if said:
        with pytest.raises(FairLabError, match=said):
            fit(scores, genuine, "a group")  # type: ignore[operator]
    else:
        assert fit(scores, genuine, "a group")[0] > 0  # type: ignore[operator]


@pytest.mark.parametrize("kind", ["genuine", "impostor"])
def test_a_kind_that_is_missing_is_said(kind: str) -> None:
    with pytest.raises(FairLabError, match=f"group 'X' has no {kind} pair to calibrate with"):
        beta(np.array([0.1, 0.2]), np.full(2, kind == "impostor"), "group 'X'")


def test_scores_that_only_a_falling_curve_parts_have_a_rising_one() -> None:
    """Genuine pairs lie in the middle: ln x and ln(1 - x) together part them, but no rising curve does.

    The best rising one is taken from a bounded search of scipy's.
    """
    scores, genuine = np.array([-0.9, 0.0, 0.05, 0.9]), np.array([False, True, True, False])
    share = (scores + 1) / 2

    def loss(at: np.ndarray) -> float:
        odds = at[0] * np.log(share) - at[1] * np.log(1 - share) + at[2]
        return float((np.logaddexp(0, odds) - genuine * odds).sum())

    bounds = [(0, None), (0, None), (None, None)]
    best = minimize(loss, np.ones(3), bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10})
    np.testing.assert_allclose(beta(scores, genuine, "a cluster"), best.x, atol=1e-5)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("middle", "spread"), [(0.09, 0.08), (0.05, 0.2), (0.3, 0.1), (0.02, 0.01)])
def test_scores_that_overlap_always_have_a_curve(middle: float, spread: float, seed: int) -> None:
    """Near cosine 0 the two features of beta calibration are nearly one: the optimum of scipy's own minimiser is reached."""
    from scipy.optimize import minimize

    rng = np.random.default_rng(seed)
    genuine = np.arange(4000) < 2000
    cosines = np.where(genuine, rng.normal(middle, spread, 4000), rng.normal(0, 0.044, 4000)).clip(-0.99, 0.99)
    a, b, c = beta(cosines, genuine, "the cohort")
    share = (cosines + 1) / 2

    def loss(at: np.ndarray) -> float:
        odds = at[0] * np.log(share) - at[1] * np.log(1 - share) + at[2]
        return float((np.logaddexp(0, odds) - genuine * odds).sum())

    best = minimize(loss, [1.0, 1.0, 0.0], bounds=[(0, None), (0, None), (None, None)], method="L-BFGS-B", tol=1e-12)
    assert loss(np.array([a, b, c])) <= best.fun * (1 + 1e-6)
