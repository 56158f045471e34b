"""Pictures to judge data by before they are added: some faces and the mean face of every group."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from fairlab.data.align import template
from fairlab.data.checking import sample
from fairlab.data.pixels import EncodedPixels
from fairlab.errors import FairLabError

SHEET, MEAN_OF, GROUPS = 12, 60, 12


def group_pictures(pixels: EncodedPixels, images: pd.DataFrame) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(faces side by side, mean face with the template's five points) of each of the first GROUPS groups.

    Images that cannot be read are left out here; the report counts them.
    """
    groups = images["group"].to_numpy(dtype=object)
    for group in list(dict.fromkeys(groups))[:GROUPS]:
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
