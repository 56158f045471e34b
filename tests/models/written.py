"""Published networks once more: their keys and their arithmetic, written from their description with functions alone.

Each is a list of keys with shapes, and a function from images and a state dict to embeddings. No module of FairLab is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

Shapes = dict[str, tuple[int, ...]]
State = dict[str, Tensor]
DIM, PX, SIDE = 6, 32, 2
"""Of the tests: short embeddings of small images, whose last map is 2 x 2."""


def norm_keys(name: str, width: int, affine: bool = True) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in (*(("weight", "bias") if affine else ()), "running_mean", "running_var"):
        yield f"{name}.{part}", (width,)
    yield f"{name}.num_batches_tracked", ()


def values(shapes: Shapes, seed: int = 0) -> State:
    """Random, of a size that keeps a deep network's numbers near 1."""
    torch.manual_seed(seed)
    state: State = {}
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
        elif len(shape) > 1:
            state[key] = torch.randn(shape) * (1.0 / torch.Size(shape[1:]).numel()) ** 0.5
        elif key.endswith("running_var"):
            state[key] = torch.rand(shape) * 0.5 + 0.2
        elif key.endswith(("running_mean", "bias")):
            state[key] = torch.randn(shape) * 0.1
        else:
            state[key] = torch.rand(shape) * 0.5 + 0.5
    return state


class Net:
    """The layers by name; eps is that of every norm."""

    def __init__(self, state: State, eps: float = 1e-5) -> None:
        self.state, self.eps = state, eps

    def norm(self, x: Tensor, name: str) -> Tensor:
        s = self.state
        mean, var = s[f"{name}.running_mean"], s[f"{name}.running_var"]
        return functional.batch_norm(x, mean, var, s.get(f"{name}.weight"), s.get(f"{name}.bias"), eps=self.eps)

    def conv(self, x: Tensor, name: str, stride: int = 1, groups: int = 1, padding: int | None = None) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return functional.conv2d(
            x, weight, None, stride, weight.shape[-1] // 2 if padding is None else padding, 1, groups
        )

    def prelu(self, x: Tensor, name: str) -> Tensor:
        return functional.prelu(x, self.state[f"{name}.weight"])

    def linear(self, x: Tensor, name: str) -> Tensor:
        return functional.linear(x.flatten(1), self.state[f"{name}.weight"], self.state.get(f"{name}.bias"))


# iResNet: BN - conv - BN - PReLU - conv(stride) - BN, plus the input; every first block of a stage halves.


def iresnet_keys(blocks: tuple[int, ...] = (2, 2, 2, 2)) -> Shapes:
    keys: Shapes = {"conv1.weight": (64, 3, 3, 3), **dict(norm_keys("bn1", 64)), "prelu.weight": (64,)}
    before = 64
    for stage, (count, width) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True), 1):
        for number in range(count):
            inputs, p = (before if number == 0 else width), f"layer{stage}.{number}"
            keys |= dict(norm_keys(f"{p}.bn1", inputs)) | {f"{p}.conv1.weight": (width, inputs, 3, 3)}
            keys |= dict(norm_keys(f"{p}.bn2", width)) | {f"{p}.prelu.weight": (width,)}
            keys |= {f"{p}.conv2.weight": (width, width, 3, 3)} | dict(norm_keys(f"{p}.bn3", width))
            if number == 0:
                keys |= {f"{p}.downsample.0.weight": (width, inputs, 1, 1)} | dict(
                    norm_keys(f"{p}.downsample.1", width)
                )
        before = width
    keys |= dict(norm_keys("bn2", 512)) | {"fc.weight": (DIM, 512 * SIDE * SIDE), "fc.bias": (DIM,)}
    return keys | dict(norm_keys("features", DIM))


