"""RKD: golden values, and what it must not notice."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fairlab.methods.base import Batch
from fairlab.methods.rkd import angles_apart, distances_apart
from tests.fixtures.golden import EMBEDDINGS, GOLDEN, TARGETS
from tests.methods.conftest import a_rotation, built


def test_it_has_the_known_values() -> None:
    """Distances, angles, and 25 and 50 times them."""
    assert float(distances_apart(EMBEDDINGS, TARGETS)) == pytest.approx(GOLDEN["rkd_d_only"], abs=1e-12)
    assert float(angles_apart(EMBEDDINGS, TARGETS)) == pytest.approx(GOLDEN["rkd_a_only"], abs=1e-12)
    batch = Batch(EMBEDDINGS, torch.arange(4), functional.normalize(TARGETS), TARGETS.norm(dim=1))
    whole = float(built("rkd").distillation(EMBEDDINGS, batch))
    assert whole == pytest.approx(GOLDEN["rkd_official(25*d+50*a)"], abs=1e-12)


def test_a_right_angled_triangle() -> None:
    """3-4-5 against an equilateral one: mean distances 4 and 1; right angle against sixty degrees."""
    right = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
    equal = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]], dtype=torch.float64)
    relative = [3 / 4 - 1, 4 / 4 - 1, 5 / 4 - 1]  # each counted twice among 9, the diagonal is 0
    assert float(distances_apart(right, equal)) == pytest.approx(2 * sum(x * x / 2 for x in relative) / 9)
    cosines = [0.0 - 0.5, 3 / 5 - 0.5, 4 / 5 - 0.5]  # each counted twice among 27
    assert float(angles_apart(right, equal)) == pytest.approx(2 * sum(x * x / 2 for x in cosines) / 27)


def test_rotation_shift_and_scale_of_the_student_do_not_matter() -> None:
    """Identity R1, R2: also zero for such a copy of the teacher."""
    moved = 3.7 * TARGETS @ a_rotation(8) + 0.9
    for apart in (distances_apart, angles_apart):
        assert float(apart(moved, TARGETS)) < 1e-25
        torch.testing.assert_close(apart(2.0 * EMBEDDINGS @ a_rotation(8) - 5, TARGETS), apart(EMBEDDINGS, TARGETS))


def test_equal_embeddings_give_finite_gradients() -> None:
    """Two images at one place have no direction between them; all at one place are no trouble either."""
    for x in (EMBEDDINGS[[0, 0, 1, 2]].clone(), EMBEDDINGS[[0, 0, 0, 0]].clone()):
        x.requires_grad_()
        (gradient,) = torch.autograd.grad(distances_apart(x, TARGETS) + angles_apart(x, TARGETS), x)
        assert torch.isfinite(gradient).all()
        assert float(gradient.abs().max()) < 1e3
