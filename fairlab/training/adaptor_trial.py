"""An adaptor that came from a file, tried on random unit embeddings: does it give finite outputs that differ?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from fairlab.errors import FairLabError

VECTORS, SEED = 256, 0
ALIKE = 1e-6
"""Outputs whose cosines all lie so near to 1 are one output."""


def try_adaptor(network: nn.Module, input_dims: Sequence[int], needs_group: bool, where: str) -> dict[str, Any]:
    """Random unit blocks through an adaptor -> {"vectors": how many, "cosine": mean of different outputs, "norms":
    [smallest, mean, largest]}.

    Raises FairLabError for outputs that are not finite, and for one and the same output whatever goes in.
    """
    draws = torch.Generator().manual_seed(SEED)
    blocks = [functional.normalize(torch.randn(VECTORS, dim, generator=draws)) for dim in input_dims]
    if needs_group:
        blocks.append((torch.arange(VECTORS) % len(input_dims))[:, None].float())
    with torch.inference_mode():
        made = network(torch.cat(blocks, dim=1))
    if not bool(torch.isfinite(made).all()):
        raise FairLabError(f"{where} gives values that are not finite for embeddings of length 1")
    norms, units = made.norm(dim=1), functional.normalize(made)
    others = (units @ units.T)[~torch.eye(VECTORS, dtype=torch.bool)]
    if float(norms.min()) == 0 or bool((others > 1 - ALIKE).all()):
        raise FairLabError(f"{where} gives the same output whatever goes in; was it saved before it was trained?")
    return {
        "vectors": VECTORS,
        "cosine": float(others.mean()),
        "norms": [float(norms.min()), float(norms.mean()), float(norms.max())],
    }