def iresnet(images: Tensor, state: State, eps: float = 1e-5) -> Tensor:
    net = Net(state, eps)
    x = net.prelu(net.norm(net.conv(images, "conv1"), "bn1"), "prelu")
    for stage in range(1, 5):
        number = 0
        while f"layer{stage}.{number}.conv1.weight" in state:
            p, stride = f"layer{stage}.{number}", 2 if number == 0 else 1
            out = net.prelu(net.norm(net.conv(net.norm(x, f"{p}.bn1"), f"{p}.conv1"), f"{p}.bn2"), f"{p}.prelu")
            out = net.norm(net.conv(out, f"{p}.conv2", stride), f"{p}.bn3")
            x = out + (net.norm(net.conv(x, f"{p}.downsample.0", 2), f"{p}.downsample.1") if number == 0 else x)
            number += 1
    return net.norm(net.linear(net.norm(x, "bn2"), "fc"), "features")


# face.evoLVe's units: BN - conv - PReLU - conv(stride) - BN (- SE), plus the input, subsampled or through a convolution.


def evolve_body(units: tuple[int, ...], se: bool) -> Shapes:
    keys: Shapes = {
        "input_layer.0.weight": (64, 3, 3, 3),
        **dict(norm_keys("input_layer.1", 64)),
        "input_layer.2.weight": (64,),
    }
    before, index = 64, 0
    for count, width in zip(units, (64, 128, 256, 512), strict=True):
        for number in range(count):
            inputs, p = (before if number == 0 else width), f"body.{index}"
            if inputs != width:
                keys |= {f"{p}.shortcut_layer.0.weight": (width, inputs, 1, 1)}
                keys |= dict(norm_keys(f"{p}.shortcut_layer.1", width))
            keys |= dict(norm_keys(f"{p}.res_layer.0", inputs)) | {f"{p}.res_layer.1.weight": (width, inputs, 3, 3)}
            keys |= {f"{p}.res_layer.2.weight": (width,), f"{p}.res_layer.3.weight": (width, width, 3, 3)}
            keys |= dict(norm_keys(f"{p}.res_layer.4", width))
            if se:
                keys |= {f"{p}.res_layer.5.fc1.weight": (width // 16, width, 1, 1)}
                keys |= {f"{p}.res_layer.5.fc2.weight": (width, width // 16, 1, 1)}
            index += 1
        before = width
    return keys


def ir_keys(units: tuple[int, ...], se: bool = False, affine: bool = True) -> Shapes:
    end = {"output_layer.3.weight": (DIM, 512 * SIDE * SIDE), "output_layer.3.bias": (DIM,)}
    return (
        evolve_body(units, se)
        | dict(norm_keys("output_layer.0", 512))
        | end
        | dict(norm_keys("output_layer.4", DIM, affine))
    )


def cavaface_keys(units: tuple[int, ...], se: bool = False) -> Shapes:
    end = {"fc.weight": (DIM, 512 * SIDE * SIDE), "fc.bias": (DIM,)}
    return evolve_body(units, se) | dict(norm_keys("bn2", 512)) | end | dict(norm_keys("features", DIM))


def evolve(images: Tensor, state: State, units: tuple[int, ...], end: tuple[str, str, str]) -> Tensor:
    """end: names of the last three layers that hold numbers: norm, linear, norm."""
    net = Net(state)
    x = net.prelu(net.norm(net.conv(images, "input_layer.0"), "input_layer.1"), "input_layer.2")
    halving = {sum(units[:stage]) for stage in range(4)}
    for index in range(sum(units)):
        p, stride = f"body.{index}", 2 if index in halving else 1
        out = net.prelu(net.conv(net.norm(x, f"{p}.res_layer.0"), f"{p}.res_layer.1"), f"{p}.res_layer.2")
        out = net.norm(net.conv(out, f"{p}.res_layer.3", stride), f"{p}.res_layer.4")
        if f"{p}.res_layer.5.fc1.weight" in state:
            gate = functional.relu(net.conv(functional.adaptive_avg_pool2d(out, 1), f"{p}.res_layer.5.fc1"))
            out = out * torch.sigmoid(net.conv(gate, f"{p}.res_layer.5.fc2"))
        if f"{p}.shortcut_layer.0.weight" in state:
            x = net.norm(net.conv(x, f"{p}.shortcut_layer.0", stride), f"{p}.shortcut_layer.1")
        else:
            x = x[:, :, ::stride, ::stride]
        x = out + x
    return net.norm(net.linear(net.norm(x, end[0]), end[1]), end[2])


# MobileFaceNet: 3x3 / 2, 3x3 per channel, then bottlenecks (1x1, 3x3 per channel, 1x1), 1x1, one window over the rest, linear.

STAGES = (("conv_3", 4), ("conv_4", 6), ("conv_5", 2))


def mobile_keys(end: str, affine: bool) -> Shapes:
    """end: what stands before the last layers."""

    def layer(name: str, outputs: int, inputs: int, kernel: int, active: bool = True) -> None:
        keys[f"{name}.conv.weight"] = (outputs, inputs, kernel, kernel)
        keys.update(norm_keys(f"{name}.bn", outputs))
        if active:
            keys[f"{name}.prelu.weight"] = (outputs,)

    def bottleneck(name: str, inputs: int, outputs: int, inside: int) -> None:
        layer(f"{name}.conv", inside, inputs, 1)
        layer(f"{name}.conv_dw", inside, 1, 3)
        layer(f"{name}.project", outputs, inside, 1, active=False)

    keys: Shapes = {}
    layer("conv1", 64, 3, 3)
    layer("conv2_dw", 64, 1, 3)
    for halving, inputs, width, inside, (stage, count), within in (
        ("conv_23", 64, 64, 128, STAGES[0], 128), ("conv_34", 64, 128, 256, STAGES[1], 256), ("conv_45", 128, 128, 512, STAGES[2], 256),
    ):  # fmt: skip
        bottleneck(halving, inputs, width, inside)
        for number in range(count):
            bottleneck(f"{stage}.model.{number}", width, width, within)
    layer("conv_6_sep", 512, 128, 1)
    layer(f"{end}conv_6_dw", 512, 1, SIDE, active=False)
    return keys | {f"{end}linear.weight": (DIM, 512)} | dict(norm_keys(f"{end}bn", DIM, affine))


def mobile(images: Tensor, state: State, end: str) -> Tensor:
    net = Net(state)

    def layer(x: Tensor, name: str, stride: int = 1, active: bool = True, groups: int = 1) -> Tensor:
        out = net.norm(net.conv(x, f"{name}.conv", stride, groups), f"{name}.bn")
        return net.prelu(out, f"{name}.prelu") if active else out

    def bottleneck(x: Tensor, name: str, stride: int) -> Tensor:
        wide = layer(x, f"{name}.conv")
        return layer(layer(wide, f"{name}.conv_dw", stride, groups=wide.shape[1]), f"{name}.project", active=False)

    x = layer(layer(images, "conv1", 2), "conv2_dw", groups=64)
    for halving, (stage, count) in zip(("conv_23", "conv_34", "conv_45"), STAGES, strict=True):
        x = bottleneck(x, halving, 2)
        for number in range(count):
            x = x + bottleneck(x, f"{stage}.model.{number}", 1)
    x = layer(x, "conv_6_sep")
    x = net.norm(net.conv(x, f"{end}conv_6_dw.conv", groups=512, padding=0), f"{end}conv_6_dw.bn")
    return net.norm(net.linear(x, f"{end}linear"), f"{end}bn")


# insightface's form of it, `layers` by number; large: twice as many bottlenecks, four times 64 channels, and in place of the
# second convolution a stage of two bottlenecks.

LARGE_STAGES = ((1, 2, 128), (3, 8, 128), (5, 12, 256), (7, 4, 256))
LARGE_HALVINGS = ((2, 256, 256, 128), (4, 256, 512, 256), (6, 512, 512, 512))
LARGE_WIDTHS = {1: 256, 3: 256, 5: 512, 7: 512}


def large_keys() -> Shapes:
    def layer(name: str, outputs: int, inputs: int, kernel: int, active: bool = True) -> None:
        keys[f"{name}.layers.0.weight"] = (outputs, inputs, kernel, kernel)
        keys.update(norm_keys(f"{name}.layers.1", outputs))
        if active:
            keys[f"{name}.layers.2.weight"] = (outputs,)

    def bottleneck(name: str, inputs: int, outputs: int, inside: int) -> None:
        layer(f"{name}.layers.0", inside, inputs, 1)
        layer(f"{name}.layers.1", inside, 1, 3)
        layer(f"{name}.layers.2", outputs, inside, 1, active=False)

    keys: Shapes = {}
    layer("layers.0", 256, 3, 3)
    for place, count, inside in LARGE_STAGES:
        for number in range(count):
            bottleneck(f"layers.{place}.layers.{number}", LARGE_WIDTHS[place], LARGE_WIDTHS[place], inside)
    for place, inputs, outputs, inside in LARGE_HALVINGS:
        bottleneck(f"layers.{place}", inputs, outputs, inside)
    layer("conv_sep", 512, 512, 1)
    layer("features.layers.0", 512, 1, SIDE, active=False)
    return keys | {"features.layers.2.weight": (DIM, 512)} | dict(norm_keys("features.layers.3", DIM))


def large(images: Tensor, state: State) -> Tensor:
    net = Net(state)

    def layer(x: Tensor, name: str, stride: int = 1, active: bool = True, groups: int = 1) -> Tensor:
        out = net.norm(net.conv(x, f"{name}.layers.0", stride, groups), f"{name}.layers.1")
        return net.prelu(out, f"{name}.layers.2") if active else out

    def bottleneck(x: Tensor, name: str, stride: int) -> Tensor:
        wide = layer(x, f"{name}.layers.0")
        return layer(layer(wide, f"{name}.layers.1", stride, groups=wide.shape[1]), f"{name}.layers.2", active=False)

    x = layer(images, "layers.0", 2)
    for place in range(1, 8):
        if place % 2 == 0:
            x = bottleneck(x, f"layers.{place}", 2)
        else:
            for number in range({p: c for p, c, _ in LARGE_STAGES}[place]):
                x = x + bottleneck(x, f"layers.{place}.layers.{number}", 1)
    x = layer(x, "conv_sep")
    x = net.norm(net.conv(x, "features.layers.0.layers.0", groups=512, padding=0), "features.layers.0.layers.1")
    return net.norm(net.linear(x, "features.layers.2"), "features.layers.3")


OLD_50 = (3, 4, 14, 3)
END, FLAT_END = ("output_layer.0", "output_layer.3", "output_layer.4"), ("bn2", "fc", "features")
Forward = Callable[[Tensor, State], Tensor]
PUBLISHED: dict[str, tuple[Shapes, Forward]] = {
    "iresnet18": (iresnet_keys(), iresnet),
    "evolve_ir_50": (ir_keys(OLD_50), lambda x, s: evolve(x, s, OLD_50, END)),
    "curricular_ir_50": (ir_keys(OLD_50, affine=False), lambda x, s: evolve(x, s, OLD_50, END)),
    "cavaface_ir_se_50": (cavaface_keys(OLD_50, se=True), lambda x, s: evolve(x, s, OLD_50, FLAT_END)),
    "mobilefacenet": (mobile_keys("output_layer.", affine=False), lambda x, s: mobile(x, s, "output_layer.")),
    "mobilefacenet_affine": (mobile_keys("output_layer.", affine=True), lambda x, s: mobile(x, s, "output_layer.")),
    "mobilefacenet_flat": (mobile_keys("", affine=True), lambda x, s: mobile(x, s, "")),
    "mbf_large": (large_keys(), large),
}
