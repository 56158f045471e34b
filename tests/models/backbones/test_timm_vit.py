"""Vision transformers under timm's and DINOv2's names, against their description written once more."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from fairlab.errors import FairLabError
from fairlab.models.backbones import timm_vit
from fairlab.models.backbones.timm_vit import Form, Kind, TimmTransformer
from fairlab.models.base import BACKBONES
from fairlab.models.files.importing import Imported, import_checkpoint
from fairlab.models.files.layouts import recognise
from fairlab.models.shapes import shapes_only
from fairlab.settings.study import Backbone
from tests.models.waves import images as wavy
from tests.models.waves import weights
from tests.models.written import Shapes, State

WIDTH, BLOCKS = 128, 3
"""In the tests of files: 2 heads of 64 channels, in place of ViT-S with its 6."""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(timm_vit.SIZES, "s", Form(WIDTH, BLOCKS, 2, 4 * WIDTH))


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
        FairLabError, match=r"timm's kind of width 128 with 5 blocks, patches of 16 px and 50 positions"
    ):
        loaded(state, tmp_path / "short.pth")


OF_TIMM: dict[str, tuple[Kind, int, list[list[float]]]] = {
    "class token": (timm_vit.TOKEN, 128, [[0.338237, 0.658243, -0.304238, 0.390279], [0.338411, 0.657649, -0.303923, 0.390329]]),
    "mean": (timm_vit.MEAN, 128, [[-0.640653, -0.296557, -0.501292, 0.87758], [-0.640105, -0.296562, -0.501543, 0.877267]]),
    "DINOv2": (timm_vit.DINOV2, 128, [[-0.04944, 1.198232, 0.101011, 1.378113], [-0.043796, 1.194736, 0.102321, 1.384162]]),
    "registers": (timm_vit.REG_TIMM, 128, [[0.299202, 1.143381, 0.015372, 1.350348], [0.306009, 1.14038, 0.014615, 1.356951]]),
    "SwiGLU": (timm_vit.DINOV2, 85, [[-1.081926, 0.68864, -0.352575, 1.082841], [-1.080016, 0.682871, -0.351836, 1.089178]]),
    "CLIP": (timm_vit.TOWER, 128, [[-2.723598, -3.40704, -2.605653, -0.609915], [-2.66176, -3.298967, -2.501607, -0.558286]]),
    "CLIP's GELU": (timm_vit.QUICK_TOWER, 128, [[-2.720888, -3.409979, -2.612874, -0.61806], [-2.659781, -3.302435, -2.50891, -0.566027]]),
}  # fmt: skip
"""What timm 1.0.31 itself computes: VisionTransformer(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2) with these
weights and images; first four numbers of two embeddings. The kinds are global_pool="avg", fc_norm=True; init_values=1e-5; with
reg_tokens=4, no_embed_class=True; with mlp_ratio=2.66667 * 2, mlp_layer=SwiGLUPacked, act_layer=SiLU; and num_classes=6,
pre_norm=True, norm_layer=LayerNorm(eps=1e-5) with GELU or act_layer=QuickGELU. timm is no dependency, so it was run once."""


def small(name: str, other: Kind | None = None) -> TimmTransformer:
    kind, inside, _ = OF_TIMM[name]
    form = Form(32, 2, 2, inside, gated=name == "SwiGLU")
    return TimmTransformer(form, 8, other or kind, Backbone(embedding_dim=6 if kind.clip else 32), 32).eval()


@pytest.mark.parametrize("name", OF_TIMM)
def test_the_numbers_of_timm_itself(name: str) -> None:
    network = small(name)
    state = network.state_dict()
    state.pop("mask_token", None)  # of DINOv2's own files
    network.load_state_dict(weights(state), strict=False)
    with torch.inference_mode():
        embeddings = network(wavy(2, 32))
    torch.testing.assert_close(embeddings[:, :4], torch.tensor(OF_TIMM[name][2]), rtol=1e-4, atol=5e-6)


def test_dinov2s_own_names_of_the_giants_layers() -> None:
    """w12 and w3 (facebookresearch/dinov2, SwiGLUFFN) are timm's fc1 and fc2, as timm itself renames them."""
    theirs, ours = small("SwiGLU"), small("SwiGLU", timm_vit.GIANT_OFFICIAL)
    state = theirs.state_dict()
    ours.load_state_dict(
        {key.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3"): value for key, value in state.items()}
    )
    with torch.inference_mode():
        assert torch.equal(ours(wavy(2, 32)), theirs(wavy(2, 32)))


TOWER = Form(64, 2, 1, 256)


def tower(path: Path, **changes: Tensor | None) -> Path:
    """A file of a small tower of CLIP, as timm names its weights."""
    network = TimmTransformer(TOWER, 32, timm_vit.TOWER, Backbone(embedding_dim=6), 224)
    state = weights(network.state_dict()) | changes
    torch.save({key: value for key, value in state.items() if value is not None}, path)
    return path


class TestTowersOfClip:
    @pytest.fixture(autouse=True)
    def _small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(timm_vit.SIZES, "b", TOWER)

    @pytest.mark.parametrize(
        ("publisher", "name"), [("clip", "timm_vit_b32_clip"), ("clip_quickgelu", "timm_vit_b32_clip_quickgelu")]
    )
    def test_the_publisher_decides_the_activation(self, publisher: str, name: str, tmp_path: Path) -> None:
        """The projection is part of the network; colours are scaled as openai/CLIP does (.48145466, .26862954 of 0..1)."""
        found = import_checkpoint(tower(tmp_path / "clip.pth"), publisher)
        assert (found.backbone.name, found.backbone.embedding_dim, found.image_px) == (name, 6, 224)
        assert found.head is None
        assert found.confirm == ("mean", "std")
        assert found.preprocessing.mean == pytest.approx([255 * value for value in (0.48145466, 0.4578275, 0.40821073)])
        assert found.preprocessing.std == pytest.approx([255 * value for value in (0.26862954, 0.26130258, 0.27577711)])
        assert found.network()(wavy(1, 224)).shape == (1, 6)

    def test_without_it_the_user_is_asked(self, tmp_path: Path) -> None:
        path = tower(tmp_path / "clip.pth")
        with pytest.raises(
            FairLabError, match=r"does not say which activation .* publisher=clip_quickgelu .* or publisher=clip"
        ):
            import_checkpoint(path)
        with pytest.raises(FairLabError, match="publisher=clip and clip_quickgelu are for image towers"):
            import_checkpoint(path, "insightface")

    def test_a_classifier_in_place_of_the_projection(self, tmp_path: Path) -> None:
        changes = {"head.weight": torch.ones(1000, 64), "head.bias": torch.ones(1000)}
        with pytest.raises(FairLabError, match="whose head has 1000 rows, as a classifier of ImageNet"):
            import_checkpoint(tower(tmp_path / "a.pth", **changes), "clip")
        with pytest.raises(FairLabError, match=r"without its projection \(head\.weight\)"):
            import_checkpoint(tower(tmp_path / "b.pth", **{"head.weight": None, "head.bias": None}), "clip")


@pytest.mark.parametrize(
    ("name", "heads", "inside", "last"),
    [("timm_vit_b16_clip", 12, 3072, 512), ("timm_vit_l14_clip", 16, 4096, 512), ("timm_vit_h14_clip", 16, 5120, 512),
     ("timm_vit_g14_dinov2", 24, 8192, 1536), ("timm_vit_g14_dinov2_official", 24, 8192, 1536)],
)  # fmt: skip
def test_the_published_forms(name: str, heads: int, inside: int, last: int) -> None:
    """Heads and widths of timm's vit_base_patch16_clip_224, vit_large_patch14_clip_224, vit_huge_patch14_clip_224 and
    vit_giant_patch14_dinov2; a file with these keys is recognised."""
    with shapes_only():
        network = BACKBONES[name](Backbone(name=name, embedding_dim=last), 224)
    assert {block.attn.heads for block in network.blocks} == {heads}
    state = network.state_dict()
    first = "w12" if name.endswith("official") else "fc1"
    assert state[f"blocks.0.mlp.{first}.weight"].shape[0] == inside
    found = recognise({key: tuple(tensor.shape) for key, tensor in state.items()}, "a.pth")
    assert found is not None
    assert (found.backbone.name, found.backbone.embedding_dim, found.image_px) == (name, last, 224)
