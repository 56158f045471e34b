"""Vision transformers for faces (Dosovitskiy et al., arXiv 2010.11929) as arcface_torch of insightface trains them, and
TransFace's (Dan et al., ICCV 2023, arXiv 2308.10133), which weighs the patches before the embedding.

LVFace's (arXiv 2501.13420) are the same networks. Patches of 9 px, no class token, ReLU6 in the perceptrons, queries, keys and values without bias; all patches side by side
go through two linear layers with batch norm. Names of modules are those of the published checkpoints.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.config import Backbone
from fairlab.errors import FairLabError
from fairlab.models.base import BACKBONES

PATCH, HEADS, NORM_EPS = 9, 8, 2e-5
FORMS = {"t": (256, 12), "s": (512, 12), "b": (512, 24), "l": (768, 24)}
"""Size -> (width, blocks); all with 8 heads."""
DROP_PATH = 0.05
"""The last block's share of images that skip it while training, as in the published runs called dp005."""
SOURCE = "ViT of arcface_torch (insightface), arXiv 2010.11929"
TRANSFACE_SOURCE = "TransFace, arXiv 2308.10133"


class _Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, W) -> (B, N, W): softmax(q k^T / sqrt(W / heads)) v for each head."""
        batch, patches, width = x.shape
        query, key, value = self.qkv(x).reshape(batch, patches, 3, HEADS, width // HEADS).permute(2, 0, 3, 1, 4)
        out = functional.scaled_dot_product_attention(query, key, value)
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(batch, patches, width))
        return projected


class _Perceptron(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.relu6(self.fc1(x)))
        return out


class _Block(nn.Module):
    """x + attention(norm(x)), then x + perceptron(norm(x)); while training some images skip a term (stochastic depth)."""

    def __init__(self, width: int, skipped: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn, self.mlp = _Attention(width), _Perceptron(width)
        self.skipped = skipped

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._kept(self.attn(self.norm1(x)))
        return x + self._kept(self.mlp(self.norm2(x)))

    def _kept(self, term: Tensor) -> Tensor:
        if not self.training or self.skipped == 0:
            return term
        stays = torch.rand(len(term), 1, 1, device=term.device) >= self.skipped
        return term * stays / (1 - self.skipped)


class _Patches(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return out


class FaceTransformer(nn.Module):
    """(B, 3, P, P) -> (B, D). weighing: TransFace's weight of every patch, (sigmoid of two linear layers over all)."""

    def __init__(self, form: tuple[int, int], settings: Backbone, image_px: int, weighing: bool = False) -> None:
        super().__init__()
        width, blocks = form
        if image_px < PATCH:
            raise FairLabError(
                f"a transformer with patches of {PATCH} px takes images of at least {PATCH} px, not {image_px}"
            )
        count = (image_px // PATCH) ** 2
        self.patch_embed = _Patches(width)
        self.pos_embed = nn.Parameter(torch.zeros(1, count, width))
        self.register_buffer("mask_token", torch.zeros(1, 1, width))  # stands in the files; no patch is masked here
        self.blocks = nn.ModuleList(_Block(width, DROP_PATH * at / max(blocks - 1, 1)) for at in range(blocks))
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
