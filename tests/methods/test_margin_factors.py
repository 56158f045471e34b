"""No method ignores the factors of margins in silence: it hands them to its classifier, has none, or refuses the setting."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS, Batch
from fairlab.settings.loss import loss_settings
from tests.methods.conftest import built, student_batch

TRAINED = [name for name in METHODS if getattr(METHODS[name], "trains", False)]
OWN_MARGINS = {"margin_distillation"}
LOSS = loss_settings("arcface", scale=8.0, margin_rad=0.4, margin_factor="shares")


@pytest.mark.parametrize("name", TRAINED)
def test_a_method_uses_them_or_refuses_the_setting(name: str) -> None:
    if name in OWN_MARGINS:
        with pytest.raises(
            FairLabError, match=r"has a margin of its own for each image, which loss.margin_factor does not"
        ):
            built(name, loss=LOSS)
        return
    batch = student_batch()
    made = torch.randn(len(batch.identities), built(name, loss=LOSS).embedding_dim)
    losses = []
    for factors in (None, torch.full((len(batch.identities),), 1.5)):
        method = built(name, loss=LOSS).train()
        losses.append(float(method.identity(made, replace(batch, margin_factors=factors)).detach()))
    assert (losses[0] == losses[1]) == (method.head is None), losses


def test_they_are_gathered_with_the_batch() -> None:
    """Of several processes each has its images' factors; the loss needs those of the whole step."""
    part = torch.tensor([0.5, 1.5])
    whole = Batch(torch.zeros(2, 1), torch.arange(2), margin_factors=part).gathered(
        lambda rows: torch.cat([rows, rows])
    )
    assert whole.margin_factors is not None
    assert whole.margin_factors.tolist() == [0.5, 1.5, 0.5, 1.5]
