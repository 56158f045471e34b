"""EdgeFace: as large as published, and what its description computes from the keys of the released files."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.models.base import BACKBONES
from fairlab.models.files.importing import import_checkpoint
from fairlab.models.flops import forward_flops
from fairlab.models.shapes import shapes_only
from fairlab.settings.study import Backbone
from tests.models.written import Shapes, State

KERNELS, PARTS = (3, 5, 7, 9), (2, 2, 3, 4)
SIZES: dict[str, tuple[tuple[int, ...], tuple[int, ...], int, float]] = {
    "xxs": ((2, 2, 6, 2), (24, 48, 88, 168), 4, 0),
    "xs": ((3, 3, 9, 3), (32, 64, 100, 192), 4, 0.6),
    "s": ((3, 3, 9, 3), (48, 96, 160, 304), 8, 0.5),
    "base": ((3, 3, 9, 3), (80, 160, 288, 584), 8, 0),
}
"""Blocks and channels of the stages (EdgeNeXt's x-small, small ... in timm), heads, and the rank's share."""


@pytest.mark.parametrize(
    ("size", "millions", "mflop"), [("base", 18.23, 1398.83), ("s", 3.65, 306.12), ("xs", 1.77, 154.00), ("xxs", 1.24, 94.72)]
)  # fmt: skip
def test_is_as_large_as_published(size: str, millions: float, mflop: float) -> None:
    """The table of its README; the arithmetic of norms and attention, which is not counted here, is 1.5 % of it."""
    with shapes_only():
        network = BACKBONES[f"edgeface_{size}"](Backbone(name="edgeface"), 112).eval()
        counted = forward_flops(network, torch.empty(1, 3, 112, 112)) / 1e6
    assert round(sum(tensor.numel() for tensor in network.parameters()) / 1e6, 2) == millions
    assert 0.98 * mflop < counted < mflop


def keys(size: str, dims: int = 512) -> Shapes:
    """As the released .pt files have them, without the `model.` in front."""
    depths, widths, heads, share = SIZES[size]
    found: Shapes = {"stem.0.weight": (widths[0], 3, 4, 4), "stem.0.bias": (widths[0],)}

    def norm(name: str, width: int) -> None:
        found[f"{name}.weight"] = found[f"{name}.bias"] = (width,)

    def linear(name: str, outputs: int, inputs: int) -> None:
        if share:
            rank = max(2, int(min(inputs, outputs) * share))
            found.update({f"{name}.linear1.weight": (rank, inputs), f"{name}.linear2.weight": (outputs, rank)})
            found[f"{name}.linear2.bias"] = (outputs,)
        else:
            found.update({f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)})

    norm("stem.1", widths[0])
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        start = f"stages.{stage}."
        if stage:
            norm(f"{start}downsample.0", widths[stage - 1])
            found[f"{start}downsample.1.weight"] = (width, widths[stage - 1], 2, 2)
            found[f"{start}downsample.1.bias"] = (width,)
        for number in range(depth):
            block = f"{start}blocks.{number}."
            if stage and number == depth - 1:
                part = math.ceil(width / PARTS[stage])
                for at in range(PARTS[stage] - 1):
                    found |= {f"{block}convs.{at}.weight": (part, 1, 3, 3), f"{block}convs.{at}.bias": (part,)}
                if stage == 1:
                    found[f"{block}pos_embd.token_projection.weight"] = (width, 64, 1, 1)
                    found[f"{block}pos_embd.token_projection.bias"] = (width,)
                norm(f"{block}norm_xca", width)
                found |= {f"{block}gamma_xca": (width,), f"{block}xca.temperature": (heads, 1, 1)}
                linear(f"{block}xca.qkv", 3 * width, width)
                linear(f"{block}xca.proj", width, width)
            else:
                window = KERNELS[stage]
                found |= {f"{block}conv_dw.weight": (width, 1, window, window), f"{block}conv_dw.bias": (width,)}
            norm(f"{block}norm", width)
            linear(f"{block}mlp.fc1", 4 * width, width)
            linear(f"{block}mlp.fc2", width, 4 * width)
            found[f"{block}gamma"] = (width,)
    norm("head.norm", widths[-1])
    linear("head.fc", dims, widths[-1])
    return found


def drawn(size: str, dims: int = 512) -> State:
    dice = torch.Generator().manual_seed(5)
    state = {}
    for key, shape in keys(size, dims).items():
        values = torch.randn(shape, generator=dice)
        matrix = len(shape) > 1 and "temperature" not in key
        state[key] = values / math.sqrt(math.prod(shape[1:])) if matrix else 0.3 * values + (not key.endswith("bias"))
    return state


def by_hand(state: State, images: Tensor, size: str) -> Tensor:
    """From the papers, position by position where a module of ours would do it at once."""
    depths, _, heads, _ = SIZES[size]

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        scaled = centred / (centred.square().mean(1, keepdim=True) + 1e-6).sqrt()
        return scaled * wide(state[f"{name}.weight"], x) + wide(state[f"{name}.bias"], x)

    def wide(values: Tensor, x: Tensor) -> Tensor:
        return values.reshape(1, -1, *([1] * (x.dim() - 2)))

    def linear(x: Tensor, name: str) -> Tensor:
        if f"{name}.weight" in state:
            matrix, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        else:
            matrix = state[f"{name}.linear2.weight"] @ state[f"{name}.linear1.weight"]
            bias = state[f"{name}.linear2.bias"]
        return torch.einsum("oi,bi...->bo...", matrix, x) + wide(bias, x)

    def perceptron(x: Tensor, name: str) -> Tensor:
        inside = linear(x, f"{name}.fc1")
        return linear(inside * (1 + torch.erf(inside / math.sqrt(2))) / 2, f"{name}.fc2")

    def windows(x: Tensor, name: str) -> Tensor:
        kernel = state[f"{name}.weight"]
        return functional.conv2d(x, kernel, state[f"{name}.bias"], padding=kernel.shape[-1] // 2, groups=len(kernel))

    def positions(height: int, width: int, name: str) -> Tensor:
        told = torch.zeros(64, height, width, dtype=torch.float64)
        for row in range(height):
            for column in range(width):
                for place in range(32):
                    wave = math.sin if place % 2 == 0 else math.cos
                    slow = 10_000 ** (2 * (place // 2) / 32)
                    told[place, row, column] = wave(2 * math.pi * (row + 1) / (height + 1e-6) / slow)
                    told[32 + place, row, column] = wave(2 * math.pi * (column + 1) / (width + 1e-6) / slow)
        weight = state[f"{name}.weight"][:, :, 0, 0].double()
        return (torch.einsum("oi,ihw->ohw", weight, told) + state[f"{name}.bias"].double()[:, None, None]).float()

    def attention(x: Tensor, name: str) -> Tensor:
        flat = linear(x, f"{name}.qkv").flatten(2)
        query, key, value = flat.chunk(3, dim=1)
        heads_out = []
        for at, (q, k, v) in enumerate(zip(*(side.chunk(heads, dim=1) for side in (query, key, value)), strict=True)):
            q, k = q / q.norm(dim=2, keepdim=True), k / k.norm(dim=2, keepdim=True)
            weights = (q @ k.transpose(1, 2) * state[f"{name}.temperature"][at]).exp()
            heads_out.append(weights / weights.sum(-1, keepdim=True) @ v)
        return linear(torch.cat(heads_out, 1).reshape(x.shape), f"{name}.proj")

    x = norm(functional.conv2d(images, state["stem.0.weight"], state["stem.0.bias"], stride=4), "stem.1")
    for stage, depth in enumerate(depths):
        start = f"stages.{stage}."
        if stage:
            kernel, bias = state[f"{start}downsample.1.weight"], state[f"{start}downsample.1.bias"]
            x = functional.conv2d(norm(x, f"{start}downsample.0"), kernel, bias, stride=2)
        for number in range(depth):
            block = f"{start}blocks.{number}."
            inside = x
            if f"{block}conv_dw.weight" in state:
                inside = windows(x, f"{block}conv_dw")
            else:
                parts = list(x.split(math.ceil(x.shape[1] / PARTS[stage]), dim=1))
                for at in range(PARTS[stage] - 1):
                    parts[at] = windows(parts[at] + (parts[at - 1] if at else 0), f"{block}convs.{at}")
                inside = torch.cat(parts, 1)
                if stage == 1:
                    inside = inside + positions(*inside.shape[2:], f"{block}pos_embd.token_projection")
                attended = attention(norm(inside, f"{block}norm_xca"), f"{block}xca")
                inside = inside + wide(state[f"{block}gamma_xca"], x) * attended
            x = x + wide(state[f"{block}gamma"], x) * perceptron(norm(inside, f"{block}norm"), f"{block}mlp")
    return linear(norm(x.mean((2, 3)), "head.norm"), "head.fc")


@pytest.mark.parametrize("size", ["xxs", "xs"])
def test_a_released_file_is_the_network_that_its_papers_describe(size: str, tmp_path: Path) -> None:
    """`model.` before every key, as its wrapper of timm's network saves them; embedded as its README does."""
    state = drawn(size)
    torch.save({f"model.{key}": value for key, value in state.items()}, tmp_path / "edgeface.pt")
    found = import_checkpoint(tmp_path / "edgeface.pt")
    assert (found.backbone.name, found.backbone.embedding_dim, found.image_px) == (f"edgeface_{size}", 512, 112)
    assert found.head is None
    record = found.preprocessing
    assert (record.channels, record.mean, record.flip) == ("RGB", (127.5,) * 3, "none")
    images = torch.rand(2, 3, 112, 112, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        embeddings, expected = found.network()(images), by_hand(state, images, size)
    scale = float(expected.abs().max())
    assert float((embeddings - expected).abs().max()) < 1e-5 * scale
    assert float(expected.std(0).mean()) > 1e-3 * scale  # the two faces differ


def test_a_network_of_imagenet_is_no_face_network(tmp_path: Path) -> None:
    """timm's EdgeNeXt with its 1,000 classes has the same keys."""
    torch.save(drawn("xxs", 1000), tmp_path / "edgenext.pt")
    with pytest.raises(FairLabError, match="last layer has 1000 rows, as a classifier of ImageNet"):
        import_checkpoint(tmp_path / "edgenext.pt")


def test_other_sizes_are_said_as_such(tmp_path: Path) -> None:
    """EdgeNeXt's x-small without EdgeFace's layers of low rank, and faces that are too small."""
    state = {key: value for key, value in drawn("xs").items() if ".linear" not in key} | {
        "head.fc.weight": torch.ones(5, 192)
    }
    torch.save(state, tmp_path / "edgenext.pt")
    with pytest.raises(FairLabError, match=r"an EdgeNeXt of \[32, 64, 100, 192\] channels; known are EdgeFace's xxs"):
        import_checkpoint(tmp_path / "edgenext.pt")
    with pytest.raises(FairLabError, match="at least 32 px, not 16"):
        BACKBONES["edgeface_xs"](Backbone(name="edgeface_xs"), 16)
