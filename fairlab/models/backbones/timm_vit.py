"""Vision transformers (Dosovitskiy et al., arXiv 2010.11929) as timm names their weights: of ImageNet, of DINOv2 (arXiv
2304.07193) and the image towers of CLIP (arXiv 2103.00020).

These are for files alone. The embedding is what timm's `forward_head(x, pre_logits=True)` gives: the class token after the
last norm, or the norm of the patches' mean; CLIP's goes through its projection. How many heads there are no file tells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.models.backbones.attention import Activation, Attention, Patches, Perceptron, check_size, quick_gelu
from fairlab.models.base import BACKBONES
from fairlab.settings.study import Backbone

NORM_EPS, CLIP_EPS, REGISTERS, INIT_STD = 1e-6, 1e-5, 4, 0.02


@dataclass(frozen=True)
class Form:
    """inside: numbers within a perceptron; of the giant's gated ones, after the gate."""

    width: int
    blocks: int
    heads: int
    inside: int
    gated: bool = False


SIZES = {
    "ti": Form(192, 12, 3, 768),
    "s": Form(384, 12, 6, 1536),
    "b": Form(768, 12, 12, 3072),
    "l": Form(1024, 24, 16, 4096),
    "h": Form(1280, 32, 16, 5120),
    "g": Form(1536, 40, 24, 4096, gated=True),
}
SOURCE = "ViT (arXiv 2010.11929) under timm's names"
DINO = "DINOv2 (arXiv 2304.07193)"
CLIP = "CLIP (arXiv 2103.00020), image tower"


@dataclass(frozen=True)
class Kind:
    """mean: of the patches, in place of the class token. scaled: every term by a weight for each channel. registers: key
    of tokens that nothing reads in the end. placed: the class token has a position too. clip: a norm before the blocks and a
    projection at the end. quick: CLIP's own approximation of GELU. official: gated perceptrons under DINOv2's names.
    """

    mean: bool = False
    scaled: bool = False
    registers: str = ""
    placed: bool = True
    clip: bool = False
    quick: bool = False
    official: bool = False


