"""What vision transformers share (Dosovitskiy et al., arXiv 2010.11929): patches, attention, perceptrons.

Names of modules are those of the published checkpoints, which are the same in timm, insightface and CVLface.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.errors import FairLabError

Activation = Callable[[Tensor], Tensor]


class Patches(nn.Module):
    """(B, 3, P, P) -> (B, N, W), row by row."""

    def __init__(self, width: int, patch: int, bias: bool = True) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.proj(images).flatten(2).transpose(1, 2)
        return out


class Attention(nn.Module):
    """(B, N, W) -> (B, N, W): softmax(q k^T / sqrt(W / heads) + bias) v for each head."""

    def __init__(self, width: int, heads: int, qkv_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width, bias=qkv_bias), nn.Linear(width, width)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """bias (B, heads, N, N): added for the query of a row and the key of a column."""
        batch, tokens, width = x.shape
        rows = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = rows.permute(2, 0, 3, 1, 4)
        out = functional.scaled_dot_product_attention(query, key, value, bias)
        projected: Tensor = self.proj(out.transpose(1, 2).reshape(batch, tokens, width))
        return projected


class Perceptron(nn.Module):
    """Two linear layers, under these names; gated: the first makes twice `inside`, whose halves are multiplied after the
    activation of one (SwiGLU, arXiv 2002.05202)."""

    def __init__(
        self,
        width: int,
        inside: int,
        activation: Activation,
        gated: bool = False,
        names: tuple[str, str] = ("fc1", "fc2"),
    ) -> None:
        super().__init__()
        self.names, self.activation, self.gated = names, activation, gated
        self.add_module(names[0], nn.Linear(width, inside * (1 + gated)))
        self.add_module(names[1], nn.Linear(inside, width))

    def forward(self, x: Tensor) -> Tensor:
        first_layer, last_layer = map(self.get_submodule, self.names)
        x = first_layer(x)
        if self.gated:
            first, second = x.chunk(2, dim=-1)
            x = self.activation(first) * second
        else:
            x = self.activation(x)
        out: Tensor = last_layer(x)
        return out


def quick_gelu(x: Tensor) -> Tensor:
    """x sigmoid(1.702 x), of OpenAI's CLIP (Radford et al., arXiv 2103.00020)."""
    return x * torch.sigmoid(1.702 * x)


def check_size(image_px: int, patch: int) -> None:
    """Raise FairLabError for images that hold no patch."""
    if image_px < patch:
        raise FairLabError(
            f"a transformer with patches of {patch} px takes images of at least {patch} px, not {image_px}"
        )
