"""EdgeFace (George et al., arXiv 2307.01838): EdgeNeXt (Maaz et al., arXiv 2206.10589) with linear layers of low rank.

Four stages of convolutional blocks; the last block of the second, third and fourth attends from channel to channel, so its
cost grows with the number of positions and not with their square. Names of modules are those of the released files (timm's).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.models.base import BACKBONES
from fairlab.settings.study import Backbone

KERNELS, SCALES, EXPANSION = (3, 5, 7, 9), (2, 2, 3, 4), 4
"""Of the four stages: edge of the depthwise windows, parts into which an attending block splits its channels."""
ATTENDING, PLACED = (1, 2, 3), 1
"""Stages whose last block attends; the one where positions are told to it."""
LAYER_SCALE, NORM_EPS, INIT_STD = 1e-6, 1e-6, 0.02
FREQUENCIES, TEMPERATURE = 32, 10_000
"""Of the sines and cosines that tell a position, for each axis."""
LEAST_PX = 32
"""Divided by 4, 2, 2 and 2."""
SOURCE = "EdgeFace, arXiv 2307.01838; EdgeNeXt, arXiv 2206.10589"


@dataclass(frozen=True)
class Form:
    """gamma: rank of a linear layer as a share of its smaller side; 0: full matrices."""

    depths: tuple[int, int, int, int]
    widths: tuple[int, int, int, int]
    heads: int
    gamma: float


FORMS = {
    "xxs": Form((2, 2, 6, 2), (24, 48, 88, 168), 4, 0.0),
    "xs": Form((3, 3, 9, 3), (32, 64, 100, 192), 4, 0.6),
    "s": Form((3, 3, 9, 3), (48, 96, 160, 304), 8, 0.5),
    "base": Form((3, 3, 9, 3), (80, 160, 288, 584), 8, 0.0),
}


class LowRank(nn.Module):
    """x -> B (A x) + b, A of `rank` rows."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.linear1, self.linear2 = nn.Linear(inputs, rank, bias=False), nn.Linear(rank, outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear2(self.linear1(x))
        return out


def _linear(inputs: int, outputs: int, gamma: float) -> nn.Module:
    if gamma:
        return LowRank(inputs, outputs, max(2, int(min(inputs, outputs) * gamma)))
    layer = nn.Linear(inputs, outputs)
    nn.init.trunc_normal_(layer.weight, std=INIT_STD)
    nn.init.zeros_(layer.bias)
    return layer


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Windows that stand apart are not padded, sliding ones are."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, 0 if stride > 1 else kernel // 2, groups=groups)
    nn.init.trunc_normal_(layer.weight, std=INIT_STD)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


class _Norm(nn.LayerNorm):
    """Layer norm over the channels of a map (B, C, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class _Perceptron(nn.Module):
    def __init__(self, width: int, gamma: float) -> None:
        super().__init__()
        self.fc1, self.fc2 = _linear(width, EXPANSION * width, gamma), _linear(EXPANSION * width, width, gamma)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return out


class _Convolving(nn.Module):
    """Each channel's window, then a perceptron over the channels of each position; the input is added."""

    def __init__(self, width: int, kernel: int, gamma: float) -> None:
        super().__init__()
        self.conv_dw = _convolution(width, width, kernel, groups=width)
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.mlp = _Perceptron(width, gamma)
        self.gamma = nn.Parameter(torch.full((width,), LAYER_SCALE))

    def forward(self, x: Tensor) -> Tensor:
        inside: Tensor = self.gamma * self.mlp(self.norm(self.conv_dw(x).movedim(1, -1)))
        return x + inside.movedim(-1, 1)


