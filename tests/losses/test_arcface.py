"""ArcFace against known values."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from fairlab.losses.arcface import ArcFace
from fairlab.settings.loss import loss_settings
from tests.fixtures.golden import CENTRES, EMBEDDINGS, GOLDEN, IDENTITIES


def loss_at(margin: float, scale: float = 64.0) -> float:
    head = ArcFace(8, 5, loss_settings(name="arcface", scale=scale, margin_rad=margin)).double()
    head.weight.data = CENTRES.clone()
    return float(functional.cross_entropy(head(EMBEDDINGS, IDENTITIES), IDENTITIES).detach())


@pytest.mark.parametrize(
    ("scale", "name"), [(64, "arcface_m0.5_CE"), (8, "arcface_s8_m0.5_CE"), (1, "arcface_s1_m0.5_CE")]
)
def test_cross_entropy_is_the_known_one(scale: float, name: str) -> None:
    """Golden values at m = 0.5 and three scales."""
    assert loss_at(0.5, scale) == pytest.approx(GOLDEN[name], abs=1e-9)


def test_no_margin_is_norm_softmax() -> None:
    """Identity H1."""
    assert loss_at(0.0) == pytest.approx(GOLDEN["norm_softmax_s64_CE"], abs=1e-9)


def test_a_larger_margin_costs_more() -> None:
    """While theta + m stays below pi, which it does here (identity H4)."""
    losses = [loss_at(margin) for margin in (0.0, 0.1, 0.3, 0.5, 0.9, 1.3)]
    assert losses == sorted(losses)
    assert len(set(losses)) == len(losses)


def test_only_the_targets_logit_differs() -> None:
    """The other columns are plain scaled cosines."""
    head = ArcFace(8, 5, loss_settings(name="arcface")).double()
    changed = (head(EMBEDDINGS, IDENTITIES) - head(EMBEDDINGS)).abs() > 1e-9
    assert torch.equal(changed, functional.one_hot(IDENTITIES, 5).bool())
