"""Pixels for people: thumbnails, mean faces, contact sheets."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError


def thumbnail_png(dataset: Dataset, image_id: int, px: int = 96) -> bytes:
    """One image as PNG, `px` wide. Raises FairLabError when there is no such image."""
    if not 0 <= image_id < len(dataset.pixels):
        raise FairLabError(
            f"data set {dataset.dataset_id} has no image {image_id}; they are numbered 0 to {len(dataset.pixels) - 1}"
        )
    picture = Image.fromarray(np.asarray(dataset.pixels[image_id]))
    stream = io.BytesIO()
    picture.resize((px, px), Image.Resampling.BICUBIC).save(stream, "PNG")
    return stream.getvalue()


def mean_face(dataset: Dataset, group: str, limit: int = 400) -> np.ndarray:
    """Mean of at most `limit` images of a group, evenly taken: (H, W, 3) uint8. Aligned faces give a face."""
    rows = np.flatnonzero((dataset.images["group"] == group).to_numpy())
    if len(rows) == 0:
        raise FairLabError(f"data set {dataset.dataset_id} has no image of group {group!r}")
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(limit, len(rows))).astype(int))]
    return np.round(dataset.pixels[chosen].astype(np.float32).mean(0)).astype(np.uint8)


def contact_sheet(dataset: Dataset, image_ids: Sequence[int], columns: int = 10) -> np.ndarray:
    """Images side by side, `columns` in a row, (rows * H, columns * W, 3) uint8; places left over are grey."""
    if not len(image_ids) or columns < 1:
        raise FairLabError("a contact sheet needs at least one image and one column")
    px, rows = dataset.image_px, -(-len(image_ids) // columns)
    tiles = np.full((rows * columns, px, px, 3), 128, np.uint8)
    tiles[: len(image_ids)] = dataset.pixels[np.asarray(image_ids)]
    return tiles.reshape(rows, columns, px, px, 3).swapaxes(1, 2).reshape(rows * px, columns * px, 3)
