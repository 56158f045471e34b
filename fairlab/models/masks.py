"""Masks over the embeddings of several teachers: how much of each dimension a student is to see.

The idea is MST-Distill's (arXiv 2507.07015, MaskNet_1d in KD_methods/MST.py), which masks inner layers by self-attention
over single features: 67 million parameters at 512 dimensions. These two kinds are FairLab's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SLOPE = 0.01
"""Of LeakyReLU, torch's own."""
OPEN = 4.0
"""Where a diagonal mask starts: sigmoid(4) = 0.982."""
NARROWER = 8
"""The hidden layer of an mlp mask has this many times fewer units than the embedding has numbers."""


class DiagonalMasks(nn.Module):
    """sigmoid(a_j), the same for all images: a number for each teacher and dimension."""

    def __init__(self, teachers: int, dim: int) -> None:
        super().__init__()
        self.openness = nn.Parameter(torch.full((teachers, dim), OPEN))

    def forward(self, targets: Tensor) -> Tensor:
        """Masked embeddings, (B, n, D) -> (B, n, D)."""
        return torch.sigmoid(self.openness).to(targets.dtype) * targets


class PerceptronMasks(nn.Module):
    """sigmoid(U2 LeakyReLU(U1 t_j)), read from each embedding itself; a network for each teacher."""

    def __init__(self, teachers: int, dim: int) -> None:
        super().__init__()
        inside = max(dim // NARROWER, 1)
        self.networks = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, inside), nn.LeakyReLU(SLOPE), nn.Linear(inside, dim)) for _ in range(teachers)
        )

    def forward(self, targets: Tensor) -> Tensor:
        """Masked embeddings, (B, n, D) -> (B, n, D)."""
        found = [torch.sigmoid(network(part)) for network, part in zip(self.networks, targets.unbind(1), strict=True)]
        return torch.stack(found, dim=1) * targets


def build_masks(kind: str, teachers: int, dim: int) -> nn.Module | None:
    """The masks of a kind, "diagonal" or "mlp", for as many teachers with embeddings of `dim` numbers; None for "none"."""
    kinds = {"diagonal": DiagonalMasks, "mlp": PerceptronMasks}
    return kinds[kind](teachers, dim) if kind in kinds else None
