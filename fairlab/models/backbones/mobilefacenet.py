"""MobileFaceNet (arXiv 1804.07573, table 1): inverted residuals that end in a global depthwise convolution.

Two networks are published under this name, and their weights do not fit each other: `mobilefacenet` is the paper's, as
trained by AdaDistill (arXiv 2407.01332) and cavaface; `mbf` is insightface's, twice as wide outside the
bottlenecks. Module names are those of the published checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from fairlab.errors import FairLabError
from fairlab.models.base import BACKBONES
from fairlab.settings.study import Backbone

LAST = 512
"""Channels before the global convolution."""


def _conv_norm(inputs: int, outputs: int, kernel: int, stride: int, padding: int, groups: int) -> Iterator[nn.Module]:
    yield nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
    yield nn.BatchNorm2d(outputs)


class NamedLayer(nn.Module):
    """conv - bn (- prelu), under these names."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, padding: int = 0, groups: int = 1,
        active: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.conv, self.bn = _conv_norm(inputs, outputs, kernel, stride, padding, groups)
        self.prelu = nn.PReLU(outputs) if active else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.prelu(self.bn(self.conv(x)))
        return out


class _Listed(nn.Module):
    """The same as `layers.0`, `layers.1` (, `layers.2`)."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, padding: int = 0, groups: int = 1,
        active: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.layers = nn.Sequential(*_conv_norm(inputs, outputs, kernel, stride, padding, groups))
        if active:
            self.layers.append(nn.PReLU(outputs))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class _NamedBottleneck(nn.Module):
    """Widen by a 1x1 convolution, convolve each channel, narrow again; at stride 1 the input is added."""

    def __init__(self, inputs: int, outputs: int, inside: int, stride: int) -> None:
        super().__init__()
        self.conv = NamedLayer(inputs, inside)
        self.conv_dw = NamedLayer(inside, inside, 3, stride, 1, groups=inside)
        self.project = NamedLayer(inside, outputs, active=False)
        self.residual = stride == 1

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(self.conv_dw(self.conv(x)))
        return x + out if self.residual else out


class _ListedBottleneck(nn.Module):
    """The same as `layers.0..2`."""

    def __init__(self, inputs: int, outputs: int, inside: int, stride: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _Listed(inputs, inside),
            _Listed(inside, inside, 3, stride, 1, groups=inside),
            _Listed(inside, outputs, active=False),
        )
        self.residual = stride == 1

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return x + out if self.residual else out


class _NamedStage(nn.Module):
    """`count` bottlenecks in a row, as `model.0`, `model.1` ..."""

    def __init__(self, width: int, inside: int, count: int) -> None:
        super().__init__()
        self.model = nn.Sequential(*(_NamedBottleneck(width, width, inside, 1) for _ in range(count)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x)
        return out


class _ListedStage(nn.Module):
    """The same as `layers.0`, `layers.1` ..."""

    def __init__(self, width: int, inside: int, count: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(_ListedBottleneck(width, width, inside, 1) for _ in range(count)))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class NamedOutput(nn.Module):
    """Global depthwise convolution (one window over all positions), linear layer, norm: affine says if it has weights."""

    def __init__(self, side: int, dims: int, dropout: float, affine: bool = False) -> None:
        super().__init__()
        self.conv_6_dw = NamedLayer(LAST, LAST, side, groups=LAST, active=False)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(LAST, dims, bias=False)
        self.bn = nn.BatchNorm1d(dims, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn(self.linear(self.dropout(self.conv_6_dw(x).flatten(1))))
        return out


class _ListedOutput(nn.Module):
    """The same as `layers.0`, `.2` and `.3`; this norm has weights."""

    def __init__(self, side: int, dims: int, dropout: float) -> None:
        super().__init__()
        flat = nn.Sequential(nn.Flatten(), nn.Dropout(dropout))  # holds no tensors; keeps the published numbers
        linear, norm = nn.Linear(LAST, dims, bias=False), nn.BatchNorm1d(dims)
        self.layers = nn.Sequential(_Listed(LAST, LAST, side, groups=LAST, active=False), flat, linear, norm)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


def side_of(image_px: int) -> int:
    """Positions along an edge after four halvings."""
    if image_px < 16 or image_px % 16:
        raise FairLabError(f"mobilefacenet takes images whose size is a multiple of 16, not {image_px} px")
    return image_px // 16


def _start(network: nn.Module) -> None:
    """He's initialisation by outputs, as both published codes do."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


