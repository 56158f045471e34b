"""Numbers known from elsewhere: bob.measure 6.1.1, scikit-learn, pyeer 0.5.6 and hand calculation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.evaluation import (
    auc,
    clopper_pearson,
    count_errors,
    eer,
    fdr,
    garbe,
    gini,
    ir,
    ser,
    std_points,
    threshold_at_fmr,
)  # fmt: skip
from fairlab.evaluation.formulas import max_geomean, max_min
from fairlab.evaluation.intervals import IdentityBootstrap
from fairlab.evaluation.verification import d_prime, measurable

FIXTURES = Path(__file__).with_name("fixtures")
GROUPS = ("African", "Asian", "Caucasian", "Indian")


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.read_csv(FIXTURES / "golden_scores.csv")


def parts(table: pd.DataFrame) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {
        group: (part["score"].to_numpy(), part["label"].to_numpy() == 1)
        for group, part in table.groupby("group", sort=False)
    }


@pytest.mark.parametrize(
    ("target", "threshold", "false_matches", "false_non_matches"),
    [(0.01, 0.692826, (145, 18, 2, 11), (65, 95, 110, 102)), (0.001, 0.764848, (14, 3, 0, 0), (112, 124, 130, 129))],
)
def test_thresholds_and_counts_are_bobs(
    table: pd.DataFrame,
    target: float,
    threshold: float,
    false_matches: tuple[int, ...],
    false_non_matches: tuple[int, ...],
) -> None:
    impostors = table.loc[table["label"] == 0, "score"].to_numpy()
    found = threshold_at_fmr(impostors, target)
    assert found == pytest.approx(threshold, abs=1e-12)
    counts = [count_errors(*parts(table)[group], found) for group in GROUPS]
    assert tuple(item.false_matches for item in counts) == false_matches
    assert tuple(item.false_non_matches for item in counts) == false_non_matches
    assert {(item.genuine, item.impostor) for item in counts} == {(144, 4416)}


@pytest.mark.parametrize(
    ("target", "gini_fmr", "gini_fnmr", "wanted_fdr", "wanted_ir", "wanted_garbe"),
    [
        (0.01, 0.8257575757575757, 0.1272401433691756, 0.8275588768115942, 11.076655979685732, 0.4764988595633756),
        (0.001, 0.8823529411764706, 0.03973063973063973, 0.9359148550724637, None, 0.46104179045355514),
    ],
)
def test_fairness_metrics_to_1e_12(
    table: pd.DataFrame,
    target: float,
    gini_fmr: float,
    gini_fnmr: float,
    wanted_fdr: float,
    wanted_ir: float | None,
    wanted_garbe: float,
) -> None:
    threshold = threshold_at_fmr(table.loc[table["label"] == 0, "score"].to_numpy(), target)
    counts = [count_errors(*parts(table)[group], threshold) for group in GROUPS]
    fmr, fnmr = np.array([item.fmr for item in counts]), np.array([item.fnmr for item in counts])
    assert gini(fmr) == pytest.approx(gini_fmr, abs=1e-12)
    assert gini(fnmr) == pytest.approx(gini_fnmr, abs=1e-12)
    assert fdr(fmr, fnmr) == pytest.approx(wanted_fdr, abs=1e-12)
    assert garbe(fmr, fnmr) == pytest.approx(wanted_garbe, abs=1e-12)
    if wanted_ir is None:
        assert np.isnan(ir(fmr, fnmr)), "a group without an error makes IR undefined, not infinite and not 0"
    else:
        assert ir(fmr, fnmr) == pytest.approx(wanted_ir, abs=1e-9)


def test_hand_values() -> None:
    """Four groups whose metrics can be done on paper, and a row of accuracies."""
    fmr, fnmr = np.array([0.01, 0.02, 0.03, 0.04]), np.array([0.1, 0.1, 0.2, 0.2])
    assert gini(fmr) == pytest.approx(1 / 3, abs=1e-12)
    assert gini(fnmr) == pytest.approx(2 / 9, abs=1e-12)
    assert garbe(fmr, fnmr) == pytest.approx(0.277778, abs=1e-6)
    assert fdr(fmr, fnmr) == pytest.approx(0.935, abs=1e-12)
    assert ir(fmr, fnmr) == pytest.approx(2.828427, abs=1e-6)
    accuracy = np.array([96.18, 94.67, 93.72, 93.98]) / 100
    assert std_points(accuracy) == pytest.approx(1.1037, abs=5e-5)
    assert ser(accuracy) == pytest.approx(1.6440, abs=5e-5)
    assert max_geomean(fmr) == pytest.approx(0.04 / (0.01 * 0.02 * 0.03 * 0.04) ** 0.25, abs=1e-12)


def test_ratios_of_the_golden_rates(table: pd.DataFrame) -> None:
    """Max/min and max/geomean at both operating points; a zero rate lifted to its exact bound only on request."""
    impostors = table.loc[table["label"] == 0, "score"].to_numpy()
    pairs = np.full(4, 4416)
    counts = [count_errors(*parts(table)[group], threshold_at_fmr(impostors, 0.01)) for group in GROUPS]
    fmr, fnmr = np.array([item.fmr for item in counts]), np.array([item.fnmr for item in counts])
    assert max_min(fmr) == pytest.approx(72.5, abs=1e-12)
    assert max_min(fnmr) == pytest.approx(1.692307692307692, abs=1e-12)
    assert max_geomean(fmr) == pytest.approx(9.36703634192121, abs=1e-12)
    assert max_geomean(fnmr, np.full(4, 144)) == pytest.approx(1.205688810562804, abs=1e-12)
    counts = [count_errors(*parts(table)[group], threshold_at_fmr(impostors, 0.001)) for group in GROUPS]
    fmr = np.array([item.fmr for item in counts])
    assert np.isnan(max_min(fmr))
    assert np.isnan(max_geomean(fmr))
    assert max_geomean(fmr, pairs) == pytest.approx(3.1778827101628875, abs=1e-12)


def test_areas_equal_error_rates_and_d_primes(table: pd.DataFrame) -> None:
    """AUC of scikit-learn and pyeer to 1e-9, EER of bob exactly, d' of pyeer."""
    wanted = {
        "African": (0.9413810889694042, 0.125, 2.1192619522234883),
        "Asian": (0.9565138763083735, 0.10979015700483091, 2.3466379917890676),
        "Caucasian": (0.9846077395330113, 0.04876207729468599, 3.182231883038498),
        "Indian": (0.9674023122987117, 0.08873037439613526, 2.606571946469731),
    }
    for group, (area, error, distance) in wanted.items():
        scores, genuine = parts(table)[group]
        assert auc(scores, genuine) == pytest.approx(area, abs=1e-9)
        assert eer(scores, genuine) == pytest.approx(error, abs=1e-15)
        assert d_prime(scores, genuine) == pytest.approx(distance, abs=1e-9)
    scores, genuine = table["score"].to_numpy(), table["label"].to_numpy() == 1
    assert auc(scores, genuine) == pytest.approx(0.9387830651324728, abs=1e-9)
    assert eer(scores, genuine) == pytest.approx(0.13710560084541062, abs=1e-15)


