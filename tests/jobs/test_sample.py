"""Which images a map shows: people whole, each group with its share."""

from __future__ import annotations

import numpy as np

from fairlab.jobs.sample import whole_people


def data(seed: int = 0, people: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Images in no order; 90 % of people in group a, 9 % in b, 1 % in c; 1 to 20 images each."""
    random = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), random.integers(1, 21, people))
    random.shuffle(person)
    group = np.where(person < 0.9 * people, "a", np.where(person < 0.99 * people, "b", "c"))
    return np.char.add("p", person.astype(str)), group


def test_people_are_whole_and_groups_have_their_share() -> None:
    people, groups = data()
    sample = whole_people(people, groups, 1000, 0)
    chosen = np.unique(people[sample.rows])
    assert np.array_equal(sample.rows, np.flatnonzero(np.isin(people, chosen)))
    assert (sample.people, sample.people_of, sample.cut) == (len(chosen), 300, 0)
    assert 900 <= len(sample.rows) <= 1000
    for name in "abc":
        share = 1000 * np.mean(groups == name)
        assert share - 20 <= np.sum(groups[sample.rows] == name) <= max(share, 1)


def test_the_seed_decides_who_is_drawn() -> None:
    people, groups = data()
    rows = whole_people(people, groups, 1000, 0).rows
    assert np.array_equal(rows, whole_people(people, groups, 1000, 0).rows)
    assert not np.array_equal(rows, whole_people(people, groups, 1000, 1).rows)
    assert np.array_equal(whole_people(people, groups, 10_000, 0).rows, np.arange(len(people)))


def test_everybody_is_drawn_equally_often() -> None:
    """400 seeds, a sixth of the images each: every person of group a in about a sixth of them (+- 4.5 sigma)."""
    people, groups = data(people=200)
    numbers = np.char.lstrip(people, "p").astype(int)
    drawn = np.zeros(200)
    for seed in range(400):
        drawn[np.unique(numbers[whole_people(people, groups, len(people) // 6, seed).rows])] += 1
    often = drawn[:180] / 400
    assert abs(often.mean() - 1 / 6) < 0.01
    assert np.abs(often - often.mean()).max() < 4.5 * np.sqrt(1 / 6 * 5 / 6 / 400)


def test_a_person_larger_than_the_share_is_shown_in_part() -> None:
    people, groups = np.array(["one"] * 900 + ["two"] * 100), np.array(["a"] * 900 + ["b"] * 100)
    sample = whole_people(people, groups, 100, 0)
    assert len(sample.rows) == 100
    assert np.sum(groups[sample.rows] == "b") == 10
    assert (sample.people, sample.people_of, sample.cut) == (2, 2, 2)


def test_images_of_nobody_known_stand_for_themselves() -> None:
    people, groups = np.array([""] * 500 + ["one"] * 10), np.array(["a"] * 510)
    sample = whole_people(people, groups, 100, 0)
    assert sample.people_of == 501
    assert 90 <= len(sample.rows) <= 100
    assert np.sum(people[sample.rows] == "one") in (0, 10)


def test_one_person_and_one_image() -> None:
    assert whole_people(np.array(["x"]), np.array(["a"]), 50, 0).rows.tolist() == [0]
    assert whole_people(np.array([], str), np.array([], str), 50, 0).rows.tolist() == []
    sample = whole_people(np.repeat("x", 90), np.repeat("a", 90), 50, 0)
    assert (len(sample.rows), sample.people, sample.cut) == (50, 1, 1)
