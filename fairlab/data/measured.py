"""Traits of an image that need no model: formulas over the pixels as networks see them, block by block.

Luminance is that of ISO/IEC 29794-5 (as its reference software OFIQ has it): sRGB made linear, then 0.2126 R + 0.7152 G +
0.0722 B (Rec. 709), 0..1. The standard takes it inside a face mask, which needs a model; here it is of the whole crop, and of
two fixed regions of skin.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairlab.data.align import template
from fairlab.data.dataset import Dataset, older_rule
from fairlab.data.landmarks import with_faces_only
from fairlab.data.points import LANDMARKS_FILE
from fairlab.data.traits import Trait

WEIGHTS = (0.2126, 0.7152, 0.0722)
"""Of linear red, green and blue in luminance: ITU-R BT.709-6, item 3.2."""
SIDE = 0.3
"""Side of a region of skin, in distances between the eyes."""
SHARPNESS, BRIGHTNESS, CONTRAST, SKIN, SIZE = "sharpness", "brightness", "contrast", "skin luminance", "size"
MEANINGS = {
    SHARPNESS: "sharper, or noisier: variance of the Laplacian of luma, levels of 0..255 squared (Pech-Pacheco et al. 2000)",
    BRIGHTNESS: "brighter: mean luminance of the crop, 0..1 (ISO/IEC 29794-5 luminance, without its face mask)",
    CONTRAST: "more contrast: standard deviation of luminance over the crop, 0..0.5 (RMS contrast, Peli 1990)",
    SKIN: "brighter cheeks: mean of the median luminance of two squares below the eyes of an aligned crop, 0..1",
    SIZE: "larger face: distance between the eyes in the stored image, in pixels",
}
"""Trait -> what a larger value means; the first four are measured from pixels."""
FROM_PIXELS = (SHARPNESS, BRIGHTNESS, CONTRAST, SKIN)


def _linear() -> np.ndarray:
    """(256,) of an 8-bit sRGB level: linear, 0..1 (IEC 61966-2-1)."""
    level = np.arange(256) / 255
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


LINEAR = np.stack([weight * _linear() for weight in WEIGHTS]).astype(np.float32)
"""(3, 256): what a level of red, green, blue adds to luminance."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Of red, green and blue levels in luma, the grey in which sharpness is usually taken: ITU-R BT.601-7."""


@dataclass(frozen=True)
class Square:
    """A square of a crop: rows top to bottom - 1, columns left to right - 1."""

    top: int
    bottom: int
    left: int
    right: int


def skin_squares(px: int) -> tuple[Square, Square]:
    """Two squares of SIDE distances between the eyes, each below an eye at the height of the nose's tip, in a crop of `px`.

    That is the cheek in an aligned crop: beside the nose, above a beard's usual line, below the lower lid, and inside the
    face for a head that is turned by up to about 30 degrees. Where faces are not aligned, it may be anything.
    """
    points = template(px)
    half = SIDE * (points[1, 0] - points[0, 0]) / 2
    return _square(points[0, 0], points[2, 1], half, px), _square(points[1, 0], points[2, 1], half, px)


def _square(x: float, y: float, half: float, px: int) -> Square:
    """Pixels whose centre is at most `half` from (x, y); one at least."""
    (left, right), (top, bottom) = (_range(value, half, px) for value in (x, y))
    return Square(top, bottom, left, right)


def _range(middle: float, half: float, px: int) -> tuple[int, int]:
    first = int(np.clip(np.ceil(middle - half), 0, px - 1))
    return first, int(np.clip(np.floor(middle + half) + 1, first + 1, px))


def luminance(pixels: np.ndarray) -> np.ndarray:
    """(B, H, W) float32, 0..1, of (B, H, W, 3) uint8 sRGB."""
    red, green, blue = (LINEAR[channel][pixels[..., channel]] for channel in range(3))
    return np.asarray(red + green + blue)


def sharpness(pixels: np.ndarray) -> np.ndarray:
    """(B,) variance of the 3 x 3 Laplacian (four neighbours) of luma 0..255, of all pixels that have four neighbours.

    Pech-Pacheco et al. 2000, doi 10.1109/ICPR.2000.903548 (LAPV). NaN for crops below 3 x 3.
    """
    luma = pixels @ LUMA
    if min(luma.shape[1:]) < 3:
        return np.full(len(luma), np.nan)
    middle = luma[:, 1:-1, 1:-1]
    sides = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    return np.asarray((sides - 4 * middle).var(axis=(1, 2), dtype=np.float64))


def measure(pixels: np.ndarray) -> np.ndarray:
    """(B, 4) float64, a column each of FROM_PIXELS, of (B, H, H, 3) uint8 sRGB crops."""
    light = luminance(pixels)
    cheeks = [
        np.median(light[:, at.top : at.bottom, at.left : at.right].reshape(len(light), -1), axis=1)
        for at in skin_squares(pixels.shape[1])
    ]
    columns = [
        sharpness(pixels),
        light.mean(axis=(1, 2), dtype=np.float64),
        light.std(axis=(1, 2), dtype=np.float64),
        np.mean(cheeks, axis=0, dtype=np.float64),
    ]
    return np.stack(columns, axis=1)


def sizes(data: Dataset) -> Trait | None:
    """The distance between the eyes of every face in the stored images, by their landmarks; None where there are none."""
    path = data.folder / LANDMARKS_FILE
    if not path.exists():
        return None
    landmarks = np.load(path, mmap_mode="r", allow_pickle=False)
    if older_rule(data.info):
        landmarks = with_faces_only(landmarks)
    eyes = np.asarray(landmarks[:, :2], np.float64)
    return Trait(SIZE, "measured", MEANINGS[SIZE], np.hypot(*(eyes[:, 1] - eyes[:, 0]).T))


def as_traits(data: Dataset, values: np.ndarray) -> list[Trait]:
    """Traits from measure() of all images (N, 4), and the size of faces where landmarks say it."""
    columns = zip(FROM_PIXELS, values.T, strict=True)
    traits = [Trait(name, "measured", MEANINGS[name], np.ascontiguousarray(column)) for name, column in columns]
    size = sizes(data)
    return [trait for trait in (*traits, size) if trait is not None and trait.known.any()]
