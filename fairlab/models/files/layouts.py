"""Which published network a state dict is: family, depth, embedding length and image size from its keys and shapes.

A layout is one entry of LAYOUTS: the keys that every file of it has, those that none has, and how its details are read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import NamedTuple

from fairlab.errors import FairLabError
from fairlab.models.backbones import edgeface, ir, iresnet, kprpe, timm_vit, vit
from fairlab.models.backbones.published import CAVAFACE_UNITS, LARGE_BLOCKS, LARGE_SCALE
from fairlab.models.base import BACKBONES
from fairlab.settings.study import Backbone

Shapes = Mapping[str, tuple[int, ...]]
LAST_CHANNELS = 512
"""Of iResNet before its linear layer."""


class Details(NamedTuple):
    """name: of the backbone; last: key of the layer whose rows are the embedding's numbers; side: edge of the last map;
    image_px: where it is not 16 times that."""

    name: str
    last: str
    side: int
    image_px: int = 0


@dataclass(frozen=True)
class Layout:
    """A way in which keys are named. signs: keys that every file has, the first being the anchor: prefixes are taken off
    until it stands at the start. never: keys that no file has, where another layout has all the signs too. like: backbones
    of this layout, for the message about a file that nearly fits. inside: beginnings of keys that are the network's although
    classifiers have such names too."""

    family: str
    signs: tuple[str, ...]
    details: Callable[[Shapes, str], Details]
    like: tuple[str, ...]
    never: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()

    def fits(self, shapes: Collection[str]) -> bool:
        return all(key in shapes for key in self.signs) and not any(key in shapes for key in self.never)


@dataclass(frozen=True)
class Recognised:
    """A network that BACKBONES can build: BACKBONES[backbone.name](backbone, image_px)."""

    family: str
    backbone: Backbone
    image_px: int


def recognise(shapes: Shapes, where: str) -> Recognised | None:
    """The network that has these keys, or None when it is none of ours. Raises FairLabError for one of a known family
    in a form that is not known."""
    fitting = [layout for layout in LAYOUTS if layout.fits(shapes)]
    if len(fitting) != 1:
        return None
    name, last, side, image_px = fitting[0].details(shapes, where)
    if len(shapes[last]) != 2 or side < 1:
        raise FairLabError(f"{where}: {last} has the shape {list(shapes[last])}, which no square image produces")
    return Recognised(
        fitting[0].family, Backbone(name=name, embedding_dim=max(shapes[last][0], 2)), image_px or 16 * side
    )


def within(keys: Collection[str]) -> tuple[str, ...]:
    """Beginnings of keys that belong to the network and not to a classifier beside it."""
    return tuple(name for layout in LAYOUTS if layout.fits(keys) for name in layout.inside)


def _rows(shapes: Shapes, stage: str) -> int:
    """How many blocks a stage has: one more than the largest number after `stage`."""
    numbers = [key[len(stage) :].split(".", 1)[0] for key in shapes if key.startswith(stage)]
    return max((int(number) + 1 for number in numbers if number.isdecimal() and len(number) < 4), default=0)


def _side(columns: int, channels: int) -> int:
    """Positions along an edge of the last map, from the inputs of the linear layer; 0 if they are not a square."""
    side = isqrt(columns // channels)
    return side if side * side * channels == columns else 0


def _window(shape: tuple[int, ...]) -> int:
    """The global convolution covers the whole last map, so its window is the map's size."""
    return shape[-1] if len(shape) == 4 and shape[-1] == shape[-2] else 0


def _iresnet(shapes: Shapes, where: str) -> Details:
    blocks = tuple(_rows(shapes, f"layer{number}.") for number in range(1, 5))
    depth = next((depth for depth, known in iresnet.LAYERS.items() if known == blocks), None)
    se = any(".se_block." in key for key in shapes)
    if depth is None or (se and depth == 200):
        known = ", ".join(f"{depth}: {list(blocks)}" for depth, blocks in iresnet.LAYERS.items())
        raise FairLabError(
            f"{where} is an iresnet of {list(blocks)} blocks{' with SE' if se else ''}; known are {known}"
        )
    return Details(f"iresnet{depth}{'_se' if se else ''}", "fc.weight", _side(shapes["fc.weight"][-1], LAST_CHANNELS))


