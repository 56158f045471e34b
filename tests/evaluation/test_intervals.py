"""How far chance reaches: checked by simulating worlds whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from fairlab.evaluation import FAIRNESS_METRICS, IdentityBootstrap
from fairlab.evaluation.clusters import Clusters
from fairlab.evaluation.intervals import (
    chance_of_none,
    clopper_pearson,
    correlated,
    holm,
    p_words,
    percentile_interval,
    share_interval,
)
from fairlab.evaluation.spread import Around, Noise, worth
from fairlab.evaluation.verification import d_prime


def _cover(name: str, rates: list[float], pairs: int) -> tuple[float, float]:
    """How often the interval, and how often bare percentiles, hold the truth of a metric over groups."""
    metric = FAIRNESS_METRICS[name]
    random = np.random.default_rng(2)
    sizes, truth = np.full(len(rates), pairs), metric(np.array(rates))
    covered, percentile, tried = 0, 0, 120
    for number in range(tried):
        seen = random.binomial(sizes, rates) / sizes
        drawn = random.binomial(sizes, seen, (200, len(sizes))) / sizes
        error = 1 - seen
        count = worth(error, 1 - drawn, sizes, sizes)
        around = Around(error, np.full(len(rates), error.mean()), Noise.of(1 - drawn, count, number))
        low, high = around.interval(lambda values: np.asarray(metric(1 - values)), float(metric(seen)))
        covered += low - 1e-12 <= truth <= high + 1e-12
        low, high = percentile_interval(np.array([metric(row) for row in drawn]))
        percentile += low <= truth <= high
    return covered / tried, percentile / tried


@pytest.mark.parametrize("name", ["std_points", "ser", "gap_points"])
def test_measures_of_difference_cover_equal_groups_which_percentiles_never_do(name: str) -> None:
    """The very case that matters: a fair model must not be shown with an interval that shuts fairness out."""
    interval, percentile = _cover(name, [0.93] * 4, 600)
    assert interval >= 0.90
    assert percentile <= 0.02


@pytest.mark.parametrize("name", ["std_points", "ser", "gap_points"])
@pytest.mark.parametrize("rates", [[0.91, 0.93, 0.94, 0.95], [0.85, 0.93, 0.94, 0.95]])
def test_measures_of_difference_cover_unequal_groups(name: str, rates: list[float]) -> None:
    assert _cover(name, rates, 600)[0] >= 0.90


def test_plain_repetition_is_undone() -> None:
    """Every pair listed four times under one person is worth one: a quarter of the pairs counts."""
    random = np.random.default_rng(4)
    person = np.repeat(np.arange(400), 4)
    wrong = np.repeat(random.random(400) < 0.3, 4)
    draws = IdentityBootstrap(person, person, np.ones(1600, bool), 4000, 0)
    redrawn = draws.narrowed(wrong, True)[:, None]
    found = worth(np.array([wrong.mean()]), redrawn, np.array([1600]), np.array([400]))
    assert found == pytest.approx([400], rel=0.02)


def test_a_group_without_errors_takes_the_others_share() -> None:
    redrawn = np.random.default_rng(5).normal(0.5, [0.05, 0.0], (3000, 2))  # 0.05: as 100 pairs would
    redrawn[:, 1] = 0
    found = worth(np.array([0.5, 0.0]), redrawn, np.array([400, 1000]), np.array([10**6] * 2))
    assert found == pytest.approx([100, 250], rel=0.08)
    assert worth(np.array([0.0]), np.zeros((50, 1)), np.array([30]), np.array([9])) == pytest.approx([30])
    unknown = worth(np.array([0.4]), np.full((50, 1), np.nan), np.array([30]), np.array([9]))
    assert np.isnan(unknown).all(), "where no draw is known, pairs do not count in full"


def test_independent_pairs_have_clopper_and_pearsons_interval() -> None:
    """Nobody twice in a list: as narrow as the exact binomial interval, which percentiles of redrawn people miss by 1.7."""
    wrong = np.arange(3000) < 30
    clusters = Clusters(np.arange(0, 6000, 2), np.arange(1, 6000, 2), np.zeros(3000, bool), 6000)
    low, high = share_interval(0.01, float(clusters.rate_variance(wrong, False)), 6000, 3000)
    assert (low, high) == pytest.approx(clopper_pearson(30, 3000), rel=2e-3)


def test_the_variance_is_that_of_dyadic_clusters() -> None:
    """Sum of the products of all two pairs that share a person (Aronow, Samii & Assenova 2015, eq. 4), added up one by one."""
    random = np.random.default_rng(7)
    first = random.integers(0, 12, 90)
    second = (first + 1 + random.integers(0, 11, 90)) % 12
    effect = 2 * random.normal(size=12)
    wrong = effect[first] + effect[second] + random.normal(size=90) > 0.8
    away = wrong - wrong.mean()
    people = [{int(a), int(b)} for a, b in zip(first, second, strict=True)]
    total = sum(away[i] * away[j] for i in range(90) for j in range(90) if people[i] & people[j])
    clusters = Clusters(first, second, np.zeros(90, bool), 12)
    assert clusters.rate_variance(wrong, False) == pytest.approx(total / 90**2 * 12 / 11, rel=1e-9)
    assert clusters.variance(wrong, (False,)) == pytest.approx(total / 90**2 * 12 / 11, rel=1e-9)


def people_in_both_kinds(effect: float) -> tuple[Clusters, np.ndarray, np.ndarray]:
    """(clusters, scores, who is in each pair): 200 people, 10 genuine and 20 impostor pairs each; who looks like others looks
    `effect` more like themselves."""
    random = np.random.default_rng(8)
    person = np.repeat(np.arange(200), 10)
    other = (person + 1 + 7 * np.tile(np.arange(10), 200)) % 200  # everybody ten times, too
    first, second = np.concatenate([person, person]), np.concatenate([person, other])
    genuine = np.arange(4000) < 2000
    luck = random.normal(size=200)
    scores = np.where(genuine, effect * luck[first] + 2, luck[first] + luck[second]) + random.normal(size=4000)
    return Clusters(first, second, genuine, 200), scores, genuine


def test_fmr_and_fnmr_vary_together_as_their_people_say() -> None:
    """The covariance: products of all genuine with all impostor pairs that share a person, added up one by one."""
    clusters, scores, genuine = people_in_both_kinds(1.0)
    match = scores > 1
    away = np.where(genuine, ~match - (~match[genuine]).mean(), match - match[~genuine].mean())
    total = 0.0
    for at in np.flatnonzero(genuine):
        shared = ~genuine & ((clusters.first == clusters.first[at]) | (clusters.second == clusters.first[at]))
        total += away[at] * away[shared].sum()
    found = clusters.rate_covariance(match)
    assert found < 0
    assert found == pytest.approx(total / 2000**2 * 200 / 199, rel=1e-9)
    both = clusters.rate_covariance(np.stack([match, scores > 2], axis=1))
    assert both[0] == pytest.approx(found, rel=1e-12)


def test_luck_that_cancels_between_the_kinds_is_not_counted() -> None:
    """mean genuine - mean impostor, of people whose effects are the same in both: only single pairs vary it, and what is summed
    over all two pairs that share a person is far below what genuine pairs alone would vary by."""
    clusters, scores, genuine = people_in_both_kinds(2.0)
    away = np.where(genuine, scores - scores[genuine].mean(), scores[~genuine].mean() - scores) / 2000
    total = 0.0
    for at in range(4000):
        mine = clusters.first[at], clusters.second[at]
        total += away[at] * away[np.isin(clusters.first, mine) | np.isin(clusters.second, mine)].sum()
    found = clusters.variance(np.where(genuine, scores, -scores))
    assert found == pytest.approx(max(total, float((away**2).sum())) * 200 / 199, rel=1e-9)
    assert found < 0.2 * clusters.variance(scores, (True,))


def test_redrawn_rates_get_the_covariance_asked_for() -> None:
    random = np.random.default_rng(9)
    first, second = 0.3 + 0.01 * random.normal(size=(2, 5000, 3))
    wanted = np.array([-0.5e-4, 0.0, 0.8e-4])
    found = correlated(first, second, wanted)
    assert found.mean(0) == pytest.approx(first.mean(0), abs=1e-12)
    assert found.var(0) == pytest.approx(first.var(0), rel=1e-9)
    assert np.mean((found - found.mean(0)) * (second - second.mean(0)), axis=0) == pytest.approx(wanted, abs=1e-12)
    still = np.full((50, 1), 0.5)
    assert np.array_equal(correlated(still, second[:50, :1], np.array([0.1])), still)


def test_a_share_never_seen_or_always_seen_gets_an_exact_bound() -> None:
    """The rule of three, on either side; no interval without trials."""
    assert share_interval(0.0, 0.0, 50, 3000) == (0.0, pytest.approx(0.0009980790119965555, abs=1e-12))
    assert share_interval(1.0, 0.0, 50, 3000) == (pytest.approx(1 - 0.0009980790119965555, abs=1e-12), 1.0)
    assert np.isnan(share_interval(float("nan"), 0.0, 50, 0)).all()


def test_a_rate_worth_less_than_one_pair_has_no_interval() -> None:
    """Scores 0 and 1 and a target between their rates: the threshold jumps from draw to draw, and FNMR from 0 to 1."""
    assert np.isnan(share_interval(0.04, 0.2, 30, 120)).all()
    count = worth(np.array([0.04, 0.03]), np.tile([[0.0], [1.0]], (50, 2)), np.array([120, 120]), np.array([30, 30]))
    assert np.isnan(count).all()
    assert np.isnan(Noise(count, np.zeros((10, 2))).at(np.array([0.04, 0.03]))).all()


def test_p_is_never_below_what_the_draws_can_tell() -> None:
    """1,000 draws of which none shows as much: "< 0.001", also after Holm's factor; else the number."""
    p = chance_of_none(np.random.default_rng(0).normal(9, 1, 1000))
    assert p == pytest.approx(1 / 1001)
    assert (p_words(p, 1000), p_words(p, 1000, 22), p_words(0.0314, 1000)) == ("< 0.001", "< 0.022", "0.031")
    assert p_words(float("nan"), 1000) == ""


