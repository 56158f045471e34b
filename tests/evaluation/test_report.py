"""What is reported of a run: right on cases that can be done by hand, honest on cases that cannot be done at all."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlab.config import Evaluation
from fairlab.errors import FairLabError
from fairlab.evaluation import PairedComparison, evaluate, fold_accuracy, threshold_at_fmr
from fairlab.evaluation.fairness import fair_band
from fairlab.evaluation.intervals import IdentityBootstrap, rate_interval
from fairlab.tables import ALL_GROUPS

SETTINGS = Evaluation(bootstrap=200, fmr_targets=(0.1,))


def world(
    people: int = 20, groups: tuple[str, ...] = ("a", "b"), images: int = 4, seed: int = 0
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
        for number in range(100):
            person, other = random.choice(people, 2, replace=False)
            one, two = random.choice(ids[person], 2, replace=False)
            fold = number // 10
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
    assert accuracy["low"] == pytest.approx(1 - (1 - 0.05 ** (1 / 200)), abs=1e-9)
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


def test_groups_in_another_order_and_pairs_shuffled_change_no_rate() -> None:
    images, pairs = world()
    scores = scores_for(pairs, 1.5)
    order = np.random.default_rng(5).permutation(len(pairs))
    one = evaluate("r", images, pairs, scores, SETTINGS).metrics
    two = evaluate("r", images, pairs.iloc[order].reset_index(drop=True), scores[order], SETTINGS).metrics
    for metric in ("accuracy", "auc", "eer"):
        for group in ("a", "b"):
            assert value(one, metric, group)["value"] == pytest.approx(value(two, metric, group)["value"], abs=1e-12)


def test_a_rate_that_needs_more_pairs_is_left_out_with_the_reason() -> None:
    images, pairs = world()
    results = evaluate("r", images, pairs, scores_for(pairs, 2), Evaluation(bootstrap=100, fmr_targets=(0.001,)))
    assert "fmr=0.001" not in set(results.metrics["operating_point"])
    assert any("FMR 0.001 is not measurable: 200 impostor pairs" in note for note in results.notes)


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


@settings(max_examples=60, deadline=None)
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


@pytest.mark.slow
def test_intervals_over_identities_cover_and_those_over_pairs_do_not() -> None:
    """V2: 60 people, all comparisons, 300 repetitions at 95 %: FMR >= .90 over identities; over pairs far below."""
    random = np.random.default_rng(0)
    people = 60
    a, b = np.triu_indices(people, 1)
    limit = 2.2  # score = person effects of both + noise; accepted above the limit
    truth = np.mean(
        (random.normal(size=2_000_000) + random.normal(size=2_000_000) + random.normal(size=2_000_000))
        > limit * np.sqrt(3) / 1.5
    )
    covered, naive = 0, 0
    for repetition in range(300):
        effect = random.normal(size=people)
        accepted = effect[a] + effect[b] + random.normal(size=len(a)) > limit * np.sqrt(3) / 1.5
        draws = IdentityBootstrap(a, b, np.zeros(len(a), bool), 300, repetition)
        low, high = rate_interval(int(accepted.sum()), len(accepted), draws.rate(accepted, genuine=False))
        covered += low <= truth <= high
        rate = accepted.mean()
        half = 1.96 * np.sqrt(rate * (1 - rate) / len(a))
        naive += rate - half <= truth <= rate + half
    print(f"coverage over identities {covered / 300:.3f}, over pairs {naive / 300:.3f}")
    assert covered / 300 >= 0.90
    assert naive / 300 < 0.60


def test_the_fair_band_holds_what_fair_models_show() -> None:
    """V6 and the table of RELIABILITY.md 3.2: 6,000 pairs at 95 %: STD p95 .46, SER p95 1.23; 280 pairs: 2.08 and 2.78."""
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
