"""The adaptor's training."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fairlab.config import Adaptor, Loss
from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS, Batch, Method
from fairlab.models.base import ADAPTORS
from tests.methods.conftest import DIMS, a_run


def a_method(dims: tuple[int, ...] = (5, 5, 5, 5), adaptor: str = "sl") -> Method:
    settings = a_run("common_space", adaptor=Adaptor(name=adaptor, embedding_dim=DIMS), loss=Loss(sigma_rad=0.0))
    return METHODS["common_space"](settings, classes=6, image_px=0, teacher_dims=dims)


@pytest.mark.parametrize("adaptor", list(ADAPTORS))
def test_its_weights_are_those_of_adaptor_and_head_only(adaptor: str) -> None:
    """Training cannot touch the teachers: they are not in it, and its inputs stay as they were (METHODS A8)."""
    method = a_method(adaptor=adaptor)
    assert method.head is not None
    parts = {id(tensor) for part in (method.learner, method.head) for tensor in part.parameters()}
    assert {id(tensor) for tensor in method.parameters()} == parts
    inputs = functional.normalize(torch.randn(6, 4, 5), dim=2).flatten(1)
    before = inputs.clone()
    method(Batch(inputs, torch.arange(6)))["loss"].backward()
    assert torch.equal(inputs, before)
    assert inputs.grad is None


def test_its_loss_is_the_identity_loss() -> None:
    """Cross-entropy over the identities of all groups; the length of the adaptor's output does not matter (A2)."""
    method, y = a_method(), torch.arange(6)
    inputs = functional.normalize(torch.randn(6, 4, 5), dim=2).flatten(1)
    terms = method(Batch(inputs, y))
    unit = functional.normalize(method.learner(inputs))
    assert method.head is not None
    torch.testing.assert_close(terms["loss"], functional.cross_entropy(method.head(unit, y), y))
    assert float(terms["distillation"]) == 0


def test_without_adaptor_or_teachers_it_says_what_is_missing() -> None:
    """One sentence each."""
    with pytest.raises(FairLabError, match="settings for an adaptor"):
        METHODS["common_space"](a_run("common_space", adaptor=None), classes=6, image_px=0, teacher_dims=(5,))
    with pytest.raises(FairLabError, match="at least one teacher"):
        a_method(dims=())
    with pytest.raises(FairLabError, match="no adaptor 'triple'"):
        a_method(adaptor="triple")
