"""CC: the Gaussian kernel of the batch, as a series."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

from fairlab.methods.base import Batch
from fairlab.methods.cc import correlation
from fairlab.settings.distillation import CCSettings
from tests.fixtures.golden import EMBEDDINGS, GOLDEN, TARGETS
from tests.methods.conftest import a_rotation, built

BATCH = Batch(EMBEDDINGS, torch.arange(4), functional.normalize(TARGETS))


def test_as_published_it_has_the_known_value_and_is_sp() -> None:
    """compat: the series ends before its last term, so that only the cosines are left."""
    published = built("cc", distillation=CCSettings(compat=True)).distillation(EMBEDDINGS, BATCH)
    assert float(published) == pytest.approx(GOLDEN["cc(gamma.4,p2)"], abs=1e-12)
    assert float(published) == pytest.approx((0.8 * math.exp(-0.8)) ** 2 * GOLDEN["sp"], abs=1e-12)


def test_order_two_has_its_quadratic_term() -> None:
    """Added up by hand over all pairs."""
    total = 0.0
    for i in range(4):
        for j in range(4):
            c, d = (float(functional.cosine_similarity(v[i], v[j], dim=0)) for v in (EMBEDDINGS, TARGETS))
            total += (math.exp(-0.8) * (0.8 * (c - d) + 0.32 * (c * c - d * d))) ** 2 / 16
    assert float(built("cc").distillation(EMBEDDINGS, BATCH)) == pytest.approx(total, abs=1e-12)
    assert total == pytest.approx(0.03557108896, abs=1e-9)


def test_the_whole_series_is_the_gaussian_kernel() -> None:
    """exp(-0.4 |x - y|^2) of the unit vectors."""
    kernel = torch.exp(-0.4 * torch.cdist(*[functional.normalize(EMBEDDINGS)] * 2) ** 2)
    torch.testing.assert_close(correlation(EMBEDDINGS, 30), kernel)


def test_it_does_not_notice_a_rotation() -> None:
    """Identity R1, R2."""
    method = built("cc")
    assert float(method.distillation(2 * TARGETS @ a_rotation(8), BATCH)) < 1e-25
    expected = method.distillation(EMBEDDINGS, BATCH)
    torch.testing.assert_close(method.distillation(EMBEDDINGS @ a_rotation(8), BATCH), expected)
