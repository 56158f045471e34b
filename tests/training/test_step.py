"""One update: what its readings are, and what half precision's scaling does to it."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from fairlab.methods.base import Batch
from fairlab.settings.study import Training
from fairlab.training import checkpoint
from fairlab.training.optim import optimisers
from fairlab.training.step import Updates, gradients
from tests.training.test_loop import method, samples


def test_the_gradient_of_a_term_is_that_of_its_formula() -> None:
    """3 * sum has the gradient 3 everywhere: length 3 * sqrt(6) for (2, 3); half the sum of squares has e itself."""
    embeddings = torch.tensor([[1.0, 2.0, 2.0], [0.0, 0.0, 4.0]], requires_grad=True)
    terms = {
        "loss": embeddings.sum() * 100,
        "identity": 3 * embeddings.sum(),
        "distillation": embeddings.square().sum() / 2,
        "nothing": embeddings.sum() * 0,
        "constant": torch.ones(()),
    }
    assert gradients(terms, [embeddings]) == {
        "gradient/identity": pytest.approx(3 * math.sqrt(6)),
        "gradient/distillation": pytest.approx(5.0),
    }
    assert gradients({"loss": terms["loss"], "identity": terms["identity"]}, [embeddings]) == {}


def test_of_several_passes_of_the_network_all_count() -> None:
    """Two views of 1 and 1 element, pulled by 3 and 4: together 5."""
    one, two = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    terms = {"identity": (3 * one + 4 * two).sum(), "distillation": 2 * one.sum()}
    assert gradients(terms, [one, two]) == {"gradient/identity": 5.0, "gradient/distillation": 2.0}


def batches(count: int = 1) -> list[Batch]:
    import numpy as np

    places = np.arange(8 * count).reshape(count, 8)
    return [samples().batch(part, part % 2 == 0, torch.device("cpu")) for part in places]


def test_reading_the_gradients_moves_no_weight_otherwise() -> None:
    """To the bit, with the margin's and dropout's draws."""
    plain, read = method(), method()
    for trained, compare in ((plain, False), (read, True)):
        trained.train()
        torch.manual_seed(5)
        solvers = optimisers(trained.learner, trained.head, Training())
        values = Updates(trained, solvers, Training()).update(batches(), 0.5, compare)
        assert ("gradient/identity" in values) is compare
    for one, other in zip(plain.state_dict().values(), read.state_dict().values(), strict=True):
        assert torch.equal(one, other)


HUGE = 2.0**127


def scaled(scale: float, clip_norm: float = 5.0) -> tuple[dict[str, Tensor], dict[str, float], torch.amp.GradScaler]:
    trained = method()
    trained.train()
    torch.manual_seed(5)
    solvers = optimisers(trained.learner, trained.head, Training())
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)
    values = Updates(trained, solvers, Training(clip_norm=clip_norm), scaler).update(batches(), 0.5)
    return trained.state_dict(), values, scaler


def test_the_scale_of_fp16_is_taken_off_before_clipping() -> None:
    """A power of two changes no bit: 1 and 2^16 move the weights alike, also where the gradient is clipped."""
    for clip_norm in (5.0, 0.01):
        (plain, values, _), (large, others, _) = scaled(1.0, clip_norm), scaled(2.0**16, clip_norm)
        assert values == others
        assert values["skipped"] == 0.0
        for name, tensor in plain.items():
            assert torch.equal(large[name], tensor), name
    start = method().state_dict()
    assert any(not torch.equal(start[name], plain[name]) for name in start)


def test_an_overflow_leaves_the_weights_and_lowers_the_scale() -> None:
    """It is counted and is no NaN of the loss (a run goes on)."""
    after, values, scaler = scaled(HUGE)
    start = method()
    for name, weight in start.named_parameters():
        assert torch.equal(after[name], weight), name
    assert (values["skipped"], values["grad_norm"]) == (1.0, 0.0)
    assert math.isfinite(values["loss"])
    assert scaler.get_scale() == HUGE / 2


def test_the_scale_is_part_of_a_checkpoint(tmp_path: Path) -> None:
    layer = nn.Linear(2, 2)
    _, _, lowered = scaled(HUGE)
    kept, fresh = (
        checkpoint.State(layer, None, {}, scaler=scaler) for scaler in (lowered, torch.amp.GradScaler("cpu"))
    )
    checkpoint.save(tmp_path, kept, checkpoint.Progress(step=1), {})
    checkpoint.load_latest(tmp_path, fresh)
    assert fresh.scaler is not None
    assert fresh.scaler.state_dict() == lowered.state_dict()