class MobileFaceNet(nn.Module):
    """The paper's: (B, 3, P, P) in -1..1 -> raw embedding (B, D); P a multiple of 16 (published: 112)."""

    def __init__(self, settings: Backbone, image_px: int) -> None:
        super().__init__()
        side = side_of(image_px)
        self.conv1 = NamedLayer(3, 64, 3, 2, 1)
        self.conv2_dw = NamedLayer(64, 64, 3, 1, 1, groups=64)
        self.conv_23 = _NamedBottleneck(64, 64, 128, 2)
        self.conv_3 = _NamedStage(64, 128, 4)
        self.conv_34 = _NamedBottleneck(64, 128, 256, 2)
        self.conv_4 = _NamedStage(128, 256, 6)
        self.conv_45 = _NamedBottleneck(128, 128, 512, 2)
        self.conv_5 = _NamedStage(128, 256, 2)
        self.conv_6_sep = NamedLayer(128, LAST)
        self.output_layer = NamedOutput(side, settings.embedding_dim, settings.dropout)
        _start(self)

    def forward(self, images: Tensor) -> Tensor:
        x: Tensor = images
        for part in self.children():
            x = part(x)
        return x


class InsightMobileFaceNet(nn.Module):
    """insightface's `mbf`: (B, 3, P, P) in -1..1 -> raw embedding (B, D); P a multiple of 16 (published: 112).

    blocks: bottlenecks of each stage, the first being a plain convolution where it is 1; scale: widths in units of 64.
    """

    def __init__(
        self, settings: Backbone, image_px: int, blocks: tuple[int, int, int, int] = (1, 4, 6, 2), scale: int = 2
    ) -> None:
        super().__init__()
        side, narrow, wide = side_of(image_px), 64 * scale, 128 * scale
        # At the published scale of 2 the plain convolution has two channels a group.
        first = _Listed(narrow, narrow, 3, 1, 1, groups=64) if blocks[0] == 1 else _ListedStage(narrow, 128, blocks[0])
        self.layers = nn.Sequential(
            _Listed(3, narrow, 3, 2, 1),
            first,
            _ListedBottleneck(narrow, narrow, 128, 2),
            _ListedStage(narrow, 128, blocks[1]),
            _ListedBottleneck(narrow, wide, 256, 2),
            _ListedStage(wide, 256, blocks[2]),
            _ListedBottleneck(wide, wide, 512, 2),
            _ListedStage(wide, 256, blocks[3]),
        )
        self.conv_sep = _Listed(wide, LAST)
        self.features = _ListedOutput(side, settings.embedding_dim, settings.dropout)
        _start(self)

    def forward(self, images: Tensor) -> Tensor:
        embedding: Tensor = self.features(self.conv_sep(self.layers(images)))
        return embedding


@BACKBONES.register(
    "mobilefacenet",
    parameters=1_219_890,
    title="MobileFaceNet",
    source="arXiv 1804.07573, as in the code of AdaDistill (arXiv 2407.01332)",
)
def build_mobilefacenet(settings: Backbone, image_px: int) -> nn.Module:
    return MobileFaceNet(settings, image_px)


@BACKBONES.register(
    "mbf",
    parameters=2_083_378,
    title="MobileFaceNet of insightface",
    source="arXiv 1804.07573, as `mbf` of arcface_torch (insightface)",
)
def build_mbf(settings: Backbone, image_px: int) -> nn.Module:
    return InsightMobileFaceNet(settings, image_px)
