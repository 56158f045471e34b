"""What must happen to an image before a backbone sees it, and to its embedding after: a record beside every checkpoint.

A wrong channel order costs points silently, so where the publisher of a checkpoint is not certain the user confirms.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from fairlab.errors import FairLabError
from fairlab.settings.base import Level
from fairlab.settings.study import Settings, parse

HALF = (127.5, 127.5, 127.5)
CLIP_MEAN, CLIP_STD = (122.7709383, 116.7460125, 104.09373615), (68.5005327, 66.6321579, 70.32316305)
"""Of OpenAI's CLIP, as openai/CLIP and open_clip have them (.48145466 and so on), times 255."""
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


class Preprocessing(Settings):
    """Image of 0..255 -> (pixel - mean) / std, channel by channel in the order `channels`; then the embedding."""

    image_px: int = Field(112, ge=16, le=4096, description="Width and height of the aligned face in pixels.")
    channels: Literal["RGB", "BGR"] = Field(
        "RGB", description="Order of the channels that the backbone was trained on."
    )
    mean: tuple[Level, Level, Level] = Field(HALF, description="Subtracted from each channel, in pixel values 0..255.")
    std: tuple[Level, Level, Level] = Field(HALF, description="Each channel is divided by this, in pixel values.")
    flip: Literal["sum", "none"] = Field(
        "sum", description="sum: the embeddings of the face and of its mirror image are added; none: the face alone."
    )
    l2: bool = Field(True, description="The embedding is finally scaled to length 1.")

    def model_post_init(self, context: Any) -> None:
        """A std of 0 would divide by zero."""
        if min(self.std) <= 0:
            raise ValueError("std must be above 0 in every channel")

    def to_json(self) -> dict[str, Any]:
        """As plain values for a JSON file; `preprocessing_from_json` reads them back."""
        return self.model_dump(mode="json")


def preprocessing_from_json(values: Mapping[str, Any], where: str) -> Preprocessing:
    """The record written by `to_json`. Raises FairLabError: one sentence with field, fault and `where`."""
    return parse(Preprocessing, values, where)


PUBLISHERS: dict[str, Preprocessing] = {
    "insightface": Preprocessing(),  # arcface_torch, ElasticFace, AdaDistill, MST-KD, TFace
    "cvlface": Preprocessing(),
    "cvlface_bgr": Preprocessing(channels="BGR"),  # the models whose config says color_space: BGR
    "adaface": Preprocessing(channels="BGR"),  # inference.py of AdaFace turns the channels round
    "facex_zoo": Preprocessing(channels="BGR", std=(128.0, 128.0, 128.0), flip="none"),
    "face_evolve": Preprocessing(),  # which tests on faces enlarged to 128 px and cut to 112, besides
    "insightface_pytorch": Preprocessing(channels="BGR"),  # its data step stores OpenCV's BGR as if it were RGB
    "curricularface": Preprocessing(),
    "cavaface": Preprocessing(),
    "edgeface": Preprocessing(flip="none"),  # as its README embeds a face
    "clip": Preprocessing(mean=CLIP_MEAN, std=CLIP_STD, flip="none"),
    "clip_quickgelu": Preprocessing(mean=CLIP_MEAN, std=CLIP_STD, flip="none"),
    "timm": Preprocessing(mean=IMAGENET_MEAN, std=IMAGENET_STD, flip="none"),  # most of its ViTs and DINOv2
    "magface": Preprocessing(channels="BGR", mean=(0.0, 0.0, 0.0), std=(255.0, 255.0, 255.0), flip="none"),
}
"""What each code base does to its images, read in its data loading and its test code."""


def preprocessing_of(publisher: str, image_px: int) -> Preprocessing:
    """The record of one publisher at an image size. Raises FairLabError for a name that is not known."""
    if publisher not in PUBLISHERS:
        raise FairLabError(f"there is no publisher {publisher!r}; choose one of: {', '.join(sorted(PUBLISHERS))}")
    return PUBLISHERS[publisher].model_copy(update={"image_px": image_px})