TOKEN, MEAN, DINOV2 = Kind(), Kind(mean=True), Kind(scaled=True)
REG_TIMM = Kind(scaled=True, registers="reg_token", placed=False)
REG_OFFICIAL = Kind(scaled=True, registers="register_tokens")
GIANT_OFFICIAL, GIANT_REG_OFFICIAL = (replace(kind, official=True) for kind in (DINOV2, REG_OFFICIAL))
TOWER, QUICK_TOWER = Kind(clip=True), Kind(clip=True, quick=True)
QUICK = "_quickgelu"
ENDS = {
    TOKEN: "", MEAN: "_mean", DINOV2: "_dinov2", GIANT_OFFICIAL: "_dinov2_official", REG_TIMM: "_dinov2_reg4",
    REG_OFFICIAL: "_dinov2_reg4_official", GIANT_REG_OFFICIAL: "_dinov2_reg4_official", TOWER: "_clip",
}  # fmt: skip
"""Of the names, by what the keys of a file tell; for a tower with CLIP's own GELU, QUICK follows."""


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Block(nn.Module):
    def __init__(self, form: Form, kind: Kind) -> None:
        super().__init__()
        width = form.width
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=_eps(kind)) for _ in range(2))
        self.attn = Attention(width, form.heads, qkv_bias=True)
        names = ("w12", "w3") if kind.official else ("fc1", "fc2")
        self.mlp = Perceptron(width, form.inside, _activation(form, kind), form.gated, names)
        self.ls1, self.ls2 = (_Scale(width) if kind.scaled else nn.Identity() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        out: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return out


def _activation(form: Form, kind: Kind) -> Activation:
    if form.gated:
        return functional.silu
    return quick_gelu if kind.quick else functional.gelu


def _drawn(*shape: int) -> nn.Parameter:
    return nn.Parameter(nn.init.normal_(torch.empty(shape), std=INIT_STD))


def _eps(kind: Kind) -> float:
    return CLIP_EPS if kind.clip else NORM_EPS


class TimmTransformer(nn.Module):
    """(B, 3, P, P) -> (B, D). D is the width unless CLIP's projection makes another of it; otherwise one more linear layer,
    which no file has, does."""

    def __init__(self, form: Form, patch: int, kind: Kind, settings: Backbone, image_px: int) -> None:
        super().__init__()
        width = form.width
        check_size(image_px, patch)
        self.kind = kind
        count = (image_px // patch) ** 2 + kind.placed
        self.patch_embed = Patches(width, patch, bias=not kind.clip)
        self.cls_token = _drawn(1, 1, width)
        self.pos_embed = _drawn(1, count, width)
        if kind.registers:
            self.register_parameter(kind.registers, _drawn(1, REGISTERS, width))
        if kind.scaled:
            self.register_buffer(
                "mask_token", torch.zeros(1, width)
            )  # stands in DINOv2's files; no patch is masked here
        self.norm_pre = nn.LayerNorm(width, eps=CLIP_EPS) if kind.clip else nn.Identity()
        self.blocks = nn.ModuleList(_Block(form, kind) for _ in range(form.blocks))
        name = "fc_norm" if kind.mean else "norm"
        self.add_module(name, nn.LayerNorm(width, eps=_eps(kind)))
        self.last_norm = [name]
        self.dropout = nn.Dropout(settings.dropout)
        same = settings.embedding_dim == width
        self.shorter = nn.Identity() if same or kind.clip else nn.Linear(width, settings.embedding_dim)
        self.head = nn.Linear(width, settings.embedding_dim) if kind.clip else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embed(images)
        token = self.cls_token.expand(len(x), -1, -1)
        x = torch.cat((token, x), 1) + self.pos_embed if self.kind.placed else torch.cat((token, x + self.pos_embed), 1)
        if self.kind.registers:
            registers = self.get_parameter(self.kind.registers).expand(len(x), -1, -1)
            x = torch.cat((x[:, :1], registers, x[:, 1:]), 1)
        x = self.norm_pre(x)
        for block in self.blocks:
            x = block(x)
        pooled = x[:, 1:].mean(1) if self.kind.mean else x[:, 0]
        normed = self.dropout(self.get_submodule(self.last_norm[0])(pooled))
        embedding: Tensor = self.head(self.shorter(normed))
        return embedding


def _built(size: str, patch: int, kind: Kind = TOKEN) -> Callable[[Backbone, int], nn.Module]:
    def build(settings: Backbone, image_px: int) -> nn.Module:
        return TimmTransformer(SIZES[size], patch, kind, settings, image_px)

    return build


# fmt: off
BACKBONES.register("timm_vit_ti16", parameters=5_595_008, files_only=True, title="ViT-Ti/16", source=SOURCE)(_built("ti", 16))
BACKBONES.register("timm_vit_s8", parameters=21_641_600, files_only=True, title="ViT-S/8", source=SOURCE)(_built("s", 8))
BACKBONES.register("timm_vit_s16", parameters=21_806_336, files_only=True, title="ViT-S/16", source=SOURCE)(_built("s", 16))
BACKBONES.register("timm_vit_s32", parameters=22_675_712, files_only=True, title="ViT-S/32", source=SOURCE)(_built("s", 32))
BACKBONES.register("timm_vit_b8", parameters=85_750_016, files_only=True, title="ViT-B/8", source=SOURCE)(_built("b", 8))
BACKBONES.register("timm_vit_b16", parameters=86_079_488, files_only=True, title="ViT-B/16", source=SOURCE)(_built("b", 16))
BACKBONES.register("timm_vit_b32", parameters=87_818_240, files_only=True, title="ViT-B/32", source=SOURCE)(_built("b", 32))
BACKBONES.register("timm_vit_l16", parameters=303_675_904, files_only=True, title="ViT-L/16", source=SOURCE)(_built("l", 16))
BACKBONES.register("timm_vit_s16_mean", parameters=21_806_336, files_only=True, title="ViT-S/16, mean of the patches", source=SOURCE)(_built("s", 16, MEAN))
BACKBONES.register("timm_vit_b16_mean", parameters=86_079_488, files_only=True, title="ViT-B/16, mean of the patches", source=SOURCE)(_built("b", 16, MEAN))
BACKBONES.register("timm_vit_l16_mean", parameters=303_675_904, files_only=True, title="ViT-L/16, mean of the patches", source=SOURCE)(_built("l", 16, MEAN))
BACKBONES.register("timm_vit_s14_dinov2", parameters=21_752_576, files_only=True, title="ViT-S/14 of DINOv2", source=DINO)(_built("s", 14, DINOV2))
BACKBONES.register("timm_vit_b14_dinov2", parameters=85_971_968, files_only=True, title="ViT-B/14 of DINOv2", source=DINO)(_built("b", 14, DINOV2))
BACKBONES.register("timm_vit_l14_dinov2", parameters=303_557_120, files_only=True, title="ViT-L/14 of DINOv2", source=DINO)(_built("l", 14, DINOV2))
BACKBONES.register("timm_vit_s14_dinov2_reg4", parameters=21_753_728, files_only=True, title="ViT-S/14 of DINOv2 with registers (timm)", source=DINO)(_built("s", 14, REG_TIMM))
BACKBONES.register("timm_vit_b14_dinov2_reg4", parameters=85_974_272, files_only=True, title="ViT-B/14 of DINOv2 with registers (timm)", source=DINO)(_built("b", 14, REG_TIMM))
BACKBONES.register("timm_vit_l14_dinov2_reg4", parameters=303_560_192, files_only=True, title="ViT-L/14 of DINOv2 with registers (timm)", source=DINO)(_built("l", 14, REG_TIMM))
BACKBONES.register("timm_vit_s14_dinov2_reg4_official", parameters=21_754_112, files_only=True, title="ViT-S/14 of DINOv2 with registers", source=DINO)(_built("s", 14, REG_OFFICIAL))
BACKBONES.register("timm_vit_b14_dinov2_reg4_official", parameters=85_975_040, files_only=True, title="ViT-B/14 of DINOv2 with registers", source=DINO)(_built("b", 14, REG_OFFICIAL))
BACKBONES.register("timm_vit_l14_dinov2_reg4_official", parameters=303_561_216, files_only=True, title="ViT-L/14 of DINOv2 with registers", source=DINO)(_built("l", 14, REG_OFFICIAL))
BACKBONES.register("timm_vit_g14_dinov2", parameters=1_135_263_232, files_only=True, title="ViT-g/14 of DINOv2 (timm)", source=DINO)(_built("g", 14, DINOV2))
BACKBONES.register("timm_vit_g14_dinov2_official", parameters=1_135_263_232, files_only=True, title="ViT-g/14 of DINOv2", source=DINO)(_built("g", 14, GIANT_OFFICIAL))
BACKBONES.register("timm_vit_g14_dinov2_reg4", parameters=1_135_267_840, files_only=True, title="ViT-g/14 of DINOv2 with registers (timm)", source=DINO)(_built("g", 14, REG_TIMM))
BACKBONES.register("timm_vit_g14_dinov2_reg4_official", parameters=1_135_269_376, files_only=True, title="ViT-g/14 of DINOv2 with registers", source=DINO)(_built("g", 14, GIANT_REG_OFFICIAL))
BACKBONES.register("timm_vit_b32_clip", parameters=87_819_008, files_only=True, title="ViT-B/32 of CLIP", source=CLIP)(_built("b", 32, TOWER))
BACKBONES.register("timm_vit_b32_clip_quickgelu", parameters=87_819_008, files_only=True, title="ViT-B/32 of CLIP with QuickGELU", source=CLIP)(_built("b", 32, QUICK_TOWER))
BACKBONES.register("timm_vit_b16_clip", parameters=86_080_256, files_only=True, title="ViT-B/16 of CLIP", source=CLIP)(_built("b", 16, TOWER))
BACKBONES.register("timm_vit_b16_clip_quickgelu", parameters=86_080_256, files_only=True, title="ViT-B/16 of CLIP with QuickGELU", source=CLIP)(_built("b", 16, QUICK_TOWER))
BACKBONES.register("timm_vit_l14_clip", parameters=303_507_968, files_only=True, title="ViT-L/14 of CLIP", source=CLIP)(_built("l", 14, TOWER))
BACKBONES.register("timm_vit_l14_clip_quickgelu", parameters=303_507_968, files_only=True, title="ViT-L/14 of CLIP with QuickGELU", source=CLIP)(_built("l", 14, QUICK_TOWER))
BACKBONES.register("timm_vit_h14_clip", parameters=631_176_192, files_only=True, title="ViT-H/14 of CLIP", source=CLIP)(_built("h", 14, TOWER))
BACKBONES.register("timm_vit_h14_clip_quickgelu", parameters=631_176_192, files_only=True, title="ViT-H/14 of CLIP with QuickGELU", source=CLIP)(_built("h", 14, QUICK_TOWER))
# fmt: on
