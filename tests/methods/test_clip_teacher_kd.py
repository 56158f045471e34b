"""CLIP-Teacher-KD: the published losses to nine digits, and the identities CE1, CE3 and CE5."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fairlab.methods.clip_teacher_kd import shared_targets
from tests.methods.test_clip_embed_kd import EXPECTED, INPUTS, close, contrast_student, golden_term, student_batch


@pytest.mark.parametrize("soft", [False, True])
def test_the_contrast_in_the_batch_is_the_published_one(soft: bool) -> None:
    """G8, all identities different (CE5: then soft targets are the identity matrix)."""
    own = float(functional.cross_entropy(INPUTS["own_logits"], INPUTS["y"]))
    term = golden_term("clip_teacher_kd", soft_targets=soft)
    assert term == close(0.5 * EXPECTED["contrast_in_the_batch"])
    assert own + term == close(EXPECTED["teacher_kd_right"])
    assert EXPECTED["own_ce_published"] + term == close(EXPECTED["teacher_kd_published"])


def test_images_of_one_identity_share_their_targets() -> None:
    """G8 with the identities 0, 3, 0, 4; as published the identities do not matter."""
    y = torch.tensor([0, 3, 0, 4])
    assert golden_term("clip_teacher_kd", y, kd_weight=1.0) == close(EXPECTED["contrast_soft_targets_0304"])
    hard = golden_term("clip_teacher_kd", y, kd_weight=1.0, soft_targets=False)
    assert hard == close(EXPECTED["contrast_in_the_batch"])


def test_soft_targets_are_equal_shares() -> None:
    """CE5, and three images of one of two identities."""
    assert torch.equal(shared_targets(torch.tensor([5, 1, 3])), torch.eye(3))
    third, rows = 1 / 3, shared_targets(torch.tensor([2, 2, 7, 2]))
    expected = [[third, third, 0, third]] * 2 + [[0, 0, 1, 0]] + [[third, third, 0, third]]
    torch.testing.assert_close(rows, torch.tensor(expected, dtype=torch.float32))


def test_a_batch_of_one_has_nothing_to_tell_apart() -> None:
    """CE1."""
    batch = student_batch(5, 8, 1)
    assert float(contrast_student("clip_teacher_kd").distillation(INPUTS["student"][:1], batch).detach()) == 0


def test_a_met_target_and_a_large_scale_are_zero() -> None:
    """CE3: the student is the projected teacher."""
    method, batch = contrast_student("clip_teacher_kd", contrast_scale=10_000.0), student_batch(5, 8, 5)
    assert batch.targets is not None
    assert batch.lengths is not None
    batch.targets, batch.lengths = batch.targets.double(), batch.lengths.double()
    met = method.projection(batch.targets * batch.lengths[:, None]).detach()
    assert float(method.distillation(2 * met, batch).detach()) < 1e-12
    assert float(method.distillation(met.roll(1, 0), batch).detach()) > 100
