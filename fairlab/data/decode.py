"""Encoded images from anybody's files to RGB pixels: few formats, a bound on size, never half an image."""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageFile, ImageOps

from fairlab.errors import Damaged

FORMATS = ("JPEG", "PNG", "WEBP")
"""Pillow knows dozens more, with decoders that few people have looked at."""
MAX_PIXELS = 25_000_000
"""A face crop has a thousandth of this; a PNG of 20 KB can declare 13,000 x 13,000."""

ImageFile.LOAD_TRUNCATED_IMAGES = False  # the lower half of a truncated face would be grey, silently


def _open(data: bytes, where: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own bound is lower
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise Damaged(f"{where} declares more than the {MAX_PIXELS:,} pixels that are read") from error
    except Exception as error:  # Pillow's readers raise many kinds on damaged headers
        raise Damaged(f"{where} is not a readable JPEG, PNG or WebP image: {_words(error)}") from error
    if image.width * image.height > MAX_PIXELS:
        raise Damaged(f"{where} declares more than the {MAX_PIXELS:,} pixels that are read")
    return image


def _words(error: Exception) -> str:
    return "unknown format" if type(error).__name__ == "UnidentifiedImageError" else str(error) or type(error).__name__


def describe(data: bytes, where: str) -> tuple[int, int, str]:
    """(width, height, mode) from the header alone, e.g. (112, 112, "RGB"). Raises Damaged, naming `where`."""
    image = _open(data, where)
    return image.width, image.height, image.mode


def decode(data: bytes, where: str) -> np.ndarray:
    """The image as (H, W, 3) uint8 RGB, turned as its EXIF tag says. Raises Damaged, naming `where`.

    Grey is repeated, 16 bits keep their upper 8, transparency is dropped, CMYK and palettes are converted.
    """
    image = _open(data, where)
    try:
        if "exif" in image.info:
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it at 255
            grey = np.clip(np.asarray(image, dtype=np.int64) >> 8, 0, 255).astype(np.uint8)
            return np.repeat(grey[:, :, None], 3, axis=2)
        return np.array(image.convert("RGB"))
    except Exception as error:
        raise Damaged(f"{where} is damaged: {_words(error)}") from error
