"""Heads over the golden class centres."""

from __future__ import annotations

from typing import Any

from torch.nn import functional

from fairlab.losses.base import LOSSES, MarginHead
from fairlab.settings.study import Loss
from tests.fixtures.golden import CENTRES, EMBEDDINGS, IDENTITIES


def golden_head(name: str, **changes: Any) -> Any:
    """A head of 5 classes in double precision that holds the golden centres."""
    head = LOSSES[name](8, 5, Loss(name=name, **changes)).double()
    head.weight.data = CENTRES.clone()
    return head


def cross_entropy(head: MarginHead, factor: float = 1.0) -> float:
    """Of the golden embeddings, `factor` times as long."""
    return float(functional.cross_entropy(head(factor * EMBEDDINGS, IDENTITIES), IDENTITIES).detach())