def test_identity_bootstrap_intervals_are_near_those_of_another_program(table: pd.DataFrame) -> None:
    """2,000 draws there and here: ends within 12 % of the width; over pairs they would be 2 to 3 times too narrow."""
    wanted = {"African": (0.01875, 0.05217), "Asian": (0.00048, 0.01015), "Indian": (0.00047, 0.00573)}
    for group, (low, high) in wanted.items():
        part = table[table["group"] == group]
        genuine = part["label"].to_numpy() == 1
        draws = IdentityBootstrap(part["id1"].to_numpy(), part["id2"].to_numpy(), genuine, 2000, 0)
        redrawn = draws.rate(part["score"].to_numpy() >= 0.692826, genuine=False)
        assert np.quantile(redrawn, [0.025, 0.975]) == pytest.approx([low, high], abs=0.12 * (high - low))


def test_exact_bounds() -> None:
    """0 of 3,000: one-sided .0009980790, two-sided .0012288709; 145 of 4,416: .02778 to .03852."""
    assert clopper_pearson(0, 3000, one_sided=True)[1] == pytest.approx(0.0009980790119965555, abs=1e-12)
    assert clopper_pearson(0, 3000) == pytest.approx((0, 0.0012288708038254992), abs=1e-12)
    assert clopper_pearson(145, 4416) == pytest.approx((0.02778, 0.03852), abs=1e-5)
    assert clopper_pearson(5, 5)[1] == 1


def test_published_tables_are_reproduced_to_their_two_decimals() -> None:
    """The 15 rows of the same authors in the table print average, STD (n-1) and SER; n instead of n-1 fits none."""
    table = pd.read_csv(FIXTURES / "paper_tables.csv")
    rows = table.dropna(subset=["african", "asian", "caucasian", "indian", "std", "ser"])
    assert len(rows) == 15
    accuracy = rows[["african", "asian", "caucasian", "indian"]].to_numpy(float) / 100
    for values, (_, row) in zip(accuracy, rows.iterrows(), strict=True):
        assert 100 * values.mean() == pytest.approx(row["avg"], abs=0.00501)
        assert std_points(values) == pytest.approx(row["std"], abs=0.00501)
        assert ser(values) == pytest.approx(row["ser"], abs=0.00501)


def test_what_cannot_be_measured_is_refused() -> None:
    """RFW has 3,000 impostor pairs a group: FMR 1e-2 can be shown, 1e-3 is three pairs."""
    assert measurable(0.01, 3000)
    assert not measurable(0.001, 3000)


def test_a_redrawn_area_is_that_of_the_pairs_repeated(table: pd.DataFrame) -> None:
    """The weighted AUC of a draw equals scikit-learn's rule on pairs that are really there as often as they weigh."""
    part = table[table["group"] == "Indian"]
    genuine, scores = part["label"].to_numpy() == 1, part["score"].to_numpy()
    draws = IdentityBootstrap(part["id1"].to_numpy(), part["id2"].to_numpy(), genuine, 5, 1)
    for number, area in enumerate(draws.auc(scores)):
        times_genuine = draws.weights_genuine[number].astype(int)
        times_impostor = draws.weights_impostor[number].astype(int)
        repeated = np.concatenate(
            [np.repeat(scores[genuine], times_genuine), np.repeat(scores[~genuine], times_impostor)]
        )
        kinds = np.arange(len(repeated)) < times_genuine.sum()
        assert area == pytest.approx(auc(repeated, kinds), abs=1e-9)