def _ir(shapes: Shapes, where: str) -> Details:
    units = _rows(shapes, "body.")
    evolve = "body.0.res_layer.2.running_mean" not in shapes  # there the PReLU follows the convolution at once
    affine = "output_layer.4.weight" in shapes
    bottleneck = "body.0.res_layer.7.weight" in shapes
    depth = next((depth for depth, known in ir.UNITS.items() if sum(known) == units), None)
    fits = depth is not None and (evolve or bottleneck == (depth >= ir.BOTTLENECK_FROM))
    if not fits or (evolve and depth not in ir.EVOLVE_DEPTHS):
        kind = "face.evoLVe's units" if evolve else "bottleneck units" if bottleneck else "units"
        known = ", ".join(f"{depth}: {sum(blocks)}" for depth, blocks in ir.UNITS.items())
        raise FairLabError(f"{where} is an ir of {units} {kind}; known are {known} (bottlenecks from 152 on)")
    channels = ir.BOTTLENECK_WIDTHS[-1] if bottleneck else ir.WIDTHS[-1]
    code = "" if not evolve else "evolve_" if affine else "curricular_"
    name = f"{code}ir_{'se_' if _has_se(shapes) else ''}{depth}"
    return Details(name, "output_layer.3.weight", _side(shapes["output_layer.3.weight"][-1], channels))


def _cavaface(shapes: Shapes, where: str) -> Details:
    units = _rows(shapes, "body.")
    depth = next((depth for depth, known in CAVAFACE_UNITS.items() if sum(known) == units), None)
    if depth is None:
        known = ", ".join(f"{depth}: {sum(blocks)}" for depth, blocks in CAVAFACE_UNITS.items())
        raise FairLabError(f"{where} is cavaface's ir of {units} units; known are {known}")
    name = f"cavaface_ir_{'se_' if _has_se(shapes) else ''}{depth}"
    return Details(name, "fc.weight", _side(shapes["fc.weight"][-1], ir.WIDTHS[-1]))


def _has_se(shapes: Shapes) -> bool:
    return any(".fc1." in key for key in shapes)


def _mbf(shapes: Shapes, where: str) -> Details:
    blocks = tuple(_rows(shapes, f"layers.{number}.layers.") for number in (3, 5, 7))
    scale = shapes["layers.0.layers.0.weight"][0] // 64
    large = "layers.1.layers.0.layers.0.layers.0.weight" in shapes
    first = _rows(shapes, "layers.1.layers.") if large else 1
    forms: dict[tuple[tuple[int, ...], int], str] = {((1, 4, 6, 2), 2): "mbf", (LARGE_BLOCKS, LARGE_SCALE): "mbf_large"}
    name = forms.get(((first, *blocks), scale))
    if name is None:
        raise FairLabError(
            f"{where} is a MobileFaceNet of insightface with {[first, *blocks]} blocks at {scale} times 64 channels; "
            f"known are mbf ([1, 4, 6, 2], 2) and mbf_large ({list(LARGE_BLOCKS)}, {LARGE_SCALE})"
        )
    return Details(name, "features.layers.2.weight", _window(shapes["features.layers.0.layers.0.weight"]))


def _mobilefacenet(shapes: Shapes, where: str) -> Details:
    name = "mobilefacenet_affine" if "output_layer.bn.weight" in shapes else "mobilefacenet"
    return Details(name, "output_layer.linear.weight", _window(shapes["output_layer.conv_6_dw.conv.weight"]))


def _flat_mobilefacenet(shapes: Shapes, where: str) -> Details:
    return Details("mobilefacenet_flat", "linear.weight", _window(shapes["conv_6_dw.conv.weight"]))


def _gnap(shapes: Shapes, where: str) -> Details:
    raise FairLabError(
        f"{where} is a MobileFaceNet that ends in GNAP ({', '.join(key for key in shapes if 'output_layer.' in key)}); its "
        "code scales a face by the mean of the batch around it, so a face alone has no embedding of its own: "
        "use the network that ends in GDC"
    )


EXPORT = (
    "export it as ONNX with images and landmarks as inputs: torch.onnx.export(net, (images, keypoints), 'net.onnx', "
    "input_names=['images', 'keypoints'], dynamic_axes={'images': {0: 'n'}, 'keypoints': {0: 'n'}}, dynamo=False)"
)


