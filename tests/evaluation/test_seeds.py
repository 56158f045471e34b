"""Seeds as a level of chance of their own: closed forms, and worlds whose truth is known."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import t as student

from fairlab.evaluation import IdentityBootstrap, PairedComparison, evaluate
from fairlab.evaluation.intervals import chance_of_none, percentile_interval
from fairlab.evaluation.seeds import Judged, SeededComparison, seed_draws, two_level
from fairlab.settings.study import Evaluation
from fairlab.tables import ALL_GROUPS
from tests.evaluation.test_report import scores_for, world

SETTINGS = Evaluation(bootstrap=400)


@pytest.mark.parametrize("seeds", [2, 3, 7])
def test_drawn_means_of_seeds_follow_student_s_t(seeds: int) -> None:
    """Without people, the interval is the t interval of a textbook: mean -+ t * s / sqrt(n)."""
    values = np.random.default_rng(seeds).normal(size=seeds)
    drawn = two_level(values, np.repeat(values[:, None], 200_000, axis=1), 0)
    half = student.ppf(0.975, seeds - 1) * values.std(ddof=1) / np.sqrt(seeds)
    assert percentile_interval(drawn) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.05 * half)
    assert seed_draws(seeds, 50, 0).sum(1) == pytest.approx(0, abs=1e-12)


def test_p_of_a_difference_over_seeds_is_the_paired_t_test_s() -> None:
    """Differences 1, 2, 4: t = (7/3) / (1.5275/sqrt(3)) = 2.6458 with 2 degrees of freedom, p = 0.1181."""
    gain = np.array([1.0, 2.0, 4.0])
    drawn = two_level(gain, np.repeat(gain[:, None], 200_000, axis=1), 1)
    assert chance_of_none(drawn) == pytest.approx(0.1181, abs=0.004)


def _world(random: np.random.Generator, seeds: int, of_people: float, of_seeds: float) -> tuple[np.ndarray, np.ndarray]:
    """(right (S, P) of 80 people with 6 pairs each, whose pairs they are); truth: see _truth."""
    person = np.repeat(np.arange(80), 6)
    effect = of_people * random.normal(size=80)[person] + of_seeds * random.normal(size=seeds)[:, None]
    return effect + random.normal(size=(seeds, len(person))) > -1.0, person


def _covered(seeds: int, of_people: float, of_seeds: float, repetitions: int = 300) -> dict[str, float]:
    """How often intervals hold the truth: ours, over people alone, and with seeds drawn out of seeds."""
    random = np.random.default_rng(11)
    truth = NormalDist(0, np.sqrt(of_people**2 + of_seeds**2 + 1)).cdf(1.0)
    held = {"both": 0, "people": 0, "percentile": 0}
    for repetition in range(repetitions):
        right, person = _world(random, seeds, of_people, of_seeds)
        people = IdentityBootstrap(person, person, np.ones(len(person), bool), 300, repetition)
        redrawn = people.rate(right.T, True).T
        times = random.multinomial(seeds, np.full(seeds, 1 / seeds), 300) / seeds
        for name, drawn in (
            ("both", two_level(right.mean(1), redrawn, repetition)),
            ("people", redrawn.mean(0)),
            ("percentile", (times * redrawn.T).sum(1)),
        ):
            low, high = percentile_interval(drawn)
            held[name] += low <= truth <= high
    return {name: count / repetitions for name, count in held.items()}


@pytest.mark.parametrize(("of_people", "of_seeds"), [(0.1, 0.3), (0.5, 0.2), (0.6, 0.05)])
@pytest.mark.parametrize("seeds", [3, 8])
def test_intervals_over_seeds_and_people_cover(seeds: int, of_people: float, of_seeds: float) -> None:
    """Whichever of the two dominates. Measured with 1,500 repetitions: 94 to 98 %; here two standard errors to spare."""
    assert _covered(seeds, of_people, of_seeds)["both"] >= 0.92


def test_people_alone_or_seeds_out_of_three_do_not_cover() -> None:
    """What a table of single runs, or plain resampling of three seeds, would claim."""
    held = _covered(3, 0.1, 0.5)
    assert held["people"] < 0.5
    assert held["percentile"] < 0.85


def test_equal_models_are_called_different_in_one_case_of_twenty_at_most() -> None:
    """Paired by seed and by pair, both with their own noise: p below 0.05 in no more than 6 %."""
    random = np.random.default_rng(12)
    wrong = 0
    for repetition in range(300):
        shared = random.normal(size=80)
        person = np.repeat(np.arange(80), 6)
        people = IdentityBootstrap(person, person, np.ones(480, bool), 300, repetition)
        gains = []
        for _ in range(3):
            ours, theirs = (shared[person] + 0.3 * random.normal() + random.normal(size=480) > -1.5 for _ in range(2))
            gains.append(ours.astype(float) - theirs)
        gain = np.array(gains)
        wrong += chance_of_none(two_level(gain.mean(1), people.rate(gain.T, True).T, repetition)) < 0.05
    assert wrong / 300 <= 0.06


@pytest.mark.parametrize("people", [3, 4, 40])
def test_one_seed_is_what_the_run_itself_says(people: int) -> None:
    """The summary of one run has every number of its stored metrics, intervals and fair band included; also of so few people
    that a draw has no impostor pair.
    """
    images, pairs = world(people=people)
    scores = scores_for(pairs, 1.0)
    stored = evaluate("r", images, pairs, scores, SETTINGS).metrics
    stored = stored[stored["operating_point"] == ""].set_index(["group", "metric"])
    comparison = SeededComparison(images, pairs, SETTINGS)
    found = comparison.summary({0: comparison.judged(scores)}).set_index(["group", "metric"])
    assert {"std_points", "ser", "worst_accuracy", "ser_fair_p95"} <= set(found.index.get_level_values(1))
    for key, row in found.iterrows():
        expected = stored.loc[key]
        assert row["value"] == pytest.approx(expected["value"], rel=1e-9, abs=1e-12, nan_ok=True), key
        assert (row["low"], row["high"]) == pytest.approx((expected["low"], expected["high"]), rel=1e-5, nan_ok=True)


def test_a_difference_of_one_seed_is_the_paired_comparison_s() -> None:
    images, pairs = world(people=40)
    good, poor = scores_for(pairs, 1.5), scores_for(pairs, 1.2, 2)
    expected = PairedComparison(images, pairs, SETTINGS).difference(good, poor).set_index("group").loc[ALL_GROUPS]
    comparison = SeededComparison(images, pairs, SETTINGS)
    found = comparison.difference({0: comparison.judged(good)}, {0: comparison.judged(poor)})
    assert found["seeds"] == 1
    for name in ("difference", "low", "high", "p"):
        assert found[name] == pytest.approx(expected[name], abs=1e-7)


def _flat(*accuracies: float) -> Judged:
    values = np.array(accuracies)
    return Judged(values, np.repeat(values[None], SETTINGS.bootstrap, axis=0), values * 100)


def test_seeds_are_paired_by_number_and_the_others_left_out() -> None:
    """Seeds 0 and 1 are common; every pair of them differs by 0.1, so there is no doubt about it."""
    images, pairs = world(people=40)
    comparison = SeededComparison(images, pairs, SETTINGS)
    groups = len(comparison.names)
    ours = {seed: _flat(*[0.5 + 0.1 * seed] * groups) for seed in (0, 1, 2)}
    theirs = {seed: _flat(*[0.4 + 0.1 * seed] * groups) for seed in (0, 1, 7)}
    found = comparison.difference(ours, theirs)
    assert (found["difference"], found["low"], found["high"]) == pytest.approx((0.1, 0.1, 0.1), abs=1e-9)
    assert (found["seeds"], found["p"]) == (2, pytest.approx(1 / 401))
    assert np.isnan(comparison.difference({0: ours[0]}, {7: theirs[7]})["difference"])


def test_measures_over_groups_are_those_of_the_mean_accuracies() -> None:
    """Seeds at 80/90 and 90/80 are a fair model on average: STD 0; and a group's mean stays within 0..1."""
    images, pairs = world(people=40)
    comparison = SeededComparison(images, pairs, SETTINGS)
    shape = np.zeros(len(comparison.names))
    shape[0] = 0.1
    found = comparison.summary({0: _flat(*(0.9 - shape)), 1: _flat(*(0.8 + shape))}).set_index(["metric", "group"])
    assert found.loc[("std_points", ALL_GROUPS), "value"] == pytest.approx(
        100 * np.std([0.85] * len(shape), ddof=1), abs=1e-9
    )
    assert found.loc["accuracy", "high"].le(1).all()
    assert found.loc["accuracy", "low"].ge(0).all()


def test_an_interval_of_an_accuracy_never_leaves_0_to_1() -> None:
    """Two seeds that differ much: Student's t of one degree of freedom reaches far beyond, and no accuracy is above 100 %."""
    images, pairs = world(people=8, genuine=20)
    comparison = SeededComparison(images, pairs, SETTINGS)
    found = comparison.summary({seed: comparison.judged(scores_for(pairs, 0.3 + 2 * seed)) for seed in (0, 1)})
    ends = found[found["metric"].isin(["accuracy", "mean_accuracy"])]
    assert len(ends) == 3
    assert ((ends["low"] >= 0) & (ends["high"] <= 1)).all()
    assert (ends["high"] == 1).any()  # the case that is meant
