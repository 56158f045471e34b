"""What is reported of a run: right on cases that can be done by hand, honest on cases that cannot be done at all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlab.errors import FairLabError
from fairlab.evaluation import PairedComparison, evaluate, fold_accuracy, threshold_at_fmr
from fairlab.evaluation.chance import fair_band
from fairlab.settings.study import Evaluation
from fairlab.tables import ALL_GROUPS

SETTINGS = Evaluation(bootstrap=200, fmr_targets=(0.1,))
SPREADS = ["std_points", "ser", "gap_points", "fdr", "garbe", "ir", "gini_fmr", "gini_fnmr", "max_min_fmr"]


def world(
    people: int = 20, groups: tuple[str, ...] = ("a", "b"), images: int = 4, seed: int = 0, genuine: int = 100
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Images of a few people per group and a pair list with ten folds, as RFW has it."""
    random = np.random.default_rng(seed)
    rows, pairs = [], []
    for group in groups:
        ids = []
        for person in range(people):
            mine = list(range(len(rows), len(rows) + images))
            rows += [{"image_id": image, "identity": f"{group}{person}", "group": group} for image in mine]
            ids.append(mine)
        for number in range(genuine):
            person, other = random.choice(people, 2, replace=False)
            one, two = random.choice(ids[person], 2, replace=False)
            fold = 10 * number // genuine
            pairs.append((one, two, True, group, fold))
            pairs.append((one, random.choice(ids[other]), False, group, fold))
    table = pd.DataFrame(pairs, columns=["image_a", "image_b", "genuine", "group", "fold"])
    return pd.DataFrame(rows), table.assign(pair_id=np.arange(len(table)), protocol="test")


def scores_for(pairs: pd.DataFrame, gap: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=len(pairs)) + gap * pairs["genuine"].to_numpy()


def value(metrics: pd.DataFrame, metric: str, group: str = ALL_GROUPS, point: str = "") -> pd.Series:
    found = metrics[(metrics["metric"] == metric) & (metrics["group"] == group) & (metrics["operating_point"] == point)]
    assert len(found) == 1, (metric, group, point)
    return found.iloc[0]


def test_a_perfect_model_is_right_everywhere_and_its_interval_is_not_a_point() -> None:
    """No error was seen, so the interval is the exact one-sided bound, never [1, 1]; SER is n/a."""
    images, pairs = world()
    metrics = evaluate("r", images, pairs, pairs["genuine"].to_numpy(float), SETTINGS).metrics
    accuracy = value(metrics, "accuracy", "a")
    assert accuracy["value"] == 1
    assert accuracy["high"] == 1
    different = {tuple(sorted(pair)) for pair in pairs.loc[pairs["group"] == "a", ["image_a", "image_b"]].to_numpy()}
    assert len(different) < 200, "the list repeats some pairs, which are not further evidence"
    assert accuracy["low"] == pytest.approx(0.05 ** (1 / len(different)), abs=1e-9)
    assert np.isnan(value(metrics, "ser")["value"])
    assert value(metrics, "fmr", "a", "fmr=0.1")["high"] > 0


def test_rates_are_counts_over_pairs() -> None:
    images, pairs = world()
    scores = scores_for(pairs, 2.0)
    metrics = evaluate("r", images, pairs, scores, SETTINGS).metrics
    genuine = pairs["genuine"].to_numpy()
    threshold = threshold_at_fmr(scores[~genuine], 0.1)
    assert value(metrics, "threshold", point="fmr=0.1")["value"] == threshold
    for group in ("a", "b"):
        of = (pairs["group"] == group).to_numpy()
        row = value(metrics, "fmr", group, "fmr=0.1")
        assert row["value"] == (scores[of & ~genuine] >= threshold).mean()
        assert (row["genuine_pairs"], row["impostor_pairs"]) == (100, 100)
        assert row["low"] <= row["value"] <= row["high"]
    assert value(metrics, "fmr", point="fmr=0.1")["value"] <= 0.1


def test_the_threshold_of_a_fold_never_sees_that_fold() -> None:
    """Labels of one fold turned round: its accuracy falls to that of the turned labels, the others' threshold stays."""
    genuine = np.tile([True, False], 50)
    folds = np.repeat(np.arange(10), 10)
    scores = genuine.astype(float)
    turned = genuine.copy()
    turned[folds == 3] = ~turned[folds == 3]
    found = fold_accuracy(scores, turned, folds)
    assert found.per_fold.tolist() == [1.0] * 3 + [0.0] + [1.0] * 6


