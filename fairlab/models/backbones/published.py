"""Networks that differ in one detail from those that FairLab trains, so that published weights load as what they are.

A detail is enough for another network: MagFace's norms have another epsilon, CurricularFace's last norm has no weights,
MobileFaceNet ends in three ways. None of them is offered for training (the fact files_only): each is as its code has it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from fairlab.models.backbones import ir, iresnet
from fairlab.models.backbones.mobilefacenet import (
    LAST,
    InsightMobileFaceNet,
    MobileFaceNet,
    NamedLayer,
    NamedOutput,
    side_of,
)
from fairlab.models.base import BACKBONES
from fairlab.settings.study import Backbone

MAGFACE_EPS = 2e-5
"""Of every norm in MagFace's iResNet, as in the MXNet networks that it descends from."""
CAVAFACE_UNITS = {
    50: (3, 4, 14, 3), 100: (3, 13, 30, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3), 185: (3, 22, 33, 3), 200: (3, 24, 36, 3),
}  # fmt: skip
"""Units per stage; its 101 is another network than everybody else's. All are face.evoLVe's units, never bottlenecks."""
LARGE_BLOCKS, LARGE_SCALE = (2, 8, 12, 4), 4
"""insightface's mbf_large."""

MAGFACE = "MagFace (arXiv 2103.06627): iResNet with a batch-norm epsilon of 2e-5, as in its code"
CURRICULAR = "CurricularFace (arXiv 2004.00288): face.evoLVe's units, last norm without weights, as in its code"
CAVAFACE = "cavaface: face.evoLVe's units with insightface's end, as in its code"


class CurricularIR(ir.IR):
    """face.evoLVe's IR with a last norm that has no weights."""

    def __init__(self, depth: int, settings: Backbone, image_px: int, se: bool) -> None:
        super().__init__(depth, settings, image_px, se, evolve=True)
        self.output_layer[4] = nn.BatchNorm1d(settings.embedding_dim, affine=False)


class CavafaceIR(ir.IR):
    """face.evoLVe's units under insightface's names for the end: bn2, fc, features."""

    units: ClassVar = CAVAFACE_UNITS

    def __init__(self, depth: int, settings: Backbone, image_px: int, se: bool) -> None:
        super().__init__(depth, settings, image_px, se, evolve=True)
        self.bn2, self.dropout, _, self.fc, self.features = self.output_layer
        del self.output_layer

    def forward(self, images: Tensor) -> Tensor:
        x = self.bn2(self.body(self.input_layer(images)))
        embedding: Tensor = self.features(self.fc(self.dropout(torch.flatten(x, 1))))
        return embedding


class AffineMobileFaceNet(MobileFaceNet):
    """The paper's, with a last norm that has weights: of CurricularFace and cavaface."""

    def __init__(self, settings: Backbone, image_px: int) -> None:
        super().__init__(settings, image_px)
        self.output_layer = NamedOutput(side_of(image_px), settings.embedding_dim, settings.dropout, affine=True)


class FlatMobileFaceNet(MobileFaceNet):
    """The paper's, with the end beside the rest: of InsightFace_Pytorch, face.evoLVe and FaceX-Zoo."""

    def __init__(self, settings: Backbone, image_px: int) -> None:
        super().__init__(settings, image_px)
        del self.output_layer
        self.conv_6_dw = NamedLayer(LAST, LAST, side_of(image_px), groups=LAST, active=False)
        self.conv_6_flatten = nn.Flatten()
        self.linear = nn.Linear(LAST, settings.embedding_dim, bias=False)
        self.bn = nn.BatchNorm1d(settings.embedding_dim)


Builder = Callable[[Backbone, int], nn.Module]


def _magface(depth: int) -> Builder:
    def build(settings: Backbone, image_px: int) -> nn.Module:
        return iresnet.IResNet(iresnet.LAYERS[depth], settings, image_px, eps=MAGFACE_EPS)

    return build


def _curricular(depth: int, se: bool = False) -> Builder:
    def build(settings: Backbone, image_px: int) -> nn.Module:
        return CurricularIR(depth, settings, image_px, se)

    return build


def _cavaface(depth: int, se: bool = False) -> Builder:
    def build(settings: Backbone, image_px: int) -> nn.Module:
        return CavafaceIR(depth, settings, image_px, se)

    return build


@BACKBONES.register(
    "mobilefacenet_affine",
    parameters=1_220_914,
    files_only=True,
    title="MobileFaceNet of CurricularFace and cavaface",
    source="arXiv 1804.07573, as in the code of CurricularFace and cavaface",
)
def build_affine(settings: Backbone, image_px: int) -> nn.Module:
    return AffineMobileFaceNet(settings, image_px)


