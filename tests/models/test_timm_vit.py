"""Vision transformers under timm's and DINOv2's names, against their description written once more."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fairlab.errors import FairLabError
from fairlab.models.importing import Imported, import_checkpoint
from tests.models.written import Shapes, State

WIDTH, BLOCKS = 384, 12
"""ViT-S: 6 heads of 64 channels."""


def keys(patch: int, side: int, end: str, blocks: int = BLOCKS) -> Shapes:
    """end: of the name under which FairLab knows it."""
    placed = side * side + (
        end != "dinov2_reg4"
    )  # timm gives DINOv2's class token no position where there are registers
    found: Shapes = {
        "cls_token": (1, 1, WIDTH),
        "pos_embed": (1, placed, WIDTH),
        "patch_embed.proj.weight": (WIDTH, 3, patch, patch),
        "patch_embed.proj.bias": (WIDTH,),
    }
    if "reg4" in end:
        found["register_tokens" if end.endswith("official") else "reg_token"] = (1, 4, WIDTH)
    for number in range(blocks):
        start = f"blocks.{number}."
        for name, outputs, inputs in (
            ("attn.qkv", 3 * WIDTH, WIDTH), ("attn.proj", WIDTH, WIDTH), ("mlp.fc1", 4 * WIDTH, WIDTH), ("mlp.fc2", WIDTH, 4 * WIDTH),
        ):  # fmt: skip
            found |= {f"{start}{name}.weight": (outputs, inputs), f"{start}{name}.bias": (outputs,)}
        for name in ("norm1", "norm2"):
            found |= {f"{start}{name}.weight": (WIDTH,), f"{start}{name}.bias": (WIDTH,)}
        if "dinov2" in end:
            found |= {f"{start}ls1.gamma": (WIDTH,), f"{start}ls2.gamma": (WIDTH,)}
    last = "fc_norm" if end == "mean" else "norm"
    return found | {f"{last}.weight": (WIDTH,), f"{last}.bias": (WIDTH,)}


def drawn(shapes: Shapes) -> State:
    dice = torch.Generator().manual_seed(2)
    return {
        key: torch.randn(shape, generator=dice) / math.sqrt(math.prod(shape[1:]))
        if key.endswith("weight") and len(shape) > 1
        else torch.randn(shape, generator=dice) * 0.3 + key.endswith(("weight", "gamma"))
        for key, shape in shapes.items()
    }


def by_hand(state: State, images: Tensor, end: str) -> Tensor:
    """Patches, class token and registers, blocks with 6 heads, and the class token or the mean of the patches at the end."""

    def norm(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()
        return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    kernel = state["patch_embed.proj.weight"]
    patch, side = kernel.shape[-1], images.shape[-1] // kernel.shape[-1]
    rows = [
        images[:, :, patch * i : patch * i + patch, patch * j : patch * j + patch].flatten(1) @ kernel.flatten(1).T
        for i in range(side)
        for j in range(side)
    ]
    x = torch.stack(rows, 1) + state["patch_embed.proj.bias"]
    places = state["pos_embed"][0]
    token = state["cls_token"][0]
    if len(places) > side * side:
        token, places = token + places[:1], places[1:]
    registers = state.get("reg_token", state.get("register_tokens", torch.zeros(1, 0, WIDTH)))[0]
    front = torch.cat((token, registers))
    x = torch.cat((front.expand(len(x), -1, -1), x + places), 1)
    for number in range(BLOCKS):
        start = f"blocks.{number}."
        query, key, value = linear(norm(x, f"{start}norm1"), f"{start}attn.qkv").chunk(3, -1)
        heads = []
        for q, k, v in zip(query.split(64, -1), key.split(64, -1), value.split(64, -1), strict=True):
            weights = (q @ k.transpose(1, 2) / 8).exp()
            heads.append(weights / weights.sum(-1, keepdim=True) @ v)
        x = x + state.get(f"{start}ls1.gamma", torch.ones(())) * linear(torch.cat(heads, -1), f"{start}attn.proj")
        inside = linear(norm(x, f"{start}norm2"), f"{start}mlp.fc1")
        inside = inside * (1 + torch.erf(inside / math.sqrt(2))) / 2
        x = x + state.get(f"{start}ls2.gamma", torch.ones(())) * linear(inside, f"{start}mlp.fc2")
    if end == "mean":
        return norm(x[:, len(front) :].mean(1), "fc_norm")
    return norm(x, "norm")[:, 0]


def loaded(state: State, path: Path) -> Imported:
    torch.save(state, path)
    return import_checkpoint(path)


@pytest.mark.parametrize(
    ("patch", "side", "end"),
    [(16, 7, ""), (32, 7, ""), (16, 7, "mean"), (14, 8, "dinov2"), (14, 8, "dinov2_reg4"), (14, 8, "dinov2_reg4_official")],
)  # fmt: skip
def test_the_embedding_is_what_timm_calls_pre_logits(patch: int, side: int, end: str, tmp_path: Path) -> None:
    state = drawn(keys(patch, side, end))
    extra = {"mask_token": torch.ones(1, WIDTH)} if end == "dinov2" else {}
    found = loaded({**state, **extra}, tmp_path / "vit.pth")
    name = f"timm_vit_s{patch}{'_' if end else ''}{end}"
    assert (found.backbone.name, found.backbone.embedding_dim, found.image_px) == (name, WIDTH, patch * side)
    assert found.confirm == ("mean", "std")
    assert any("heads of 64 channels" in note for note in found.notes)
    images = torch.rand(2, 3, patch * side, patch * side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        embeddings, expected = found.network()(images), by_hand(state, images, end)
    scale = float(expected.abs().max())
    assert float((embeddings - expected).abs().max()) < 1e-5 * scale
    assert float(expected.std(0).mean()) > 1e-3 * scale  # the two images differ


def test_preprocessing_is_imagenets_and_its_classes_are_no_people(tmp_path: Path) -> None:
    """timm.data: mean .485 .456 .406, std .229 .224 .225 of 0..1."""
    state = drawn(keys(16, 14, "")) | {"head.weight": torch.ones(1000, WIDTH), "head.bias": torch.ones(1000)}
    found = loaded(state, tmp_path / "deit.pth")
    assert found.image_px == 224
    assert found.preprocessing.mean == pytest.approx([255 * value for value in (0.485, 0.456, 0.406)])
    assert found.preprocessing.std == pytest.approx([255 * value for value in (0.229, 0.224, 0.225)])
    assert found.head is None
    assert any("left out the classifier head.bias, head.weight: of 1000 classes" in note for note in found.notes)


def test_other_transformers_are_said_as_such(tmp_path: Path) -> None:
    state = drawn(keys(16, 7, "", blocks=5))
    with pytest.raises(
        FairLabError, match=r"timm's kind of width 384 with 5 blocks, patches of 16 px and 50 positions"
    ):
        loaded(state, tmp_path / "short.pth")