def test_another_order_of_pairs_groups_and_sides_changes_no_number() -> None:
    """Values, counts and intervals: the draws hang on names, not on places."""
    images, pairs = world()
    scores = scores_for(pairs, 1.5)
    order = np.random.default_rng(5).permutation(len(pairs))
    sides = {"image_a": "image_b", "image_b": "image_a"}
    turned = pairs.iloc[order].reset_index(drop=True).rename(columns=sides)
    keys = ["group", "metric", "operating_point"]
    one, two = (
        evaluate("r", images, *data, SETTINGS).metrics.set_index(keys).sort_index()
        for data in ((pairs, scores), (turned, scores[order]))
    )
    numbers = ["value", "low", "high", "genuine_pairs", "impostor_pairs"]
    exact = [name for name in one.index if name[1] != "d_prime" and "fair_p95" not in name[1]]
    pd.testing.assert_frame_equal(one.loc[exact, numbers], two.loc[exact, numbers], check_exact=False, rtol=1e-6)


def test_every_rate_has_counts_and_an_interval_around_it() -> None:
    """Nothing that is a rate stands alone, for a group or for all together."""
    images, pairs = world()
    metrics = evaluate("r", images, pairs, scores_for(pairs, 1.5), SETTINGS).metrics
    names = ["accuracy", "mean_accuracy", "auc", "eer", "d_prime", "fmr", "fnmr", "tar", "tar_own_threshold", *SPREADS]
    rows = metrics[metrics["metric"].isin(names)].dropna(subset=["value"])
    assert set(rows["metric"]) == set(names)
    assert (rows["low"] <= rows["value"]).all()
    assert (rows["value"] <= rows["high"]).all()
    assert (metrics[["genuine_pairs", "impostor_pairs"]] > 0).all(axis=None)
    assert not np.isinf(metrics[["value", "low", "high"]]).any(axis=None)


def test_the_pooled_rate_lies_among_the_groups_and_is_known_better_than_theirs() -> None:
    images, pairs = world()
    metrics = evaluate("r", images, pairs, scores_for(pairs, 1.5), SETTINGS).metrics
    both = [value(metrics, "fnmr", group, "fmr=0.1") for group in ("a", "b")]
    pooled = value(metrics, "fnmr", point="fmr=0.1")
    assert pooled["value"] == pytest.approx(np.mean([row["value"] for row in both]), abs=1e-12)
    assert pooled["high"] - pooled["low"] < min(row["high"] - row["low"] for row in both)


def test_nothing_of_a_perfect_model_is_certain() -> None:
    """Where no error was seen no interval is a point: bounds, or no interval at all, and a note says why."""
    images, pairs = world()
    results = evaluate("r", images, pairs, pairs["genuine"].to_numpy(float), SETTINGS)
    for metric, group in (("mean_accuracy", ALL_GROUPS), ("auc", "a"), ("eer", "a"), ("tar", "a")):
        row = value(results.metrics, metric, group, "fmr=0.1" if metric == "tar" else "")
        assert row["high"] - row["low"] > 0.005, metric
    for metric in ("std_points", "gap_points", "worst_accuracy"):
        assert np.isnan(value(results.metrics, metric)["low"])
    assert any("no error" in note for note in results.notes)
    assert (results.curves["high"] > results.curves["low"]).all()


def test_a_curve_rises_and_ends_where_everybody_is_let_in() -> None:
    """TMR grows with FMR, the band holds it, and each point is the count at its threshold."""
    images, pairs = world()
    scores = scores_for(pairs, 1.5)
    curves = evaluate("r", images, pairs, scores, SETTINGS).curves
    genuine = pairs["genuine"].to_numpy()
    for group, part in curves.groupby("group"):
        part = part.sort_values("fmr")
        assert part["tmr"].is_monotonic_increasing
        assert (
            part["low"].isna().tolist() == (part["fmr"] < 0.015).tolist()
        )  # one of 100: its threshold may lie anywhere
        known = part.dropna(subset=["low"])
        assert ((known["low"] <= known["tmr"]) & (known["tmr"] <= known["high"])).all()
        assert part["fmr"].min() == 0.01
        assert part["fmr"].max() == 1
        of = (pairs["group"] == group).to_numpy()
        for row in part.iloc[::7].itertuples():
            assert row.fmr == pytest.approx((scores[of & ~genuine] >= row.threshold).mean(), abs=1e-12)
            assert row.tmr == pytest.approx((scores[of & genuine] >= row.threshold).mean(), abs=1e-12)


def test_equal_models_are_seldom_told_apart() -> None:
    """Two models with independent noise of the same size: p below .05 in about one comparison of twenty, 100 tried."""
    images, pairs = world(people=30)
    comparison = PairedComparison(images, pairs, Evaluation(bootstrap=200))
    alarms = sum(
        comparison.difference(scores_for(pairs, 1.5, 2 * n), scores_for(pairs, 1.5, 2 * n + 1)).iloc[-1]["p"] < 0.05
        for n in range(100)
    )
    assert alarms <= 10


