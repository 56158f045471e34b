"""The peers' numbers, to the last digit: against their rules spelled out slowly, and golden values of the official code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import interp1d

from fairlab.errors import FairLabError
from fairlab.evaluation import COMPAT, CompatResult, compat_accuracy, pair_distances, pair_scores
from fairlab.evaluation.compat import insightface_2018
from tests import fixtures
from tests.evaluation import restated

GOLDEN = Path(fixtures.__file__).with_name("papers_golden.json")


def drawn(pairs: int, seed: int, decimals: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """Cosines and what is genuine; few decimals make ties and distances that lie on the grid."""
    random = np.random.default_rng(seed)
    genuine = random.random(pairs) < 0.5
    return np.clip(random.normal(0.1 + 0.3 * genuine, 0.15), -1, 1).round(decimals), genuine


def official() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two sides (60, 8) of the golden set, and what is genuine."""
    pairs, dims = 60, 8
    k = 1 + np.arange(pairs)[:, None] * dims + np.arange(dims)[None]
    first = np.sin(1.3 * k) + 0.5 * np.cos(0.5 * k)
    same = np.arange(pairs) % 6 < 3
    second = np.where(same[:, None], first + 0.9 * np.cos(2.1 * k), np.sin(0.9 * k + 0.4) + 0.6 * first)
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    return first, second, same


def test_golden_numbers_of_the_official_code() -> None:
    """Fold accuracies, mean, std and thresholds, from embeddings on."""
    first, second, same = official()
    pairs = pd.DataFrame({"pair_id": np.arange(60), "image_a": np.arange(60), "image_b": 60 + np.arange(60)})
    distances = pair_distances(np.concatenate([first, second]), np.arange(120), pairs)
    wanted = json.loads(GOLDEN.read_text())["verification"]
    assert distances[:6].tolist() == wanted["d_first6"]
    assert distances[same].mean() == pytest.approx(wanted["d_same_mean"], abs=1e-15)
    found = compat_accuracy("insightface-2018", distances, same)
    assert found.per_fold.tolist() == wanted["fold_acc"]
    assert found.accuracy == wanted["mean"]
    assert found.std == wanted["std_ddof0"]
    assert found.thresholds.tolist() == wanted["thresholds"]
    assert found.last_threshold == wanted["reported_threshold_is_last_fold"]
    assert np.isnan(found.standard_error)


@pytest.mark.parametrize(("pairs", "decimals"), [(6000, 20), (6000, 2), (6007, 3), (10, 20), (39, 2), (280, 1)])
def test_insightface_to_the_last_digit(pairs: int, decimals: int) -> None:
    """Also when folds are unequal, distances lie on the grid, and a fold lacks a kind of pair."""
    cosines, genuine = drawn(pairs, pairs + decimals, decimals)
    genuine[:2] = True, False
    found, wanted = (
        compat_accuracy("insightface-2018", 2 - 2 * cosines, genuine),
        restated.insightface(2 - 2 * cosines, genuine),
    )
    for name in ("per_fold", "thresholds", "tpr", "fpr"):
        assert getattr(found, name).tolist() == wanted[name].tolist(), name
    assert (found.accuracy, found.std) == (wanted["mean"], wanted["std"])


@pytest.mark.parametrize("decimals", [20, 3, 1])
def test_facex_to_the_last_digit(decimals: int) -> None:
    cosines, genuine = drawn(6000, decimals, decimals)
    found, wanted = compat_accuracy("facex-zoo", cosines, genuine), restated.facex(cosines, genuine)
    assert found.per_fold.tolist() == wanted["per_fold"].tolist()
    assert found.thresholds.tolist() == wanted["thresholds"].tolist()
    assert (found.accuracy, found.standard_error) == (wanted["mean"], wanted["error"])
    assert found.std == pytest.approx(found.standard_error * np.sqrt(10), rel=1e-15)


@pytest.mark.parametrize("sign", [1, -1])
def test_facex_when_scores_lie_on_its_steps(sign: int) -> None:
    """Whole numbers 0..1000 are the steps themselves; turned round, only the last of them is not worse than guessing."""
    cosines, genuine = drawn(6000, 5)
    scores = np.round(500 + 400 * sign * cosines)
    scores[np.arange(10) * 600], scores[np.arange(10) * 600 + 1] = 0, 1000
    genuine[np.arange(10) * 600], genuine[np.arange(10) * 600 + 1] = sign > 0, sign < 0
    genuine[np.arange(10) * 600 + 2] = ~genuine[np.arange(10) * 600 + 3]
    found, wanted = compat_accuracy("facex-zoo", scores, genuine), restated.facex(scores, genuine)
    assert found.thresholds.tolist() == wanted["thresholds"].tolist()
    assert found.per_fold.tolist() == wanted["per_fold"].tolist()


def test_the_papers_rule_is_strict_and_takes_the_first_of_equals() -> None:
    """A distance on the threshold is no match; of two thresholds that are right equally often the smaller is taken."""
    distances, genuine = np.array([0.5, 0.9]), np.array([True, False])
    assert insightface_2018(distances, genuine, 1, np.array([0.5])).accuracy == 0.5
    assert insightface_2018(distances, genuine, 1, np.array([0.4, 0.6, 0.7])).thresholds == [0.6]


