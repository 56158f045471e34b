"""GhostFaceNets (Alansari et al., IEEE Access 2023, doi 10.1109/ACCESS.2023.3266068): GhostNet (Han et al., arXiv 1911.11907)
and GhostNetV2 (Tang et al., arXiv 2211.12905) for faces, with PReLU and a window over the whole last map.

A ghost module computes half of its channels and makes the other half from them by one window each. V2 weighs its channels
by attention along rows and columns. The published weights are Keras files; these networks are for training.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.models.base import BACKBONES
from fairlab.settings.study import Backbone

WIDTH, STEM, SE_SHARE, ATTENTION_WINDOW = 1.3, 16, 0.25, 5
"""Width: times the channels below, as in the networks of the paper's tables."""
BLOCKS = (
    # window, channels inside, channels out, squeeze-and-excitation, stride
    (3, 16, 16, False, 1), (3, 48, 24, False, 2), (3, 72, 24, False, 1), (5, 72, 40, True, 2),
    (5, 120, 40, True, 1), (3, 240, 80, False, 2), (3, 200, 80, False, 1), (3, 184, 80, False, 1),
    (3, 184, 80, False, 1), (3, 480, 112, True, 1), (3, 672, 112, True, 1), (5, 672, 160, True, 2),
    (5, 960, 160, False, 1), (5, 960, 160, True, 1), (5, 960, 160, False, 1),
)  # fmt: skip
LAST = {1: 512, 2: 960}
"""Channels inside the sixteenth block and before the window over the whole map: of V1 and of V2."""
PLAIN = 2
"""So many blocks of V2 are without attention."""
SOURCE = "GhostFaceNets, doi 10.1109/ACCESS.2023.3266068"


def channels(count: float) -> int:
    """The multiple of 4 that is nearest, upwards where that would lose more than a tenth."""
    near = max(4, int(count + 2) // 4 * 4)
    return near + 4 if near < 0.9 * count else near


def _conv_norm(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out")
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))


class _Excitation(nn.Module):
    """x * hardsigmoid(fc2(prelu(fc1(mean over positions))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inside = channels(width * SE_SHARE)
        self.fc1, self.act, self.fc2 = nn.Conv2d(width, inside, 1), nn.PReLU(inside), nn.Conv2d(inside, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * functional.hardsigmoid(self.fc2(self.act(self.fc1(x.mean((2, 3), keepdim=True)))))


class _Attention(nn.Module):
    """Of V2: on the halved map, one window along the rows and one along the columns; a weight for each channel and place,
    brought back to the map's size between its neighbours, as GhostFaceNets' code does (GhostNetV2's repeats them)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mix = _conv_norm(inputs, outputs)
        self.along = nn.ModuleList()
        for shape in ((1, ATTENTION_WINDOW), (ATTENTION_WINDOW, 1)):
            padding = (shape[0] // 2, shape[1] // 2)
            layer = nn.Conv2d(outputs, outputs, shape, padding=padding, groups=outputs, bias=False)
            self.along.append(nn.Sequential(layer, nn.BatchNorm2d(outputs)))

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        weights = self.mix(functional.avg_pool2d(x, 2) if min(size) > 1 else x)  # a single place cannot be halved
        for layer in self.along:
            weights = layer(weights)
        return functional.interpolate(weights.sigmoid(), size=size, mode="bilinear", align_corners=False)


class _Ghost(nn.Module):
    """Half of the channels by a 1 x 1 convolution, the rest by a 3 x 3 window over each of them."""

    def __init__(self, inputs: int, outputs: int, active: bool, attends: bool = False) -> None:
        super().__init__()
        half = outputs // 2  # every count is a multiple of 4
        self.primary, self.cheap = _conv_norm(inputs, half), _conv_norm(half, half, 3, groups=half)
        if active:
            self.primary.append(nn.PReLU(half))
            self.cheap.append(nn.PReLU(half))
        self.attention = _Attention(inputs, outputs) if attends else None

    def forward(self, x: Tensor) -> Tensor:
        first = self.primary(x)
        out = torch.cat((first, self.cheap(first)), dim=1)
        return out if self.attention is None else out * self.attention(x)


class _Bottleneck(nn.Module):
    """Widen, (halve,) (excite,) narrow; the input is added, through a window and a 1 x 1 convolution where shapes differ."""

    def __init__(
        self, inputs: int, inside: int, outputs: int, window: int, stride: int, excites: bool, attends: bool
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(_Ghost(inputs, inside, active=True, attends=attends))
        if stride > 1:
            self.body.append(_conv_norm(inside, inside, window, stride, groups=inside))
        if excites:
            self.body.append(_Excitation(inside))
        self.body.append(_Ghost(inside, outputs, active=False))
        self.shortcut = nn.Sequential()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                *_conv_norm(inputs, inputs, window, stride, groups=inputs), *_conv_norm(inputs, outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.shortcut(x) + self.body(x)
        return out


class GhostFaceNet(nn.Module):
    """(B, 3, P, P) -> (B, D). version: 1 or 2; stride: of the first convolution, 1 or 2."""

    def __init__(self, version: int, stride: int, settings: Backbone, image_px: int) -> None:
        super().__init__()
        width = channels(STEM * WIDTH)
        self.stem = nn.Sequential(*_conv_norm(3, width, 3, stride), nn.PReLU(width))
        self.blocks = nn.Sequential()
        for number, (window, inside, out, excites, step) in enumerate((*BLOCKS, (5, LAST[version], 160, True, 1))):
            outputs = channels(out * WIDTH)
            attends = version == 2 and number >= PLAIN
            self.blocks.append(_Bottleneck(width, channels(inside * WIDTH), outputs, window, step, excites, attends))
            width = outputs
        last = channels(LAST[version] * WIDTH)
        self.wide = nn.Sequential(*_conv_norm(width, last), nn.PReLU(last))
        side = math.ceil(image_px / (16 * stride))
        self.window = nn.Sequential(nn.Conv2d(last, last, side, groups=last, bias=False), nn.BatchNorm2d(last))
        self.dropout = nn.Dropout(settings.dropout)
        self.fc = nn.Linear(last, settings.embedding_dim, bias=False)
        self.norm = nn.BatchNorm1d(settings.embedding_dim)
        nn.init.xavier_normal_(self.fc.weight)

    def forward(self, images: Tensor) -> Tensor:
        x = self.window(self.wide(self.blocks(self.stem(images))))
        embedding: Tensor = self.norm(self.fc(self.dropout(x.flatten(1))))
        return embedding


def _built(version: int, stride: int) -> Callable[[Backbone, int], nn.Module]:
    def build(settings: Backbone, image_px: int) -> nn.Module:
        return GhostFaceNet(version, stride, settings, image_px)

    return build


# fmt: off
BACKBONES.register("ghostfacenet_v1", parameters=4_088_382, title="GhostFaceNetV1-1.3-1", no_files=True, source=SOURCE)(_built(1, 1))
BACKBONES.register("ghostfacenet_v1_s2", parameters=4_066_470, title="GhostFaceNetV1-1.3-2", no_files=True, source=SOURCE)(_built(1, 2))
BACKBONES.register("ghostfacenet_v2", parameters=6_880_412, title="GhostFaceNetV2-1.3-1", no_files=True, source=SOURCE)(_built(2, 1))
BACKBONES.register("ghostfacenet_v2_s2", parameters=6_839_228, title="GhostFaceNetV2-1.3-2", no_files=True, source=SOURCE)(_built(2, 2))
# fmt: on
