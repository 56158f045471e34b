"""The running mean of the weights, against its closed form."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import nn

from fairlab.training.average import Average


def mean_after(steps: int, decay: float) -> float:
    """Weights that are 0 at the start and 1 after every step: the mean is 1 minus what is left of the start."""
    layer = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    nn.init.zeros_(layer.weight)
    average = Average(layer, decay)
    nn.init.ones_(layer.weight)
    for step in range(1, steps + 1):
        average.add(layer, step)
    return float(average.network.weight)


@pytest.mark.parametrize("steps", [1, 3, 40])
def test_the_first_steps_forget_the_start(steps: int) -> None:
    """With d = (1 + t) / (10 + t) the start's share is the product 2/11 * 3/12 * 4/13 * ..."""
    left = Fraction(1)
    for step in range(1, steps + 1):
        left *= Fraction(1 + step, 10 + step)
    assert mean_after(steps, 0.9999) == pytest.approx(float(1 - left), rel=1e-12)


def test_later_steps_have_the_decay_itself() -> None:
    """Below 2/11 it is the smaller one from the start: 1 - 0.1^n."""
    assert mean_after(4, 0.1) == pytest.approx(1 - 1e-4, rel=1e-12)


def test_batch_norms_statistics_are_averaged_and_its_counter_is_not() -> None:
    norm = nn.BatchNorm1d(1)
    average = Average(norm, 0.1)
    norm(torch.tensor([[1.0], [3.0]]))
    average.add(norm, 1)
    assert norm.running_mean is not None
    assert float(average.network.running_mean) == pytest.approx(0.9 * float(norm.running_mean))
    assert int(average.network.num_batches_tracked) == 1
    assert not average.network.training
    assert not any(weight.requires_grad for weight in average.network.parameters())
