"""Images of other data sets, or of another size, read when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, Union

import numpy as np

from fairlab.data.pixels import EncodedPixels, fit


class ViewPixels:
    """(N, H, H, 3) uint8 RGB over the pixels of several data sets: image i is row `row[i]` of `parents[parent[i]]`."""

    def __init__(self, parents: Sequence[Pixels], parent: np.ndarray, row: np.ndarray) -> None:
        self.parents, self.parent, self.row = parents, parent, row
        self.shape: tuple[int, ...] = (len(row), *parents[0].shape[1:])
        self.dtype, self.ndim = np.dtype(np.uint8), 4

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        if isinstance(rows, int | np.integer):
            return np.asarray(self.parents[self.parent[rows]][int(self.row[rows])])
        wanted = np.arange(len(self))[rows]
        result = np.empty((len(wanted), *self.shape[1:]), np.uint8)
        for number, pixels in enumerate(self.parents):
            here = np.flatnonzero(self.parent[wanted] == number)
            if len(here):
                result[here] = pixels[self.row[wanted[here]]]
        return result

    def encoded(self, row: int) -> bytes | None:
        """As the parent's."""
        return encoded(self.parents[self.parent[row]], int(self.row[row]))


class Rescaled:
    """Rows of `pixels` (N, H, W, 3) as (B, px, px, 3), scaled when asked for: for a network that takes another size."""

    def __init__(self, pixels: Pixels, px: int) -> None:
        self.pixels, self.px = pixels, px
        self.shape, self.dtype, self.ndim = (len(pixels), px, px, 3), np.dtype(np.uint8), 4

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        raw = self.pixels[rows]
        return fit(raw, self.px) if raw.ndim == 3 else np.stack([fit(image, self.px) for image in raw])


Pixels: TypeAlias = Union[np.ndarray, EncodedPixels, Rescaled, ViewPixels]  # noqa: UP007 - names that come later
"""What a data set hands out images from: pixels[rows] is (B, H, H, 3) uint8."""


def encoded(pixels: Pixels, row: int) -> bytes | None:
    """The file of one image as it lies, None where only its pixels are kept. Raises OSError or FairLabError."""
    if isinstance(pixels, EncodedPixels):
        return pixels.read(row)
    return pixels.encoded(row) if isinstance(pixels, ViewPixels) else None