class _ChannelAttention(nn.Module):
    """(B, N, W) -> (B, N, W): in each head softmax(temperature * cos(q_i, k_j)) v, i and j being channels."""

    def __init__(self, width: int, heads: int, gamma: float) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv, self.proj = _linear(width, 3 * width, gamma), _linear(width, width, gamma)

    def forward(self, x: Tensor) -> Tensor:
        batch, positions, width = x.shape
        rows = self.qkv(x).reshape(batch, positions, 3, self.heads, width // self.heads)
        query, key, value = rows.permute(2, 0, 3, 4, 1)  # each (B, heads, channels of a head, N)
        likeness = functional.normalize(query, dim=-1) @ functional.normalize(key, dim=-1).transpose(-2, -1)
        out = (likeness * self.temperature).softmax(-1) @ value
        projected: Tensor = self.proj(out.permute(0, 3, 1, 2).reshape(batch, positions, width))
        return projected


class _Positions(nn.Module):
    """Sines and cosines of the row and of the column, from 0 to 2 pi over the map, through a 1 x 1 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token_projection = _convolution(2 * FREQUENCIES, width, 1)

    def forward(self, height: int, width: int) -> Tensor:
        weight = self.token_projection.weight
        rows, columns = self._waves(height, weight), self._waves(width, weight)
        both = torch.cat((rows[:, None, :].expand(-1, width, -1), columns[None, :, :].expand(height, -1, -1)), dim=-1)
        out: Tensor = self.token_projection(both.permute(2, 0, 1)[None])
        return out

    @staticmethod
    def _waves(count: int, like: Tensor) -> Tensor:
        """(count, FREQUENCIES): sine and cosine by turns, both of the same frequency."""
        steps = torch.arange(1, count + 1, device=like.device, dtype=like.dtype) * (2 * math.pi / (count + 1e-6))
        powers = torch.arange(0, FREQUENCIES, 2, device=like.device, dtype=like.dtype) / FREQUENCIES
        angles = steps[:, None] / TEMPERATURE**powers
        return torch.stack((angles.sin(), angles.cos()), dim=-1).flatten(1)


class _Attending(nn.Module):
    """Parts of the channels convolved one after another, each with the one before added; then attention between
    channels and a perceptron. The input is added."""

    def __init__(self, width: int, stage: int, form: Form) -> None:
        super().__init__()
        self.parts = SCALES[stage]
        part = math.ceil(width / self.parts)
        self.convs = nn.ModuleList(_convolution(part, part, 3, groups=part) for _ in range(self.parts - 1))
        self.pos_embd = _Positions(width) if stage == PLACED else None
        self.norm_xca, self.norm = (nn.LayerNorm(width, eps=NORM_EPS) for _ in range(2))
        self.gamma_xca, self.gamma = (nn.Parameter(torch.full((width,), LAYER_SCALE)) for _ in range(2))
        self.xca = _ChannelAttention(width, form.heads, form.gamma)
        self.mlp = _Perceptron(width, form.gamma)

    def forward(self, images: Tensor) -> Tensor:
        parts = images.chunk(self.parts, dim=1)
        done = [self.convs[0](parts[0])]
        for part, convolve in zip(parts[1:-1], list(self.convs)[1:], strict=True):
            done.append(convolve(done[-1] + part))
        x = torch.cat([*done, parts[-1]], dim=1)
        height, width = x.shape[-2:]
        if self.pos_embd is not None:
            x = x + self.pos_embd(height, width)
        x = x.flatten(2).transpose(1, 2)
        x = x + self.gamma_xca * self.xca(self.norm_xca(x))
        x = self.gamma * self.mlp(self.norm(x))
        return images + x.transpose(1, 2).unflatten(2, (height, width))


class _Stage(nn.Module):
    def __init__(self, inputs: int, stage: int, form: Form) -> None:
        super().__init__()
        width, depth = form.widths[stage], form.depths[stage]
        self.downsample = nn.Sequential(_Norm(inputs), _convolution(inputs, width, 2, 2)) if stage else nn.Identity()
        convolving = depth - (stage in ATTENDING)
        blocks: list[nn.Module] = [_Convolving(width, KERNELS[stage], form.gamma) for _ in range(convolving)]
        if stage in ATTENDING:
            blocks.append(_Attending(width, stage, form))
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.blocks(self.downsample(x))
        return out


class _Head(nn.Module):
    """Mean over the positions, norm, linear layer."""

    def __init__(self, width: int, settings: Backbone, gamma: float) -> None:
        super().__init__()
        self.norm = _Norm(width)
        self.drop = nn.Dropout(settings.dropout)
        self.fc = _linear(width, settings.embedding_dim, gamma)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.drop(self.norm(x.mean((2, 3), keepdim=True)).flatten(1)))
        return out


class EdgeFace(nn.Module):
    """(B, 3, P, P) -> (B, D)."""

    def __init__(self, form: Form, settings: Backbone, image_px: int) -> None:
        super().__init__()
        if image_px < LEAST_PX:
            raise FairLabError(
                f"EdgeFace takes images of at least {LEAST_PX} px, not {image_px}: it halves them five times"
            )
        first = form.widths[0]
        self.stem = nn.Sequential(_convolution(3, first, 4, 4), _Norm(first))
        self.stages = nn.Sequential(
            *(_Stage(before, at, form) for at, (before, _) in enumerate(pairwise((first, *form.widths))))
        )
        self.head = _Head(form.widths[-1], settings, form.gamma)

    def forward(self, images: Tensor) -> Tensor:
        embedding: Tensor = self.head(self.stages(self.stem(images)))
        return embedding


def _built(size: str) -> Callable[[Backbone, int], nn.Module]:
    def build(settings: Backbone, image_px: int) -> nn.Module:
        return EdgeFace(FORMS[size], settings, image_px)

    return build


BACKBONES.register("edgeface_xxs", parameters=1_244_744, title="EdgeFace-XXS", source=SOURCE)(_built("xxs"))
BACKBONES.register("edgeface_xs", parameters=1_770_492, title="EdgeFace-XS, rank .6", source=SOURCE)(_built("xs"))
BACKBONES.register("edgeface_s", parameters=3_652_520, title="EdgeFace-S, rank .5", source=SOURCE)(_built("s"))
BACKBONES.register("edgeface_base", parameters=18_225_812, title="EdgeFace-Base", source=SOURCE)(_built("base"))
