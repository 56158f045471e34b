"""Heads over the golden class centres."""

from __future__ import annotations

from typing import Any

from torch.nn import functional

from fairlab.losses.base import LOSSES, MarginHead
from fairlab.settings.loss import LOSSES as SETTINGS
from fairlab.settings.loss import USUAL, Loss, loss_settings
from tests.fixtures.golden import CENTRES, EMBEDDINGS, IDENTITIES


def fitting(name: str = USUAL, **values: Any) -> Loss:
    """The settings of a loss; of `values` those that it knows."""
    return loss_settings(name, **{key: value for key, value in values.items() if key in SETTINGS[name].model_fields})


def golden_head(name: str, **changes: Any) -> Any:
    """A head of 5 classes in double precision that holds the golden centres."""
    head = LOSSES[name](8, 5, loss_settings(name, **changes)).double()
    head.weight.data = CENTRES.clone()
    return head


def cross_entropy(head: MarginHead, factor: float = 1.0) -> float:
    """Of the golden embeddings, `factor` times as long."""
    return float(functional.cross_entropy(head(factor * EMBEDDINGS, IDENTITIES), IDENTITIES).detach())
