"""The schedule is the papers' (MST-KD, ElasticFace)."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn, optim
from torch.nn import functional

from fairlab.settings.study import AdaptorSettings, Training
from fairlab.training.optim import RowAdamW, RowSGD, learning_rate, optimisers


def test_the_rate_is_a_tenth_per_batch_of_512() -> None:
    """0.1 at 512 images a step, so 0.025 at the papers' 128."""
    assert learning_rate(Training(), 0, 0) == pytest.approx(0.025, abs=1e-15)


def test_the_52_pass_schedule_drops_at_15_27_39_49() -> None:
    """The official code's milestones [16, 28, 40, 50] act at pass index M - 1."""
    factors = [round(learning_rate(Training(), epoch, 10_000) / 0.025, 6) for epoch in range(52)]
    assert factors == [1.0] * 15 + [0.1] * 12 + [0.01] * 12 + [0.001] * 10 + [0.0001] * 3


def test_the_26_pass_schedule_drops_at_7_13_19_24() -> None:
    """The milestones [8, 14, 20, 25] of 26 passes, at an adaptor's 0.25 (1 at 512 images, batch 128)."""
    adaptor = AdaptorSettings().training
    assert adaptor.epochs == 26
    factors = [round(learning_rate(adaptor, epoch, 10_000) / 0.25, 6) for epoch in range(26)]
    assert factors == [1.0] * 7 + [0.1] * 6 + [0.01] * 6 + [0.001] * 5 + [0.0001] * 2


def test_batches_that_make_one_step_count_as_its_images() -> None:
    assert learning_rate(Training(batch_size=128, accumulate=4), 0, 0) == pytest.approx(0.1, abs=1e-15)


def test_the_cosine_falls_from_the_full_rate_to_zero() -> None:
    """At 0, 1/3, 1/2, 2/3 and 1 of its way: 1, 3/4, 1/2, 1/4 and 0; the passes of the drops mean nothing to it."""
    settings = Training(schedule="cosine")
    shares = [learning_rate(settings, 51, step, 600) / 0.025 for step in (0, 200, 300, 400, 600)]
    assert shares == pytest.approx([1, 0.75, 0.5, 0.25, 0], abs=1e-12)


def test_the_cosine_begins_after_the_warm_up() -> None:
    settings = Training(schedule="cosine", warmup_steps=3)
    shares = [learning_rate(settings, 0, step, 9) / 0.025 for step in (0, 1, 2, 3, 6, 9)]
    assert shares == pytest.approx([0.25, 0.5, 0.75, 1, 0.5, 0], abs=1e-12)


def test_warm_up_rises_linearly_to_the_full_rate() -> None:
    settings = Training(warmup_steps=4)
    assert [learning_rate(settings, 0, step) / 0.025 for step in range(6)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])


def test_frozen_weights_get_no_optimiser() -> None:
    learner, head = nn.Linear(2, 2), nn.Linear(2, 3)
    head.requires_grad_(False)
    assert list(optimisers(learner, head, Training())) == ["learner"]


KINDS: dict[str, tuple[type[optim.Optimizer], type[optim.Optimizer], dict[str, Any]]] = {
    "sgd": (RowSGD, optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
    "adamw": (RowAdamW, optim.AdamW, {"lr": 0.1, "betas": (0.8, 0.95), "weight_decay": 0.01}),
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def twins(kind: str) -> tuple[nn.Parameter, optim.Optimizer, nn.Parameter, optim.Optimizer]:
    """The same six rows, moved by rows and by torch's own optimiser."""
    torch.manual_seed(0)
    start = torch.randn(6, 3, dtype=torch.float64)
    mine, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    by_rows, plain, settings = KINDS[kind]
    return mine, by_rows([mine], **settings), theirs, plain([theirs], **settings)


def pull(weight: nn.Parameter, rows: list[int], sparse: bool, number: int) -> None:
    """A gradient on these rows."""
    draw = torch.Generator().manual_seed(number)
    towards = torch.randn(6, 3, dtype=torch.float64, generator=draw)[rows]
    weight.grad = None
    functional.embedding(torch.tensor(rows), weight, sparse=sparse).sub(towards).pow(2).sum().backward()


@each_kind
@pytest.mark.parametrize("sparse", [False, True])
def test_rows_that_are_always_there_move_as_with_torch(kind: str, sparse: bool) -> None:
    """Ten steps, moments and weight decay included; dense gradients to the bit."""
    mine, by_rows, theirs, plain = twins(kind)
    for number in range(10):
        pull(mine, [4, 0, 2, 5, 3, 1], sparse, number)
        pull(theirs, [4, 0, 2, 5, 3, 1], False, number)
        by_rows.step()
        plain.step()
    if sparse:
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=0)
    else:
        assert torch.equal(mine, theirs)


@each_kind
def test_rows_that_are_left_out_rest_and_go_on_with_their_moments(kind: str) -> None:
    """Row 1 is drawn in steps 0 and 3: as if the two steps between had not been, for it."""
    mine, by_rows, theirs, plain = twins(kind)
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


@each_kind
def test_moments_of_rows_are_saved_and_loaded(kind: str) -> None:
    """Two steps, a new optimiser from the saved state, two more: the same bits as four in a row."""
    mine, by_rows, _, _ = twins(kind)
    other, first, _, _ = twins(kind)
    for number in range(4):
        pull(mine, [number, 5], True, number)
        by_rows.step()
    for number in range(2):
        pull(other, [number, 5], True, number)
        first.step()
    second = KINDS[kind][0]([other], **KINDS[kind][2])
    second.load_state_dict(first.state_dict())
    for number in range(2, 4):
        pull(other, [number, 5], True, number)
        second.step()
    assert torch.equal(mine, other)


STEPS = """
import sys
import torch
from fairlab.settings.study import Training
from fairlab.training.optim import build
for name in ("sgd", "adamw"):
    network = torch.nn.Linear(2, 2)
    optimiser = build(list(network.parameters()), Training(optimiser=name))
    optimiser.zero_grad()
    network(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    optimiser.load_state_dict(optimiser.state_dict())
    assert all(not weight.requires_grad or weight.grad_fn is None for weight in network.parameters())
print([name for name in ("torch._dynamo", "torch._inductor") if name in sys.modules])
"""


def test_no_step_loads_the_compiler_of_torch() -> None:
    """It took over a second of every training, for marks on what is never compiled."""
    said = subprocess.run([sys.executable, "-c", STEPS], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


def test_the_settings_name_the_optimiser() -> None:
    layer = nn.Linear(2, 2)
    sgd, adamw, other = (
        optimisers(layer, None, settings)["learner"]
        for settings in (Training(), Training(optimiser="adamw"), Training(optimiser="adamw", beta1=0.8, beta2=0.9))
    )
    assert isinstance(sgd, optim.SGD)
    assert isinstance(adamw, optim.AdamW)
    assert adamw.defaults["betas"] == (0.9, 0.999)
    assert other.defaults["betas"] == (0.8, 0.9)
    assert adamw.defaults["weight_decay"] == 5e-4
