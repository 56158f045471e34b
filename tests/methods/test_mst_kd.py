"""MST-KD's students: what each term may depend on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS, Batch, Method
from fairlab.settings.distillation import DISTILLATIONS
from fairlab.settings.study import Backbone
from tests.methods.conftest import DIMS, SIZE, a_run


def a_student(name: str, weight: float | None = None, classes: int = 5) -> Method:
    """The same initial weights every time; weight: of the term as it enters the loss."""
    torch.manual_seed(0)
    given = {} if weight is None else {"distillation": DISTILLATIONS[name](kd_weight=weight * 512 / DIMS)}
    settings = a_run(name, **given)
    return METHODS[name](settings, classes=classes, image_px=SIZE, teacher_dims=())


def a_batch(identities: Tensor | None = None) -> Batch:
    draw = torch.Generator().manual_seed(7)
    targets = functional.normalize(torch.randn(6, DIMS, generator=draw))
    y = torch.arange(6) % 5 if identities is None else identities
    return Batch(torch.randn(6, 3, SIZE, SIZE, generator=draw), y, targets)


def terms_and_gradients(method: Method, batch: Batch) -> tuple[dict[str, Tensor], list[Tensor]]:
    torch.manual_seed(3)  # the margin's draws
    terms = method(batch)
    return terms, list(torch.autograd.grad(terms["loss"], list(method.learner.parameters())))


def same(first: list[Tensor], second: list[Tensor]) -> bool:
    return all(torch.allclose(a, b, atol=1e-5, rtol=1e-4) for a, b in zip(first, second, strict=True))


def test_a_kd_knows_no_identities() -> None:
    """No head; labels do not change loss or gradients; one identity or none will do (identity S1)."""
    method = a_student("a_kd", classes=0)
    assert method.head is None
    (first, pull), (second, other) = (
        terms_and_gradients(method, a_batch(labels)) for labels in (torch.arange(6), torch.zeros(6).long())
    )
    assert torch.equal(first["loss"], second["loss"])
    assert same(pull, other)
    assert float(first["identity"]) == 0


@pytest.mark.parametrize("name", ["a_kd", "eaf_kd"])
def test_distillation_is_reported_weighted(name: str) -> None:
    """lambda / D * mean(2 - 2 cos), as it enters the loss (identity S2); the terms add up."""
    method, batch = a_student(name, weight=123.0), a_batch()
    terms, _ = terms_and_gradients(method, batch)
    assert batch.targets is not None
    cosines = functional.cosine_similarity(method.learner(batch.inputs), batch.targets)
    torch.testing.assert_close(terms["distillation"], 123.0 / DIMS * (2 - 2 * cosines).mean())
    torch.testing.assert_close(terms["loss"], terms["identity"] + terms["distillation"])


def test_eaf_kd_without_distillation_is_the_classifier() -> None:
    """lambda = 0: same loss, same gradients from the same weights (identity S5)."""
    student, plain = a_student("eaf_kd", weight=0.0), a_student("classifier")
    (mine, mine_pull), (theirs, their_pull) = (terms_and_gradients(m, a_batch()) for m in (student, plain))
    torch.testing.assert_close(mine["loss"], theirs["loss"])
    assert same(mine_pull, their_pull)


def test_eaf_kd_is_a_kd_plus_the_classifier() -> None:
    """Gradients add: what remains of EAF-KD without its identity loss is a-KD (identity S5)."""
    both, kd, plain = (terms_and_gradients(a_student(n), a_batch())[1] for n in ("eaf_kd", "a_kd", "classifier"))
    assert same(both, [a + b for a, b in zip(kd, plain, strict=True)])
    assert not same(both, kd)


@pytest.mark.parametrize("name", ["a_kd", "eaf_kd"])
def test_default_weight_follows_the_length(name: str) -> None:
    """10,000 * D / 512 (identity S6)."""
    settings = a_run(name, backbone=Backbone(name="tiny", embedding_dim=128, widths=(4,)))
    method = METHODS[name](settings, classes=5, image_px=SIZE, teacher_dims=())
    assert method.kd_weight == 2_500


@pytest.mark.parametrize("name", ["a_kd", "eaf_kd"])
def test_targets_are_needed_and_stay_as_they_are(name: str) -> None:
    """A student without them is refused; they get no gradient."""
    method, batch = a_student(name), a_batch()
    assert batch.targets is not None
    batch.targets.requires_grad_(False)
    before = batch.targets.clone()
    terms_and_gradients(method, batch)
    assert torch.equal(batch.targets, before)
    with pytest.raises(FairLabError, match="needs targets"):
        method(Batch(batch.inputs, batch.identities))


@pytest.mark.parametrize("name", ["a_kd", "eaf_kd"])
def test_a_common_space_of_another_length_is_refused(name: str) -> None:
    """With the setting that must agree."""
    batch = a_batch()
    with pytest.raises(FairLabError, match="same embedding_dim"):
        a_student(name)(Batch(batch.inputs, batch.identities, torch.zeros(6, DIMS + 1)))
