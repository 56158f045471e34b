"""The gate: choice of teachers, what it mixes, and the term that keeps all of them in use."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.models.adaptors.gate import Gate, balance
from fairlab.models.files.checkpoints import load_learner, save_model
from fairlab.settings.study import Adaptor

DIMS = (3, 9, 2, 5)


def a_gate(dims: tuple[int, ...] = DIMS, top_k: int = 1, out: int = 6) -> Gate:
    torch.manual_seed(1)
    return Gate(Adaptor(name="gate", embedding_dim=out, top_k=top_k), dims).double()


def teachers(dims: tuple[int, ...] = DIMS, images: int = 40) -> list[Tensor]:
    torch.manual_seed(0)
    return [functional.normalize(torch.randn(images, dim, dtype=torch.float64)) for dim in dims]


def steer(gate: Gate, logits: list[float]) -> None:
    """Make the gate say the same of every image."""
    last = gate.gate[-1]
    last.load_state_dict({"weight": torch.zeros_like(last.weight), "bias": torch.tensor(logits).double()})


@pytest.mark.parametrize("dims", [(5,), (4, 6), (3,) * 7])
def test_parameters_for_any_teachers(dims: tuple[int, ...]) -> None:
    """Maps sum(dims) * D + n * D; gate sum(dims) * D + D + D * n + n (identity A3 for ours)."""
    total, n, width = sum(dims), len(dims), 8
    expected = total * width + n * width + total * width + width + width * n + n
    assert sum(tensor.numel() for tensor in a_gate(dims, out=width).parameters()) == expected


@pytest.mark.parametrize("training", [True, False])
def test_with_one_teacher_the_weight_is_exactly_one(training: bool) -> None:
    """So the gate is the teacher's linear map to the bit, and the balance term is 0."""
    gate, (x,) = a_gate((5,)).train(training), teachers((5,))
    weights, _ = gate.weights(x)
    assert torch.equal(weights, torch.ones(40, 1, dtype=torch.float64))
    embeddings, observed = gate.observed(x)
    terms = gate.terms(observed)
    assert torch.equal(embeddings, gate.maps[0](x))
    assert float(terms["balance"].detach()) == 0


@pytest.mark.parametrize(("chosen", "training"), [(0, True), (2, False), (3, True)])
def test_the_chosen_teachers_map_and_nothing_else(chosen: int, training: bool) -> None:
    """k = 1 by default, as in MST-Distill; in training too, so that what is learnt is what is stored."""
    gate, blocks = a_gate().train(training), teachers()
    steer(gate, [2.0 if number == chosen else 0.5 * number / 4 for number in range(4)])
    torch.testing.assert_close(gate(torch.cat(blocks, 1)), gate.maps[chosen](blocks[chosen]))


def test_the_top_two_are_mixed_by_their_odds() -> None:
    """Gate (1/2, 1/8, 1/4, 1/8), k = 2: 2/3 of the first map and 1/3 of the third."""
    gate, blocks = a_gate(top_k=2).eval(), teachers()
    steer(gate, [math.log(4), 0.0, math.log(2), 0.0])
    expected = 2 / 3 * gate.maps[0](blocks[0]) + 1 / 3 * gate.maps[2](blocks[2])
    torch.testing.assert_close(gate(torch.cat(blocks, 1)), expected)


def test_images_are_routed_apart() -> None:
    """Every image by its own gate: that is the idea."""
    gate, blocks = a_gate((4,) * 4).eval(), teachers((4,) * 4)
    x = torch.cat(blocks, 1)
    weights, log_soft = gate.weights(x)
    assert weights.sum(1).eq(1).all()
    assert weights.max(1).values.eq(1).all()
    assert torch.equal(weights.argmax(1), log_soft.argmax(1))
    assert len(weights.argmax(1).unique()) == 4  # before any training: none is left out from the start
    expected = torch.stack([gate.maps[pick](blocks[pick][row]) for row, pick in enumerate(weights.argmax(1).tolist())])
    torch.testing.assert_close(gate(x), expected)


