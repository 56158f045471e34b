"""How far a map can be trusted: are neighbours on it neighbours in the space?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEIGHBOURS = 10
ASKED = 2000
"""Images asked, of a large map: with 20,000 images of 512 dims the interval was then 0.003 wide."""
BLOCK = 8192
"""Rows compared at once: 64 MB of cosines."""
ROUNDING = 1e-6
"""Two sums of one cosine differ by less."""


@dataclass(frozen=True)
class Trust:
    """value: 0..1, NaN where `reason` says why there is none; low, high: 95 % interval where only some images were asked."""

    value: float
    low: float
    high: float
    asked: int
    reason: str = ""


def trustworthiness(vectors: np.ndarray, xy: np.ndarray, k: int = NEIGHBOURS, asked: int = ASKED) -> Trust:
    """Of unit vectors (N, D) and their positions xy (N, 2): 1 = all map neighbours are neighbours in the space, 0.5 = chance.

    Source: Venna & Kaski 2001, T(k); cosine in the space, Euclid on the map. Each image's k map neighbours are ranked among
    all N images. Of more than `asked` images, so many, evenly taken, are asked, and the mean has a normal interval.
    """
    from scipy.spatial import cKDTree

    count = len(vectors)
    if count <= 3 * k:
        none = float("nan")
        return Trust(none, none, none, 0, f"it needs {3 * k + 1} distinct vectors, but there are {count}")
    rows = np.unique(np.linspace(0, count - 1, min(count, asked)).astype(int))
    found = np.asarray(cKDTree(xy).query(xy[rows], k + 1)[1])
    other = found != rows[:, None]
    other[other.all(axis=1), -1] = False  # so many points on one spot that the image itself is not among them
    near = found[other].reshape(len(rows), k)
    beyond = np.maximum(0, _ranks(vectors, rows, near) - k).sum(axis=1)
    each = 1 - 2 * beyond / (k * (2 * count - 3 * k - 1))
    value = float(each.mean())
    half = 1.96 * float(each.std(ddof=1)) / np.sqrt(len(rows)) if len(rows) < count else 0.0
    return Trust(value, max(0.0, value - half), min(1.0, value + half), len(rows))


def _ranks(vectors: np.ndarray, rows: np.ndarray, near: np.ndarray) -> np.ndarray:
    """(Q, k) rank, from 1, of each image `near` (Q, k) among all others by its cosine to the image of `rows` (Q,)."""
    asked = np.asarray(vectors[rows], dtype=np.float32)
    cosines = np.stack([np.einsum("qd,qd->q", asked, vectors[column]) for column in near.T], axis=1)
    ranks = np.zeros(near.shape, dtype=np.int64)
    for start in range(0, len(vectors), BLOCK):
        scores = asked @ np.asarray(vectors[start : start + BLOCK], dtype=np.float32).T
        inside = np.flatnonzero((rows >= start) & (rows < start + BLOCK))
        scores[inside, rows[inside] - start] = np.inf  # itself: counted once, it makes the first of the others rank 1
        for column in range(near.shape[1]):
            ranks[:, column] += np.count_nonzero(scores > cosines[:, column, None] + ROUNDING, axis=1)
    return ranks
