"""NormSoftmax against known values."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fairlab.losses.base import LOSSES
from fairlab.settings.loss import loss_settings
from tests.fixtures.golden import CENTRES, EMBEDDINGS, GOLDEN, IDENTITIES


@pytest.mark.parametrize("scale", [64, 8, 1])
def test_cross_entropy_is_the_known_one(scale: int) -> None:
    """Golden values at three scales."""
    head = LOSSES["norm_softmax"](8, 5, loss_settings(scale=scale)).double()
    head.weight.data = CENTRES.clone()
    loss = functional.cross_entropy(head(EMBEDDINGS, IDENTITIES), IDENTITIES)
    assert float(loss.detach()) == pytest.approx(GOLDEN[f"norm_softmax_s{scale}_CE"], abs=1e-9)


def test_cosines_are_the_known_ones() -> None:
    """The 4 x 5 golden cosines, at scale 1."""
    head = LOSSES["norm_softmax"](8, 5, loss_settings(scale=1)).double()
    head.weight.data = CENTRES.clone()
    torch.testing.assert_close(head(EMBEDDINGS), torch.tensor(GOLDEN["cos"], dtype=torch.float64))
