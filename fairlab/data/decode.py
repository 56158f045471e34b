"""Encoded images from anybody's files to RGB pixels: few formats, a bound on size, never half an image.

Pillow reads everything. Where simplejpeg (libjpeg-turbo with a thin skin; the extra `fast`) is installed, plain JPEGs
go through it: the same pixels in half the processor time (112 x 112, 7 kB, quality 95: 91 us against Pillow's 181;
OpenCV, a hundred times the size, takes 97). An extra, as nothing but time is lost without it. What it does not
read to the last byte without a warning, Pillow judges, so what can be read does not depend on it. Training batches
of bytes from a .rec take 124 us an image, 0.72 of the bare decoder's rate in processor time; the rest is reading,
handing over and mirroring. Measured by tests.benchmarks.reading.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from contextlib import nullcontext
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, ImageFile, ImageOps

from fairlab.errors import Damaged

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
"""Pillow knows dozens more, with decoders that few people have looked at."""
MAX_PIXELS = 25_000_000
"""A face crop has a thousandth of this; a PNG of 20 KB can declare 13,000 x 13,000."""

MAX_SCANS, MAX_SCAN_PIXELS = 100, 16 * MAX_PIXELS
"""A progressive JPEG has about ten scans, and every one costs a pass over all pixels: 225 KB with 2,000 took 38 s."""
MAX_WAITING = 4_000_000
"""Larger images take turns, so that at most MAX_PIXELS and one of these are decoded at a time, whatever the threads."""

_TURN = threading.RLock()
if hasattr(os, "register_at_fork"):  # a thread that held it is not there in the child
    os.register_at_fork(after_in_child=lambda: globals().update(_TURN=threading.RLock()))
_FRAMES = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive

ImageFile.LOAD_TRUNCATED_IMAGES = False  # the lower half of a truncated face would be grey, silently
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # our own bound is lower


def _open(data: bytes, where: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise Damaged(f"{where} declares more than {MAX_PIXELS:,} pixels, the limit") from error
    except Exception as error:  # Pillow's readers raise many kinds on damaged headers
        raise Damaged(f"{where} is not a readable JPEG, PNG, WebP, BMP or TIFF image: {_words(error)}") from error
    size = image.width * image.height
    if size > MAX_PIXELS:
        raise Damaged(f"{where} declares more than {MAX_PIXELS:,} pixels, the limit")
    _few_scans(data, size, where)
    return image


def _few_scans(data: bytes, size: int, where: str) -> None:
    """Raises Damaged for a JPEG whose decoding would pass over its `size` pixels too often."""
    scans = (
        data.count(b"\xff\xda") if data.startswith(b"\xff\xd8") else 0
    )  # inside of pixels FF is never followed by DA
    if scans > MAX_SCANS or scans * size > MAX_SCAN_PIXELS:
        raise Damaged(f"{where} is a JPEG with {scans:,} scans; the limit is {MAX_SCANS}, and lower for large images")


def _words(error: Exception) -> str:
    return "unknown format" if type(error).__name__ == "UnidentifiedImageError" else str(error) or type(error).__name__


def describe(data: bytes, where: str) -> tuple[int, int, str]:
    """(width, height, mode) from the header alone, e.g. (112, 112, "RGB"). Raises Damaged, naming `where`."""
    image = _open(data, where)
    return image.width, image.height, image.mode


def decode(data: bytes, where: str, room: np.ndarray | None = None) -> np.ndarray:
    """The image as (H, W, 3) uint8 RGB, turned as its EXIF tag says. Raises Damaged, naming `where`.

    Grey is repeated, 16 bits keep their upper 8, transparency is dropped, CMYK and palettes are converted. `room`
    (H, W, 3): where the image may be put if it has just that size; then it is what is returned.
    """
    fast = _turbo()
    size = _plain_jpeg(data) if fast is not None else None
    if size is not None and size[0] * size[1] <= MAX_WAITING:
        _few_scans(data, size[0] * size[1], where)
        try:
            if room is not None and room.shape == (*size, 3):
                fast.decode_jpeg(data, buffer=room)
                return room
            pixels: np.ndarray = fast.decode_jpeg(data)
            return pixels
        except ValueError:  # damaged, or of a kind that only Pillow knows
            pass
    image = _open(data, where)
    with _TURN if image.width * image.height > MAX_WAITING else nullcontext():
        return _pixels(image, where)


def _pixels(image: Image.Image, where: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an opened image. Raises Damaged, naming `where`."""
    try:
        if "exif" in image.info:
            image = ImageOps.exif_transpose(image)
        if image.mode.startswith("I"):  # 16-bit grey; Pillow's own conversion would clip it at 255
            grey = np.clip(np.asarray(image) >> 8, 0, 255).astype(np.uint8)
            return np.repeat(grey[:, :, None], 3, axis=2)
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    except Exception as error:
        raise Damaged(f"{where} is damaged: {_words(error)}") from error


@cache
def _turbo() -> Any:
    """The faster decoder, or None where it is not installed."""
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


def _plain_jpeg(data: bytes) -> tuple[int, int] | None:
    """(H, W) of a grey or three-colour JPEG of at most MAX_PIXELS without an EXIF part, which may want it turned."""
    if not data.startswith(b"\xff\xd8\xff"):
        return None
    at, end, size = 2, len(data) - 18, None
    while at < end and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xDA:  # pixels begin
            return size
        if (marker == 0xE1 and data[at + 4 : at + 8] == b"Exif") or marker == 0xEE:  # Adobe: colours of another kind
            return None
        if marker in _FRAMES:
            size, parts = (data[at + 5] << 8 | data[at + 6], data[at + 7] << 8 | data[at + 8]), data[at + 9]
            if not 0 < size[0] * size[1] <= MAX_PIXELS or parts not in (1, 3):
                return None
        at += 2 + (data[at + 2] << 8 | data[at + 3])
    return None
