"""Grouped KD: the identity that it is cut from, and where it is cut."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fairlab.methods.base import Method
from fairlab.methods.grouped_kd import grouped, primary_group
from fairlab.settings.distillation import DISTILLATIONS, GroupedKDSettings
from tests.fixtures.golden import RELATIVES
from tests.methods.conftest import built, student_batch

KNOWN = RELATIVES["G14"]


def log_p(seed: int, rows: int = 6, classes: int = 9, spread: float = 3.0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return (spread * torch.randn(rows, classes, dtype=torch.float64, generator=draw)).log_softmax(1)


@pytest.mark.parametrize("mass", [0.2, 0.5, 0.9, 0.999])
def test_the_parts_are_the_whole(mass: float) -> None:
    """KL(p || q) = binary + p(P) KL within P + p(S) KL within S, for every split."""
    p, q = log_p(1), log_p(2)
    group = primary_group(p, mass)
    binary, primary, secondary = grouped(p, q, group)
    inside = torch.where(group, p.exp(), 0.0).sum(1)
    whole = functional.kl_div(q, p, reduction="none", log_target=True).sum(1)
    torch.testing.assert_close(binary + inside * primary + (1 - inside) * secondary, whole)


def test_the_likeliest_are_primary_until_the_mass_is_reached() -> None:
    """.5 + .3 does not reach .9, .5 + .3 + .15 does; never everybody, never nobody."""
    p = torch.tensor([[0.05, 0.5, 0.15, 0.3], [0.25] * 4, [1 - 3e-9, 1e-9, 1e-9, 1e-9]], dtype=torch.float64).log()
    found = primary_group(p, 0.9)
    assert found[0].tolist() == [False, True, True, True]
    assert found.sum(1).tolist() == [3, 3, 1]
    assert primary_group(p, 1e-6).sum(1).tolist() == [1, 1, 1]


def test_the_order_among_the_unlikely_does_not_matter() -> None:
    """Secondary-KD is left out: moving probability within S changes nothing that is kept."""
    p, q = log_p(1), log_p(2)
    group = primary_group(p, 0.9)
    rest = (~group[0]).nonzero().squeeze(1)
    assert len(rest) > 1
    other = q.clone()
    other[0, rest] = q[0, rest.flip(0)]
    for before, after in zip(grouped(p, q, group)[:2], grouped(p, other, group)[:2], strict=True):
        torch.testing.assert_close(before, after)


def test_hopeless_logits_give_finite_gradients() -> None:
    """Masses that vanish in single precision."""
    logits = torch.tensor([[200.0, 0.0, -200.0, -100.0]], requires_grad=True)
    p = torch.tensor([[0.0, 300.0, -300.0, 0.0]]).log_softmax(1)
    binary, primary, _ = grouped(p, logits.log_softmax(1), primary_group(p, 0.9))
    (gradient,) = torch.autograd.grad((binary + primary).sum(), logits)
    assert torch.isfinite(gradient).all()
    assert float(binary.detach()) == pytest.approx(200.0)


def test_it_is_a_part_of_hinton_kd_with_two_identities() -> None:
    """Then each group has one member, nothing is within, and the binary part is all of it."""
    mine, theirs = (
        built(name, 2, distillation=DISTILLATIONS[name](temperature=3.0)) for name in ("grouped_kd", "hinton_kd")
    )
    batch = student_batch(2)
    x = mine.learner(batch.inputs).detach()
    torch.testing.assert_close(mine.distillation(x, batch), theirs.distillation(x, batch))


def golden_method(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Method:
    """The method at the known logits, of both sides at temperature 4."""
    method = built("grouped_kd", distillation=GroupedKDSettings(**settings))
    student, teacher = (
        (torch.tensor(KNOWN["inputs"][name], dtype=torch.float64) / 4).log_softmax(1) for name in ("student", "teacher")
    )
    monkeypatch.setattr(method, "log_probabilities", lambda *_: (student, teacher))
    return method


@pytest.mark.parametrize("mass", [0.5, 0.9])
@pytest.mark.parametrize("factor", [False, True])
def test_it_has_the_known_values(monkeypatch: pytest.MonkeyPatch, mass: float, factor: bool) -> None:
    """G14, with and without p(P) before Primary-KD; the mean size of P is read."""
    expected = KNOWN["outputs"][f"threshold_{mass}"]
    method = golden_method(monkeypatch, primary_mass=mass, primary_factor=factor)
    value = method.distillation(torch.zeros(2, 8), student_batch(count=2))
    known = expected["16_binary_p_p_primary_mean" if factor else "16_binary_primary_mean"]
    assert float(value) == pytest.approx(known, abs=1e-9)
    size = sum(map(sum, expected["primary"])) / 2
    assert {name: float(number) for name, number in method.readings().items()} == {"primary_size": size}


@pytest.mark.parametrize("mass", [0.5, 0.9])
def test_its_parts_have_the_known_values(mass: float) -> None:
    """G14: who is primary, and the three parts."""
    expected = KNOWN["outputs"][f"threshold_{mass}"]
    p, q = (
        (torch.tensor(KNOWN["inputs"][name], dtype=torch.float64) / 4).log_softmax(1) for name in ("teacher", "student")
    )
    group = primary_group(p, mass)
    assert group.tolist() == expected["primary"]
    parts = zip(("binary", "primary_kd", "secondary_kd"), grouped(p, q, group), strict=True)
    for name, values in parts:
        assert values.tolist() == pytest.approx(expected[name], abs=1e-9)


def test_the_size_of_the_primary_group_is_read_of_the_batch() -> None:
    """Nothing before the first batch."""
    method = built("grouped_kd")
    assert method.readings() == {}
    method(student_batch())
    assert 1 <= float(method.readings()["primary_size"]) <= 4
