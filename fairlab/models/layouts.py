"""Which published network a state dict is: family, depth, embedding length and image size from its keys and shapes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isqrt

from fairlab.config import Backbone
from fairlab.errors import FairLabError
from fairlab.models import ir, iresnet

Shapes = Mapping[str, tuple[int, ...]]

SIGNS = {
    "iresnet": ("conv1.weight", "prelu.weight", "layer1.0.bn1.weight", "layer4.0.bn1.weight", "fc.weight"),
    "ir": ("input_layer.0.weight", "body.0.res_layer.1.weight", "output_layer.3.weight"),
    "mbf": ("layers.0.layers.0.weight", "conv_sep.layers.0.weight", "features.layers.0.layers.0.weight",
            "features.layers.2.weight"),
    "mobilefacenet": ("conv1.conv.weight", "conv_6_sep.conv.weight", "output_layer.conv_6_dw.conv.weight",
                      "output_layer.linear.weight"),
}  # fmt: skip
"""Keys that each family has; the first is its anchor: prefixes are taken off until it stands at the start."""

ANCHORS = {signs[0]: family for family, signs in SIGNS.items()}
LAST_CHANNELS = 512
"""Of iResNet before its linear layer."""


@dataclass(frozen=True)
class Recognised:
    """A network that BACKBONES can build: BACKBONES[backbone.name](backbone, image_px)."""

    family: str
    backbone: Backbone
    image_px: int


def recognise(shapes: Shapes, where: str) -> Recognised:
    """The network that has these keys. Raises FairLabError when it is none of ours, saying what was looked for."""
    present = [family for family, signs in SIGNS.items() if signs[0] in shapes]
    complete = [family for family in present if all(key in shapes for key in SIGNS[family])]
    if len(complete) != 1:
        raise FairLabError(unknown(shapes, where))
    family = complete[0]
    name, last, side = _DETAILS[family](shapes, where)
    if len(shapes[last]) != 2 or side < 1:
        raise FairLabError(f"{where}: {last} has the shape {list(shapes[last])}, which no square image gives")
    return Recognised(family, Backbone(name=name, embedding_dim=max(shapes[last][0], 2)), 16 * side)


def unknown(shapes: Iterable[str], where: str) -> str:
    """The sentence for a state dict of another architecture: what was looked for, what is there."""
    keys = list(shapes)
    looked = "; ".join(f"{family}: {', '.join(signs)}" for family, signs in SIGNS.items())
    lacking = [
        f"{anchor} is there, but not {', '.join(key for key in SIGNS[family] if key not in keys)}"
        for anchor, family in ANCHORS.items()
        if anchor in keys
    ]
    found = f"{', '.join(keys[:5])}{' ...' if len(keys) > 5 else ''} ({len(keys)} keys)" if keys else "no tensors"
    return f"{where} is none of the known backbones ({looked}); found: {found}" + "".join(
        f"; {text}" for text in lacking
    )


def _rows(shapes: Shapes, stage: str) -> int:
    """How many blocks a stage has: one more than the largest number after `stage`."""
    numbers = [key[len(stage) :].split(".", 1)[0] for key in shapes if key.startswith(stage)]
    return max((int(number) + 1 for number in numbers if number.isdecimal() and len(number) < 4), default=0)


def _side(columns: int, channels: int) -> int:
    """Positions along an edge of the last map, from the inputs of the linear layer; 0 if they are not a square."""
    side = isqrt(columns // channels)
    return side if side * side * channels == columns else 0


def _iresnet(shapes: Shapes, where: str) -> tuple[str, str, int]:
    blocks = tuple(_rows(shapes, f"layer{number}.") for number in range(1, 5))
    depth = next((depth for depth, known in iresnet.LAYERS.items() if known == blocks), None)
    se = any(".se_block." in key for key in shapes)
    if depth is None or (se and depth == 200):
        known = ", ".join(f"{depth}: {list(blocks)}" for depth, blocks in iresnet.LAYERS.items())
        raise FairLabError(
            f"{where} is an iresnet of {list(blocks)} blocks{' with SE' if se else ''}; known are {known}"
        )
    return f"iresnet{depth}{'_se' if se else ''}", "fc.weight", _side(shapes["fc.weight"][-1], LAST_CHANNELS)


def _ir(shapes: Shapes, where: str) -> tuple[str, str, int]:
    units = _rows(shapes, "body.")
    evolve = "body.0.res_layer.2.running_mean" not in shapes  # there the PReLU follows the convolution at once
    bottleneck = "body.0.res_layer.7.weight" in shapes
    se = any(".fc1." in key for key in shapes)
    depth = next((depth for depth, known in ir.UNITS.items() if sum(known) == units), None)
    fits = depth is not None and (evolve or bottleneck == (depth >= ir.BOTTLENECK_FROM))
    if not fits or (evolve and depth not in ir.EVOLVE_DEPTHS):
        kind = "face.evoLVe's units" if evolve else "bottleneck units" if bottleneck else "units"
        known = ", ".join(f"{depth}: {sum(blocks)}" for depth, blocks in ir.UNITS.items())
        raise FairLabError(f"{where} is an ir of {units} {kind}; known are {known} (bottlenecks from 152 on)")
    channels = ir.BOTTLENECK_WIDTHS[-1] if bottleneck else ir.WIDTHS[-1]
    side = _side(shapes["output_layer.3.weight"][-1], channels)
    return f"{'evolve_' if evolve else ''}ir_{'se_' if se else ''}{depth}", "output_layer.3.weight", side


def _mbf(shapes: Shapes, where: str) -> tuple[str, str, int]:
    return "mbf", "features.layers.2.weight", _window(shapes["features.layers.0.layers.0.weight"])


def _mobilefacenet(shapes: Shapes, where: str) -> tuple[str, str, int]:
    return "mobilefacenet", "output_layer.linear.weight", _window(shapes["output_layer.conv_6_dw.conv.weight"])


def _window(shape: tuple[int, ...]) -> int:
    """The global convolution covers the whole last map, so its window is the map's size."""
    return shape[-1] if len(shape) == 4 and shape[-1] == shape[-2] else 0


_DETAILS = {"iresnet": _iresnet, "ir": _ir, "mbf": _mbf, "mobilefacenet": _mobilefacenet}
