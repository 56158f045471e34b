"""Vision transformers for faces (Dosovitskiy et al., arXiv 2010.11929) as arcface_torch of insightface trains them, and
TransFace's (Dan et al., ICCV 2023, arXiv 2308.10133), which weighs the patches before the embedding.

LVFace's (arXiv 2501.13420) are the same networks, CVLface's have patches of 8 px and other perceptrons. No class token,
ReLU6, queries, keys and values without bias; all patches side by side go through two linear layers with batch norm. Names of
modules are those of the published checkpoints.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.models.backbones.attention import Attention, Patches, Perceptron, check_size
from fairlab.models.base import BACKBONES
from fairlab.settings.study import Backbone

NORM_EPS = 2e-5


class Form(NamedTuple):
    """ratio: channels inside a perceptron, as a multiple of the width; patch: edge in pixels."""

    width: int
    blocks: int
    heads: int = 8
    ratio: int = 4
    patch: int = 9


FORMS = {"t": Form(256, 12), "s": Form(512, 12), "b": Form(512, 24), "l": Form(768, 24)}
CVLFACE_FORMS = {"s": Form(512, 12, 8, 5, 8), "b": Form(512, 24, 16, 3, 8)}
"""Its base has 16 heads, which the shapes in a file do not tell."""
DROP_PATH = 0.05
"""The last block's share of images that skip it while training, as in the published runs called dp005."""
SOURCE = "ViT of arcface_torch (insightface), arXiv 2010.11929"
TRANSFACE_SOURCE = "TransFace, arXiv 2308.10133"
CVLFACE = "CVLface (arXiv 2403.14852), ViT without KP-RPE"


class _Block(nn.Module):
    """x + attention(norm(x)), then x + perceptron(norm(x)); while training some images skip a term (stochastic depth)."""

    def __init__(self, form: Form, skipped: float) -> None:
        super().__init__()
        width = form.width
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, form.heads, qkv_bias=False)
        self.mlp = Perceptron(width, form.ratio * width, functional.relu6)
        self.skipped = skipped

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """bias: see Attention."""
        x = x + self._kept(self.attn(self.norm1(x), bias))
        return x + self._kept(self.mlp(self.norm2(x)))

    def _kept(self, term: Tensor) -> Tensor:
        if not self.training or self.skipped == 0:
            return term
        stays = torch.rand(len(term), 1, 1, device=term.device) >= self.skipped
        return term * stays / (1 - self.skipped)


class FaceTransformer(nn.Module):
    """(B, 3, P, P) -> (B, D). weighing: TransFace's weight of every patch, (sigmoid of two linear layers over all)."""

    def __init__(self, form: Form, settings: Backbone, image_px: int, weighing: bool = False) -> None:
        super().__init__()
        width, blocks, patch = form.width, form.blocks, form.patch
        check_size(image_px, patch)
        count = (image_px // patch) ** 2
        self.patch_embed = Patches(width, patch)
        self.pos_embed = nn.Parameter(torch.zeros(1, count, width))
        self.register_buffer("mask_token", torch.zeros(1, 1, width))  # stands in the files; no patch is masked here
        self.blocks = nn.ModuleList(_Block(form, DROP_PATH * at / max(blocks - 1, 1)) for at in range(blocks))
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(settings.dropout)
        self.feature = nn.Sequential(
            nn.Linear(width * count, width, bias=False),
            nn.BatchNorm1d(width, eps=NORM_EPS),
            nn.Linear(width, settings.embedding_dim, bias=False),
            nn.BatchNorm1d(settings.embedding_dim, eps=NORM_EPS),
        )
        self.senet = (
            nn.Sequential(
                nn.Linear(width * count, count, bias=False),
                nn.ReLU(),
                nn.Linear(count, count, bias=False),
                nn.Sigmoid(),
            )
            if weighing
            else None
        )
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embed(images) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        if self.senet is not None:
            x = x * self.senet(x.flatten(1))[:, :, None]
        embedding: Tensor = self.feature(self.dropout(x.flatten(1)))
        return embedding


@BACKBONES.register("vit_t", parameters=19_139_330, title="ViT-T for faces", source=SOURCE)
def build_vit_t(settings: Backbone, image_px: int) -> nn.Module:
    return FaceTransformer(FORMS["t"], settings, image_px)


@BACKBONES.register("vit_s", parameters=76_025_346, title="ViT-S for faces", source=SOURCE)
def build_vit_s(settings: Backbone, image_px: int) -> nn.Module:
    return FaceTransformer(FORMS["s"], settings, image_px)


@BACKBONES.register("vit_b", parameters=113_835_522, title="ViT-B for faces", source=SOURCE)
def build_vit_b(settings: Backbone, image_px: int) -> nn.Module:
    return FaceTransformer(FORMS["b"], settings, image_px)


@BACKBONES.register("vit_l", parameters=255_686_914, title="ViT-L for faces", source=SOURCE)
def build_vit_l(settings: Backbone, image_px: int) -> nn.Module:
    return FaceTransformer(FORMS["l"], settings, image_px)


@BACKBONES.register("transface_s", parameters=86_662_914, title="TransFace-S", source=TRANSFACE_SOURCE)
def build_transface_s(settings: Backbone, image_px: int) -> nn.Module:
    return FaceTransformer(FORMS["s"], settings, image_px, weighing=True)


@BACKBONES.register("transface_b", parameters=124_473_090, title="TransFace-B", source=TRANSFACE_SOURCE)
def build_transface_b(settings: Backbone, image_px: int) -> nn.Module:
    return FaceTransformer(FORMS["b"], settings, image_px, weighing=True)


@BACKBONES.register("transface_l", parameters=271_632_898, title="TransFace-L", source=TRANSFACE_SOURCE)
def build_transface_l(settings: Backbone, image_px: int) -> nn.Module:
    return FaceTransformer(FORMS["l"], settings, image_px, weighing=True)


@BACKBONES.register("cvlface_vit_s", parameters=95_954_946, files_only=True, title="ViT-S of CVLface", source=CVLFACE)
def build_cvlface_s(settings: Backbone, image_px: int) -> nn.Module:
    return FaceTransformer(CVLFACE_FORMS["s"], settings, image_px)


@BACKBONES.register("cvlface_vit_b", parameters=114_872_322, files_only=True, title="ViT-B of CVLface", source=CVLFACE)
def build_cvlface_b(settings: Backbone, image_px: int) -> nn.Module:
    return FaceTransformer(CVLFACE_FORMS["b"], settings, image_px)
