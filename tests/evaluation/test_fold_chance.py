"""What choosing a threshold does to an accuracy: against simulated test sets whose best threshold is known."""

from __future__ import annotations

import numpy as np
import pytest

from fairlab.evaluation.fold_chance import Choice
from fairlab.evaluation.verification import fold_accuracy


@pytest.mark.parametrize(("folds", "gap", "genuine"), [(10, 3.1, 1500), (2, 2.0, 1500), (1, 3.1, 1500), (10, 3.1, 300)])
def test_accuracy_at_chosen_thresholds_lies_and_varies_as_it_says(folds: int, gap: float, genuine: int) -> None:
    """Normal scores: the best threshold is where both densities are equal, so what choosing adds is seen set by set."""
    random, count = np.random.default_rng(folds), 3000
    kind = np.arange(count) < genuine
    best = gap / 2 + np.log((count - genuine) / genuine) / gap
    off, told = [], []
    for _ in range(250):
        scores = random.normal(size=count) + gap * kind
        found = fold_accuracy(scores, kind, np.arange(count) % folds)
        off.append(found.accuracy - ((scores >= best) == kind).mean())
        told.append(Choice.of(scores, kind, found, (genuine, count - genuine)))
    shift, variance = (np.mean([getattr(choice, what) for choice in told]) for what in ("shift", "variance"))
    print(
        f"\n{folds} folds: shift {np.mean(off):.5f}, told {shift:.5f}; sd {np.std(off):.5f}, told {np.sqrt(variance):.5f}"
    )
    assert np.mean(off) == pytest.approx(shift, abs=3 * np.std(off) / np.sqrt(len(off)) + 0.15 * abs(shift))
    assert np.std(off) == pytest.approx(np.sqrt(variance), rel=0.2)


def test_two_models_with_one_threshold_choose_alike() -> None:
    random = np.random.default_rng(3)
    kind, folds = np.arange(2000) < 1000, np.arange(2000) % 10
    scores = [3 * kind + random.normal(size=2000) for _ in range(2)]
    one, two = (Choice.of(values, kind, fold_accuracy(values, kind, folds), (1000, 1000)) for values in scores)
    assert one.apart(one) == 0
    assert one.apart(two) == pytest.approx(one.variance + two.variance, rel=0.15)


def test_without_errors_nothing_is_chosen() -> None:
    kind = np.arange(100) < 50
    found = fold_accuracy(kind.astype(float), kind, np.arange(100) % 10)
    assert (Choice.of(kind.astype(float), kind, found, (50, 50)).shift, found.accuracy) == (0.0, 1.0)
