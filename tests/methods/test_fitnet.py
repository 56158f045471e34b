"""FitNet: the raw embeddings."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.methods.base import Batch
from tests.fixtures.golden import EMBEDDINGS, TARGETS
from tests.methods.conftest import built


def test_it_is_the_mean_squared_difference_of_the_raw_embeddings() -> None:
    """Against numpy; the target is put together again from its direction and its length."""
    method = built("fitnet")
    lengths = TARGETS.norm(dim=1)
    batch = Batch(EMBEDDINGS, torch.arange(4), functional.normalize(TARGETS), lengths)
    expected = np.square(EMBEDDINGS.numpy() - TARGETS.numpy()).mean()
    assert float(method.distillation(EMBEDDINGS, batch)) == pytest.approx(expected, rel=1e-12)


def test_it_is_zero_only_with_the_length_too() -> None:
    """Unlike the pull of a-KD, which leaves the length free."""
    method, units = built("fitnet"), functional.normalize(TARGETS)
    batch = Batch(TARGETS, torch.arange(4), units, TARGETS.norm(dim=1))
    assert float(method.distillation(TARGETS, batch)) < 1e-30
    assert float(method.distillation(2 * TARGETS, batch)) == pytest.approx(float(TARGETS.square().mean()))


def test_lengths_are_needed() -> None:
    with pytest.raises(FairLabError, match="carries no lengths"):
        built("fitnet").distillation(TARGETS, Batch(TARGETS, torch.arange(4), functional.normalize(TARGETS)))
