"""The adaptor's training."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS, Batch, Method
from fairlab.models.base import ADAPTORS
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Adaptor
from tests.methods.conftest import DIMS, a_run
from tests.models.test_contract import for_adaptor


def a_method(dims: tuple[int, ...] = (5, 5, 5, 5), adaptor: str = "sl") -> Method:
    settings = a_run(
        "common_space", adaptor=Adaptor(name=adaptor, embedding_dim=DIMS), loss=loss_settings(sigma_rad=0.0)
    )
    return METHODS["common_space"](settings, classes=6, image_px=0, teacher_dims=dims)


@pytest.mark.parametrize("adaptor", list(ADAPTORS))
def test_its_weights_are_those_of_adaptor_and_head_only(adaptor: str) -> None:
    """Training cannot touch the teachers: they are not in it, and its inputs stay as they were (identity A8)."""
    method = a_method(adaptor=adaptor)
    assert method.head is not None
    parts = {id(tensor) for part in (method.learner, method.head) for tensor in part.parameters()}
    assert {id(tensor) for tensor in method.parameters()} == parts
    inputs = for_adaptor(adaptor, (5,) * 4, 6)
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


def test_the_gates_balance_is_a_term_of_its_own() -> None:
    """Named, of weight 1, part of the sum; zero for one teacher; its gradient reaches the gate."""
    method, y = a_method(adaptor="gate"), torch.arange(6)
    inputs = for_adaptor("gate", (5,) * 4, 6)
    terms = method(Batch(inputs, y))
    assert terms.keys() == {"loss", "identity", "distillation", "balance"}
    torch.testing.assert_close(terms["loss"], terms["identity"] + terms["balance"])
    assert method.head is not None
    unit = functional.normalize(method.learner(inputs))
    torch.testing.assert_close(terms["identity"], functional.cross_entropy(method.head(unit, y), y))
    mean = functional.softmax(method.learner.gate(inputs), dim=1).mean(0)
    closed = functional.kl_div(mean.log(), torch.full((4,), 0.25), reduction="sum")
    torch.testing.assert_close(terms["balance"], closed)
    for term in ("identity", "balance"):
        method.zero_grad()
        method(Batch(inputs, y))[term].backward()
        assert method.learner.gate[-1].weight.grad.any(), term
    alone = a_method((5,), "gate")(Batch(for_adaptor("gate", (5,), 6), y))
    assert float(alone["balance"].detach()) == 0
    torch.testing.assert_close(alone["loss"], alone["identity"])


@pytest.mark.parametrize("adaptor", list(ADAPTORS))
@pytest.mark.parametrize("teachers", [1, 2, 7])
def test_every_adaptor_learns_two_batches_by_heart(adaptor: str, teachers: int) -> None:
    """The identity loss falls to nearly zero, whatever the number of teachers."""
    method, y = a_method((6,) * teachers, adaptor).train(), torch.arange(6)
    inputs = for_adaptor(adaptor, (6,) * teachers, 12)
    batches = [Batch(inputs[:6], y), Batch(inputs[6:], y)]
    solver = torch.optim.Adam(method.parameters(), lr=0.01)
    first = sum(float(method(batch)["identity"].detach()) for batch in batches)
    for step in range(300):
        solver.zero_grad()
        loss = method(batches[step % 2])["loss"]
        loss.backward()
        assert torch.isfinite(loss)
        solver.step()
    with torch.no_grad():
        last = sum(float(method.eval()(batch)["identity"]) for batch in batches)
    assert last < 0.02 * first, f"from {first:.3f} to {last:.3f}"


def test_without_adaptor_or_teachers_it_says_what_is_missing() -> None:
    """One sentence each."""
    with pytest.raises(FairLabError, match="settings for an adaptor"):
        METHODS["common_space"](a_run("common_space", adaptor=None), classes=6, image_px=0, teacher_dims=(5,))
    with pytest.raises(FairLabError, match="at least one teacher"):
        a_method(dims=())
    with pytest.raises(FairLabError, match="these have 5, 7 dims"):
        a_method((5, 7), "encoding")
    with pytest.raises(FairLabError, match="no adaptor 'triple'"):
        a_method(adaptor="triple")
