"""ProxylessKD: the teacher's classifier, as it is (identity P1-P5, P7)."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn import functional

from fairlab.losses.base import LOSSES
from fairlab.methods.base import METHODS, Batch, Inherited, Method
from fairlab.settings.distillation import ProxylessKDSettings
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Training
from fairlab.training.optim import optimisers
from tests.fixtures.golden import CENTRES, EMBEDDINGS, GOLDEN, IDENTITIES
from tests.methods.conftest import DIMS, SIZE, a_run, built, spots, student_batch


def golden_method(**loss: Any) -> Method:
    run = a_run("proxyless_kd", loss=loss_settings(**loss))
    inherited = Inherited(CENTRES, 64.0)
    method = METHODS["proxyless_kd"](run, classes=5, image_px=SIZE, teacher_dims=(8,), inherited=inherited).double()
    assert torch.equal(method.get_parameter("head.weight"), CENTRES.float().double())
    method.get_parameter("head.weight").data = CENTRES.clone()
    return method


@pytest.mark.parametrize("loss", [name for name in LOSSES if not name.startswith("elastic")])
def test_at_the_teachers_embedding_the_loss_is_the_teachers(loss: str) -> None:
    """For each loss: that of a teacher's own head over these centres (P2)."""
    teacher = LOSSES[loss](8, 5, loss_settings(name=loss, scale=8.0)).double()
    teacher.weight.data = CENTRES.clone()
    mine = golden_method(name=loss, scale=8.0).identity(EMBEDDINGS, Batch(EMBEDDINGS, IDENTITIES))
    torch.testing.assert_close(mine, teacher.loss(EMBEDDINGS, IDENTITIES))


@pytest.mark.parametrize(
    ("loss", "known"),
    [
        ({"name": "arcface", "margin_rad": 0.5, "scale": 8.0}, "arcface_s8_m0.5_CE"),
        ({"name": "cosface", "margin_cos": 0.35, "scale": 64.0}, "cosface_m0.35_CE"),
        ({"name": "arcface", "margin_rad": 0.0, "scale": 8.0}, "norm_softmax_s8_CE"),  # P4
    ],
)
def test_it_has_the_known_values(loss: dict[str, Any], known: str) -> None:
    found = golden_method(**loss).identity(EMBEDDINGS, Batch(EMBEDDINGS, IDENTITIES))
    assert float(found) == pytest.approx(GOLDEN[known], rel=1e-9)


def steps(method: Method, count: int = 5) -> None:
    batch = student_batch()
    solvers = optimisers(method.learner, method.head, Training(base_lr=4.0, batch_size=8))
    assert ("head" in solvers) == any(w.requires_grad for w in method.get_submodule("head").parameters())
    for _ in range(count):
        for solver in solvers.values():
            solver.zero_grad()
        method(batch)["loss"].backward()
        for solver in solvers.values():
            solver.step()


@pytest.mark.parametrize("sample_rate", [1.0, 0.5])
def test_the_inherited_centres_stay_to_the_bit(sample_rate: float) -> None:
    """Through real steps of the real optimiser, also with sampled classes (P1)."""
    method = built("proxyless_kd", loss=loss_settings(scale=24.0, sample_rate=sample_rate))
    before = method.get_parameter("head.weight").clone()
    learner = [weight.clone() for weight in method.learner.parameters()]
    steps(method)
    assert torch.equal(method.get_parameter("head.weight"), before)
    assert torch.equal(before, torch.linspace(0.5, 2.0, 5)[:, None] * spots(DIMS, 5))
    assert not all(torch.equal(a, b) for a, b in zip(learner, method.learner.parameters(), strict=True))


def test_unfrozen_they_learn_on() -> None:
    """And what was given to it stays as it was."""
    method = built("proxyless_kd", distillation=ProxylessKDSettings(unfreeze=True))
    before = method.get_parameter("head.weight").clone()
    steps(method)
    assert not torch.equal(method.get_parameter("head.weight"), before)


def test_no_targets_unless_a_weight_is_given() -> None:
    """The paper's has neither a teacher pass nor a distance (P5)."""
    batch = student_batch()
    plain, both = (
        built("proxyless_kd"),
        built("proxyless_kd", distillation=ProxylessKDSettings(kd_weight=50.0 * 512 / DIMS)),
    )
    assert (plain.needs_targets, both.needs_targets) == (False, True)
    assert float(plain(Batch(batch.inputs, batch.identities))["distillation"]) == 0
    assert batch.targets is not None
    x = 3 * batch.targets.roll(1, 0)
    cosines = functional.cosine_similarity(x, batch.targets)
    torch.testing.assert_close(both.distillation(x, batch), 50 / DIMS * (2 - 2 * cosines).mean())


def test_on_its_centre_the_gradient_is_finite() -> None:
    """Cosines of exactly 1 do happen with frozen centres (H6)."""
    method = built("proxyless_kd", loss=loss_settings(name="arcface", scale=24.0, margin_rad=0.5))
    x = (2.0 * spots(DIMS, 5)).requires_grad_()
    (gradient,) = torch.autograd.grad(method.identity(x, Batch(x, torch.arange(5))), x)
    assert torch.isfinite(gradient).all()


def test_another_length_is_mapped_by_one_trained_layer() -> None:
    """Into the teacher's space, without a bias (P7)."""
    method = built("proxyless_kd", dims=(12,))
    labels = {name: tuple(weight.shape) for name, weight in method.learner.named_parameters()}
    assert labels["to_space.weight"] == (12, DIMS)
    assert "to_space.bias" not in labels
    assert method.embedding_dim == 12
    before = method.learner.get_parameter("to_space.weight").clone()
    steps(method)
    assert not torch.equal(method.learner.get_parameter("to_space.weight"), before)
