"""Weights and images that are the same everywhere, without a generator of random numbers: sines of their place.

What other people's code computed with them stands in the tests as numbers, and how it was run beside those.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor


def wave(shape: tuple[int, ...], step: float, start: float = 0.0) -> Tensor:
    """sin(start + step * place), computed in float64."""
    places = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(start + step * places).reshape(shape).float()


def weights(like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """For a state dict: matrices of a size that keeps numbers near 1, scales and variances near 1, everything else near 0."""
    state = {}
    for index, key in enumerate(sorted(like)):
        shape = tuple(like[key].shape)
        values = wave(shape, 0.7 + 0.01 * index, 1.3 * index)
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
        elif key.endswith("running_var"):
            state[key] = 1 + 0.5 * values
        elif key.endswith("weight") and len(shape) > 1:
            state[key] = 1.4 * values / math.prod(shape[1:]) ** 0.5
        elif key.endswith(("weight", "gamma")):
            state[key] = 1 + 0.2 * values
        else:
            state[key] = 0.3 * values
    return state


def images(count: int, px: int) -> Tensor:
    """Of -1..1."""
    return wave((count, 3, px, px), 0.37)
