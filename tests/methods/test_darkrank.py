"""DarkRank: the teacher's order of the nearest."""

from __future__ import annotations

import math

import pytest
import torch

from fairlab.errors import FairLabError
from fairlab.methods.darkrank import unlikeliness
from tests.fixtures.golden import EMBEDDINGS, GOLDEN, TARGETS
from tests.methods.conftest import a_rotation


def test_it_has_the_known_value() -> None:
    """And does not notice a rotation or the lengths (identity R2)."""
    for x in (EMBEDDINGS, 7 * EMBEDDINGS @ a_rotation(8)):
        known = GOLDEN["darkrank(3,3,3) needs N>=4"]
        assert float(unlikeliness(x, TARGETS)) == pytest.approx(known, abs=1e-12)


def test_a_student_that_cannot_tell_has_one_chance_in_six() -> None:
    """All distances equal: each order of three is as likely, -log(1/6)."""
    simplex = torch.eye(4, dtype=torch.float64)
    assert float(unlikeliness(simplex, TARGETS)) == pytest.approx(math.log(6))


def test_the_teacher_itself_is_better_than_chance_and_not_perfect() -> None:
    """Identity R1: a minimum above zero; another order of the same distances is worse."""
    itself = float(unlikeliness(TARGETS, TARGETS))
    assert 0 < itself < math.log(6)
    assert float(unlikeliness(TARGETS[[1, 2, 3, 0]], TARGETS)) > itself


def test_a_batch_too_small_is_said() -> None:
    with pytest.raises(FairLabError, match=r"training.batch_size must be 4 or more"):
        unlikeliness(EMBEDDINGS[:3], TARGETS[:3])
