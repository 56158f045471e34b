"""Vision transformers (Dosovitskiy et al., arXiv 2010.11929) as timm names their weights, and DINOv2's (arXiv 2304.07193).

These are for files alone. The embedding is what timm's `forward_head(x, pre_logits=True)` gives: the class token after the
last norm, or the norm of the patches' mean. Their heads are 64 wide, which no file tells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.config import Backbone
from fairlab.errors import FairLabError
from fairlab.models.base import BACKBONES

HEAD_WIDTH, NORM_EPS, RATIO, REGISTERS, INIT_STD = 64, 1e-6, 4, 4, 0.02
SIZES = {"ti": (192, 12), "s": (384, 12), "b": (768, 12), "l": (1024, 24)}
"""Size -> (width, blocks)."""
SOURCE = "ViT (arXiv 2010.11929) under timm's names"
DINO = "DINOv2 (arXiv 2304.07193)"


@dataclass(frozen=True)
class Kind:
    """mean: of the patches, in place of the class token. scaled: every term by a weight for each channel. registers: key
    of tokens that nothing reads in the end. placed: the class token has a position too."""

    mean: bool = False
    scaled: bool = False
    registers: str = ""
    placed: bool = True


TOKEN, MEAN, DINOV2 = Kind(), Kind(mean=True), Kind(scaled=True)
REG_TIMM = Kind(scaled=True, registers="reg_token", placed=False)
REG_OFFICIAL = Kind(scaled=True, registers="register_tokens")
KINDS = {"": TOKEN, "_mean": MEAN, "_dinov2": DINOV2, "_dinov2_reg4": REG_TIMM, "_dinov2_reg4_official": REG_OFFICIAL}
"""End of a name -> what it stands for."""


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        rows = self.qkv(x).reshape(batch, tokens, 3, width // HEAD_WIDTH, HEAD_WIDTH)
        query, key, value = rows.permute(2, 0, 3, 1, 4)
        out = functional.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(batch, tokens, width))
        return projected


class _Perceptron(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, RATIO * width), nn.Linear(RATIO * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return out


class _Block(nn.Module):
    def __init__(self, width: int, scaled: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=NORM_EPS) for _ in range(2))
        self.attn, self.mlp = _Attention(width), _Perceptron(width)
        self.ls1, self.ls2 = (_Scale(width) if scaled else nn.Identity() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        out: Tensor = x + self.ls2(self.mlp(self.norm2(x)))
        return out


class _Patches(nn.Module):
    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return out


class TimmTransformer(nn.Module):
    """(B, 3, P, P) -> (B, width); an embedding of another length comes from one more linear layer, which no file has."""

    def __init__(self, size: str, patch: int, kind: Kind, settings: Backbone, image_px: int) -> None:
        super().__init__()
        width, blocks = SIZES[size]
        if image_px < patch:
            raise FairLabError(
                f"a transformer with patches of {patch} px takes images of at least {patch} px, not {image_px}"
            )
        self.kind = kind
        count = (image_px // patch) ** 2 + kind.placed
        self.patch_embed = _Patches(width, patch)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * INIT_STD)
        self.pos_embed = nn.Parameter(torch.randn(1, count, width) * INIT_STD)
        if kind.registers:
            self.register_parameter(kind.registers, nn.Parameter(torch.randn(1, REGISTERS, width) * INIT_STD))
        if kind.scaled:
            self.register_buffer(
                "mask_token", torch.zeros(1, width)
            )  # stands in DINOv2's files; no patch is masked here
        self.blocks = nn.ModuleList(_Block(width, kind.scaled) for _ in range(blocks))
        name = "fc_norm" if kind.mean else "norm"
        self.add_module(name, nn.LayerNorm(width, eps=NORM_EPS))
        self.last_norm = [name]
        self.dropout = nn.Dropout(settings.dropout)
        same = settings.embedding_dim == width
        self.shorter = nn.Identity() if same else nn.Linear(width, settings.embedding_dim)

    def forward(self, images: Tensor) -> Tensor:
        x = self.patch_embed(images)
        token = self.cls_token.expand(len(x), -1, -1)
        x = torch.cat((token, x), 1) + self.pos_embed if self.kind.placed else torch.cat((token, x + self.pos_embed), 1)
        if self.kind.registers:
            registers = self.get_parameter(self.kind.registers).expand(len(x), -1, -1)
            x = torch.cat((x[:, :1], registers, x[:, 1:]), 1)
        for block in self.blocks:
            x = block(x)
        pooled = x[:, 1:].mean(1) if self.kind.mean else x[:, 0]
        embedding: Tensor = self.shorter(self.dropout(self.get_submodule(self.last_norm[0])(pooled)))
        return embedding


def _built(size: str, patch: int, kind: Kind = TOKEN) -> Callable[[Backbone, int], nn.Module]:
    def build(settings: Backbone, image_px: int) -> nn.Module:
        return TimmTransformer(size, patch, kind, settings, image_px)

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
# fmt: on