def test_holm_is_the_textbooks() -> None:
    """R: p.adjust(c(0.01, 0.02, 0.03, 0.005), "holm") is 0.03 0.04 0.04 0.02."""
    found = holm(np.array([0.01, 0.02, np.nan, 0.03, 0.005]))
    assert found == pytest.approx([0.03, 0.04, np.nan, 0.04, 0.02], nan_ok=True)


def test_a_draw_weighs_a_pair_as_often_as_its_people_were_drawn() -> None:
    """Genuine: once per time; impostor: the product of both. Everybody is drawn once on average."""
    a, b = np.array(["x", "x", "y"]), np.array(["x", "y", "z"])
    draws = IdentityBootstrap(a, b, a == b, 4000, 0)
    assert draws.identities == 3
    assert draws.weights_genuine.mean() == pytest.approx(1, abs=0.05)
    x = draws.weights_genuine[:, 0]
    known = x > 0
    y = draws.weights_impostor[known, 0] / x[known]
    assert (draws.weights_impostor[known, 1] == y * (3 - x[known] - y)).all()


def test_a_redrawn_d_prime_is_that_of_the_pairs_repeated() -> None:
    random = np.random.default_rng(6)
    a, b = random.integers(0, 12, (2, 300))
    genuine = np.arange(300) < 100
    b[genuine] = a[genuine]
    scores = random.normal(size=300) + genuine
    draws = IdentityBootstrap(a, b, genuine, 5, 0)
    for number, found in enumerate(draws.d_prime(scores)):
        times = np.zeros(300, int)
        times[genuine], times[~genuine] = draws.weights_genuine[number], draws.weights_impostor[number]
        assert found == pytest.approx(d_prime(np.repeat(scores, times), np.repeat(genuine, times)), rel=1e-4)
