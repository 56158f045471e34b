"""Whose code a checkpoint comes from, as far as the file tells: it decides colours, scaling, and at times the network.

Keys alone cannot tell MagFace's iResNet from insightface's, nor InsightFace_Pytorch's MobileFaceNet from face.evoLVe's. What
tells them is how their trainers wrap and name things. Where nothing does, the user is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from fairlab.errors import FairLabError
from fairlab.models.backbones.timm_vit import QUICK
from fairlab.models.base import BACKBONES
from fairlab.models.files.layouts import Recognised
from fairlab.models.preprocessing import PUBLISHERS

MAGFACE_ENDS = ("features.", "features.module.")
"""What stands before the keys of a network that MagFace's trainers saved: one process, or one for each GPU."""
ONE_NORM = "features.weight"
"""Weights of iResNet's last norm. insightface, ElasticFace, AdaDistill and MST-KD keep them at 1."""
RELATIVES = (
    "face.evoLVe's files take RGB, InsightFace_Pytorch's BGR, FaceX-Zoo's BGR with std 128 and without the mirror image: "
    "say which with publisher=face_evolve, insightface_pytorch or facex_zoo"
)
ENLARGED = (
    "face.evoLVe's own test enlarges a face to 128 px and cuts 112 out of its middle; here the face is taken as it is"
)
TIMM_HEADS = "its attention is assumed to have heads of 64 channels, as all of this width do; the file does not say"
TIMM_HEADS_OF_80 = "its attention is assumed to have 16 heads of 80 channels, as in ViT-H/14; the file does not say"
CLIP_COLOURS = "scaled by CLIP's mean and std, as OpenAI's; LAION-2B's ViT-L/14 takes mean and std of 127.5"
TIMM_COLOURS = (
    "scaled by ImageNet's mean and std, as DeiT's and DINOv2's; timm's augreg weights take mean and std of 127.5"
)


@dataclass(frozen=True)
class Origin:
    """publisher: a name of PUBLISHERS; confirm: fields of its record that the file does not tell; notes: sentences."""

    publisher: str
    confirm: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Clues:
    """path: of the file; content: its outermost names; prefix: what was taken off the keys; heads: keys of classifiers."""

    path: Path
    content: Mapping[str, Any]
    prefix: str
    heads: Iterable[str]
    body: Mapping[str, Tensor]


def origin_of(found: Recognised, clues: Clues) -> Origin:
    """Whose preprocessing the file most likely needs."""
    name = found.backbone.name
    if "batch_id" in clues.content:  # beside state_dict and epoch: FaceX-Zoo's training loop
        return Origin("facex_zoo")
    if found.family == "iresnet":
        return _of_iresnet(found, clues)
    if name.startswith(("evolve_", "mobilefacenet_flat")):
        return Origin("face_evolve", ("channels",), (RELATIVES, ENLARGED))
    if name.startswith("curricular_") or name == "mobilefacenet_affine":
        return Origin("curricularface")
    if found.family == "cavaface_ir":
        return Origin("cavaface")
    if found.family == "ir":
        return _of_ir(clues)
    if found.family == "edgeface":
        return Origin("edgeface")
    if name.startswith("cvlface_"):
        return Origin("cvlface", ("channels",))
    if found.family == "clip":
        raise FairLabError(
            f"{clues.path} is an image tower of CLIP, and its file does not say which activation it was trained with: "
            f"set publisher=clip_quickgelu (OpenAI's, MetaCLIP's, DFN's, LAION-400M's) or publisher=clip (GELU: "
            f"LAION-2B's, DataComp's)"
        )
    if found.family == "timm_vit":
        return Origin("timm", ("mean", "std"), (TIMM_HEADS, TIMM_COLOURS))
    return Origin("insightface")


def _of_ir(clues: Clues) -> Origin:
    """AdaFace's weights are BGR, in CVLface too; CVLface's others are RGB, and the keys are the same."""
    if any(key.endswith("head.batch_mean") for key in clues.heads):  # CVLface saves the head apart
        return Origin("adaface")
    if "pytorch-lightning_version" in clues.content:
        return Origin("adaface", (), ("saved by Lightning, as AdaFace's own training does: BGR",))
    return Origin("cvlface", ("channels",))


def _of_iresnet(found: Recognised, clues: Clues) -> Origin:
    why = ""
    if magface_name(found.backbone.name):
        if clues.prefix.endswith(MAGFACE_ENDS):
            why = f"its keys begin with {clues.prefix}, as MagFace's trainers write them"
        elif "state_dict" in clues.content and str(clues.content.get("arch", "")).startswith("iresnet"):
            why = f"it names its network {str(clues.content['arch'])[:20]}, as MagFace's trainers do"
        elif "magface" in clues.path.name.lower():
            why = "its name says so"
    if why:
        return Origin("magface", (), (f"assumed to be MagFace: {why}; batch-norm epsilon 2e-5, BGR / 255",))
    last = clues.body.get(ONE_NORM)
    if last is not None and not bool((last == 1).all()):
        doubt = (
            f"{ONE_NORM} is not 1, as insightface's, ElasticFace's and AdaDistill's trainings keep it: "
            "if the network is MagFace's, say publisher=magface"
        )
        return Origin("insightface", ("channels", "mean", "std"), (doubt,))
    return Origin("insightface")


def chosen_origin(publisher: str, found: Recognised, where: str) -> Origin:
    """What the user says. Raises FairLabError for a network that this publisher does not have."""
    if publisher not in PUBLISHERS:
        raise FairLabError(f"there is no publisher {publisher!r}; choose one of: {', '.join(sorted(PUBLISHERS))}")
    if publisher == "magface" and not magface_name(found.backbone.name):
        raise FairLabError(f"{where} is {found.backbone.name}, and MagFace's networks are iresnet18, 34, 50 and 100")
    if (found.family == "clip") != publisher.startswith("clip"):
        raise FairLabError(
            f"{where} is {found.backbone.name}: publisher=clip and clip_quickgelu are for image towers of CLIP, and those need one"
        )
    if found.family == "clip":
        heads = TIMM_HEADS_OF_80 if found.backbone.name.startswith("timm_vit_h14") else TIMM_HEADS
        return Origin(publisher, ("mean", "std"), (heads, CLIP_COLOURS))
    return Origin(publisher)


def as_published(found: Recognised, publisher: str) -> Recognised:
    """The network of that publisher where the keys leave two."""
    names = {"magface": magface_name(found.backbone.name), "clip_quickgelu": found.backbone.name + QUICK}
    if publisher not in names:
        return found
    return replace(found, backbone=found.backbone.model_copy(update={"name": names[publisher]}))


def magface_name(backbone: str) -> str:
    """MagFace's form of an iResNet, or "" where it has none."""
    name = f"magface_{backbone}"
    return name if name in BACKBONES else ""
