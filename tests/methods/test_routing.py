"""Routing: the golden values of the published formulas, and their limits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fairlab.methods.mst_distill import weights_in
from fairlab.methods.routing import balance, chosen, divergences, means_of, routed, surest
from tests.fixtures.golden import ROUTING


def given(number: str, name: str) -> Tensor:
    return torch.tensor(ROUTING[number]["inputs"][name], dtype=torch.float64)


def known(number: str, name: str) -> Any:
    return ROUTING[number]["outputs"][name]


def near(value: Tensor, expected: float) -> bool:
    return float(value.detach()) == pytest.approx(expected, abs=1e-9)


def test_the_divergence_of_each_side_is_the_published_one() -> None:
    """G1: K(u -> v), u the target, v moved; both sides have a gradient where nothing is detached (G1b)."""
    student, teacher, aux = (given("G1", name).requires_grad_() for name in ("student", "teacher", "aux"))
    networks = {"t": teacher, "s": student, "a": aux}
    for name, expected in known("G1", "kl_target_moved").items():
        target, moved = (networks[part] for part in name.split("_"))
        assert near(divergences(target[None], moved, 4.0).mean(), expected), name
    divergences(teacher[None], student, 4.0).mean().backward()
    assert student.grad is not None
    assert teacher.grad is not None
    norms = float(student.grad.norm()), float(teacher.grad.norm())
    assert norms == pytest.approx((0.586395640861, 0.466122853928), abs=1e-9)


def test_stage_one_adds_up() -> None:
    """G1: the student's loss is its cross-entropy and the sum of the divergences that move it, unweighted."""
    student, teachers = given("G1", "student"), torch.stack([given("G1", "teacher"), given("G1", "aux")])
    entropy = functional.cross_entropy(student, torch.tensor(ROUTING["G1"]["inputs"]["y"]))
    assert near(entropy, known("G1", "ce")["s"])
    assert near(entropy + divergences(teachers, student, 4.0).sum(1).mean(), known("G1", "loss")["s"])


def test_the_balance_is_the_published_one() -> None:
    """G2: KL of even to mean, that over n as published, and the coefficient of variation."""
    logs = given("G2", "gate_logits").log_softmax(1)
    torch.testing.assert_close(logs.exp().mean(0), torch.tensor(known("G2", "mean"), dtype=torch.float64))
    assert near(balance(logs, "kl"), known("G2", "kl"))
    assert near(balance(logs, "kl", as_published=True), known("G2", "published"))
    assert near(balance(logs, "cv"), known("G2", "cv"))


def test_the_balance_in_closed_form() -> None:
    """G2b: of mean shares alone."""
    shares = [[0.5, 0.3, 0.2], [0.998, 0.001, 0.001]]
    logs = [torch.tensor([row], dtype=torch.float64).log() for row in shares]
    assert near(balance(logs[0], "kl"), known("G2b", "kl"))
    assert near(balance(logs[0], "kl", True), known("G2b", "kl_n"))
    assert near(balance(logs[1], "kl"), known("G2b", "1_2e_3_1e_3_1e_3"))


@pytest.mark.parametrize("kind", ["kl", "cv"])
def test_the_balance_sees_the_mean_alone(kind: str) -> None:
    """MS4: zero exactly where the mean share is even, whatever single images do; finite where a teacher is never used."""
    even = torch.tensor([[0.9, 0.1], [0.1, 0.9]], dtype=torch.float64).log().requires_grad_()
    assert float(balance(even, kind).detach()) == pytest.approx(0.0, abs=1e-12)
    assert float(balance(even.flip(0), kind).detach()) == float(balance(even, kind).detach())
    uneven = torch.tensor([[0.6, 0.4], [0.1, 0.9]], dtype=torch.float64).log()
    assert float(balance(uneven, kind)) > 1e-3
    gone = torch.tensor([[0.0, -900.0]], dtype=torch.float64).log_softmax(1).requires_grad_()
    balance(gone, kind).backward()
    assert gone.grad is not None
    assert bool(gone.grad.isfinite().all())
    assert float(balance(torch.zeros(3, 1), kind)) == 0.0


def test_the_routed_loss_is_the_published_one_and_has_no_gradient_for_the_gate() -> None:
    """G3: k = 1 and 2; with the gate's shares as factors there is one (FairLab's)."""
    gate = given("G3", "gate").requires_grad_()
    pulls = divergences(given("G3", "teachers"), given("G3", "student"), 4.0).requires_grad_()
    expected = torch.tensor(known("G3", "kl_per_image_and_teacher"), dtype=torch.float64)
    torch.testing.assert_close(pulls.detach(), expected, atol=1e-9, rtol=0)
    for top_k in (1, 2):
        picked = chosen(gate, top_k)
        assert [set(row.nonzero().flatten().tolist()) for row in picked] == [
            set(row) for row in known("G3", f"chosen_k_{top_k}")
        ]
        loss = routed(pulls, picked, gate)
        assert near(loss, known("G3", f"loss_k_{top_k}"))
        assert torch.autograd.grad(loss, gate, allow_unused=True) == (None,)
        weighed = routed(pulls, picked, gate, weighed=True)
        assert near(weighed, float((picked * gate * pulls).sum() / picked.sum()))
        (slope,) = torch.autograd.grad(weighed, gate)
        assert bool((slope != 0).eq(picked).all())


def test_the_weights_fall_as_published() -> None:
    """G4: after epochs 0, 30, 60 and 0, 10, 20."""
    for epoch, (kd, spread) in ROUTING["G4"]["outputs"].items():
        weights = weights_in(int(epoch))
        assert (weights["kd"], weights["balance"]) == pytest.approx((kd, spread), abs=1e-12)


def test_the_surest_teacher_is_wanted() -> None:
    """KL(q || g), zero at g = q, with q from the cross-entropies; a gate that is sure of another teacher pays."""
    entropies = torch.tensor([[1.0, 3.0, 8.0], [4.0, 0.5, 2.0]], dtype=torch.float64)
    wanted = (-entropies / 0.7).softmax(1)
    assert float(surest(entropies, wanted.log(), 0.7)) == pytest.approx(0.0, abs=1e-12)
    even = torch.full((2, 3), -math.log(3), dtype=torch.float64)
    apart = (wanted * (wanted.log() + math.log(3))).sum(1).mean()
    assert float(surest(entropies, even, 0.7)) == pytest.approx(float(apart), abs=1e-12)


def test_means_of_chosen_and_others() -> None:
    """(1 + 4) / 2 and (2 + 3 + 5 + 6) / 4; no others where all are chosen; no gradient."""
    values = torch.tensor([[1.0, 2.0, 3.0], [5.0, 4.0, 6.0]], requires_grad=True)
    picked = torch.tensor([[True, False, False], [False, True, False]])
    means = means_of({"kl": values}, picked, True)
    assert {name: float(value) for name, value in means.items()} == {"chosen_kl": 2.5, "other_kl": 4.0}
    assert not means["chosen_kl"].requires_grad
    assert means_of({"kl": values}, torch.ones_like(picked), False).keys() == {"chosen_kl"}
