"""The two published MobileFaceNets."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from fairlab.errors import FairLabError
from fairlab.models.base import BACKBONES
from fairlab.settings.study import Backbone

NAMES = ("mobilefacenet", "mbf")


def build(name: str, image_px: int = 112, **changes: float) -> nn.Module:
    torch.manual_seed(0)
    return BACKBONES[name](Backbone(name=name, **changes), image_px)


@pytest.mark.parametrize(("name", "keys", "millions"), [("mbf", 333, 2.060), ("mobilefacenet", 331, 1.199)])
def test_keys_and_parameters_are_those_of_the_published_network(name: str, keys: int, millions: float) -> None:
    """At 112 px and 512 dims (the paper's table 1 at 128 dims has 0.99 M)."""
    network = build(name)
    assert len(network.state_dict()) == keys
    assert round(sum(tensor.numel() for tensor in network.parameters()) / 1e6, 3) == millions


def test_the_paper_counts_a_million() -> None:
    """0.99 M at 128 dims, as arXiv 1804.07573 says (its 1x1 convolution instead of the linear layer has as many)."""
    network = build("mobilefacenet", embedding_dim=128)
    assert 0.98e6 < sum(tensor.numel() for tensor in network.parameters()) < 1.01e6


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        (
            "mobilefacenet",
            {
                "conv1.conv.weight": (64, 3, 3, 3),
                "conv1.bn.running_var": (64,),
                "conv1.prelu.weight": (64,),
                "conv2_dw.conv.weight": (64, 1, 3, 3),
                "conv_23.conv_dw.conv.weight": (128, 1, 3, 3),
                "conv_3.model.3.project.bn.bias": (64,),
                "conv_34.project.conv.weight": (128, 256, 1, 1),
                "conv_4.model.5.conv.prelu.weight": (256,),
                "conv_45.conv.conv.weight": (512, 128, 1, 1),
                "conv_5.model.1.conv_dw.bn.num_batches_tracked": (),
                "conv_6_sep.conv.weight": (512, 128, 1, 1),
                "output_layer.conv_6_dw.conv.weight": (512, 1, 7, 7),
                "output_layer.linear.weight": (512, 512),
                "output_layer.bn.running_mean": (512,),
            },
        ),
        (
            "mbf",
            {
                "layers.0.layers.0.weight": (128, 3, 3, 3),
                "layers.0.layers.1.running_mean": (128,),
                "layers.0.layers.2.weight": (128,),
                "layers.1.layers.0.weight": (128, 2, 3, 3),
                "layers.2.layers.1.layers.0.weight": (128, 1, 3, 3),
                "layers.3.layers.3.layers.2.layers.1.bias": (128,),
                "layers.4.layers.2.layers.0.weight": (256, 256, 1, 1),
                "layers.5.layers.5.layers.0.layers.2.weight": (256,),
                "layers.6.layers.0.layers.0.weight": (512, 256, 1, 1),
                "conv_sep.layers.0.weight": (512, 256, 1, 1),
                "features.layers.0.layers.0.weight": (512, 1, 7, 7),
                "features.layers.2.weight": (512, 512),
                "features.layers.3.weight": (512,),
            },
        ),
    ],
)
def test_names_and_shapes_are_those_of_the_published_checkpoints(name: str, keys: dict[str, tuple[int, ...]]) -> None:
    """One of every kind; with the count of all keys there is no room for others."""
    state = build(name).state_dict()
    assert {key: tuple(state[key].shape) for key in keys} == keys
    assert ("output_layer.bn.weight" in state) is False  # AdaDistill's last norm has none


@pytest.mark.parametrize("name", NAMES)
def test_it_embeds_and_learns_at_112_pixels(name: str) -> None:
    """(B, 3, 112, 112) -> (B, D); every weight gets a gradient."""
    network = build(name, embedding_dim=32)
    embeddings = network(torch.rand(2, 3, 112, 112) * 2 - 1)
    assert embeddings.shape == (2, 32)
    embeddings.square().sum().backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in network.parameters())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("image_px", [0, 40, 113])
def test_other_sizes_are_refused(name: str, image_px: int) -> None:
    """With what would be right."""
    with pytest.raises(FairLabError, match=f"multiple of 16, not {image_px} px"):
        build(name, image_px)


@pytest.mark.parametrize("name", NAMES)
def test_bottlenecks_add_their_input_unless_they_halve_the_image(name: str) -> None:
    """With the last norm of a bottleneck at 0, stride 1 gives the input back and stride 2 gives 0."""
    network = build(name, 32).eval()
    same, halving = ("conv_3.model.0", "conv_23") if name == "mobilefacenet" else ("layers.3.layers.0", "layers.2")
    last = "project.bn" if name == "mobilefacenet" else "layers.2.layers.1"
    for where in (same, halving):
        norm = network.get_submodule(f"{where}.{last}")
        assert isinstance(norm, nn.BatchNorm2d)
        nn.init.zeros_(norm.weight)
    x = torch.randn(2, 64 if name == "mobilefacenet" else 128, 8, 8)
    assert torch.equal(network.get_submodule(same)(x), x)
    assert torch.equal(network.get_submodule(halving)(x), torch.zeros(2, x.shape[1], 4, 4))


@pytest.mark.parametrize("name", NAMES)
def test_dropout_is_as_set(name: str) -> None:
    """Before the linear layer."""
    assert [m.p for m in build(name, 16, dropout=0.3).modules() if isinstance(m, nn.Dropout)] == [0.3]