def _vit(shapes: Shapes, where: str) -> Details:
    width, blocks, (_, patches, _) = shapes["norm.weight"][0], _rows(shapes, "blocks."), shapes["pos_embed"]
    window, side = _window(shapes["patch_embed.proj.weight"]), isqrt(patches)
    ratio = shapes.get("blocks.0.mlp.fc1.weight", (0,))[0] // width
    forms = {f"{'transface' if 'senet.0.weight' in shapes else 'vit'}_{size}": form for size, form in vit.FORMS.items()}
    forms |= {f"cvlface_vit_{size}": form for size, form in vit.CVLFACE_FORMS.items()}
    seen = (width, blocks, ratio, window)
    name = next(
        (name for name, form in forms.items() if (form.width, form.blocks, form.ratio, form.patch) == seen), None
    )
    if name is None or side * side != patches:
        known = ", ".join(f"{size}: {form.width} x {form.blocks}" for size, form in vit.FORMS.items())
        ours = ", ".join(
            f"{size}: {form.width} x {form.blocks} x {form.ratio}" for size, form in vit.CVLFACE_FORMS.items()
        )
        raise FairLabError(
            f"{where} is a transformer of width {width} with {blocks} blocks, perceptrons {ratio} times as wide, patches of "
            f"{window} px and {patches} positions; known are {known}, four times as wide inside with patches of 9 px, "
            f"and CVLface's {ours} with patches of 8 px"
        )
    if marks := [key for key in shapes if key.startswith("keypoint_linear") or ".rpe_" in key]:
        name += "_kprpe"
        numbers = kprpe.POSITIONS * forms[name.removesuffix("_kprpe")].heads * blocks
        if (
            name not in BACKBONES
            or shapes.get("keypoint_linear.weight") != (numbers, 2 * kprpe.POINTS)
            or len(marks) > 2
        ):
            raise FairLabError(
                f"{where} is a transformer with relative positions ({marks[0]} {list(shapes[marks[0]])}) of another form than "
                f"CVLface's vit_kprpe, whose keypoint_linear.weight has {kprpe.POSITIONS} rows for each head of each block "
                f"and {2 * kprpe.POINTS} columns; {EXPORT}"
            )
    return Details(name, "feature.2.weight", -(-side * window // 16))  # 12 patches of 9 px or 14 of 8: of 112 px


def _timm_vit(shapes: Shapes, where: str) -> Details:
    (_, positions, width), window = shapes["pos_embed"], _window(shapes["patch_embed.proj.weight"])
    blocks = _rows(shapes, "blocks.")
    inside = shapes.get("blocks.0.mlp.fc2.weight", shapes.get("blocks.0.mlp.w3.weight", (0, 0)))[-1]
    size = next(
        (
            size
            for size, form in timm_vit.SIZES.items()
            if (form.width, form.blocks, form.inside) == (width, blocks, inside)
        ),
        "",
    )
    clip = "norm_pre.weight" in shapes
    registers = next((key for key in ("reg_token", "register_tokens") if key in shapes), "")
    placed = positions - (registers != "reg_token")
    kind = timm_vit.Kind(
        mean="fc_norm.weight" in shapes, scaled="blocks.0.ls1.gamma" in shapes, registers=registers,
        placed=registers != "reg_token", clip=clip, official="blocks.0.mlp.w12.weight" in shapes,
    )  # fmt: skip
    name, side = f"timm_vit_{size}{window}{timm_vit.ENDS.get(kind)}", isqrt(max(placed, 0))
    if name not in BACKBONES or side * side != placed:
        known = ", ".join(name.removeprefix("timm_vit_") for name in BACKBONES if name.startswith("timm_vit_"))
        sizes = ", ".join(f"{size}: {form.width} x {form.blocks}" for size, form in timm_vit.SIZES.items())
        raise FairLabError(
            f"{where} is a transformer of timm's kind of width {width} with {blocks} blocks, patches of {window} px and "
            f"{positions} positions; known are {known} ({sizes}); export it as ONNX instead"
        )
    if not clip:
        return Details(name, "blocks.0.attn.proj.weight", side, side * window)
    rows = shapes.get("head.weight", (0,))[0]
    if rows in (0, *IMAGENET_CLASSES) or "head.bias" not in shapes:
        told = (
            f"whose head has {rows} rows, as a classifier of ImageNet"
            if rows
            else "without its projection (head.weight)"
        )
        raise FairLabError(f"{where} is an image tower of CLIP {told}; use the file of the tower with its projection")
    return Details(name, "head.weight", side, side * window)


IMAGENET_CLASSES = (1000, 21_841, 11_821)
"""Rows of a classifier of ImageNet, where a face network has its embedding."""


def _edgeface(shapes: Shapes, where: str) -> Details:
    low = "head.fc.linear2.weight" in shapes
    last = "head.fc.linear2.weight" if low else "head.fc.weight"
    widths = tuple(
        shapes[key][0] for key in (f"stages.{at}.blocks.0.conv_dw.weight" for at in range(4)) if key in shapes
    )
    size = next(
        (size for size, form in edgeface.FORMS.items() if form.widths == widths and bool(form.gamma) == low), None
    )
    if size is None or last not in shapes:
        known = ", ".join(
            f"{size}: {list(form.widths)}{' with linear layers of low rank' if form.gamma else ''}"
            for size, form in edgeface.FORMS.items()
        )
        raise FairLabError(
            f"{where} is an EdgeNeXt of {list(widths)} channels{' with linear layers of low rank' if low else ''}"
            f"{'' if last in shapes else ' without a last layer'}; known are EdgeFace's {known}"
        )
    if shapes[last][0] in IMAGENET_CLASSES:
        raise FairLabError(
            f"{where} is an EdgeNeXt whose last layer has {shapes[last][0]} rows, as a classifier of ImageNet; "
            "a face network of EdgeFace has its embedding there"
        )
    return Details(f"edgeface_{size}", last, 7)  # its keys fit every size; EdgeFace takes 112 px


LAYOUTS: list[Layout] = [
    Layout(
        "edgeface",
        ("stem.0.weight", "stages.0.blocks.0.conv_dw.weight", "head.norm.weight"),
        _edgeface,
        ("edgeface_xs", "edgeface_base"),
        inside=("head.norm.", "head.fc."),
    ),
    Layout(
        "vit",
        ("patch_embed.proj.weight", "pos_embed", "norm.weight", "feature.2.weight"),
        _vit,
        ("vit_t", "transface_s", "cvlface_vit_s"),
    ),
    Layout(
        "timm_vit",
        ("patch_embed.proj.weight", "pos_embed", "cls_token", "blocks.0.attn.qkv.weight", "blocks.0.attn.proj.weight"),
        _timm_vit,
        ("timm_vit_ti16", "timm_vit_s14_dinov2"),
        ("feature.2.weight", "norm_pre.weight"),
    ),
    Layout(
        "clip",
        ("patch_embed.proj.weight", "pos_embed", "cls_token", "norm_pre.weight", "blocks.0.attn.qkv.weight"),
        _timm_vit,
        ("timm_vit_b32_clip",),
        ("feature.2.weight",),
        inside=("head.",),
    ),
    Layout(
        "iresnet",
        ("conv1.weight", "prelu.weight", "layer1.0.bn1.weight", "layer4.0.bn1.weight", "fc.weight"),
        _iresnet,
        ("iresnet18", "iresnet18_se"),
    ),
    Layout("ir", ("input_layer.0.weight", "body.0.res_layer.1.weight", "output_layer.3.weight"), _ir,
           ("ir_18", "ir_se_18", "evolve_ir_50", "evolve_ir_se_50", "curricular_ir_50")),
    Layout(
        "cavaface_ir",
        ("input_layer.0.weight", "body.0.res_layer.1.weight", "bn2.weight", "fc.weight", "features.weight"),
        _cavaface,
        ("cavaface_ir_50", "cavaface_ir_se_50"),
        ("output_layer.3.weight", "body.0.res_layer.2.running_mean"),
    ),
    Layout(
        "mbf",
        ("layers.0.layers.0.weight", "conv_sep.layers.0.weight", "features.layers.0.layers.0.weight",
         "features.layers.2.weight"),
        _mbf,
        ("mbf", "mbf_large"),
    ),
    Layout(
        "mobilefacenet",
        ("conv1.conv.weight", "conv_6_sep.conv.weight", "output_layer.conv_6_dw.conv.weight", "output_layer.linear.weight"),
        _mobilefacenet,
        ("mobilefacenet",),
    ),
    Layout(
        "mobilefacenet",
        ("conv1.conv.weight", "conv_6_sep.conv.weight", "conv_6_dw.conv.weight", "linear.weight"),
        _flat_mobilefacenet,
        ("mobilefacenet_flat",),
        ("output_layer.linear.weight",),
    ),
    Layout(
        "mobilefacenet",
        ("conv1.conv.weight", "conv_6_sep.conv.weight", "output_layer.bn1.running_mean", "output_layer.bn2.running_mean"),
        _gnap,
        ("mobilefacenet",),
    ),
]  # fmt: skip
ANCHORS = tuple(dict.fromkeys(layout.signs[0] for layout in LAYOUTS))
