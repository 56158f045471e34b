"""The schedule is the papers' (MST-KD, ElasticFace)."""

from __future__ import annotations

import pytest
import torch
from torch import nn, optim
from torch.nn import functional

from fairlab.config import Training
from fairlab.training.optim import RowSGD, learning_rate, optimisers


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


SETTINGS = {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}


def twins() -> tuple[nn.Parameter, RowSGD, nn.Parameter, optim.SGD]:
    """The same six rows, moved by rows and by torch's own SGD."""
    torch.manual_seed(0)
    start = torch.randn(6, 3, dtype=torch.float64)
    mine, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    return mine, RowSGD([mine], **SETTINGS), theirs, optim.SGD([theirs], **SETTINGS)


def pull(weight: nn.Parameter, rows: list[int], sparse: bool, number: int) -> None:
    """A gradient on these rows."""
    draw = torch.Generator().manual_seed(number)
    towards = torch.randn(6, 3, dtype=torch.float64, generator=draw)[rows]
    weight.grad = None
    functional.embedding(torch.tensor(rows), weight, sparse=sparse).sub(towards).pow(2).sum().backward()


@pytest.mark.parametrize("sparse", [False, True])
def test_rows_that_are_always_there_move_as_with_torch(sparse: bool) -> None:
    """Ten steps, momentum and weight decay included; dense gradients to the bit."""
    mine, by_rows, theirs, plain = twins()
    for number in range(10):
        pull(mine, [4, 0, 2, 5, 3, 1], sparse, number)
        pull(theirs, [4, 0, 2, 5, 3, 1], False, number)
        by_rows.step()
        plain.step()
    if sparse:
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=0)
    else:
        assert torch.equal(mine, theirs)


def test_rows_that_are_left_out_rest_and_go_on_with_their_momentum() -> None:
    """Row 1 is drawn in steps 0 and 3: as if the two steps between had not been, for it."""
    mine, by_rows, theirs, plain = twins()
    for number in range(4):
        before = mine.detach().clone()
        pull(mine, [0, 1] if number in (0, 3) else [0, 2], True, number)
        by_rows.step()
        moved = (mine.detach() != before).any(1)
        assert moved.tolist() == [True, number in (0, 3), number in (1, 2), False, False, False]
    for number in (0, 3):
        pull(theirs, [0, 1], False, number)
        plain.step()
    torch.testing.assert_close(mine[1], theirs[1], rtol=1e-12, atol=0)
    assert not torch.allclose(mine[0], theirs[0])


def test_momentum_of_rows_is_saved_and_loaded() -> None:
    """Two steps, a new optimiser from the saved state, two more: the same bits as four in a row."""
    mine, by_rows, _, _ = twins()
    other, first, _, _ = twins()
    for number in range(4):
        pull(mine, [number, 5], True, number)
        by_rows.step()
    for number in range(2):
        pull(other, [number, 5], True, number)
        first.step()
    second = RowSGD([other], **SETTINGS)
    second.load_state_dict(first.state_dict())
    for number in range(2, 4):
        pull(other, [number, 5], True, number)
        second.step()
    assert torch.equal(mine, other)
