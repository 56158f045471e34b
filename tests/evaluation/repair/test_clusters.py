"""Fair score normalisation and FairCal: golden thresholds, one cluster, and clusters that cannot be measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fairlab.errors import FairLabError
from fairlab.evaluation import threshold_at_fmr
from fairlab.evaluation.repair.base import Cohort, Fitted, Images, Scored
from fairlab.evaluation.repair.calibrators import beta, beta_chance
from fairlab.evaluation.repair.clusters import (
    FairCal,
    FairNormalisation,
    centres_of,
    cluster_thresholds,
    dissolved,
    nearest,
    shifted,
)  # fmt: skip
from tests.evaluation.repair.golden import GOLDEN
from tests.evaluation.repair.test_normalisation import a_cohort


def test_golden_thresholds_and_scores() -> None:
    given, wanted = GOLDEN["G18"]["inputs"], GOLDEN["G18"]["outputs"]["threshold_at_fmr"]
    scores, genuine, clusters = np.array(given["scores"]), np.array(given["genuine"]), np.array(given["clusters"])
    every, own = cluster_thresholds(scores, genuine, (clusters[:, 0], clusters[:, 1]), 2, 0.25)
    np.testing.assert_allclose([every, *own], wanted["thresholds"], atol=1e-12)
    made = shifted(scores, own[clusters[:, 0]], own[clusters[:, 1]], every)
    np.testing.assert_allclose(made, wanted["normalised"], atol=1e-12)


def test_golden_mean_of_two_curves() -> None:
    """(G20) p .2 of 30 pairs and .7 of 10 make .325."""
    knots = np.array([[0.0, 0.2], [1.0, 0.2], [0.0, 0.7], [1.0, 0.7]])
    arrays = {"centres": np.eye(2), "counts": np.array([30, 10]), "lengths": np.array([2, 2]), "curves": knots,
              "kind": np.array("isotonic")}  # fmt: skip
    test = Scored(np.array([0.5]), np.array(["X"]), np.array(["X"]), None, np.array([0]), np.array([1]),
                  Images(np.eye(2), np.array(["X", "X"])))  # fmt: skip
    assert FairCal().apply(Fitted("faircal", arrays), test).tolist() == pytest.approx([0.325], abs=1e-12)


def test_one_cluster_is_no_normalisation_and_plain_calibration() -> None:
    """(PP3)"""
    cohort, test = a_cohort()
    fair = FairNormalisation(clusters=1, fmr=0.01)
    np.testing.assert_allclose(fair.apply(fair.fit(cohort, test), test), test.scores, atol=1e-12)
    plain = beta_chance(test.scores, *beta(cohort.pairs.scores, cohort.pairs.genuine, "x"))
    faircal = FairCal(clusters=1)
    np.testing.assert_allclose(faircal.apply(faircal.fit(cohort, test), test), plain, atol=1e-12)


def test_a_cluster_is_kept_only_if_its_comparisons_measure_the_rate() -> None:
    """40 people with 3 images make 7,020 impostor comparisons: FMR 1 % needs 1,000 of each cluster, 0.1 % needs 10,000."""
    cohort, test = a_cohort()
    fitted = FairNormalisation(clusters=100, fmr=0.01).fit(cohort, test)
    labels = nearest(cohort.images.vectors, fitted.arrays["centres"])
    people = cohort.images.people
    for number, threshold in enumerate(fitted.arrays["thresholds"]):
        inside = labels == number
        one, other = np.triu_indices(int(inside.sum()), 1)
        vectors = cohort.images.vectors[inside]
        strangers = people[inside][one] != people[inside][other]
        scores = (vectors @ vectors.T)[one, other][strangers]
        assert len(scores) >= 1000
        assert threshold == pytest.approx(threshold_at_fmr(scores, 0.01), abs=1e-12)
    assert len(fitted.arrays["thresholds"]) > 1
    strict = FairNormalisation(clusters=100, fmr=0.001).fit(cohort, test)
    assert len(strict.arrays["thresholds"]) == 1
    assert strict.notes == ("1 of 100 clusters can measure FMR 0.001 (at least 10,000 impostor comparisons)",)


def test_planted_clusters_of_other_thresholds_are_made_alike() -> None:
    """Two kinds of faces, of which one's strangers are more alike: at one threshold their FMRs differ, after it hardly."""
    random = np.random.default_rng(3)
    people = np.repeat(np.arange(400), 2)
    kind = people % 2
    places = np.array([[4.0, 0, 0, 0], [0, -4.0, 0, 0]])[kind]
    spread = np.array([0.6, 1.6])[kind][:, None]
    centres = np.zeros((400, 12))
    centres[:] = random.normal(size=(400, 12))
    vectors = (
        np.concatenate([places, np.zeros((800, 8))], 1) + spread * centres[people] + 0.2 * random.normal(size=(800, 12))
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = np.array(["close", "wide"])[kind]

    def scored(some: np.ndarray) -> Scored:
        images = Images(vectors[some], names[some], people[some])
        one, other = np.triu_indices(int(some.sum()), 1)
        inside = images.groups[one] == images.groups[other]
        one, other = one[inside], other[inside]
        return Scored((images.vectors[one] * images.vectors[other]).sum(1), images.groups[one], images.groups[other],
                      images.people[one] == images.people[other], one, other, images)  # fmt: skip

    cohort, test = scored(people < 200), scored(people >= 200)
    fair = FairNormalisation(clusters=2, fmr=0.01, seed=1)
    after = fair.apply(fair.fit(Cohort(cohort, cohort.images), test), test)

    def rates(scores: np.ndarray) -> list[float]:
        impostor = ~test.genuine
        threshold = threshold_at_fmr(scores[impostor], 0.01)
        return [
            float((scores[impostor & (test.reference_groups == name)] >= threshold).mean())
            for name in ("close", "wide")
        ]

    close, wide = rates(test.scores)
    assert close > 50 * max(wide, 1e-9)
    close, wide = rates(after)
    assert max(close, wide) < 2 * min(close, wide)


def test_the_same_seed_gives_the_same_clusters() -> None:
    cohort, _ = a_cohort()
    one, again, other = (centres_of(cohort.images.vectors, 8, seed) for seed in (3, 3, 4))
    assert (one == again).all()
    assert not np.array_equal(one, other)
    assert (nearest(one, one) == np.arange(len(one))).all()


def test_the_worst_cluster_is_dissolved_into_its_neighbour() -> None:
    vectors = np.array([[0.0], [0.1], [5.0], [9.0], [9.1]])
    centres, labels = dissolved(
        vectors,
        np.array([[0.0], [5.0], [9.0]]),
        lambda labels, count: np.maximum(2 - np.bincount(labels, minlength=count), 0),
    )
    assert centres.ravel().tolist() == [0, 9]
    assert labels.tolist() == [0, 0, 1, 1, 1]


def test_clusters_whose_scores_do_not_overlap_have_no_curve_of_their_own() -> None:
    cohort, test = a_cohort()
    parted = replace(cohort.pairs, scores=np.where(cohort.pairs.genuine, 0.8, 0.1) + 0.01 * cohort.pairs.scores)
    with pytest.raises(FairLabError, match="do not overlap"):
        FairCal(clusters=5).fit(Cohort(parted, cohort.images), test)
    for kind in ("isotonic", "bins"):
        faircal = FairCal(clusters=5, kind=kind)
        scores = faircal.apply(faircal.fit(cohort, test), test)
        assert ((scores >= 0) & (scores <= 1)).all()


def test_too_many_images_are_refused() -> None:
    many = Images(np.zeros((8001, 2), np.float32), np.full(8001, "X"), np.arange(8001))
    pairs = Scored(np.zeros(1), np.array(["X"]), np.array(["X"]), np.array([False]))
    with pytest.raises(FairLabError, match="8,001 are more than 8,000; take fewer people"):
        FairNormalisation().fit(Cohort(pairs, many), pairs)
