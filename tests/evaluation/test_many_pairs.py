"""Millions of pairs by cells: the same draws and numbers as for few, whatever the blocks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fairlab.evaluation import IdentityBootstrap, many_pairs
from fairlab.evaluation.many_pairs import ManyPairs

DRAWS = 200
THRESHOLDS = np.linspace(-2, 3, 41)
MEASURES: dict[str, Callable[[IdentityBootstrap | ManyPairs, np.ndarray], np.ndarray]] = {
    "fmr": lambda people, scores: people.rate(scores >= 1, False),
    "fnmr at many": lambda people, scores: people.rate(scores[:, None] < THRESHOLDS, True),
    "fmr at many": lambda people, scores: people.rate(scores[:, None] >= THRESHOLDS, False),
    "mean": lambda people, scores: people.mean(scores),
    "auc": lambda people, scores: people.auc(scores),
    "eer": lambda people, scores: people.eer(scores, THRESHOLDS),
    "d_prime": lambda people, scores: people.d_prime(scores),
}


def world(
    people: int, pairs: int, share: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Identities of both sides, genuine, scores with ties; people who are often compared and people who never are."""
    random = np.random.default_rng(seed)
    genuine = random.random(pairs) < share
    first = random.integers(0, people, pairs)
    second = np.where(genuine, first, (first + 1 + random.integers(0, people - 1, pairs)) % people)
    names = np.array([f"person {number}" for number in random.permutation(people)], dtype=object)
    return names[first], names[second], genuine, np.round(random.normal(size=pairs) + 1.5 * genuine, 1)


@pytest.mark.parametrize("rows", [2048, 3])
@pytest.mark.parametrize(("people", "pairs", "share"), [(25, 500, 0.4), (6, 60, 0.5), (60, 3000, 0.1), (3, 4, 0.5)])
def test_the_numbers_are_those_of_weights_for_every_pair(
    monkeypatch: pytest.MonkeyPatch, people: int, pairs: int, share: float, rows: int
) -> None:
    """To single precision, in which the other's sums are, and undefined in the same draws; in small blocks too."""
    monkeypatch.setattr(many_pairs, "ROWS", rows)
    monkeypatch.setattr(many_pairs, "CELLS", 2048 * rows)
    a, b, genuine, scores = world(people, pairs, share)
    few, many = (kind(a, b, genuine, DRAWS, 5) for kind in (IdentityBootstrap, ManyPairs))
    assert few.identities == many.identities
    for name, measure in MEASURES.items():
        with np.errstate(invalid="ignore"):
            wanted = measure(few, scores)
        found = measure(many, scores)
        assert found.shape == wanted.shape, name
        near = 1e-5 if name == "d_prime" else 1e-6  # it divides by a difference of such sums
        assert found == pytest.approx(wanted, rel=near, abs=1e-6, nan_ok=True), name


@pytest.mark.parametrize("genuine", [True, False])
def test_pairs_of_one_kind_only(genuine: bool) -> None:
    """What needs both kinds is undefined in every draw; the rate of the other kind too."""
    people = ManyPairs(np.arange(9) % 3, np.arange(9) % 3 + (not genuine), np.full(9, genuine), 50, 1)
    scores = np.linspace(0, 1, 9)
    assert np.isnan(people.rate(scores > 0.5, not genuine)).all()
    assert np.isfinite(people.rate(scores > 0.5, genuine)).any()
    assert np.isnan(people.auc(scores)).all()
    assert np.isnan(people.eer(scores, np.array([0.5]))).all()
    assert np.isnan(people.d_prime(scores)).all()
    assert np.isfinite(people.mean(scores)).any()


def test_a_pair_s_weight_is_the_product_of_its_people_s() -> None:
    """Two people, one impostor pair each way and one more: in every draw with both, the rate is that of the pairs."""
    people = ManyPairs(np.array([0, 1, 0]), np.array([1, 0, 1]), np.zeros(3, bool), 500, 3)
    redrawn = people.rate(np.array([True, False, False]), False)
    assert set(np.round(redrawn[np.isfinite(redrawn)], 12)) == {round(1 / 3, 12)}
    assert np.isnan(redrawn).mean() == pytest.approx(0.5, abs=0.1)  # draws of one person twice: 1/4 each


def test_memory_does_not_grow_with_draws_times_pairs() -> None:
    """200,000 pairs and 1,000 draws: weights for every pair would be 800 MB; all measures together take a twentieth."""
    import tracemalloc

    a, b, genuine, scores = world(100, 200_000, 0.02)
    codes = {name: number for number, name in enumerate(np.unique(a))}
    a, b = (np.array([codes[name] for name in side]) for side in (a, b))
    tracemalloc.start()
    people = ManyPairs(a, b, genuine, 1000, 0)
    people.rate(scores >= 1, False)
    people.auc(scores)
    people.eer(scores, THRESHOLDS)
    people.d_prime(scores)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6


def test_thresholds_must_rise() -> None:
    people = ManyPairs(*world(6, 60, 0.5)[:3], 10, 0)
    with pytest.raises(ValueError, match="must rise"):
        people.eer(np.zeros(60), np.array([0.5, 0.5]))
