"""Pictures to judge data by before they are added: of every group some faces, their mean, and what alignment does."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from fairlab.data.align import template
from fairlab.data.decode import decode
from fairlab.data.inspect.checking import sample
from fairlab.data.pixels import EncodedPixels
from fairlab.errors import FairLabError

SHEET, MEAN_OF, GROUPS = 12, 60, 12
ALIGNED, TILE = 6, 224
"""Faces of a group shown before and after alignment, and the width of each picture."""


def group_pictures(pixels: EncodedPixels, images: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(faces side by side, mean face with the template's five points) of each of the first GROUPS groups.

    Images that cannot be read are left out here; the report counts them.
    """
    groups = images["group"].to_numpy(dtype=object)
    for group in first_groups(images):
        rows = np.flatnonzero(groups == group)
        faces = []
        for row in rows[sample(len(rows), MEAN_OF)]:
            try:
                faces.append(pixels.one(int(row)))
            except FairLabError:
                continue
        if not faces:
            faces = [np.full((pixels.px, pixels.px, 3), 128, np.uint8)]
        shown = [faces[place] for place in sample(len(faces), SHEET)]
        yield np.concatenate(shown, axis=1), with_template(np.mean(faces, axis=0).round().astype(np.uint8))


def first_groups(images: pd.DataFrame) -> list[str]:
    """The groups that have pictures, in the order of the pictures."""
    return list(dict.fromkeys(images["group"]))[:GROUPS]


def alignment_strips(pixels: EncodedPixels, images: pd.DataFrame) -> Iterator[np.ndarray]:
    """Of each of the first groups some faces before and after alignment: (2 TILE, n TILE, 3).

    Above whole stored images, scaled into a square, with their five points; below the same faces as they are handed
    out, enlarged. Only images with landmarks that can be read; a group without any has a grey picture.
    """
    assert pixels.landmarks is not None
    known = np.isfinite(pixels.landmarks).all(axis=(1, 2))
    groups = images["group"].to_numpy(dtype=object)
    for group in first_groups(images):
        rows = np.flatnonzero((groups == group) & known)
        columns = []
        for row in rows[sample(len(rows), ALIGNED)].tolist():
            try:
                stored = decode(pixels.read(row), pixels.name(row))
                after = Image.fromarray(pixels.one(row)).resize((TILE, TILE), Image.Resampling.BICUBIC)
            except (FairLabError, OSError):
                continue
            before = with_points(stored[:, :, ::-1] if pixels.swap else stored, pixels.landmarks[row])
            columns.append(np.concatenate([before, np.asarray(after)]))
        yield np.concatenate(columns or [np.full((2 * TILE, TILE, 3), 128, np.uint8)], axis=1)


def with_points(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """`image` (H, W, 3) scaled into the upper left of a grey (TILE, TILE, 3), with a dot at each of its points (5, 2).

    The eye on the picture's left is green, the other points yellow: points in another order are seen at once.
    """
    height, width = image.shape[:2]
    scale = TILE / max(height, width)
    small = Image.fromarray(np.ascontiguousarray(image)).resize(
        (max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BICUBIC
    )
    picture = Image.new("RGB", (TILE, TILE), (128, 128, 128))
    picture.paste(small)
    draw = ImageDraw.Draw(picture)
    for number, (x, y) in enumerate((points + 0.5) * scale - 0.5):
        for radius, colour in ((4, (0, 0, 0)), (3, (0, 230, 0) if number == 0 else (255, 230, 0))):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return np.array(picture)


def with_template(face: np.ndarray) -> np.ndarray:
    """`face` (P, P, 3) enlarged threefold, with rings where an aligned face has its eyes, nose and mouth corners."""
    scale = 3
    picture = Image.fromarray(face).resize((face.shape[1] * scale, face.shape[0] * scale), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for x, y in (template(face.shape[0]) + 0.5) * scale:
        for radius, colour in ((7, (0, 0, 0)), (6, (255, 255, 255))):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=2)
    return np.array(picture)


def png(picture: np.ndarray) -> bytes:
    """(H, W, 3) uint8 as PNG."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()
