"""Nine normalisations on the golden comparisons, and what must hold of each whatever the data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fairlab.errors import FairLabError
from fairlab.evaluation import auc
from fairlab.evaluation.repair.base import REPAIRS, Cohort, Images, Scored
from tests.evaluation.repair.golden import GOLDEN, normalisation_set

OFFICIAL = {"m1": "m1", "m1.1": "m1_1", "m1.2": "m1_2", "m2": "m2", "m2.1": "m2_1", "m2.2": "m2_2", "m3": "m3",
            "m4": "m4", "m5": "m5"}  # fmt: skip
RISING = [name for name in REPAIRS if REPAIRS[name].facts.changes == "thresholds"]


@pytest.mark.parametrize("published", OFFICIAL)
def test_golden_comparisons_of_all_nine(published: str) -> None:
    cohort, test = normalisation_set()
    repair = REPAIRS[OFFICIAL[published]]()
    wanted = GOLDEN["G17"]["outputs"][published]
    np.testing.assert_allclose(repair.apply(repair.fit(cohort, test), test), wanted, rtol=1e-9, atol=1e-9)


def test_golden_platt_curves() -> None:
    cohort, test = normalisation_set()
    fitted = REPAIRS["m4"]().fit(cohort, test)
    lines = dict(zip(fitted.arrays["groups"].tolist(), fitted.arrays["lines"].tolist(), strict=True))
    for group, wanted in GOLDEN["G17"]["outputs"]["m4_slope_intercept"].items():
        np.testing.assert_allclose(lines[group.upper()], wanted, atol=1e-9)


def a_cohort(seed: int = 0, groups: tuple[str, ...] = ("X", "Y")) -> tuple[Cohort, Scored]:
    """Random faces of 40 people a group, 3 images each: the first half of them the cohort, the others the test."""
    random = np.random.default_rng(seed)
    people = np.repeat(np.arange(40 * len(groups)), 3)
    names = np.array(groups)[people % len(groups)]
    centres = (
        random.normal(size=(people.max() + 1, 16))
        + 0.5 * random.normal(size=(len(groups), 16))[np.arange(people.max() + 1) % len(groups)]
    )
    vectors = centres[people] + 0.6 * random.normal(size=(len(people), 16))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    half = people < 20 * len(groups)

    def pairs(chosen: np.ndarray) -> Scored:
        images = Images(vectors[chosen], names[chosen], people[chosen])
        one, other = np.triu_indices(int(chosen.sum()), 1)
        same = images.groups[one] == images.groups[other]
        one, other = one[same], other[same]
        return Scored(
            (images.vectors[one] * images.vectors[other]).sum(1), images.groups[one], images.groups[other],
            people[chosen][one] == people[chosen][other], one, other, images,
        )  # fmt: skip

    known, test = pairs(half), pairs(~half)
    return Cohort(known, known.images), test


@pytest.mark.parametrize("name", RISING)
def test_rising_curves_of_a_group_change_nothing_inside_it(name: str) -> None:
    """(PP1) The order inside a group, and so its AUC and its rates at a threshold of its own, stay."""
    cohort, test = a_cohort()
    repair = REPAIRS[name]()
    scores = repair.apply(repair.fit(cohort, test), test)
    for group in ("X", "Y"):
        some = test.reference_groups == group
        before, after = auc(test.scores[some], test.genuine[some]), auc(scores[some], test.genuine[some])
        assert after == pytest.approx(before, abs=1e-12)
        assert (np.argsort(scores[some], kind="stable") == np.argsort(test.scores[some], kind="stable")).all()
    assert len(RISING) == 7


@pytest.mark.parametrize("name", ["m1", "m1_1", "m2", "m2_1"])
def test_others_change_the_order(name: str) -> None:
    cohort, test = a_cohort()
    repair = REPAIRS[name]()
    scores, some = repair.apply(repair.fit(cohort, test), test), test.reference_groups == "X"
    assert (np.argsort(scores[some]) != np.argsort(test.scores[some])).any()
    assert repair.facts.changes == "order"


def test_with_one_group_m3_is_one_straight_line() -> None:
    """(PP2)"""
    cohort, test = a_cohort(groups=("X",))
    repair = REPAIRS["m3"]()
    scores = repair.apply(repair.fit(cohort, test), test)
    impostors = cohort.pairs.scores[~cohort.pairs.genuine]
    np.testing.assert_allclose(scores, (test.scores - impostors.mean()) / impostors.std(ddof=1), atol=1e-12)


def test_the_cohorts_labels_matter_to_m3_and_not_to_m1() -> None:
    """(PP5)"""
    cohort, test = a_cohort()
    mixed = np.random.default_rng(1).permutation
    pairs = cohort.pairs
    chosen = mixed(pairs.reference_groups)
    shuffled = Cohort(
        replace(pairs, probe_groups=chosen, reference_groups=chosen),
        replace(cohort.images, groups=mixed(cohort.images.groups)),
    )
    for name, alike in (("m1", True), ("m2", True), ("m3", False), ("m1_1", False)):
        repair = REPAIRS[name]()
        one, other = (repair.apply(repair.fit(given, test), test) for given in (cohort, shuffled))
        assert np.allclose(one, other, atol=1e-12) == alike


@pytest.mark.parametrize("name", list(REPAIRS))
def test_the_order_of_pairs_changes_nothing(name: str) -> None:
    """(PP4)"""
    cohort, test = a_cohort()
    order = np.random.default_rng(2).permutation(len(test.scores))
    moved = Scored(
        *(
            getattr(test, part)[order]
            for part in ("scores", "probe_groups", "reference_groups", "genuine", "probe", "reference")
        ),
        test.images,
    )
    repair = REPAIRS[name]()
    fitted = repair.fit(cohort, test)
    np.testing.assert_allclose(
        repair.apply(repair.fit(cohort, moved), moved), repair.apply(fitted, test)[order], atol=1e-9
    )


@pytest.mark.parametrize("name", [name for name in REPAIRS if REPAIRS[name].facts.group == ""])
def test_repairs_without_a_group_never_look_at_the_tests(name: str) -> None:
    cohort, test = a_cohort()
    unknown = np.full(len(test.scores), "?")
    blind = replace(test, probe_groups=unknown, reference_groups=unknown, genuine=None)
    repair = REPAIRS[name]()
    np.testing.assert_array_equal(
        repair.apply(repair.fit(cohort, test), test), repair.apply(repair.fit(cohort, blind), blind)
    )


@pytest.mark.parametrize("name", list(REPAIRS))
def test_nobody_looks_at_the_tests_labels(name: str) -> None:
    cohort, test = a_cohort()
    swapped, repair = replace(test, genuine=~test.genuine), REPAIRS[name]()
    np.testing.assert_array_equal(
        repair.apply(repair.fit(cohort, test), test), repair.apply(repair.fit(cohort, swapped), swapped)
    )


def test_closed_forms() -> None:
    """(G17b) The impostors' mean and one deviation is 1 for M3; one normal curve for both kinds is 2 Phi(z) - 1 for M5."""
    scores = np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.3])
    pairs = Scored(scores, np.full(6, "X"), np.full(6, "X"), np.array([True] * 3 + [False] * 3))
    asked = Scored(np.array([0.2, 0.3]), np.full(2, "X"), np.full(2, "X"))
    results = {name: REPAIRS[name]() for name in ("m3", "m5")}
    m3, m5 = (repair.apply(repair.fit(Cohort(pairs), asked), asked) for repair in results.values())
    outputs = GOLDEN["G17b"]["outputs"]
    assert m3[1] == pytest.approx(outputs["m3"], abs=1e-12)
    assert m5.tolist() == pytest.approx([outputs["m5_z_0"], outputs["m5_z_1"]], abs=1e-10)


