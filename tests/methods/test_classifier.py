"""Teachers and plain students."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fairlab.methods.base import METHODS, Batch
from fairlab.settings.loss import loss_settings
from tests.methods.conftest import SIZE, a_run


def test_its_loss_is_the_cross_entropy_of_its_head() -> None:
    """Nothing is added, and the distillation term is zero."""
    method = METHODS["classifier"](a_run("classifier"), classes=5, image_px=SIZE, teacher_dims=())
    images, y = torch.randn(6, 3, SIZE, SIZE), torch.arange(6) % 5
    assert method.head is not None
    torch.manual_seed(1)
    terms = method(Batch(images, y))
    torch.manual_seed(1)
    expected = functional.cross_entropy(method.head(method.learner(images), y), y)
    torch.testing.assert_close(terms["loss"], expected)
    torch.testing.assert_close(terms["identity"], expected)
    assert float(terms["distillation"]) == 0


@pytest.mark.parametrize("name", ["classifier", "eaf_kd"])
def test_what_a_loss_adds_is_part_of_the_identity_term(name: str) -> None:
    """MagFace: 35 * g(10) = 35 * .1008264 with embeddings that are all shorter than 10 (identity H9)."""
    terms = {}
    for weight in (0.0, 35.0):
        torch.manual_seed(0)
        run = a_run(name, loss=loss_settings("magface", norm_weight=weight))
        method = METHODS[name](run, classes=5, image_px=SIZE, teacher_dims=(8,))
        batch = Batch(torch.randn(6, 3, SIZE, SIZE), torch.arange(6) % 5, functional.normalize(torch.randn(6, 8)))
        terms[weight] = method(batch)
    for term in ("loss", "identity"):
        assert float((terms[35.0][term] - terms[0.0][term]).detach()) == pytest.approx(3.528926, abs=1e-4)
    assert torch.equal(terms[35.0]["distillation"], terms[0.0]["distillation"])


def test_it_has_a_class_for_each_identity_it_is_given() -> None:
    """A specialised teacher's are those of its group only (identity T3)."""
    for classes in (2, 7, 150):
        method = METHODS["classifier"](a_run("classifier"), classes=classes, image_px=SIZE, teacher_dims=())
        assert method.head is not None
        assert method.head.weight.shape == (classes, method.embedding_dim)


def test_targets_do_not_matter() -> None:
    """A batch that carries them gives the same loss."""
    method = METHODS["classifier"](a_run("classifier"), classes=5, image_px=SIZE, teacher_dims=())
    images, y = torch.randn(6, 3, SIZE, SIZE), torch.arange(6) % 5
    losses = []
    for targets in (None, torch.randn(6, 8)):
        torch.manual_seed(1)
        losses.append(method(Batch(images, y, targets))["loss"])
    torch.testing.assert_close(losses[0], losses[1])
