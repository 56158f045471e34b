"""The baseline without training."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS
from tests.methods.conftest import a_run


def test_cosine_is_the_mean_of_the_teachers_cosines() -> None:
    """And the length of a concatenation of T unit vectors is sqrt(T) (identity A1)."""
    method = METHODS["concatenation"](a_run("concatenation"), classes=0, image_px=0, teacher_dims=(5, 9, 3))
    parts = [functional.normalize(torch.randn(2, dims, dtype=torch.float64)) for dims in (5, 9, 3)]
    both = method.learner(torch.cat(parts, 1))
    torch.testing.assert_close(both.norm(dim=1), torch.full((2,), 3**0.5, dtype=torch.float64))
    mean = torch.stack([(part[0] * part[1]).sum() for part in parts]).mean()
    torch.testing.assert_close(functional.cosine_similarity(both[:1], both[1:])[0], mean)


def test_there_is_nothing_to_train() -> None:
    """No parameters, no head, and it says so."""
    method = METHODS["concatenation"](a_run("concatenation"), classes=9, image_px=0, teacher_dims=(5, 9))
    assert list(method.parameters()) == []
    assert (method.trains, method.head, method.embedding_dim, method.inputs) == (False, None, 14, "embeddings")


def test_without_teachers_it_says_what_is_missing() -> None:
    """One sentence."""
    with pytest.raises(FairLabError, match="at least one teacher"):
        METHODS["concatenation"](a_run("concatenation"), classes=0, image_px=0, teacher_dims=())
