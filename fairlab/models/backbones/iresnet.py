"""iResNet, the backbone of ElasticFace and MST-KD, of the residual units of ArcFace (arXiv 1801.07698, 3.1).

Module names are those of the published checkpoints (conv1, bn1, prelu, layer1..4, bn2, fc, features; se_block in the
SE variants), so that their weights fit. Parameters at 112 px and 512 dims: 24.03, 34.14, 43.59, 65.16 and 118.83 million.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fairlab.errors import FairLabError
from fairlab.models.backbones.squeeze import SqueezeExcitation
from fairlab.models.base import BACKBONES
from fairlab.settings.study import Backbone

SOURCE = "iResNet as in the code of ElasticFace (arXiv 2109.09416) and MST-KD (arXiv 2408.16563)"
SE_SOURCE = "use_se of the iResNet in the code of ElasticFace (arXiv 2109.09416); SE: arXiv 1709.01507"
LAYERS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 200: (6, 26, 60, 6)}
EPS = 1e-5


class _Block(nn.Module):
    """BN - conv - BN - PReLU - conv(stride) - BN (- SE), plus the input (through a 1x1 convolution if shapes differ)."""

    def __init__(self, inputs: int, outputs: int, stride: int, se: bool = False, eps: float = EPS) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs, eps=eps)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs, eps=eps)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs, eps=eps)
        self.se_block = SqueezeExcitation(outputs) if se else nn.Identity()
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs, eps=eps)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x)))))
        shortcut = x if self.downsample is None else self.downsample(x)
        total: Tensor = self.se_block(self.bn3(out)) + shortcut
        return total


class IResNet(nn.Module):
    """(B, 3, P, P) in -1..1 -> raw embedding (B, D); P a multiple of 16 (the papers: 112). eps: of every norm."""

    def __init__(
        self, layers: tuple[int, ...], settings: Backbone, image_px: int, se: bool = False, eps: float = EPS
    ) -> None:
        super().__init__()
        if image_px < 16 or image_px % 16:
            raise FairLabError(f"iresnet takes images whose size is a multiple of 16, not {image_px} px")
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64, eps=eps)
        self.prelu = nn.PReLU(64)
        inputs = 64
        for number, (blocks, width) in enumerate(zip(layers, (64, 128, 256, 512), strict=True), start=1):
            rest = (_Block(width, width, 1, se, eps) for _ in range(blocks - 1))
            setattr(self, f"layer{number}", nn.Sequential(_Block(inputs, width, 2, se, eps), *rest))
            inputs = width
        self.bn2 = nn.BatchNorm2d(512, eps=eps)
        self.dropout = nn.Dropout(settings.dropout)
        self.fc = nn.Linear(512 * (image_px // 16) ** 2, settings.embedding_dim)
        self.features = nn.BatchNorm1d(settings.embedding_dim, eps=eps)
        self.features.weight.requires_grad = False  # stays 1: the length of the embedding is not for it to learn
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, 0.0, 0.1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(images)))
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        embedding: Tensor = self.features(self.fc(self.dropout(torch.flatten(self.bn2(x), 1))))
        return embedding


@BACKBONES.register("iresnet18", parameters=24_040_351, title="iResNet-18", source=SOURCE)
def build_iresnet18(settings: Backbone, image_px: int) -> nn.Module:
    return IResNet(LAYERS[18], settings, image_px)


@BACKBONES.register("iresnet34", parameters=34_165_239, title="iResNet-34", source=SOURCE)
def build_iresnet34(settings: Backbone, image_px: int) -> nn.Module:
    return IResNet(LAYERS[34], settings, image_px)


@BACKBONES.register(
    "iresnet50", parameters=43_629_071, title="iResNet-50", source=SOURCE + ", which sets dropout 0.4 here", dropout=0.4
)
def build_iresnet50(settings: Backbone, image_px: int) -> nn.Module:
    return IResNet(LAYERS[50], settings, image_px)


@BACKBONES.register("iresnet100", parameters=65_225_946, title="iResNet-100", source=SOURCE)
def build_iresnet100(settings: Backbone, image_px: int) -> nn.Module:
    return IResNet(LAYERS[100], settings, image_px)


@BACKBONES.register(
    "iresnet200", parameters=118_970_285, title="iResNet-200", source="iResNet-200 as in arcface_torch of insightface"
)
def build_iresnet200(settings: Backbone, image_px: int) -> nn.Module:
    return IResNet(LAYERS[200], settings, image_px)


@BACKBONES.register("iresnet18_se", parameters=24_127_391, title="iResNet-18 with SE", source=SE_SOURCE)
def build_iresnet18_se(settings: Backbone, image_px: int) -> nn.Module:
    return IResNet(LAYERS[18], settings, image_px, se=True)


@BACKBONES.register("iresnet34_se", parameters=34_322_423, title="iResNet-34 with SE", source=SE_SOURCE)
def build_iresnet34_se(settings: Backbone, image_px: int) -> nn.Module:
    return IResNet(LAYERS[34], settings, image_px, se=True)


@BACKBONES.register("iresnet50_se", parameters=43_851_791, title="iResNet-50 with SE", source=SE_SOURCE)
def build_iresnet50_se(settings: Backbone, image_px: int) -> nn.Module:
    return IResNet(LAYERS[50], settings, image_px, se=True)


@BACKBONES.register("iresnet100_se", parameters=65_598_170, title="iResNet-100 with SE", source=SE_SOURCE)
def build_iresnet100_se(settings: Backbone, image_px: int) -> nn.Module:
    return IResNet(LAYERS[100], settings, image_px, se=True)
