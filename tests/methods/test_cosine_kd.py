"""Cosine KD."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fairlab.methods.base import Batch
from fairlab.settings.distillation import CosineKDSettings
from tests.fixtures.golden import EMBEDDINGS, GOLDEN, TARGETS
from tests.methods.conftest import DIMS, built


def test_it_follows_from_the_known_distance() -> None:
    """mean(1 - cos) = D / 2 x MSE of the unit vectors, of which the golden value is known."""
    batch = Batch(EMBEDDINGS, torch.arange(4), functional.normalize(TARGETS))
    expected = 8 / 2 * GOLDEN["kd_mse_normalised"]
    assert float(built("cosine_kd").distillation(EMBEDDINGS, batch)) == pytest.approx(expected, rel=1e-12)


def test_with_the_papers_pull_it_is_eaf_kd() -> None:
    """39.0625 per unit of 1 - cos (identity S6)."""
    batch = Batch(EMBEDDINGS, torch.arange(4), functional.normalize(TARGETS))
    mine = built("cosine_kd", distillation=CosineKDSettings(kd_weight=39.0625)).distillation(EMBEDDINGS, batch)
    assert EMBEDDINGS.shape[1] == DIMS
    torch.testing.assert_close(mine, built("eaf_kd").distillation(EMBEDDINGS, batch))
