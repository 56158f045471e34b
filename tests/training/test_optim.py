"""The schedule is the papers' (MST-KD, ElasticFace)."""

from __future__ import annotations

import pytest
from torch import nn

from fairlab.config import Training
from fairlab.training.optim import learning_rate, optimisers


def test_the_rate_is_a_tenth_per_batch_of_512() -> None:
    """0.1 at 512 images a step, so 0.025 at the papers' 128."""
    assert learning_rate(Training(), 0, 0) == pytest.approx(0.025, abs=1e-15)


def test_the_52_pass_schedule_drops_at_15_27_39_49() -> None:
    """The official code's milestones [16, 28, 40, 50] act at pass index M - 1."""
    factors = [round(learning_rate(Training(), epoch, 10_000) / 0.025, 6) for epoch in range(52)]
    assert factors == [1.0] * 15 + [0.1] * 12 + [0.01] * 12 + [0.001] * 10 + [0.0001] * 3


def test_warm_up_rises_linearly_to_the_full_rate() -> None:
    settings = Training(warmup_steps=4)
    assert [learning_rate(settings, 0, step) / 0.025 for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])


def test_frozen_weights_get_no_optimiser() -> None:
    learner, head = nn.Linear(2, 2), nn.Linear(2, 3)
    head.requires_grad_(False)
    assert list(optimisers(learner, head, Training())) == ["learner"]
