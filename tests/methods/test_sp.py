"""SP: similarity-preserving."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from fairlab.methods.base import Batch
from fairlab.methods.sp import pair_cosines, similarity_rows
from fairlab.settings.distillation import SPSettings
from tests.fixtures.golden import EMBEDDINGS, GOLDEN, TARGETS
from tests.methods.conftest import a_rotation, built

TWO = torch.arange(2)


def test_the_loss_of_two_images_by_hand() -> None:
    """arXiv 1907.09682, equations 2 to 4: of two images at the cosine c, a row is (1, c) / sqrt(1 + c^2).

    The teacher sees them at 90 degrees (rows (1, 0)), the student at 60 (c = 1/2, rows (2, 1) / sqrt 5): each row differs
    by (1 - 2 / sqrt 5)^2 + 1/5 = 2 - 4 / sqrt 5, so the loss is 2 (2 - 4 / sqrt 5) / 4 = 1 - 2 / sqrt 5.
    """
    teacher = torch.eye(2, 8, dtype=torch.float64)
    student = torch.zeros(2, 8, dtype=torch.float64)
    student[0, 0], student[1, 0], student[1, 1] = 2.0, 0.5, math.sqrt(0.75)
    batch = Batch(student, TWO, teacher)
    assert float(built("sp").distillation(student, batch)) == pytest.approx(1 - 2 / math.sqrt(5), abs=1e-12)
    # TFace leaves the rows as they are: (1/2)^2 twice, over 4.
    compat = built("sp", distillation=SPSettings(compat=True))
    assert float(compat.distillation(student, batch)) == pytest.approx(1 / 8, abs=1e-12)


def test_the_sum_over_a_batch_by_loops() -> None:
    """Each number of the definition, without matrices."""
    targets = functional.normalize(TARGETS)

    def rows(vectors: list[list[float]]) -> list[list[float]]:
        length = [math.sqrt(sum(v * v for v in vector)) for vector in vectors]
        gram = [
            [sum(x * y for x, y in zip(a, b, strict=True)) / length[i] / length[j] for j, b in enumerate(vectors)]
            for i, a in enumerate(vectors)
        ]
        return [[value / math.sqrt(sum(v * v for v in row)) for value in row] for row in gram]

    student, teacher = rows(EMBEDDINGS.tolist()), rows(targets.tolist())
    pairs = [(s, t) for a, b in zip(student, teacher, strict=True) for s, t in zip(a, b, strict=True)]
    expected = sum((s - t) ** 2 for s, t in pairs) / len(student) ** 2
    batch = Batch(EMBEDDINGS, torch.arange(4), targets)
    assert float(built("sp").distillation(EMBEDDINGS, batch)) == pytest.approx(expected, abs=1e-12)


def test_compat_has_the_value_of_tface() -> None:
    """And neither form notices a rotation or the lengths (identity R2)."""
    batch = Batch(EMBEDDINGS, torch.arange(4), functional.normalize(TARGETS))
    compat = built("sp", distillation=SPSettings(compat=True))
    usual = float(built("sp").distillation(EMBEDDINGS, batch))
    for x in (EMBEDDINGS, 3 * EMBEDDINGS @ a_rotation(8)):
        assert float(compat.distillation(x, batch)) == pytest.approx(GOLDEN["sp"], abs=1e-12)
        assert float(built("sp").distillation(x, batch)) == pytest.approx(usual, abs=1e-12)


def test_it_is_zero_for_a_rotated_teacher() -> None:
    """Identity R1, R2; the distance of EAF-KD is not."""
    batch = Batch(TARGETS, torch.arange(4), functional.normalize(TARGETS))
    assert float(built("sp").distillation(TARGETS @ a_rotation(8), batch)) < 1e-25
    assert float(built("eaf_kd").distillation(TARGETS @ a_rotation(8), batch)) > 1


def test_cosines_of_known_angles() -> None:
    """0, 60 and 90 degrees; and the rows at length 1."""
    x = torch.tensor([[2.0, 0.0], [0.5, 0.75**0.5], [0.0, 5.0]], dtype=torch.float64)
    expected = torch.tensor([[1, 0.5, 0], [0.5, 1, 0.75**0.5], [0, 0.75**0.5, 1]], dtype=torch.float64)
    torch.testing.assert_close(pair_cosines(x), expected)
    torch.testing.assert_close(similarity_rows(x), expected / torch.tensor([[1.25], [2.0], [1.75]]).sqrt())
