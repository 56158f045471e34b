"""iResNet: sizes, names and behaviour of the published networks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.models.backbones.iresnet import LAYERS, IResNet, _Block
from fairlab.models.base import BACKBONES
from fairlab.models.shapes import shapes_only
from fairlab.settings.study import Backbone


def on_paper(depth: int, image_px: int = 112, **changes: float) -> nn.Module:
    """Built without memory: shapes only."""
    with shapes_only():
        return BACKBONES[f"iresnet{depth}"](Backbone(name=f"iresnet{depth}", **changes), image_px)


def parameters(network: nn.Module) -> int:
    return sum(tensor.numel() for tensor in network.parameters())


@pytest.mark.parametrize(("depth", "millions"), [(18, 24.03), (34, 34.14), (50, 43.59), (100, 65.16), (200, 118.83)])
def test_has_as_many_parameters_as_the_published_network(depth: int, millions: float) -> None:
    """At 112 px and 512 dims."""
    assert round(parameters(on_paper(depth)) / 1e6, 2) == millions


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("iresnet18", 187),
        ("iresnet34", 331),
        ("iresnet50", 475),
        ("iresnet100", 925),
        ("iresnet200", 1807),
        ("iresnet18_se", 187 + 2 * 8),
        ("iresnet34_se", 331 + 2 * 16),
        ("iresnet50_se", 475 + 2 * 24),
        ("iresnet100_se", 925 + 2 * 49),
    ],
)
def test_has_as_many_keys_as_the_published_network(name: str, keys: int) -> None:
    """As published; SE adds two a block."""
    with shapes_only():
        assert len(BACKBONES[name](Backbone(name=name), 112).state_dict()) == keys


def test_squeeze_and_excitation_is_its_formula() -> None:
    """x * sigmoid(W2 relu(W1 mean(x))), after the last norm and before the shortcut; 64 channels meet in 4."""
    torch.manual_seed(0)
    plain = IResNet((1, 1, 1, 1), Backbone(embedding_dim=8), 16).eval()
    network = IResNet((1, 1, 1, 1), Backbone(embedding_dim=8), 16, se=True).eval()
    network.load_state_dict(plain.state_dict(), strict=False)
    with_se, without, x = network.get_submodule("layer1.0"), plain.get_submodule("layer1.0"), torch.randn(2, 64, 8, 8)
    assert isinstance(without, _Block)
    assert without.downsample is not None
    w1, w2 = (with_se.get_parameter(f"se_block.fc{number}.weight").detach().flatten(1) for number in (1, 2))
    assert (w1.shape, w2.shape) == ((4, 64), (64, 4))
    residual = without(x) - without.downsample(x)
    gate = torch.sigmoid(torch.relu(residual.mean((2, 3)) @ w1.t()) @ w2.t())
    torch.testing.assert_close(with_se(x), residual * gate[:, :, None, None] + without.downsample(x))


def test_parameters_are_those_counted_by_hand() -> None:
    """The sum of its layers for iResNet-18, exactly."""
    total = 3 * 64 * 9 + 2 * 64 + 64
    inputs = 64
    for width in (64, 128, 256, 512):
        first = 2 * inputs + 9 * inputs * width + 2 * width + width + 9 * width * width + 2 * width
        total += first + inputs * width + 2 * width
        total += 2 * width + 9 * width * width + 2 * width + width + 9 * width * width + 2 * width
        inputs = width
    total += 2 * 512 + (512 * 49 * 512 + 512) + 2 * 512
    assert parameters(on_paper(18)) == total


def test_names_are_those_of_the_published_checkpoints() -> None:
    """So that their weights load; every name of a network of [1, 1, 1, 1] blocks, spelt out."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = {"conv1.weight", "prelu.weight", "fc.weight", "fc.bias"}
    names |= {f"{layer}.{part}" for layer in ("bn1", "bn2", "features") for part in norm}
    for block in (f"layer{number}.0" for number in range(1, 5)):
        names |= {f"{block}.{layer}.weight" for layer in ("conv1", "prelu", "conv2", "downsample.0")}
        names |= {f"{block}.{layer}.{part}" for layer in ("bn1", "bn2", "bn3", "downsample.1") for part in norm}
    with shapes_only():
        assert set(IResNet((1, 1, 1, 1), Backbone(), 112).state_dict()) == names


