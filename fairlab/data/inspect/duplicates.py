"""The same photograph twice, also after it was encoded anew: a hash of what is seen, and a second look at the pixels.

Aligned faces all look alike, so both steps look at what an image has beyond the others: a bit of the hash says whether
one of the 64 lowest frequencies (DCT of a 32 x 32 grey thumbnail) is above its median, and thumbnails are compared after
the mean face is taken away. Re-encoding (JPEG from quality 30 on, WebP, a few pixels of scaling) changes at most a few
bits; a crop by more than 1 % changes too many and is not found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

SIDE, FREQUENCIES = 32, 64
NEAR = 10
"""Bits of 64 that may differ in a candidate; up to 7 are found for certain, see candidates()."""
LIKE = 0.96
"""Correlation from which two thumbnails show one photograph. Measured on the demo's faces: a JPEG of quality 30 keeps
0.99 at 112 px and 0.97 at 48 px, two photographs of one person stay below 0.962 (27,000 pairs)."""
COMMON_FROM = 50
"""Fewer images tell nothing of what they have in common."""
MOST = 8
"""Candidates that an image gets the second look with: those with the fewest bits different."""
_BANDS, _BAND_BITS = 4, 16
_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Reference:
    """What the compared images have in common. medians: (64,) of the frequencies; mean: (32, 32), the mean thumbnail."""

    medians: np.ndarray
    mean: np.ndarray


@cache
def _shrink(px: int) -> np.ndarray:
    """(SIDE, px): the mean over each of SIDE equal stretches of px pixels."""
    edges = np.linspace(0, px, SIDE + 1)
    pixel = np.arange(px)
    cover = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return (np.clip(cover, 0, None) * SIDE / px).astype(np.float32)


@cache
def _cosines() -> tuple[np.ndarray, np.ndarray]:
    """(9, SIDE) cosines of the nine lowest frequencies, and which 64 of their 81 products are the lowest but the mean."""
    cosines = np.cos(np.pi * (np.arange(SIDE) + 0.5) * np.arange(9)[:, None] / SIDE)
    total = np.add.outer(np.arange(9), np.arange(9)).ravel()
    return cosines.astype(np.float32), np.argsort(total, kind="stable")[1 : FREQUENCIES + 1]


def thumbnails(pixels: np.ndarray) -> np.ndarray:
    """(N, H, H, 3) uint8 RGB as grey (N, SIDE, SIDE) float32, every cell a mean over its area."""
    grey = pixels.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)
    shrink = _shrink(pixels.shape[1])
    result: np.ndarray = shrink @ grey @ shrink.T
    return result


def _frequencies(thumbs: np.ndarray) -> np.ndarray:
    cosines, lowest = _cosines()
    result: np.ndarray = (cosines @ thumbs @ cosines.T).reshape(len(thumbs), -1)[:, lowest]
    return result


def reference(thumbs: np.ndarray) -> Reference:
    """What these thumbnails (N, SIDE, SIDE) have in common; nothing when they are too few to tell."""
    if len(thumbs) < COMMON_FROM:
        return Reference(np.zeros(FREQUENCIES, np.float32), np.zeros((SIDE, SIDE), np.float32))
    return Reference(np.median(_frequencies(thumbs), axis=0), thumbs.mean(axis=0))


def hashes(thumbs: np.ndarray, common: Reference) -> np.ndarray:
    """(N,) uint64: bit k says whether frequency k is above its median."""
    bits = np.ascontiguousarray(_frequencies(thumbs) > common.medians)
    return np.packbits(bits, axis=1, bitorder="little").view(np.uint64).reshape(-1)


def likeness(one: np.ndarray, two: np.ndarray, common: Reference) -> np.ndarray:
    """Correlation (N,) of thumbnails pairwise, without the mean face; 0 where one of them is without any structure."""

    def unit(thumbs: np.ndarray) -> np.ndarray:
        rest = (thumbs - common.mean).reshape(len(thumbs), -1).astype(np.float64)
        rest -= rest.mean(axis=1, keepdims=True)
        return rest / np.maximum(np.linalg.norm(rest, axis=1, keepdims=True), 1.0)

    result: np.ndarray = np.einsum("nd,nd->n", unit(one), unit(two))
    return result


def candidates(
    train: np.ndarray, test: np.ndarray, look: Callable[[int, int], None] = lambda _done, _total: None
) -> tuple[np.ndarray, np.ndarray]:
    """(rows of `test` (C,), rows of `train` (C,)) whose hashes (uint64) differ in NEAR bits at most, MOST per test row.

    The hash is cut into four bands; a pair is met when one band differs in one bit at most, so everything up to 7 bits
    apart is found, and most of what is up to NEAR apart. look(done, total) is called between pieces and may raise.
    """
    masks = np.array([0, *(1 << bit for bit in range(_BAND_BITS))], np.int64)
    found: list[np.ndarray] = []
    for band in range(_BANDS):
        shift = np.uint64(_BAND_BITS * band)
        keys, asked = (((of >> shift) & np.uint64(0xFFFF)).astype(np.int64) for of in (train, test))
        order = np.argsort(keys, kind="stable")
        starts = np.searchsorted(keys[order], np.arange((1 << _BAND_BITS) + 1))
        for number, mask in enumerate(masks):
            look(band * len(masks) + number, _BANDS * len(masks))
            first, last = starts[asked ^ mask], starts[(asked ^ mask) + 1]
            piece = np.cumsum(last - first) // _AT_ONCE
            for rows in np.split(np.arange(len(test)), np.flatnonzero(np.diff(piece)) + 1):
                found.append(_close(train, test, order, rows, first[rows], last[rows]))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    pairs = np.unique(np.concatenate(found), axis=0)
    pairs = pairs[np.lexsort((pairs[:, 2], pairs[:, 1], pairs[:, 0]))]
    begins = np.r_[True, pairs[1:, 0] != pairs[:-1, 0]]
    rank = np.arange(len(pairs)) - np.flatnonzero(begins)[np.cumsum(begins) - 1]
    kept = pairs[rank < MOST]
    return kept[:, 0], kept[:, 2]


def _close(
    train: np.ndarray, test: np.ndarray, order: np.ndarray, rows: np.ndarray, first: np.ndarray, last: np.ndarray
) -> np.ndarray:
    """(C, 3): test row, bits different, train row, of those in order[first:last] that are near."""
    counts = last - first
    asking = np.repeat(rows, counts)
    place = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    met = order[place]
    distance = np.bitwise_count(train[met] ^ test[asking]).astype(np.int64)
    near = distance <= NEAR
    return np.stack([asking[near], distance[near], met[near]], axis=1)
