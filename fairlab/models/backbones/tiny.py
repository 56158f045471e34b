"""A small residual network for the demo's small faces: a pass over 1,500 of them takes 2 s on one thread."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from fairlab.errors import FairLabError
from fairlab.models.base import BACKBONES
from fairlab.settings.study import Backbone


def _convolution(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)


class _Stage(nn.Module):
    """Halves the image, then one residual block: conv stride 2, then conv-conv with a shortcut."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down = nn.Sequential(*_convolution(inputs, outputs, 2), nn.PReLU(outputs))
        self.block = nn.Sequential(
            *_convolution(outputs, outputs, 1), nn.PReLU(outputs), *_convolution(outputs, outputs, 1)
        )
        self.act = nn.PReLU(outputs)

    def forward(self, images: Tensor) -> Tensor:
        halved = self.down(images)
        activated: Tensor = self.act(halved + self.block(halved))
        return activated


class Tiny(nn.Module):
    """One stage per width, then a linear layer over all positions and a batch norm, as face networks end.

    (B, 3, H, W) in -1..1 -> raw embedding (B, D). H and W need not be a power of two.
    """

    def __init__(self, settings: Backbone, image_px: int) -> None:
        super().__init__()
        if not settings.widths or min(settings.widths) < 1:
            raise FairLabError(
                "backbone.widths must hold one or more positive numbers of channels, e.g. 16, 24, 48, 96; "
                f"not {list(settings.widths)}"
            )
        self.stages = nn.Sequential(*(_Stage(a, b) for a, b in pairwise((3, *settings.widths))))
        side = image_px
        for _ in settings.widths:
            side = (side + 1) // 2
        self.dropout = nn.Dropout(settings.dropout)
        self.fc = nn.Linear(settings.widths[-1] * side * side, settings.embedding_dim)
        self.features = nn.BatchNorm1d(settings.embedding_dim)

    def forward(self, images: Tensor) -> Tensor:
        embedding: Tensor = self.features(self.fc(self.dropout(torch.flatten(self.stages(images), 1))))
        return embedding


@BACKBONES.register(
    "tiny",
    parameters=2_691_845,
    title="Tiny residual network",
    no_files=True,
    source="FairLab; for the demo's small images",
)
def build_tiny(settings: Backbone, image_px: int) -> nn.Module:
    return Tiny(settings, image_px)
