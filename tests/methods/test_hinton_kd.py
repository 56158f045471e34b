"""Hinton KD: the golden value, its limits, and that its teacher's logits need no teacher."""

from __future__ import annotations

import pytest
from torch import Tensor
from torch.nn import functional

from fairlab.methods.base import METHODS, Batch, Inherited, Method
from fairlab.settings.distillation import HintonKDSettings
from fairlab.settings.loss import loss_settings
from tests.fixtures.golden import CENTRES, EMBEDDINGS, GOLDEN, IDENTITIES, TARGETS
from tests.methods.conftest import SIZE, a_run, built

BATCH = Batch(EMBEDDINGS, IDENTITIES, functional.normalize(TARGETS))


def golden_method(scale: float = 64.0, **distillation: float) -> Method:
    """Student and teacher over the golden class centres, in double precision."""
    run = a_run("hinton_kd", loss=loss_settings(scale=64.0), distillation=HintonKDSettings(**distillation))
    inherited = Inherited(CENTRES, scale)
    method = METHODS["hinton_kd"](run, classes=5, image_px=SIZE, teacher_dims=(8,), inherited=inherited).double()
    method.get_buffer("teacher_centres").copy_(CENTRES)  # once more: it was held in single precision
    method.get_parameter("head.weight").data = CENTRES.clone()
    return method


def test_it_has_the_known_value() -> None:
    """T = 4, logits 64 cos."""
    assert float(golden_method().distillation(EMBEDDINGS, BATCH).detach()) == pytest.approx(
        GOLDEN["hinton_T4_s64"], abs=1e-9
    )


def test_it_is_zero_at_the_teacher_and_positive_elsewhere() -> None:
    """Identity R1; also where only the teacher's scale is another."""
    assert float(golden_method().distillation(TARGETS, BATCH).detach()) < 1e-12
    assert float(golden_method(scale=32.0).distillation(TARGETS, BATCH).detach()) > 0.01


def test_at_high_temperature_it_is_the_distance_of_the_centred_logits() -> None:
    """T -> infinity: |z_s - z_t|^2 / (2 C) of logits without their mean (identity R3)."""

    def centred(x: Tensor) -> Tensor:
        logits = 64 * functional.normalize(x) @ functional.normalize(CENTRES).t()
        return logits - logits.mean(1, keepdim=True)

    limit = (centred(EMBEDDINGS) - centred(TARGETS)).square().sum(1).mean() / (2 * 5)
    found = golden_method(temperature=1e5).distillation(EMBEDDINGS, BATCH)
    assert float(found.detach()) == pytest.approx(float(limit), rel=1e-3)


def test_its_teacher_is_no_part_of_what_is_saved() -> None:
    """The inherited centres belong to the parent."""
    method = built("hinton_kd")
    assert not any("teacher" in name for name in method.state_dict())
    assert not any("teacher" in name for name, _ in method.named_parameters())
