"""IR and IR-SE, the backbones of CVLface, AdaFace and TFace: ArcFace's residual units (arXiv 1801.07698, 3.1).

As deep as iResNet but another network: where the depth does not change, the shortcut is plain subsampling (no
convolution, also in the first unit), from 152 layers on the units are bottlenecks, and the last norm has no weights.
Module names are those of the published checkpoints. Parameters at 112 px and 512 dims: 24.02, 34.13, 43.59 and 65.15
million for 18, 34, 50 and 101 layers.

face.evoLVe (and InsightFace_Pytorch) publish an older unit under the same names: no norm between the first convolution
and PReLU, no bottlenecks, a last norm with weights. Those are the `evolve` networks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from fairlab.errors import FairLabError
from fairlab.models.backbones.squeeze import SqueezeExcitation
from fairlab.models.base import BACKBONES
from fairlab.settings.study import Backbone

SOURCE = "IR as in the code of CVLface and AdaFace (arXiv 2204.00964)"
EVOLVE_SOURCE = "IR as in the code of face.evoLVe (arXiv 2107.08621)"
UNITS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 101: (3, 13, 30, 3), 152: (3, 8, 36, 3), 200: (3, 24, 36, 3)}  # fmt: skip
"""Units per stage; the network that its authors call IR_101 has 100 layers by the count of the others."""
BOTTLENECK_FROM = 152
EVOLVE_DEPTHS = (50, 101, 152)
WIDTHS, BOTTLENECK_WIDTHS = (64, 128, 256, 512), (256, 512, 1024, 2048)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)


def _basic(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    """BN - conv3 - BN - PReLU - conv3(stride) - BN."""
    return [
        nn.BatchNorm2d(inputs),
        _convolution(inputs, outputs, 3),
        nn.BatchNorm2d(outputs),
        nn.PReLU(outputs),
        _convolution(outputs, outputs, 3, stride),
        nn.BatchNorm2d(outputs),
    ]


def _evolve(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    """BN - conv3 - PReLU - conv3(stride) - BN: the unit of face.evoLVe."""
    layers = _basic(inputs, outputs, stride)
    del layers[2]
    return layers


def _bottleneck(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    """BN - conv1 - BN - PReLU - conv3 - BN - PReLU - conv1(stride) - BN, a quarter as wide inside."""
    width = outputs // 4
    return [
        nn.BatchNorm2d(inputs),
        _convolution(inputs, width, 1),
        nn.BatchNorm2d(width),
        nn.PReLU(width),
        _convolution(width, width, 3),
        nn.BatchNorm2d(width),
        nn.PReLU(width),
        _convolution(width, outputs, 1, stride),
        nn.BatchNorm2d(outputs),
    ]


class _Unit(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride): the residual layers plus the shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int, residual: nn.Sequential) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)  # a window of 1: every stride-th position
        if inputs != outputs:
            self.shortcut_layer = nn.Sequential(_convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
        self.res_layer = residual

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.res_layer(x) + self.shortcut_layer(x)
        return total


class IR(nn.Module):
    """(B, 3, P, P) in -1..1 -> raw embedding (B, D); P a multiple of 16 (published: 112 and 224)."""

    units: ClassVar[Mapping[int, tuple[int, ...]]] = UNITS
    """Units per stage by depth."""

    def __init__(self, depth: int, settings: Backbone, image_px: int, se: bool = False, evolve: bool = False) -> None:
        super().__init__()
        if image_px < 16 or image_px % 16:
            raise FairLabError(f"ir takes images whose size is a multiple of 16, not {image_px} px")
        deep = depth >= BOTTLENECK_FROM and not evolve
        layers = _evolve if evolve else _bottleneck if deep else _basic
        widths = BOTTLENECK_WIDTHS if deep else WIDTHS
        self.input_layer = nn.Sequential(_convolution(3, 64, 3), nn.BatchNorm2d(64), nn.PReLU(64))
        self.body = nn.Sequential()
        for units, (inputs, outputs) in zip(self.units[depth], pairwise((64, *widths)), strict=True):
            for number in range(units):
                shape = (outputs if number else inputs, outputs, 1 if number else 2)
                residual = nn.Sequential(*layers(*shape))
                if se:  # in the old unit simply the next layer, in the new one by name
                    residual.add_module("5" if evolve else "se_block", SqueezeExcitation(outputs))
                self.body.append(_Unit(*shape, residual))
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(widths[-1]),
            nn.Dropout(settings.dropout),
            nn.Flatten(),
            nn.Linear(widths[-1] * (image_px // 16) ** 2, settings.embedding_dim),
            nn.BatchNorm1d(settings.embedding_dim, affine=evolve),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        embedding: Tensor = self.output_layer(self.body(self.input_layer(images)))
        return embedding


def _builder(depth: int, se: bool = False, evolve: bool = False) -> Callable[[Backbone, int], nn.Module]:
    def build(settings: Backbone, image_px: int) -> nn.Module:
        return IR(depth, settings, image_px, se, evolve)

    return build


BACKBONES.register("ir_18", parameters=24_034_974, title="IR-18", source=SOURCE)(_builder(18))
BACKBONES.register("ir_34", parameters=34_159_862, title="IR-34", source=SOURCE)(_builder(34))
BACKBONES.register("ir_50", parameters=43_623_694, title="IR-50", source=SOURCE)(_builder(50))
BACKBONES.register("ir_101", parameters=65_220_569, title="IR-101", source=SOURCE)(_builder(101))
BACKBONES.register("ir_152", parameters=109_885_263, title="IR-152", source=SOURCE)(_builder(152))
BACKBONES.register("ir_200", parameters=114_427_791, title="IR-200", source=SOURCE)(_builder(200))
BACKBONES.register("ir_se_18", parameters=24_122_014, title="IR-SE-18", source=SOURCE)(_builder(18, se=True))
BACKBONES.register("ir_se_34", parameters=34_317_046, title="IR-SE-34", source=SOURCE)(_builder(34, se=True))
BACKBONES.register("ir_se_50", parameters=43_846_414, title="IR-SE-50", source=SOURCE)(_builder(50, se=True))
BACKBONES.register("ir_se_101", parameters=65_592_793, title="IR-SE-101", source=SOURCE)(_builder(101, se=True))
BACKBONES.register("ir_se_152", parameters=116_463_439, title="IR-SE-152", source=SOURCE)(_builder(152, se=True))
BACKBONES.register("ir_se_200", parameters=121_530_255, title="IR-SE-200", source=SOURCE)(_builder(200, se=True))

_OLD = {"source": EVOLVE_SOURCE}
BACKBONES.register("evolve_ir_50", parameters=43_601_398, title="IR-50 of face.evoLVe", **_OLD)(
    _builder(50, evolve=True)
)
BACKBONES.register("evolve_ir_101", parameters=65_177_256, title="IR-101 of face.evoLVe", **_OLD)(
    _builder(101, evolve=True)
)
BACKBONES.register("evolve_ir_152", parameters=70_788_650, title="IR-152 of face.evoLVe", **_OLD)(
    _builder(152, evolve=True)
)
BACKBONES.register("evolve_ir_se_50", parameters=43_824_118, title="IR-SE-50 of face.evoLVe", **_OLD)(
    _builder(50, se=True, evolve=True)
)
BACKBONES.register("evolve_ir_se_101", parameters=65_549_480, title="IR-SE-101 of face.evoLVe", **_OLD)(
    _builder(101, se=True, evolve=True)
)
BACKBONES.register("evolve_ir_se_152", parameters=71_199_786, title="IR-SE-152 of face.evoLVe", **_OLD)(
    _builder(152, se=True, evolve=True)
)
