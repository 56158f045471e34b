"""How far chance reaches: checked by simulating worlds whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from fairlab.evaluation import FAIRNESS_METRICS, IdentityBootstrap
from fairlab.evaluation.chance import fair_draws
from fairlab.evaluation.intervals import (
    chance_points,
    effective_pairs,
    percentile_interval,
    rate_interval,
    share_interval,
    spread_interval,
)
from fairlab.evaluation.verification import d_prime


def _cover(name: str, rates: list[float], pairs: int) -> tuple[float, float]:
    """How often the interval, and how often bare percentiles, hold the truth of a metric over groups."""
    facts, metric = FAIRNESS_METRICS.facts(name), FAIRNESS_METRICS[name]
    random = np.random.default_rng(2)
    sizes, truth = np.full(len(rates), pairs), metric(np.array(rates))
    covered, percentile, tried = 0, 0, 120
    for _ in range(tried):
        seen = random.binomial(sizes, rates) / sizes
        redrawn = np.array([metric(row) for row in random.binomial(sizes, seen, (200, len(sizes))) / sizes])
        chance = np.array([metric(row) for row in fair_draws(seen.mean(), sizes, 0, 200)])
        low, high = spread_interval(metric(seen), redrawn, chance, facts["fair_value"], facts["unit"] == "ratio")
        covered += low - 1e-12 <= truth <= high + 1e-12
        low, high = percentile_interval(redrawn)
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


def test_a_measure_that_is_fair_at_its_top_is_mirrored() -> None:
    """FDR: 1 is fair; by chance it falls."""
    random = np.random.default_rng(3)
    redrawn = 1 - np.abs(random.normal(0.05, 0.01, 500))
    chance = 1 - np.abs(random.normal(0, 0.01, 500))
    low, high = spread_interval(0.95, redrawn, chance, 1.0, ratio=False)
    assert low == pytest.approx(np.quantile(redrawn, 0.025), abs=1e-3)
    assert high == pytest.approx(0.95 + (0.95 - low), abs=1e-12)
    assert spread_interval(0.99, redrawn, chance, 1.0, ratio=False)[1] == 1.0
    far, middle, limit = chance_points(chance, 1.0)
    assert far > middle > limit == pytest.approx(1 - 0.0196, abs=0.002)


def test_when_chance_sets_no_limit_the_fair_value_is_never_shut_out() -> None:
    """SER of groups that may show no error at all: the 95 % point is not defined, so nothing is proved."""
    chance = np.where(np.arange(100) < 80, 1.5, np.nan)
    assert np.isnan(chance_points(chance, 1.0)[2])
    assert spread_interval(4.0, np.linspace(3, 6, 100), chance, 1.0, ratio=True)[0] == 1.0


def test_a_measure_that_often_does_not_exist_has_no_interval() -> None:
    redrawn = np.where(np.arange(100) < 90, 2.0, np.nan)
    assert np.isnan(spread_interval(2.0, redrawn, redrawn, 1.0, ratio=True)).all()


def test_effective_pairs_undo_plain_repetition() -> None:
    """Every pair listed four times under one person is worth one: a quarter of the pairs is effective."""
    random = np.random.default_rng(4)
    person = np.repeat(np.arange(400), 4)
    wrong = np.repeat(random.random(400) < 0.3, 4)
    draws = IdentityBootstrap(person, person, np.ones(1600, bool), 4000, 0)
    found = effective_pairs(np.array([wrong.sum()]), np.array([1600]), draws.rate(wrong, True)[:, None])
    assert found == pytest.approx([400], rel=0.06)


def test_a_group_without_errors_takes_the_others_share_of_effective_pairs() -> None:
    redrawn = np.random.default_rng(5).normal(0.5, [0.05, 0.0], (3000, 2))  # 0.05: as 100 pairs would
    found = effective_pairs(np.array([200, 0]), np.array([400, 1000]), redrawn)
    assert found == pytest.approx([100, 250], rel=0.08)
    assert effective_pairs(np.array([0]), np.array([30]), np.zeros((50, 1))) == pytest.approx([30])


def test_a_share_never_seen_or_always_seen_gets_an_exact_bound() -> None:
    """The rule of three, on either side; no interval without trials."""
    nothing = np.zeros(100)
    assert rate_interval(0, 3000, nothing) == (0.0, pytest.approx(0.0009980790119965555, abs=1e-12))
    assert share_interval(1.0, 3000, nothing + 1) == (pytest.approx(1 - 0.0009980790119965555, abs=1e-12), 1.0)
    assert np.isnan(rate_interval(0, 0, nothing)).all()


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
