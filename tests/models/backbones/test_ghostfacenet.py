"""GhostFaceNets: as large as published, and their blocks by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.models.backbones.ghostfacenet import _Bottleneck
from fairlab.models.base import BACKBONES
from fairlab.models.flops import forward_flops
from fairlab.models.shapes import shapes_only
from fairlab.settings.study import Backbone


def meta(name: str) -> nn.Module:
    with shapes_only():
        return BACKBONES[name](Backbone(name=name), 112).eval()


def counted(network: nn.Module) -> tuple[int, int]:
    """Numbers that learn, and statistics of norms, which Keras counts among the parameters."""
    statistics = [tensor for label, tensor in network.named_buffers() if "running" in label]
    return sum(p.numel() for p in network.parameters()), sum(tensor.numel() for tensor in statistics)


def test_v2_has_the_parameters_that_its_authors_print() -> None:
    """github.com/HamadYA/GhostFaceNets, Flops.ipynb, of GhostFaceNetV2-1.3-1 with PReLU: 6,880,288 in all, of them 6,795,720
    that learn."""
    assert counted(meta("ghostfacenet_v2")) == (6_795_720, 84_568)


def test_v1_has_the_parameters_that_its_authors_print() -> None:
    """The same, MegaFace/gen_megaface.ipynb, of GhostFaceNet_W1.3_S1: 4,078,224 in all, of them 4,049,672 that learn; that file
    has ReLU in place of PReLU."""
    network = meta("ghostfacenet_v1")
    slopes = sum(module.weight.numel() for module in network.modules() if isinstance(module, nn.PReLU))
    learnt, statistics = counted(network)
    assert (learnt - slopes, statistics) == (4_049_672, 28_552)


@pytest.mark.parametrize(
    ("name", "mflop"), [("ghostfacenet_v2", 272.105), ("ghostfacenet_v1", 215.7), ("ghostfacenet_v1_s2", 60.3)]
)
def test_its_arithmetic_is_as_published(name: str, mflop: float) -> None:
    """Flops.ipynb (V2) and plot_parameters.py (V1: 215.7 and 60.3) there. A multiply-add counts once; norms, which are not
    counted here, are 2 % of it."""
    flops = forward_flops(meta(name), torch.empty(1, 3, 112, 112, device="meta")) / 2e6
    assert 0.975 * mflop < flops < mflop


def normed(x: Tensor, norm: nn.Module) -> Tensor:
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight / (norm.running_var + 1e-5).sqrt()
    return (x - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]


def windowed(x: Tensor, layer: nn.Module, stride: int = 1) -> Tensor:
    """Each channel with its window, padded so that the map keeps its size."""
    assert isinstance(layer, nn.Conv2d)
    height, width = layer.weight.shape[2:]
    maps = [
        functional.conv2d(
            x[:, at : at + 1], layer.weight[at : at + 1], padding=(height // 2, width // 2), stride=stride
        )
        for at in range(x.shape[1])
    ]
    return torch.cat(maps, 1)


def mixed(x: Tensor, layer: nn.Module) -> Tensor:
    assert isinstance(layer, nn.Conv2d)
    return torch.einsum("oi,bihw->bohw", layer.weight[:, :, 0, 0], x)


def ghost(x: Tensor, module: nn.Module, active: bool) -> Tensor:
    """GhostNet, section 3.1: intrinsic maps, then one cheap map of each."""

    def bent(x: Tensor, part: nn.Sequential) -> Tensor:
        return torch.where(x > 0, x, x * part[2].weight[:, None, None]) if active else x

    first = bent(normed(mixed(x, module.primary[0]), module.primary[1]), module.primary)
    return torch.cat((first, bent(normed(windowed(first, module.cheap[0]), module.cheap[1]), module.cheap)), 1)


def test_a_block_of_v2_by_hand() -> None:
    """GhostNetV2, figure 5: the widened maps are weighed by attention over the halved input, then halved, excited, narrowed."""
    torch.manual_seed(4)
    block = _Bottleneck(8, 16, 12, window=5, stride=2, excites=True, attends=True).eval()
    for module in block.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias.data, module.running_mean):
                nn.init.normal_(tensor, std=0.3)
    x = torch.randn(2, 8, 6, 6)
    first, halving, excitation, second = block.body
    attention = first.attention
    halved = torch.stack([x[:, :, i : i + 2, j : j + 2].mean((2, 3)) for i in (0, 2, 4) for j in (0, 2, 4)], -1)
    weights = normed(mixed(halved.reshape(2, 8, 3, 3), attention.mix[0]), attention.mix[1])
    for layer in attention.along:
        weights = normed(windowed(weights, layer[0]), layer[1])
    weights = 1 / (1 + (-weights).exp())
    between = (
        torch.tensor([[4, 0, 0], [3, 1, 0], [1, 3, 0], [0, 3, 1], [0, 1, 3], [0, 0, 4]]) / 4
    )  # centres of 6 among 3
    out = ghost(x, first, active=True) * (between @ weights @ between.T)
    out = normed(windowed(out, halving[0], 2), halving[1])
    inside = mixed(out.mean((2, 3), keepdim=True), excitation.fc1) + excitation.fc1.bias[:, None, None]
    inside = torch.where(inside > 0, inside, inside * 0.25)
    gate = mixed(inside, excitation.fc2) + excitation.fc2.bias[:, None, None]
    out = ghost(out * ((gate + 3) / 6).clamp(0, 1), second, active=False)
    window, norm, narrow, last = block.shortcut
    expected = out + normed(mixed(normed(windowed(x, window, 2), norm), narrow), last)
    with torch.inference_mode():
        torch.testing.assert_close(block(x), expected, rtol=1e-5, atol=1e-5)


def test_faces_of_any_size() -> None:
    """Odd maps are halved without their last row; a single place is not halved."""
    for px in (16, 50, 112):
        network = BACKBONES["ghostfacenet_v2_s2"](Backbone(name="ghostfacenet_v2_s2", embedding_dim=8), px).eval()
        assert network(torch.zeros(1, 3, px, px)).shape == (1, 8)