def test_a_comparison_refuses_scores_that_do_not_fit_and_leaves_out_groups_without_an_accuracy() -> None:
    images, pairs = world()
    comparison = PairedComparison(images, pairs, SETTINGS)
    good = scores_for(pairs, 1)
    with pytest.raises(FairLabError, match="199 scores for 400 pairs"):
        comparison.difference(good, good[:199])
    one_sided = pairs[(pairs["group"] == "b") | pairs["genuine"]].reset_index(drop=True)
    rows = PairedComparison(images, one_sided, SETTINGS).difference(
        scores_for(one_sided, 3), scores_for(one_sided, 1, 5)
    )
    rows = rows.set_index("group")
    assert np.isnan(rows.loc["a", "difference"])
    assert rows.loc[ALL_GROUPS, "difference"] == rows.loc["b", "difference"] > 0


def test_a_rate_that_needs_more_pairs_is_left_out_with_the_reason() -> None:
    images, pairs = world()
    results = evaluate("r", images, pairs, scores_for(pairs, 2), Evaluation(bootstrap=100, fmr_targets=(0.001,)))
    assert "fmr=0.001" not in set(results.metrics["operating_point"])
    assert any("FMR 0.001 is not measurable: with 200 impostor pairs" in note for note in results.notes)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda scores: np.where(np.arange(len(scores)) == 7, np.nan, scores),
            "the score of pair 7 is not a finite number",
        ),
        (lambda scores: scores[:-1], "scores for"),
    ],
)
def test_bad_scores_are_named(spoil: object, said: str) -> None:
    images, pairs = world()
    assert callable(spoil)
    with pytest.raises(FairLabError, match=said):
        evaluate("r", images, pairs, spoil(scores_for(pairs, 1)), SETTINGS)


def test_swapped_labels_are_pointed_out() -> None:
    images, pairs = world()
    notes = evaluate("r", images, pairs, -scores_for(pairs, 3), SETTINGS).notes
    assert any("below one half" in note for note in notes)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 4), st.integers(1, 3), st.integers(0, 10_000), st.booleans())
def test_tiny_and_one_sided_data_never_crash_and_never_lie(people: int, groups: int, seed: int, constant: bool) -> None:
    """A value is a number with counts, or NaN; a rate without errors never gets the interval [0, 0]."""
    images, pairs = world(people, tuple("abc"[:groups]), 2, seed)
    random = np.random.default_rng(seed)
    keep = random.random(len(pairs)) < random.choice([0.02, 0.1, 0.9])
    pairs = pairs[keep].reset_index(drop=True)
    if pairs.empty:
        return
    scores = np.zeros(len(pairs)) if constant else scores_for(pairs, 1.0, seed)
    results = evaluate("r", images, pairs, scores, Evaluation(bootstrap=100, fmr_targets=(0.1, 0.01)))
    rates = results.metrics[
        results.metrics["metric"].isin(["fmr", "fnmr", "accuracy"]) & (results.metrics["group"] != ALL_GROUPS)
    ]
    known = rates.dropna(subset=["value"])
    assert ((known["value"] >= 0) & (known["value"] <= 1)).all()
    points = known[known["low"] == known["high"]]
    assert points.empty or not points["value"].isin([0.0, 1.0]).any()


def test_the_fair_band_holds_what_fair_models_show() -> None:
    """Simulated elsewhere with 20,000 draws: 6,000 pairs at 95 %: STD p95 .46, SER p95 1.23; 280 pairs: 2.08 and 2.78."""
    large = fair_band(0.95, np.full(4, 6000), 0, draws=20_000)
    assert large.std_points[2] == pytest.approx(0.46, abs=0.01)
    assert large.ser[1:] == pytest.approx((1.12, 1.23), abs=0.01)
    small = fair_band(0.95, np.full(4, 280), 0, draws=20_000)
    assert small.std_points[2] == pytest.approx(2.08, abs=0.04)
    assert small.ser[1:] == pytest.approx((1.70, 2.78), abs=0.08)


def test_a_model_compared_with_itself_differs_by_nothing_and_a_better_one_is_seen() -> None:
    images, pairs = world(people=40)
    good, poor = scores_for(pairs, 3.0), scores_for(pairs, 0.5, 2)
    comparison = PairedComparison(images, pairs, Evaluation(bootstrap=500))
    same = comparison.difference(good, good).set_index("group").loc[ALL_GROUPS]
    assert (same["difference"], same["p"]) == (0, 1)
    better = comparison.difference(good, poor).set_index("group").loc[ALL_GROUPS]
    assert better["difference"] > 0.2
    assert better["low"] > 0
    assert better["p"] < 0.02
