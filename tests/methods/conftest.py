"""A run's settings with everything any method may ask for."""

from __future__ import annotations

from typing import Any

import pytest

from fairlab.config import Adaptor, Backbone, Data, Distillation, Loss, Run

DIMS, SIZE = 8, 16


def a_run(method: str, **changes: Any) -> Run:
    settings: dict[str, Any] = {
        "role": "student",
        "method": method,
        "data": Data(),
        "backbone": Backbone(name="tiny", embedding_dim=DIMS, widths=(8, 16)),
        "adaptor": Adaptor(name="sl", embedding_dim=DIMS),
        "loss": Loss(scale=24.0, margin_rad=0.25, sigma_rad=0.0125),
        "distillation": Distillation(),
    }
    return Run(**settings | changes)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    import torch

    torch.manual_seed(0)
