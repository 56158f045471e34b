"""Decisions at a threshold, and how thresholds are found: against rules spelled out slowly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fairlab.errors import FairLabError
from fairlab.evaluation import auc, count_errors, eer, fold_accuracy, threshold_at_fmr
from fairlab.evaluation.compat import compat_accuracy, insightface_2018
from fairlab.evaluation.verification import best_threshold, d_prime, measurable, rates

FEW_VALUES = st.sampled_from([-0.5, 0.0, 0.1, 0.25, 0.3, 0.7, 1.0])


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """A few scores with many ties, and labels of both kinds."""
    count = draw(st.integers(2, 30))
    scores = draw(arrays(np.float64, count, elements=FEW_VALUES))
    genuine = draw(arrays(np.bool_, count))
    assume(genuine.any() and not genuine.all())
    return scores, genuine


@settings(max_examples=300, deadline=None)
@given(scored(), st.sampled_from([0.0, 0.01, 0.1, 0.25, 0.5, 1.0]))
def test_the_threshold_is_the_smallest_offered_that_keeps_the_promise(
    data: tuple[np.ndarray, np.ndarray], target: float
) -> None:
    """At most the target, and the next lower score would break it."""
    scores, genuine = data
    impostors = scores[~genuine]
    found = threshold_at_fmr(impostors, target)
    assert (impostors >= found).mean() <= target
    lower = impostors[impostors < found]
    assert len(lower) == 0 or (impostors >= lower.max()).mean() > target


def test_no_false_match_at_all_means_just_above_the_best_impostor() -> None:
    assert threshold_at_fmr(np.array([0.1, 0.5]), 0.0) == np.nextafter(0.5, 1)


def test_a_pair_on_the_threshold_matches() -> None:
    counts = count_errors(np.array([0.5, 0.5, 0.4]), np.array([True, False, True]), 0.5)
    assert (counts.false_matches, counts.false_non_matches) == (1, 1)
    assert (counts.fmr, counts.fnmr) == (1.0, 0.5)


@pytest.mark.parametrize("target", [-0.1, 1.5, float("nan")])
def test_an_impossible_rate_is_refused(target: float) -> None:
    with pytest.raises(FairLabError, match="between 0 and 1"):
        threshold_at_fmr(np.array([0.1]), target)


def test_without_impostors_there_is_no_threshold() -> None:
    with pytest.raises(FairLabError, match="no impostor pair"):
        threshold_at_fmr(np.array([]), 0.1)


@settings(max_examples=300, deadline=None)
@given(scored())
def test_no_threshold_decides_better_than_the_best(data: tuple[np.ndarray, np.ndarray]) -> None:
    """Every possible cut is tried; of equals the strictest is taken."""
    scores, genuine = data
    cuts = np.concatenate([np.unique(scores), [scores.max() + 1]])
    right = np.array([((scores >= cut) == genuine).mean() for cut in cuts])
    found = best_threshold(scores, genuine)
    assert ((scores >= found) == genuine).mean() == right.max()
    strictest = cuts[np.flatnonzero(right == right.max())[-1]]
    assert ((scores >= found) == (scores >= strictest)).all()


def test_neighbouring_floats_are_still_told_apart() -> None:
    """Half-way between them rounds to one of them; the lower one is an impostor and must not match."""
    for low in (0.5, np.nextafter(0.5, 1)):
        scores, genuine = np.array([low, np.nextafter(low, 1)]), np.array([False, True])
        assert ((scores >= best_threshold(scores, genuine)) == genuine).all()


@settings(max_examples=100, deadline=None)
@given(scored())
def test_rising_maps_of_the_scores_change_no_number(data: tuple[np.ndarray, np.ndarray]) -> None:
    """AUC and EER know only the order."""
    scores, genuine = data
    bent = np.exp(3 * scores) - 7
    assert auc(bent, genuine) == auc(scores, genuine)
    assert eer(bent, genuine) == eer(scores, genuine)


@settings(max_examples=100, deadline=None)
@given(scored())
def test_auc_is_the_chance_that_the_genuine_pair_wins(data: tuple[np.ndarray, np.ndarray]) -> None:
    """Counted over all couples of one genuine and one impostor pair, ties half."""
    scores, genuine = data
    lead = scores[genuine][:, None] - scores[~genuine][None]
    assert auc(scores, genuine) == pytest.approx(((lead > 0) + 0.5 * (lead == 0)).mean(), abs=1e-12)


def test_rates_over_thresholds_are_the_counts() -> None:
    random = np.random.default_rng(0)
    scores, genuine = random.normal(size=200).round(1), random.random(200) < 0.4
    thresholds = np.linspace(-3, 3, 25)
    fmr, fnmr = rates(scores, genuine, thresholds)
    counted = [count_errors(scores, genuine, threshold) for threshold in thresholds]
    assert fmr == pytest.approx([item.fmr for item in counted], abs=1e-15)
    assert fnmr == pytest.approx([item.fnmr for item in counted], abs=1e-15)


def test_thresholds_from_the_data_are_never_worse_on_their_own_pairs_than_the_papers_grid() -> None:
    """The grid steps over scores; the two accuracies of held-out folds stay within half a point on 6,000 pairs."""
    random = np.random.default_rng(3)
    genuine = np.tile([True, False], 3000)
    scores = np.clip(random.normal(0.1 + 0.35 * genuine, 0.14), -1, 1)
    folds = np.repeat(np.arange(10), 600)
    ours, theirs = fold_accuracy(scores, genuine, folds), compat_accuracy("insightface-2018", 2 - 2 * scores, genuine)
    for fold in range(10):
        others = folds != fold
        own = ((scores >= ours.thresholds[fold]) == genuine)[others].mean()
        grid = ((2 - 2 * scores < theirs.thresholds[fold]) == genuine)[others].mean()
        assert own >= grid
    assert ours.accuracy == pytest.approx(theirs.accuracy, abs=0.005)
    assert ours.correct.mean() == pytest.approx(ours.accuracy, abs=1e-12)


def test_duplicated_pairs_in_the_same_folds_change_no_accuracy() -> None:
    random = np.random.default_rng(4)
    genuine = np.tile([True, False], 100)
    scores, folds = random.normal(size=200) + genuine, np.repeat(np.arange(10), 20)
    once = fold_accuracy(scores, genuine, folds)
    twice = fold_accuracy(np.repeat(scores, 2), np.repeat(genuine, 2), np.repeat(folds, 2))
    assert twice.accuracy == pytest.approx(once.accuracy, abs=1e-12)


def test_each_fold_is_decided_by_the_others_alone() -> None:
    """Fold 1 asks for .2, which lets fold 0's impostor in; fold 0 asks for .7, which shuts fold 1's genuine pair out.

    A threshold that had seen all four pairs would be right three times.
    """
    scores, genuine = np.array([0.8, 0.6, 0.3, 0.1]), np.array([True, False, True, False])
    found = fold_accuracy(scores, genuine, np.array([0, 0, 1, 1]))
    assert found.thresholds == pytest.approx([0.2, 0.7])
    assert found.per_fold.tolist() == [0.5, 0.5]
    assert found.correct.tolist() == [True, False, False, True]
    theirs = insightface_2018(2 - 2 * scores, genuine, folds=2)
    assert theirs.per_fold.tolist() == [0.5, 0.5]


@settings(max_examples=300, deadline=None)
@given(scored(), st.integers(1, 5), st.integers(0, 3))
def test_one_sort_for_all_folds_finds_what_each_fold_finds_alone(
    data: tuple[np.ndarray, np.ndarray], folds: int, seed: int
) -> None:
    """The very threshold of a fold's others by themselves, and the decisions at it; ties, and folds in any order."""
    scores, genuine = data
    fold = np.random.default_rng(seed).integers(0, folds, len(scores)) * 3 - 1
    found = fold_accuracy(scores, genuine, fold)
    for number, name in enumerate(np.unique(fold)):
        held_out = fold == name
        others = ~held_out if not held_out.all() else held_out
        assert found.thresholds[number] == best_threshold(scores[others], genuine[others])
        right = (scores[held_out] >= found.thresholds[number]) == genuine[held_out]
        assert found.correct[held_out].tolist() == right.tolist()
        assert found.per_fold[number] == right.mean()