@BACKBONES.register(
    "mobilefacenet_flat",
    parameters=1_220_914,
    files_only=True,
    title="MobileFaceNet of face.evoLVe",
    source="arXiv 1804.07573, as in the code of InsightFace_Pytorch, face.evoLVe and FaceX-Zoo",
)
def build_flat(settings: Backbone, image_px: int) -> nn.Module:
    return FlatMobileFaceNet(settings, image_px)


@BACKBONES.register(
    "mbf_large",
    parameters=6_367_707,
    files_only=True,
    title="Large MobileFaceNet of insightface",
    source="`mbf_large` of arcface_torch (insightface)",
)
def build_mbf_large(settings: Backbone, image_px: int) -> nn.Module:
    return InsightMobileFaceNet(settings, image_px, LARGE_BLOCKS, LARGE_SCALE)


# fmt: off
BACKBONES.register("magface_iresnet18", parameters=24_040_351, files_only=True, title="iResNet-18 of MagFace", source=MAGFACE)(_magface(18))
BACKBONES.register("magface_iresnet34", parameters=34_165_239, files_only=True, title="iResNet-34 of MagFace", source=MAGFACE)(_magface(34))
BACKBONES.register("magface_iresnet50", parameters=43_629_071, files_only=True, title="iResNet-50 of MagFace", source=MAGFACE)(_magface(50))
BACKBONES.register("magface_iresnet100", parameters=65_225_946, files_only=True, title="iResNet-100 of MagFace", source=MAGFACE)(_magface(100))
BACKBONES.register("curricular_ir_50", parameters=43_600_374, files_only=True, title="IR-50 of CurricularFace", source=CURRICULAR)(_curricular(50))
BACKBONES.register("curricular_ir_101", parameters=65_176_232, files_only=True, title="IR-101 of CurricularFace", source=CURRICULAR)(_curricular(101))
BACKBONES.register("curricular_ir_152", parameters=70_787_626, files_only=True, title="IR-152 of CurricularFace", source=CURRICULAR)(_curricular(152))
BACKBONES.register("curricular_ir_se_50", parameters=43_823_094, files_only=True, title="IR-SE-50 of CurricularFace", source=CURRICULAR)(_curricular(50, se=True))
BACKBONES.register("curricular_ir_se_101", parameters=65_548_456, files_only=True, title="IR-SE-101 of CurricularFace", source=CURRICULAR)(_curricular(101, se=True))
BACKBONES.register("curricular_ir_se_152", parameters=71_198_762, files_only=True, title="IR-SE-152 of CurricularFace", source=CURRICULAR)(_curricular(152, se=True))
BACKBONES.register("cavaface_ir_50", parameters=43_601_398, files_only=True, title="IR-50 of cavaface", source=CAVAFACE)(_cavaface(50))
BACKBONES.register("cavaface_ir_100", parameters=65_177_256, files_only=True, title="IR-100 of cavaface", source=CAVAFACE)(_cavaface(100))
BACKBONES.register("cavaface_ir_101", parameters=54_238_984, files_only=True, title="IR-101 of cavaface", source=CAVAFACE)(_cavaface(101))
BACKBONES.register("cavaface_ir_152", parameters=70_788_650, files_only=True, title="IR-152 of cavaface", source=CAVAFACE)(_cavaface(152))
BACKBONES.register("cavaface_ir_185", parameters=71_387_712, files_only=True, title="IR-185 of cavaface", source=CAVAFACE)(_cavaface(185))
BACKBONES.register("cavaface_ir_200", parameters=75_525_706, files_only=True, title="IR-200 of cavaface", source=CAVAFACE)(_cavaface(200))
BACKBONES.register("cavaface_ir_se_50", parameters=43_824_118, files_only=True, title="IR-SE-50 of cavaface", source=CAVAFACE)(_cavaface(50, se=True))
BACKBONES.register("cavaface_ir_se_100", parameters=65_549_480, files_only=True, title="IR-SE-100 of cavaface", source=CAVAFACE)(_cavaface(100, se=True))
BACKBONES.register("cavaface_ir_se_101", parameters=54_535_432, files_only=True, title="IR-SE-101 of cavaface", source=CAVAFACE)(_cavaface(101, se=True))
BACKBONES.register("cavaface_ir_se_152", parameters=71_199_786, files_only=True, title="IR-SE-152 of cavaface", source=CAVAFACE)(_cavaface(152, se=True))
BACKBONES.register("cavaface_ir_se_185", parameters=71_802_944, files_only=True, title="IR-SE-185 of cavaface", source=CAVAFACE)(_cavaface(185, se=True))
BACKBONES.register("cavaface_ir_se_200", parameters=75_969_610, files_only=True, title="IR-SE-200 of cavaface", source=CAVAFACE)(_cavaface(200, se=True))
# fmt: on
