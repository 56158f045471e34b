"""Overlap of neighbours against sets, its chance value against draws, intervals against known means."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fairlab.evaluation.intervals import share_interval
from fairlab.evaluation.neighbourhoods import (
    MEASURES,
    NOBODY,
    Near,
    jaccard,
    most_moved,
    numbers,
    overlap_by_chance,
    overlaps,
    same_person_rank,
    variance_over_people,
)
from fairlab.tables import ALL_GROUPS, MOVED_IMAGES, MOVED_NUMBERS, matches


def drawn(rows: int, k: int, others: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.argsort(random.random((rows, others)), axis=1)[:, :k]


def test_overlap_is_that_of_sets() -> None:
    before, after = drawn(200, 7, 20, 0), drawn(200, 7, 20, 1)
    expected = [len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in zip(before, after, strict=True)]
    assert jaccard(before, after).tolist() == pytest.approx(expected)
    assert jaccard(before, np.fliplr(before)).tolist() == [1.0] * 200


def test_nobody_is_no_neighbour() -> None:
    before = np.array([[1, 2, NOBODY], [NOBODY] * 3])
    after = np.array([[2, NOBODY, NOBODY], [NOBODY] * 3])
    found = jaccard(before, after)
    assert found[0] == 0.5
    assert np.isnan(found[1])


def test_overlap_by_chance_is_what_draws_show() -> None:
    by_draws = jaccard(drawn(4000, 5, 30, 2), drawn(4000, 5, 30, 3)).mean()
    assert overlap_by_chance(5, 30) == pytest.approx(by_draws, abs=0.005)
    assert overlap_by_chance(30, 30) == 1.0
    assert np.isnan(overlap_by_chance(31, 30))


def test_a_tie_at_the_border_leaves_the_overlap_open() -> None:
    places = np.array([[1, 2, 3], [1, 2, 3], [1, 2, NOBODY]])
    cosines = np.array([[0.9, 0.8, 0.8], [0.9, 0.8, 0.7], [0.9, 0.8, -np.inf]])
    one = Near(places, cosines)
    assert np.isnan(overlaps(one, one, 2)).tolist() == [True, False, False]
    assert overlaps(one, one, 1).tolist() == [1, 1, 1]


def test_a_tie_with_another_person_counts_against_the_rank() -> None:
    places = np.array([[0, 1, 2], [2, 1, 0], [1, 3, NOBODY], [3, 4, 5]])
    cosines = np.array([[0.9, 0.9, 0.5], [0.9, 0.8, 0.7], [0.9, 0.8, -np.inf], [0.9, 0.8, 0.7]])
    whose = np.array([7, 8, 7, 9, 9, 9])
    assert same_person_rank(Near(places, cosines), np.array([7, 8, 9, 7]), whose).tolist() == [2, 2, 2, 4]


def table(people: np.ndarray, overlap: np.ndarray, group: str | np.ndarray = "g") -> pd.DataFrame:
    columns = {"image_id": np.arange(len(people)), "identity": people.astype(str), "group": group, "overlap": overlap}
    return MOVED_IMAGES.of({**columns, "rank_before": pd.NA, "rank_after": pd.NA})


def test_the_interval_over_people_covers_the_mean_of_all() -> None:
    """People are drawn whole from many, whose images are alike: as when more are embedded than measured."""
    covered = 0
    for seed in range(300):
        random = np.random.default_rng(seed)
        levels = random.beta(2, 5, 60)
        people = np.repeat(np.arange(60), random.integers(1, 12, 60))
        overlap = np.clip(levels[people] + random.normal(0, 0.05, len(people)), 0, 1)
        low, high = share_interval(overlap.mean(), variance_over_people(overlap, people), 60, 60)
        covered += low <= 2 / 7 <= high
    assert 0.92 <= covered / 300 <= 0.99


def test_the_variance_is_that_of_independent_images_where_each_has_a_person() -> None:
    values = np.random.default_rng(0).random(50)
    assert variance_over_people(values, np.arange(50)) == pytest.approx(values.var(ddof=1) / 50)
    assert variance_over_people(np.repeat(values, 4), np.repeat(np.arange(50), 4)) == pytest.approx(
        values.var(ddof=1) / 50
    )


def test_numbers_are_of_all_and_of_each_group_of_several() -> None:
    people = np.repeat(np.arange(40), 3)
    vectors = np.random.default_rng(0).normal(size=(120, 5))
    images = table(people, np.full(120, 0.5), np.where(people < 20, "a", "b"))
    images["rank_before"] = pd.array([1, 2, 2] * 40, dtype="Int64")
    images["rank_after"] = pd.array([1, 1, 2] * 40, dtype="Int64")
    found = numbers(images, vectors, vectors, {})
    assert matches(found, MOVED_NUMBERS)
    assert list(found["group"].unique()) == [ALL_GROUPS, "a", "b"]
    assert list(found["measure"].unique()) == list(MEASURES)
    by = found[found["group"] == "a"].set_index("measure")
    assert by.loc["same_before", "value"] == pytest.approx(1 / 3)
    assert by.loc["same_after", "value"] == pytest.approx(2 / 3)
    assert by.loc["same_change", ["value", "low", "high"]].tolist() == pytest.approx([1 / 3] * 3)
    assert by.loc["cka", "value"] == pytest.approx(1)
    assert (by["people"] == 20).all()
    assert (by["images"] == 60).all()
    one = numbers(images.assign(group="a"), vectors, vectors, {})
    assert list(one["group"].unique()) == [ALL_GROUPS]


def test_what_cannot_be_said_has_its_reason() -> None:
    alone = np.arange(12)
    found = numbers(table(alone, np.full(12, np.nan)), np.zeros((12, 1)), np.zeros((12, 1)), {"overlap": "too few"})
    reasons = found.set_index("measure")["reason"]
    assert found["value"].isna().all()
    assert reasons["overlap"] == "too few"
    assert reasons["same_change"] == "no person here has a second image"
    assert reasons["cka"] == "all vectors of the first space are equal"
    person = numbers(table(np.zeros(8), np.full(8, 0.5)), np.zeros((8, 1)), np.zeros((8, 1)), {}).iloc[0]
    assert person["value"] == 0.5
    assert np.isnan(person["low"])
    assert person["reason"] == "no interval: one person"


def test_those_who_moved_most_come_first() -> None:
    images = table(np.arange(4), np.array([0.5, 0.0, 0.0, np.nan]))
    images["rank_before"] = pd.array([1, 1, 1, 1], dtype="Int64")
    images["rank_after"] = pd.array([1, 3, 9, 1], dtype="Int64")
    assert most_moved(images)["image_id"].tolist() == [2, 1, 0]