def test_scores_far_closer_to_each_other_than_to_the_rest_are_told_apart() -> None:
    """An outlier makes all others one step of 65,536; their order still decides."""
    random = np.random.default_rng(8)
    genuine = random.random(400) < 0.5
    scores = 1e-9 * (random.normal(size=400) + 3 * genuine)
    scores[0], genuine[0] = 1.0, True
    cuts = np.sort(scores)
    assert ((scores >= best_threshold(scores, genuine)) == genuine).mean() == max(
        ((scores >= cut) == genuine).mean() for cut in cuts
    )


def test_random_scores_are_right_half_the_time() -> None:
    random = np.random.default_rng(5)
    found = fold_accuracy(random.normal(size=4000), np.tile([True, False], 2000), np.repeat(np.arange(10), 400))
    assert found.accuracy == pytest.approx(0.5, abs=0.03)


def test_a_single_fold_is_decided_with_its_own_threshold() -> None:
    genuine = np.array([True, True, False, False])
    scores = np.array([0.9, 0.7, 0.2, 0.1])
    assert fold_accuracy(scores, genuine, np.zeros(4)).accuracy == 1
    assert insightface_2018(2 - 2 * scores, genuine, folds=1).accuracy == 1


def test_numbers_without_one_kind_of_pair_are_not_available() -> None:
    scores, genuine = np.array([0.1, 0.2, 0.3]), np.ones(3, bool)
    assert np.isnan(auc(scores, genuine))
    assert np.isnan(eer(scores, genuine))
    assert np.isnan(d_prime(scores, genuine))
    assert np.isnan(count_errors(scores, genuine, 0.2).fmr)


@pytest.mark.parametrize(
    ("target", "impostors", "possible"), [(0.1, 100, True), (0.1, 99, False), (0.001, 10_000, True)]
)
def test_ten_expected_false_matches_are_needed(target: float, impostors: int, possible: bool) -> None:
    assert measurable(target, impostors) == possible
