"""Images borrowed from other data sets: rows of theirs, in an order of one's own, read when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias, Union

import numpy as np

from fairlab.data.pixels import EncodedPixels


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


Pixels: TypeAlias = Union[np.ndarray, EncodedPixels, ViewPixels]  # noqa: UP007 - names that come later
"""What a data set hands out images from: pixels[rows] is (B, H, H, 3) uint8."""


def encoded(pixels: Pixels, row: int) -> bytes | None:
    """The file of one image as it lies, None where only its pixels are kept. Raises OSError or FairLabError."""
    if isinstance(pixels, EncodedPixels):
        return pixels.read(row)
    return pixels.encoded(row) if isinstance(pixels, ViewPixels) else None
