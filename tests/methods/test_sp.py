"""SP: similarity-preserving."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fairlab.methods.base import Batch
from fairlab.methods.sp import pair_cosines
from tests.fixtures.golden import EMBEDDINGS, GOLDEN, TARGETS
from tests.methods.conftest import a_rotation, built


def test_it_has_the_known_value() -> None:
    """And does not notice a rotation or the lengths (identity R2)."""
    batch = Batch(EMBEDDINGS, torch.arange(4), functional.normalize(TARGETS))
    for x in (EMBEDDINGS, 3 * EMBEDDINGS @ a_rotation(8)):
        assert float(built("sp").distillation(x, batch)) == pytest.approx(GOLDEN["sp"], abs=1e-12)


def test_it_is_zero_for_a_rotated_teacher() -> None:
    """Identity R1, R2; the distance of EAF-KD is not."""
    batch = Batch(TARGETS, torch.arange(4), functional.normalize(TARGETS))
    assert float(built("sp").distillation(TARGETS @ a_rotation(8), batch)) < 1e-25
    assert float(built("eaf_kd").distillation(TARGETS @ a_rotation(8), batch)) > 1


def test_cosines_of_known_angles() -> None:
    """0, 60 and 90 degrees."""
    x = torch.tensor([[2.0, 0.0], [0.5, 0.75**0.5], [0.0, 5.0]], dtype=torch.float64)
    expected = torch.tensor([[1, 0.5, 0], [0.5, 1, 0.75**0.5], [0, 0.75**0.5, 1]], dtype=torch.float64)
    torch.testing.assert_close(pair_cosines(x), expected)
