"""IR and IR-SE: sizes, names and behaviour of the published networks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.models.backbones.ir import IR, _Unit
from fairlab.models.base import BACKBONES
from fairlab.models.shapes import shapes_only
from fairlab.settings.study import Backbone


def on_paper(name: str, image_px: int = 112, **changes: float) -> nn.Module:
    """Built without memory: shapes only."""
    with shapes_only():
        return BACKBONES[name](Backbone(name=name, **changes), image_px)


def parameters(network: nn.Module) -> int:
    return sum(tensor.numel() for tensor in network.parameters())


@pytest.mark.parametrize(
    ("name", "keys", "millions"),
    [
        ("ir_18", 179, 24.020),
        ("ir_34", 323, 34.134),
        ("ir_50", 467, 43.586),
        ("ir_101", 917, 65.151),
        ("ir_se_50", 515, 43.808),
        ("ir_152", 1291, None),
        ("ir_200", 1691, None),
        ("ir_se_18", 179 + 2 * 8, None),
        ("ir_se_34", 323 + 2 * 16, None),
        ("ir_se_101", 917 + 2 * 49, None),
        ("ir_se_152", 1291 + 2 * 50, None),
        ("ir_se_200", 1691 + 2 * 66, None),
        ("evolve_ir_50", 467 - 24 * 5 + 2, None),
        ("evolve_ir_se_50", 515 - 24 * 5 + 2, None),
    ],
)
def test_keys_and_parameters_are_those_of_the_published_network(name: str, keys: int, millions: float | None) -> None:
    """At 112 px and 512 dims; SE adds two keys a unit, face.evoLVe lacks a norm a unit."""
    network = on_paper(name)
    assert len(network.state_dict()) == keys
    assert millions is None or round(parameters(network) / 1e6, 3) == millions


def test_names_are_those_of_the_published_checkpoints() -> None:
    """Every name of the first and third unit, of stem and end: the shortcut has weights where the depth changes."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    names = {"input_layer.0.weight", "input_layer.2.weight", "output_layer.3.weight", "output_layer.3.bias"}
    names |= {f"{layer}.{part}" for layer in ("input_layer.1", "output_layer.0") for part in norm}
    names |= {f"output_layer.4.{part}" for part in norm[2:]}
    for unit in ("body.0", "body.2"):
        names |= {f"{unit}.res_layer.{number}.{part}" for number in (0, 2, 5) for part in norm}
        names |= {f"{unit}.res_layer.{number}.weight" for number in (1, 3, 4)}
        names |= {f"{unit}.res_layer.se_block.{layer}.weight" for layer in ("fc1", "fc2")}
    names |= {"body.2.shortcut_layer.0.weight"} | {f"body.2.shortcut_layer.1.{part}" for part in norm}
    mine = {
        key
        for key in on_paper("ir_se_18").state_dict()
        if key.split(".")[0] != "body" or key[:7] in ("body.0.", "body.2.")
    }
    assert mine == names


def test_the_old_unit_of_face_evolve() -> None:
    """PReLU right after the first convolution, SE as the next layer by number, a last norm with weights."""
    keys = on_paper("evolve_ir_se_50").state_dict()
    assert keys["body.0.res_layer.2.weight"].shape == (64,)
    assert "body.0.res_layer.2.running_mean" not in keys
    assert keys["body.0.res_layer.5.fc1.weight"].shape == (4, 64, 1, 1)
    assert "output_layer.4.weight" in keys


@pytest.mark.parametrize(("name", "px", "columns"), [("ir_18", 224, 512 * 196), ("ir_152", 112, 2048 * 49)])
def test_the_last_layer_sees_every_position(name: str, px: int, columns: int) -> None:
    """A 16th of the image along each edge."""
    assert on_paper(name, px, embedding_dim=256).state_dict()["output_layer.3.weight"].shape == (256, columns)


@pytest.mark.parametrize("image_px", [0, 8, 50, 111])
def test_other_sizes_are_refused(image_px: int) -> None:
    """With what would be right."""
    with pytest.raises(FairLabError, match=f"multiple of 16, not {image_px} px"):
        on_paper("ir_18", image_px)


def test_it_embeds_a_face_of_112_pixels() -> None:
    """(B, 3, 112, 112) -> (B, D), with a gradient."""
    torch.manual_seed(0)
    network = IR(18, Backbone(embedding_dim=16), 112)
    embeddings = network(torch.rand(2, 3, 112, 112) * 2 - 1)
    assert embeddings.shape == (2, 16)
    embeddings.square().sum().backward()
    assert all(p.grad is not None and bool(torch.isfinite(p.grad).all()) for p in network.parameters())


def normed(values: Tensor, by: nn.Module) -> Tensor:
    assert isinstance(by, nn.BatchNorm2d)
    return functional.batch_norm(values, by.running_mean, by.running_var, by.weight, by.bias)


@pytest.mark.parametrize("index", [0, 2])
def test_a_unit_is_its_formula(index: int) -> None:
    """BN - conv - BN - PReLU - conv - BN - SE + shortcut, computed once more with functions."""
    torch.manual_seed(index)
    unit = IR(18, Backbone(embedding_dim=8), 16, se=True).eval().get_submodule(f"body.{index}")
    assert isinstance(unit, _Unit)
    for module in unit.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features)
            module.running_var = torch.rand(module.num_features) + 0.5
    bn1, bn2, bn3 = (unit.res_layer[number] for number in (0, 2, 5))
    w = {name: tensor.detach() for name, tensor in unit.named_parameters()}
    x = torch.randn(2, 64, 8, 8)
    out = functional.conv2d(normed(x, bn1), w["res_layer.1.weight"], padding=1)
    out = functional.prelu(normed(out, bn2), w["res_layer.3.weight"])
    out = normed(functional.conv2d(out, w["res_layer.4.weight"], stride=2, padding=1), bn3)
    gate = functional.relu(functional.conv2d(out.mean((2, 3), keepdim=True), w["res_layer.se_block.fc1.weight"]))
    out = out * torch.sigmoid(functional.conv2d(gate, w["res_layer.se_block.fc2.weight"]))
    if index == 0:  # the depth stays 64: every second position
        shortcut = x[:, :, ::2, ::2]
    else:
        layers = unit.shortcut_layer
        assert isinstance(layers, nn.Sequential)
        shortcut = normed(functional.conv2d(x, w["shortcut_layer.0.weight"], stride=2), layers[1])
    torch.testing.assert_close(unit(x), out + shortcut)


def test_dropout_is_as_set() -> None:
    """Published: 0.4, before the last layer."""
    network = IR(18, Backbone(embedding_dim=8, dropout=0.4), 16)
    assert [m.p for m in network.modules() if isinstance(m, nn.Dropout)] == [0.4]