def one_pair(group: str = "X", images: Images | None = None) -> Scored:
    sides = (np.array([0]), np.array([1])) if images else (None, None)
    return Scored(np.array([0.5]), np.array([group]), np.array([group]), None, *sides, images)


def test_what_cannot_be_fitted_is_said() -> None:
    two = Images(np.eye(4)[:2], np.array(["X", "X"]))
    pairs = Scored(np.array([0.1, 0.2, 0.9]), np.full(3, "X"), np.full(3, "X"), np.array([False, False, True]))
    with pytest.raises(FairLabError, match="genuine pairs in the cohort: 1; at least 2 are needed"):
        REPAIRS["m5"]().fit(Cohort(pairs), one_pair())
    with pytest.raises(FairLabError, match="this repair needs embeddings of a cohort"):
        REPAIRS["m1"]().fit(Cohort(pairs), one_pair())
    alone = Cohort(pairs, Images(np.eye(4)[:1], np.array(["X"])))
    m1 = REPAIRS["m1"]()
    with pytest.raises(FairLabError, match="the cohort has 1 images; at least 2 are needed, better 30"):
        m1.apply(m1.fit(alone, one_pair()), one_pair(images=two))
    m3 = REPAIRS["m3"]()
    fitted = m3.fit(Cohort(pairs), one_pair())
    assert fitted.notes == ("X: only 2 impostor pairs in the cohort, so its mean and spread are uncertain",)
    with pytest.raises(FairLabError, match="the cohort has nobody of 'Y', which the test has; it has: X"):
        m3.apply(fitted, one_pair("Y"))
    equal = Scored(np.full(4, 0.1), np.full(4, "X"), np.full(4, "X"), np.zeros(4, bool))
    with pytest.raises(FairLabError, match=r"are all equal \(0.1\), so there is no spread"):
        m3.fit(Cohort(equal), one_pair())
    upside_down = Scored(
        np.array([0.1, 0.2, 0.8, 0.9]), np.full(4, "X"), np.full(4, "X"), np.array([True, True, False, False])
    )
    with pytest.raises(FairLabError, match="genuine pairs score no higher than impostors"):
        REPAIRS["m4"]().fit(Cohort(upside_down), one_pair())
