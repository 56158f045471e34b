"""Transformers from files: the keys of the published code, and what its description computes from them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fairlab.errors import FairLabError
from fairlab.models.base import BACKBONES
from fairlab.models.files.importing import import_checkpoint
from fairlab.models.shapes import shapes_only
from fairlab.settings.study import Backbone

PX, PATCH, HEADS = 112, 9, 8
PATCHES = 144  # 12 x 12: 112 px hold 12 patches of 9 px


Other = tuple[int, int, int, int]
ARCFACE: Other = (PATCH, PATCHES, HEADS, 4)
CVLFACE: Other = (8, 196, 8, 5)
"""Patch in pixels, patches, heads, width inside the perceptrons; CVLface's small one: 14 x 14 patches of 8 px."""


def shapes(
    width: int, blocks: int, weighing: bool, other: Other = ARCFACE, dims: int = 512
) -> dict[str, tuple[int, ...]]:
    """Keys and shapes as arcface_torch's vit.py and TransFace's name them."""
    patch, patches, _, ratio = other
    found: dict[str, tuple[int, ...]] = {
        "pos_embed": (1, patches, width),
        "mask_token": (1, 1, width),
        "patch_embed.proj.weight": (width, 3, patch, patch),
        "patch_embed.proj.bias": (width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
        "feature.0.weight": (width, width * patches),
        "feature.2.weight": (dims, width),
    }
    for number in range(blocks):
        start = f"blocks.{number}."
        for norm in ("norm1", "norm2"):
            found |= {f"{start}{norm}.weight": (width,), f"{start}{norm}.bias": (width,)}
        found |= {
            f"{start}attn.qkv.weight": (3 * width, width),
            f"{start}attn.proj.weight": (width, width),
            f"{start}attn.proj.bias": (width,),
            f"{start}mlp.fc1.weight": (ratio * width, width),
            f"{start}mlp.fc1.bias": (ratio * width,),
            f"{start}mlp.fc2.weight": (width, ratio * width),
            f"{start}mlp.fc2.bias": (width,),
        }
    for place, size in ((1, width), (3, dims)):
        found |= {f"feature.{place}.{name}": (size,) for name in ("weight", "bias", "running_mean", "running_var")}
    if weighing:
        found |= {"senet.0.weight": (patches, width * patches), "senet.2.weight": (patches, patches)}
    return found


def drawn(width: int, blocks: int, weighing: bool = False, other: Other = ARCFACE) -> dict[str, Tensor]:
    dice = torch.Generator().manual_seed(3)
    state = {}
    for key, shape in shapes(width, blocks, weighing, other).items():
        fan = math.prod(shape[1:]) or 1
        values = torch.randn(shape, generator=dice) / math.sqrt(fan)
        if key.endswith("running_var"):
            values = values.abs() + 0.5
        elif "norm" in key and key.endswith("weight"):
            values = 1 + 0.1 * values
        state[key] = values
    return state | {f"feature.{place}.num_batches_tracked": torch.tensor(7) for place in (1, 3)}


def by_hand(state: dict[str, Tensor], images: Tensor, blocks: int, other: Other = ARCFACE) -> Tensor:
    """From the description, step by step; eps 1e-5 in layer norm, 2e-5 in batch norm."""
    patch, patches, head_count, _ = other
    side = math.isqrt(patches)

    def layer_norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return (
            centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * state[f"{name}.weight"]
            + state[f"{name}.bias"]
        )

    def batch_norm(x: Tensor, name: str) -> Tensor:
        scale = state[f"{name}.weight"] / (state[f"{name}.running_var"] + 2e-5).sqrt()
        return (x - state[f"{name}.running_mean"]) * scale + state[f"{name}.bias"]

    kernel = state["patch_embed.proj.weight"].flatten(1)
    rows = [
        images[:, :, patch * i : patch * i + patch, patch * j : patch * j + patch].flatten(1) @ kernel.T
        for i in range(side)
        for j in range(side)
    ]
    x = torch.stack(rows, dim=1) + state["patch_embed.proj.bias"] + state["pos_embed"]
    width = x.shape[-1]
    head = width // head_count
    for number in range(blocks):
        start = f"blocks.{number}."
        normed = layer_norm(x, f"{start}norm1")
        query, key, value = (normed @ part.T for part in state[f"{start}attn.qkv.weight"].split(width))
        heads = []
        for at in range(head_count):
            q, k, v = (side[..., at * head : (at + 1) * head] for side in (query, key, value))
            weights = (q @ k.transpose(1, 2) / math.sqrt(head)).exp()
            heads.append(weights / weights.sum(-1, keepdim=True) @ v)
        x = x + torch.cat(heads, -1) @ state[f"{start}attn.proj.weight"].T + state[f"{start}attn.proj.bias"]
        inside = layer_norm(x, f"{start}norm2") @ state[f"{start}mlp.fc1.weight"].T + state[f"{start}mlp.fc1.bias"]
        x = x + inside.clamp(0, 6) @ state[f"{start}mlp.fc2.weight"].T + state[f"{start}mlp.fc2.bias"]
    x = layer_norm(x, "norm")
    if "senet.0.weight" in state:
        gate = (x.flatten(1) @ state["senet.0.weight"].T).clamp_min(0) @ state["senet.2.weight"].T
        x = x / (1 + (-gate).exp())[..., None]
    x = batch_norm(x.flatten(1) @ state["feature.0.weight"].T, "feature.1")
    return batch_norm(x @ state["feature.2.weight"].T, "feature.3")


@pytest.mark.parametrize(
    ("name", "width", "blocks"), [("vit_t", 256, 12), ("transface_s", 512, 12), ("cvlface_vit_s", 512, 12)]
)
def test_a_published_file_is_the_network_that_its_code_describes(
    name: str, width: int, blocks: int, tmp_path: Path
) -> None:
    """Saved as several processes save it, with `module.` before each key."""
    other = CVLFACE if name.startswith("cvlface") else ARCFACE
    state = drawn(width, blocks, name.startswith("transface"), other)
    if name.startswith("cvlface"):
        del state["mask_token"]  # as it is without masks in training
    torch.save({f"module.{key}": value for key, value in state.items()}, tmp_path / "model.pt")
    found = import_checkpoint(tmp_path / "model.pt")
    assert (found.backbone.name, found.backbone.embedding_dim, found.image_px) == (name, 512, PX)
    network = found.network().eval()
    images = torch.rand(2, 3, PX, PX, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        embeddings, expected = network(images), by_hand(state, images, blocks, other)
    scale = float(expected.abs().max())
    assert float((embeddings - expected).abs().max()) < 1e-5 * scale
    assert float(expected.std(0).mean()) > 1e-3 * scale  # the two faces differ


def test_another_transformer_is_said_as_such(tmp_path: Path) -> None:
    torch.save(drawn(256, 5), tmp_path / "model.pt")
    with pytest.raises(
        FairLabError, match=r"a transformer of width 256 with 5 blocks.*known are t: 256 x 12, s: 512 x 12"
    ):
        import_checkpoint(tmp_path / "model.pt")


def test_cvlfaces_base_has_sixteen_heads() -> None:
    """Its shapes would allow 8; the code says 16 for the 24 blocks."""
    with shapes_only():
        network = BACKBONES["cvlface_vit_b"](Backbone(name="cvlface_vit_b"), PX)
    assert {block.attn.heads for block in network.blocks} == {16}


def test_images_skip_blocks_in_training_alone() -> None:
    """Stochastic depth: the mean over many draws is the evaluation's, since what stays is scaled up."""
    torch.manual_seed(0)
    block = BACKBONES["vit_t"](Backbone(name="vit_t", embedding_dim=8), 18).blocks[-1]
    assert block.skipped == pytest.approx(0.05)
    term = torch.ones(20_000, 1, 1)
    kept = block.train()._kept(term)
    assert kept.mean().item() == pytest.approx(1, abs=0.01)  # 4 standard errors of 20,000 draws are .0065
    assert kept.unique().tolist() == [0.0, pytest.approx(1 / 0.95)]
    assert torch.equal(block.eval()._kept(term), term)