def test_in_training_the_gradient_is_that_of_the_soft_weights() -> None:
    """d(sum_i w_i c_i) / d logit_j = p_j (c_j - sum_i p_i c_i) (straight through), though w is 0 or 1; else none."""
    gate, x = a_gate(), torch.cat(teachers(images=1), 1)
    steer(gate, [0.3, 1.0, -0.5, 0.1])
    c = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    weights, log_soft = gate.weights(x)
    (weights @ c).sum().backward()
    p = log_soft.detach().exp()[0]
    torch.testing.assert_close(gate.gate[-1].bias.grad, p * (c - p @ c))
    assert not gate.eval().weights(x)[0].requires_grad


def test_balance_is_zero_for_a_uniform_gate() -> None:
    """Of every image, and also when each image is sure but the teachers get equally many."""
    uniform = torch.full((5, 4), 0.25, dtype=torch.float64)
    assert float(balance(uniform.log())) == pytest.approx(0, abs=1e-15)
    sure = torch.full((8, 4), -60.0, dtype=torch.float64)
    sure[torch.arange(8), torch.arange(8) % 4] = 0.0
    assert float(balance(sure)) == pytest.approx(0, abs=1e-12)
    gate, x = a_gate(), torch.cat(teachers(), 1)
    steer(gate, [0.0] * 4)
    assert float(gate.terms(gate.observed(x)[1])["balance"].detach()) == pytest.approx(0, abs=1e-15)


def test_balance_is_the_divergence_from_uniform() -> None:
    """Mean gate (1/2, 1/4, 1/4): KL = (1/3) (ln 2/3 + 2 ln 4/3) = 0.0566330; all on one of two: it grows without end."""
    rows = torch.tensor([[0.75, 0.125, 0.125], [0.25, 0.375, 0.375]], dtype=torch.float64)
    closed = (math.log(2 / 3) + 2 * math.log(4 / 3)) / 3
    assert closed == pytest.approx(0.0566330, abs=1e-7)
    assert float(balance(rows.log())) == pytest.approx(closed, abs=1e-14)
    for far in (10.0, 100.0, 1000.0):  # KL of (1/2, 1/2) from (1, e^-far): far / 2 - ln 2
        logits = functional.log_softmax(torch.tensor([[far, 0.0]] * 3).double(), dim=1)
        assert float(balance(logits)) == pytest.approx(far / 2 - math.log(2), abs=1e-4)


def test_order_of_teachers_maps_and_gate_go_together() -> None:
    """Permuting all leaves the output (identity A6); permuting the teachers alone does not."""
    gate, order = a_gate((4,) * 4).eval(), [2, 0, 3, 1]
    blocks = teachers((4,) * 4)
    before, permuted = gate(torch.cat(blocks, 1)), torch.cat([blocks[g] for g in order], 1)
    assert not torch.allclose(gate(permuted), before)
    gate.maps = torch.nn.ModuleList(gate.maps[g] for g in order)
    first, last = gate.gate[0], gate.gate[-1]
    first.weight.data = first.weight.data.reshape(6, 4, 4)[:, order].flatten(1)
    last.weight.data, last.bias.data = last.weight.data[order], last.bias.data[order]
    torch.testing.assert_close(gate(permuted), before)


def test_it_is_the_same_after_the_disk(tmp_path: Path) -> None:
    """The choice of every image, the number mixed, the embedding: to the bit."""
    settings = Adaptor(name="gate", embedding_dim=6, top_k=2)
    torch.manual_seed(3)
    gate, x = Gate(settings, DIMS).eval(), torch.cat(teachers(), 1).float()
    facts = {"kind": "adaptor", "settings": settings.model_dump(mode="json"), "input_dims": list(DIMS)}
    save_model(tmp_path / "w", gate, None, facts)
    loaded, _ = load_learner(tmp_path / "w")
    assert isinstance(loaded, Gate)
    assert loaded.top_k == 2
    assert torch.equal(loaded.weights(x)[0], gate.weights(x)[0])
    assert torch.equal(loaded(x), gate(x))


def test_it_cannot_mix_more_teachers_than_there_are() -> None:
    with pytest.raises(FairLabError, match="top_k = 3 teachers: there are 2"):
        a_gate((4, 4), top_k=3)