@pytest.mark.parametrize("depth", LAYERS)
def test_number_of_blocks(depth: int) -> None:
    """Stages of each depth as published; depth = 2 convolutions a block, stem and last layer."""
    network = on_paper(depth)
    blocks = tuple(len(getattr(network, f"layer{number}")) for number in range(1, 5))
    assert blocks == LAYERS[depth]
    assert 2 * sum(blocks) + 2 == (198 if depth == 200 else depth)  # published under the rounder number


@pytest.mark.parametrize("image_px", [16, 48])
def test_any_multiple_of_16_is_an_image(image_px: int) -> None:
    """Embeddings (B, D) of the asked length."""
    network = BACKBONES["iresnet18"](Backbone(name="iresnet18", embedding_dim=12), image_px).eval()
    assert network(torch.zeros(2, 3, image_px, image_px)).shape == (2, 12)


@pytest.mark.parametrize("image_px", [0, 8, 50, 111])
def test_other_sizes_are_refused(image_px: int) -> None:
    """With what would be right."""
    with pytest.raises(FairLabError, match=f"multiple of 16, not {image_px} px"):
        on_paper(18, image_px)


def test_convolutions_start_as_published() -> None:
    """N(0, 0.1^2), and the last norm's weight stays 1."""
    torch.manual_seed(0)
    network = BACKBONES["iresnet18"](Backbone(name="iresnet18", embedding_dim=8), 16)
    assert isinstance(network, IResNet)
    spreads = [float(m.weight.detach().std()) for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert spreads == pytest.approx([0.1] * len(spreads), rel=0.1)
    assert not network.features.weight.requires_grad
    assert bool((network.features.weight == 1).all())


def test_dropout_is_as_set() -> None:
    """It acts in training only."""
    network = BACKBONES["iresnet18"](Backbone(name="iresnet18", embedding_dim=8, dropout=0.4), 16)
    assert isinstance(network, IResNet)
    assert network.dropout.p == 0.4
    images = torch.randn(2, 3, 16, 16)
    network.eval()
    assert torch.equal(network(images), network(images))


def test_a_block_is_its_formula() -> None:
    """BN - conv - BN - PReLU - conv - BN + shortcut, computed once more with functions."""
    torch.manual_seed(0)
    network = IResNet((1, 1, 1, 1), Backbone(embedding_dim=8), 16).eval()
    block, x = network.get_submodule("layer2.0"), torch.randn(2, 64, 8, 8)
    assert isinstance(block, _Block)
    assert block.downsample is not None
    shortcut, shortcut_norm = block.downsample[0], block.downsample[1]
    assert isinstance(shortcut, nn.Conv2d)
    assert isinstance(shortcut_norm, nn.BatchNorm2d)
    for norm in (block.bn1, block.bn2, block.bn3, shortcut_norm):
        norm.running_mean = torch.randn(norm.num_features)
        norm.running_var = torch.rand(norm.num_features) + 0.5

    def normed(values: Tensor, by: nn.BatchNorm2d) -> Tensor:
        return functional.batch_norm(values, by.running_mean, by.running_var, by.weight, by.bias)

    out = functional.conv2d(normed(x, block.bn1), block.conv1.weight, padding=1)
    out = functional.prelu(normed(out, block.bn2), block.prelu.weight)
    out = normed(functional.conv2d(out, block.conv2.weight, stride=2, padding=1), block.bn3)
    out = out + normed(functional.conv2d(x, shortcut.weight, stride=2), shortcut_norm)
    torch.testing.assert_close(block(x), out)
