"""A run's settings with everything any method may ask for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fairlab.methods.base import METHODS, Batch, Inherited, Method
from fairlab.settings.distillation import DISTILLATIONS
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Adaptor, Backbone, Data, Run

DIMS, SIZE = 8, 16


def a_run(method: str, **changes: Any) -> Run:
    settings: dict[str, Any] = {
        "role": "student",
        "method": method,
        "data": Data(),
        "backbone": Backbone(name="tiny", embedding_dim=DIMS, widths=(8, 16)),
        "adaptor": Adaptor(name="sl", embedding_dim=DIMS),
        "loss": loss_settings(scale=24.0, margin_rad=0.25, sigma_rad=0.0125),
        "distillation": DISTILLATIONS[method]() if method in DISTILLATIONS else None,
    }
    return Run(**settings | changes)


def spots(dims: int, classes: int) -> Tensor:
    """Orthogonal directions (C, D), one for each identity: what a perfect teacher's embeddings would be."""
    return torch.linalg.qr(torch.randn(dims, classes, generator=torch.Generator().manual_seed(11))).Q.t().contiguous()


def built(name: str, classes: int = 5, dims: tuple[int, ...] = (DIMS,), **changes: Any) -> Method:
    """The method with the same first weights every time; what it inherits, or the means it learns from, are the spots, each of another length."""
    lengths = torch.linspace(0.5, 2.0, classes)[:, None]
    needs_head = getattr(METHODS[name], "needs_head", False)
    more: dict[str, Any] = {"inherited": Inherited(lengths * spots(dims[0], classes), 24.0)} if needs_head else {}
    if getattr(METHODS[name], "needs_centroids", False):
        several = METHODS.facts(name)["parents"] == "teachers"
        means = torch.stack([spots(dim, classes) for dim in dims])
        more["centroids"] = means if several else lengths * means[0]
    torch.manual_seed(0)
    return METHODS[name](a_run(name, **changes), classes=classes, image_px=SIZE, teacher_dims=dims, **more)


def student_batch(classes: int = 5, dims: int = DIMS, count: int = 6, identities: Tensor | None = None) -> Batch:
    """Random images and targets with lengths."""
    draw = torch.Generator().manual_seed(7)
    y = torch.arange(count) % classes if identities is None else identities
    targets = functional.normalize(torch.randn(count, dims, generator=draw))
    lengths = 1 + torch.rand(count, generator=draw)
    return Batch(torch.randn(count, 3, SIZE, SIZE, generator=draw), y, targets, lengths)


def a_rotation(dims: int, seed: int = 3) -> Tensor:
    """Orthogonal (D, D), double."""
    return torch.linalg.qr(
        torch.randn(dims, dims, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    ).Q


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