def test_a_tie_is_an_error_either_way_in_facex() -> None:
    """Half of the pairs lie at .5 and get the last step, .5 itself, as threshold: genuine or not, all of them are wrong."""
    genuine = np.tile([True, False], 3000)
    scores = np.full(6000, 0.5)
    assert compat_accuracy("facex-zoo", scores, genuine).accuracy == 0
    assert compat_accuracy("insightface-2018", 2 - 2 * scores, genuine).accuracy == 0.5


def test_facex_maximises_youdens_index_and_not_accuracy() -> None:
    """In each fold 540 genuine at .6 (54 at .2), 6 impostors at .1 (and 0): the one that misses few is not the most right."""
    fold = np.concatenate([np.full(300, 0.6), np.full(270, 0.3), np.full(20, 0.4), np.full(10, 0.1)])
    genuine = np.concatenate([np.ones(570, bool), np.zeros(30, bool)])
    found = compat_accuracy("facex-zoo", np.tile(fold, 10), np.tile(genuine, 10))
    # Above .4: TPR 300/570, FPR 0. Above .1: TPR 1, FPR 20/30: 0.333. The first is chosen, though 330 < 580 of 600 are right.
    assert found.accuracy == pytest.approx(330 / 600, abs=1e-12)
    assert 0.4 < found.thresholds[0] < 0.6
    ours = compat_accuracy("insightface-2018", 2 - 2 * np.tile(fold, 10), np.tile(genuine, 10))
    assert ours.accuracy == pytest.approx(580 / 600, abs=1e-12)


@pytest.mark.parametrize("pairs", [0, 1200, 3000, 5999, 7000])
def test_facex_is_defined_for_its_table_only(pairs: int) -> None:
    found = compat_accuracy("facex-zoo", *drawn(pairs, 0))
    assert np.isnan(found.accuracy)
    assert f"exactly 6,000 pairs; this list has {pairs:,}" in found.reason


def test_facex_divides_by_no_zero() -> None:
    """All genuine pairs in one fold: the other nine have no TPR."""
    genuine = np.arange(6000) < 300
    assert (
        "outside fold 0 there is no genuine pair"
        in compat_accuracy("facex-zoo", np.linspace(0, 1, 6000), genuine).reason
    )


def test_why_there_is_no_val() -> None:
    """The reason given is what scipy says to the peer's call; training FARs always repeat."""
    with pytest.raises(ValueError, match="Expect x to not have duplicates"):
        interp1d(np.array([0.0, 0.0, 0.5, 1.0]), np.arange(4.0), kind="slinear")
    cosines, genuine = drawn(600, 1)
    assert "Expect x to not have duplicates" in compat_accuracy("insightface-2018", 2 - 2 * cosines, genuine).val_reason


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(COMPAT)), st.integers(0, 25), st.integers(0, 5), st.sampled_from([0.0, 0.5, 1.0]))
def test_few_pairs_give_numbers_or_a_reason(mode: str, pairs: int, seed: int, share: float) -> None:
    random = np.random.default_rng(seed)
    found = compat_accuracy(mode, random.random(pairs).round(1), random.random(pairs) < share)
    assert isinstance(found, CompatResult)
    assert np.isnan(found.accuracy) == bool(found.reason)
    assert np.isnan(found.last_threshold) == bool(found.reason)


def test_what_is_no_distance_is_refused() -> None:
    genuine = np.tile([True, False], 10)
    with pytest.raises(FairLabError, match="not negative: are these cosines"):
        compat_accuracy("insightface-2018", np.linspace(-1, 1, 20), genuine)
    with pytest.raises(FairLabError, match="pair number 3 is not a finite"):
        compat_accuracy("facex-zoo", np.where(np.arange(20) == 3, np.nan, 0.1), genuine)
    with pytest.raises(FairLabError, match="19 distances for 20 pairs"):
        compat_accuracy("insightface-2018", np.ones(19), genuine)
    with pytest.raises(FairLabError, match="choose one of: insightface-2018, facex-zoo"):
        compat_accuracy("lfw", np.ones(20), genuine)


def test_distances_are_summed_as_the_peer_sums_them() -> None:
    """Over pieces of the list, from single precision, and equal to 2 - 2 cos but for the last digits."""
    random = np.random.default_rng(2)
    vectors = random.normal(size=(300, 512)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    sides = random.integers(0, 300, (2, 9000))
    pairs = pd.DataFrame({"pair_id": np.arange(9000), "image_a": sides[0], "image_b": sides[1]})
    found = pair_distances(vectors, np.arange(300), pairs)
    wide = vectors.astype(np.float64)
    assert found.tolist() == np.sum(np.square(np.subtract(wide[sides[0]], wide[sides[1]])), 1).tolist()
    assert found == pytest.approx(2 - 2 * pair_scores(vectors, np.arange(300), pairs), abs=1e-6)
