"""All comparisons, counted in blocks: equal to going through them one by one, on every engine and at every threshold."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from fairlab.errors import FairLabError, Stopped
from fairlab.evaluation.all_pairs import blocks
from fairlab.evaluation.all_pairs.blocks import STEPS, ArrayEngine, Engine, bins, grid
from fairlab.evaluation.all_pairs.counts import Arranged, arrange, count_all, some_people
from fairlab.evaluation.all_pairs.intervals import draw_people, redraw
from fairlab.evaluation.all_pairs.report import evaluate_all
from fairlab.evaluation.verification import threshold_at_fmr
from fairlab.settings.study import Evaluation
from fairlab.training.device_blocks import DeviceEngine

Make = Callable[[np.ndarray, Arranged], Engine]


def compiled(vectors: np.ndarray, arranged: Arranged) -> Engine:
    return ArrayEngine(vectors, arranged.order, len(arranged.groups))


def by_numpy(vectors: np.ndarray, arranged: Arranged) -> Engine:
    return ArrayEngine(vectors, arranged.order, len(arranged.groups), compiled=False)


def on_device(vectors: np.ndarray, arranged: Arranged) -> Engine:
    return DeviceEngine(vectors, arranged.order, len(arranged.groups), "cpu")


ENGINES = pytest.mark.parametrize("make", [compiled, by_numpy, on_device])


def small_blocks(engine: Engine, rows: int, columns: int) -> Engine:
    """Blocks that end everywhere: within people, at the diagonal, with one row."""
    engine.rows, engine.columns = rows, columns
    return engine


def exact_faces(seed: int, images: int, groups: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(vectors, groups, people) whose scores are multiples of 1/32, so every order of summing gives the same number.

    Uneven on purpose: people with one image and groups of one person come up.
    """
    random = np.random.default_rng(seed)
    people = random.integers(0, max(images // 3, 1), images)
    group = np.array([f"g{number}" for number in random.integers(0, groups, people.max() + 1)])[people]
    near = random.choice([-1.0, 1.0], (people.max() + 1, 64))[people]
    vectors = np.where(random.random((images, 64)) < 0.3, random.choice([-1.0, 1.0], (images, 64)), near) / 8
    return vectors.astype(np.float32), group, people


def one_by_one(
    vectors: np.ndarray, group: np.ndarray, people: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(scores, same person?, first group, second group) of every comparison, in double precision."""
    first, second = np.triu_indices(len(vectors), 1)
    scores = np.einsum("nd,nd->n", vectors[first].astype(np.float64), vectors[second].astype(np.float64))
    return scores, people[first] == people[second], group[first], group[second]


def reaching(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many scores are at or above each threshold."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")


def test_the_grid_is_where_the_counting_steps() -> None:
    """A threshold falls into its own bin and the float below it into the one before; all are where they should be."""
    thresholds = grid()
    assert len(thresholds) == 20_001
    assert np.array_equal(bins(thresholds), np.arange(STEPS + 1))
    assert np.array_equal(bins(np.nextafter(thresholds[1:], np.float32(-2))), np.arange(STEPS))
    assert np.abs(thresholds - np.linspace(-1, 1, STEPS + 1)).max() < 1.5e-7
    assert bins(np.array([1.0000001, -1.0000001], np.float32)).tolist() == [STEPS, 0]


@ENGINES
@pytest.mark.parametrize(("images", "groups"), [(2, 1), (3, 3), (23, 1), (40, 4), (70, 7)])
def test_counts_are_those_of_one_by_one(make: Make, images: int, groups: int) -> None:
    for seed, (rows, columns) in enumerate([(512, 2048), (3, 7), (11, 5)]):
        vectors, group, people = exact_faces(seed, images, groups)
        arranged = arrange(group, people)
        found = count_all(vectors, arranged, small_blocks(make(vectors, arranged), rows, columns))
        assert found.total == images * (images - 1) // 2
        scores, same, first, second = one_by_one(vectors, group, people)
        for number, name in enumerate(found.groups):
            genuine = scores[same & (first == name)]
            assert np.array_equal(found.matches(found.genuine)[number, 1:], reaching(genuine, found.thresholds[1:]))
            for other_number, other in enumerate(found.groups[number:], number):
                either = ((first == name) & (second == other)) | ((first == other) & (second == name))
                counted = found.matches(found.impostors[number, other_number])
                assert counted[0] == (either & ~same).sum()
                assert np.array_equal(counted[1:], reaching(scores[either & ~same], found.thresholds[1:]))


@ENGINES
def test_any_unit_vectors_are_counted_to_the_last_digit_of_single_precision(make: Make) -> None:
    """Scores in double precision, moved by 2e-7 either way, enclose every count."""
    random = np.random.default_rng(3)
    vectors = random.normal(size=(300, 48))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    people = random.integers(0, 80, 300)
    group = np.array(["a", "b", "c"])[people % 3]
    arranged = arrange(group, people)
    found = count_all(vectors, arranged, make(vectors, arranged))
    scores, same, _, _ = one_by_one(vectors, group, people)
    for counts, kind in ((found.genuine.sum(0), same), (found.impostors.sum((0, 1)), ~same)):
        counted = found.matches(counts)[1:]
        most, least = (reaching(scores[kind], found.thresholds[1:] + by) for by in (-2e-7, 2e-7))
        assert (least <= counted).all()
        assert (counted <= most).all()
        assert (most - least).sum() < 200  # the enclosure is tight


def test_perpendicular_faces_and_duplicates() -> None:
    """Perpendicular strangers: accepted at 0, not above. The same image twice: accepted at 1."""
    vectors = np.repeat(np.eye(6), 2, axis=0)
    found = count_all(vectors, arrange(np.array(["a"] * 6 + ["b"] * 6), np.repeat(np.arange(6), 2)))
    zero = STEPS // 2
    assert found.fmr()[:, [0, zero, zero + 1]].tolist() == [[1, 1, 0], [1, 1, 0]]
    assert found.fnmr()[:, [0, zero, STEPS]].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert found.between(zero)[0].tolist() == [[12, 36], [36, 12]]
    assert found.between(zero)[1].tolist() == [[12, 36], [36, 12]]
    strangers = count_all(np.ones((4, 1)), arrange(np.array(["a"] * 4), np.arange(4)))
    assert strangers.threshold_at(0.5) == len(strangers.thresholds)  # all score 1: no threshold lets fewer pass
    assert np.isnan(strangers.fnmr()).all()


def test_a_threshold_lets_at_most_so_many_pass() -> None:
    """Of the grid the smallest: one step lower more would pass. Never below the exact threshold's next lower score."""
    vectors, group, people = exact_faces(5, 120)
    arranged = arrange(group, people)
    found = count_all(vectors, arranged)
    scores, same, first, second = one_by_one(vectors, group, people)
    of_one = ~same & (first == found.groups[1]) & (second == found.groups[1])
    for which, impostors in ((None, scores[~same & (first == second)]), (1, scores[of_one])):
        for target in (0.5, 0.1, 0.01, 0.001, 0.0):
            at = found.threshold_at(target, which)
            assert (impostors >= found.thresholds[at]).mean() <= target
            assert (impostors >= found.thresholds[at - 1]).mean() > target
            exact = threshold_at_fmr(impostors, target)
            assert (impostors >= found.thresholds[at]).sum() == (impostors >= exact).sum()
    with pytest.raises(FairLabError, match="between 0 and 1, not at 2"):
        found.threshold_at(2)
    alone = count_all(vectors[:2], arrange(np.array(["a", "b"]), np.array(["x", "y"])))
    with pytest.raises(FairLabError, match="no impostor pair within a group"):
        alone.threshold_at(0.1)


def test_without_numba_the_counts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, group, people = exact_faces(8, 90)
    arranged = arrange(group, people)
    blocks.loops.cache_clear()
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "numba", None)
        found = count_all(vectors, arranged)
        assert blocks.loops() is None
    blocks.loops.cache_clear()
    other = count_all(vectors, arranged)
    assert np.array_equal(found.impostors, other.impostors)
    assert np.array_equal(found.genuine, other.genuine)


def test_people_in_two_groups_are_refused_or_left_out_and_named() -> None:
    vectors, _, _ = exact_faces(1, 6)
    group, people = np.array(["a", "a", "b", "b", "b", "a"]), np.array(["x", "y", "x", "z", "z", "y"])
    with pytest.raises(FairLabError, match="1 people have images in two groups"):
        arrange(group, people)
    arranged = arrange(group, people, exclude_mixed=True)
    assert arranged.left_out == {"x": 2}
    assert count_all(vectors, arranged).total == 4 * 3 // 2
    with pytest.raises(FairLabError, match="the image in row 1 has no group"):
        arrange(np.array(["a", None]), np.array(["x", "y"]))
    with pytest.raises(FairLabError, match="1 images cannot be compared"):
        arrange(np.array(["a"]), np.array(["x"]))


def test_what_is_no_unit_vector_is_named() -> None:
    vectors, group, people = exact_faces(1, 20)
    for value, text in ((0.0, "row 7 has length 0"), (np.nan, "row 7 has length nan")):
        broken = vectors.copy()
        broken[7] = value
        with pytest.raises(FairLabError, match=text):
            count_all(broken, arrange(group, people))


def test_it_stops_within_a_block_and_says_how_far_it_is() -> None:
    vectors, group, people = exact_faces(2, 50)
    arranged = arrange(group, people)
    told: list[tuple[int, int]] = []
    engine = small_blocks(compiled(vectors, arranged), 10, 10)
    with pytest.raises(Stopped):
        count_all(vectors, arranged, engine, lambda *at: told.append(at), lambda: len(told) == 3)
    assert len(told) == 3
    told.clear()
    count_all(vectors, arranged, progress=lambda *at: told.append(at))
    assert told[-1] == (50 * 49 // 2, 50 * 49 // 2)


@ENGINES
@pytest.mark.parametrize("blocks", [(512, 2048), (4, 9)])
def test_redrawn_rates_are_the_weighed_ones(make: Make, blocks: tuple[int, int]) -> None:
    """Each comparison one by one: weight m of its person, or m times m of its two; sums divided."""
    vectors, group, people = exact_faces(11, 90, 3)
    arranged = arrange(group, people)
    thresholds, own = np.array([0.25, 0.0, 0.5]), np.array([[0.5, 0.75]] * 3)
    found = redraw(vectors, arranged, thresholds, own, 40, 7, small_blocks(make(vectors, arranged), *blocks))
    times = draw_people(arranged, 40, 7)
    assert times.sum(0).tolist() == [len(arranged.people)] * 40
    drawn = dict(zip(arranged.people.tolist(), times.astype(float), strict=True))
    weights = np.array([drawn[str(person)] for person in people])
    scores, same, first, second = one_by_one(vectors, group, people)
    a, b = np.triu_indices(len(vectors), 1)
    both = np.where(same[:, None], weights[a], weights[a] * weights[b])
    with np.errstate(invalid="ignore", divide="ignore"):
        for number, name in enumerate(arranged.groups):
            genuine = same & (first == name)
            for at, threshold in enumerate(own[number]):
                wrong = genuine & (scores < threshold)
                assert found.misses[number, at] == wrong.sum()
                np.testing.assert_allclose(found.fnmr[:, number, at], both[wrong].sum(0) / both[genuine].sum(0))
            for other_number, other in enumerate(arranged.groups):
                of = ~same & (((first == name) & (second == other)) | ((first == other) & (second == name)))
                for at, threshold in enumerate(thresholds):
                    wrong = of & (scores >= threshold)
                    assert found.false_matches[number, other_number, at] == wrong.sum()
                    expected = both[wrong].sum(0) / both[of].sum(0)
                    np.testing.assert_allclose(found.fmr[:, number, other_number, at], expected)


def test_intervals_over_people_hold_the_truth() -> None:
    """Nominal 95 % of 150 simulated sets of 60 people with 4 images each; over pairs it would be .12 and .78."""
    random = np.random.default_rng(0)

    def faces(people: int) -> np.ndarray:
        centres = random.normal(size=(people, 6))
        vectors = np.repeat(centres, 4, axis=0) + 0.55 * random.normal(size=(4 * people, 6))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    def errors(people: int, draws: int, seed: int) -> tuple[float, float, np.ndarray, np.ndarray]:
        arranged = arrange(np.array(["a"] * 4 * people), np.repeat(np.arange(people), 4))
        vectors = faces(people)
        found = redraw(vectors, arranged, np.array([0.7]), np.array([[0.7]]), draws, seed)
        impostors, genuine = 8 * people * (people - 1), 6 * people
        return (
            found.false_matches[0, 0, 0] / impostors,
            found.misses[0, 0] / genuine,
            *(np.quantile(rate, [0.025, 0.975]) for rate in (found.fmr[:, 0, 0, 0], found.fnmr[:, 0, 0])),
        )

    fmr, fnmr = np.mean([errors(1500, 1, 0)[:2] for _ in range(3)], axis=0)
    held = np.zeros(2)
    for repetition in range(150):
        _, _, over_impostors, over_genuine = errors(60, 300, repetition)
        held += [over_impostors[0] <= fmr <= over_impostors[1], over_genuine[0] <= fnmr <= over_genuine[1]]
    assert (held / 150 >= [0.88, 0.88]).all(), (held / 150, fmr, fnmr)
    assert 0.005 < fmr < 0.1


def test_some_people_of_each_group_are_drawn_with_all_their_images() -> None:
    """Nobody twice, nobody in part, everybody equally often; a small group keeps all."""
    group = np.repeat(["a", "b"], [60, 9])
    people = np.array([f"{g}{number // 3}" for g, number in zip(group, range(69), strict=True)])
    whole = arrange(group, people)
    drawn: Counter[str] = Counter()
    for seed in range(400):
        some = some_people(whole, 5, seed)
        assert [str(name) for name in some.people[some.person_of]] == list(people[some.order])
        assert np.bincount(some.group_of).tolist() == [15, 9]
        assert np.bincount(some.person_of).tolist() == [3] * 8
        assert some.pairs == 24 * 23 // 2
        drawn.update(some.people[:5].tolist())
    assert len(drawn) == 20
    assert max(abs(count - 100) for count in drawn.values()) < 45  # 5 of 20 in 400 draws: 100, standard deviation 8.7
    same = some_people(whole, 20, 0)
    assert np.array_equal(same.order, whole.order)


def test_intervals_of_drawn_people_cover_what_all_people_show() -> None:
    """The error that is stated: of 60 draws of 80 of 600 people, at most a tenth miss the rates of all 600."""
    chance = np.random.default_rng(0)
    centres = chance.normal(size=(600, 8))
    vectors = (centres[np.repeat(np.arange(600), 3)] + 0.5 * chance.normal(size=(1800, 8))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    whole = arrange(np.repeat("all of them", 1800), np.repeat(np.arange(600).astype(str), 3))
    settings = Evaluation(bootstrap=200, fmr_targets=(0.01,))

    def rates(arranged: Arranged) -> pd.DataFrame:
        found = evaluate_all("run", "all_pairs", vectors, arranged, settings, ArrayEngine).metrics
        return found[found["group"] == "all of them"].set_index("metric")

    truth = rates(whole).loc["tar", "value"]
    rows = [rates(some_people(whole, 80, seed)).loc["tar"] for seed in range(60)]
    covered = sum(row["low"] <= truth <= row["high"] for row in rows)
    print(f"{covered} of 60 intervals hold the rate of all")
    assert covered >= 54
    assert np.std([row["value"] for row in rows]) > 0.005
