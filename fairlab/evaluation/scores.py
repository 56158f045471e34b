"""From embeddings to one score per pair: the cosine of the two faces, higher = more alike."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError

CHUNK = 8192
"""Pairs whose embeddings are copied at once: 8,192 x 512 x 8 bytes, twice, are 67 MB."""

MANY, TILE = 200_000, (1024, 8192)
"""From so many pairs on, all comparisons of so many by so many images are made at once (67 MB) if enough of them are asked
for: a comparison of a matrix product takes about a hundredth of the time of one that is looked up."""


def fused(plain: np.ndarray, plain_norms: np.ndarray, flip: np.ndarray, flip_norms: np.ndarray) -> np.ndarray:
    """Unit embeddings (N, D) of image and mirror image together: normalise(f(x) + f(mirror x)), raw outputs added.

    From unit vectors (N, D) and raw norms (N,). Source: official MST-KD evaluation, eval/verification.py.
    """
    total = plain * np.asarray(plain_norms)[:, None] + flip * np.asarray(flip_norms)[:, None]
    length = np.linalg.norm(total, axis=1, keepdims=True)
    result: np.ndarray = total / np.maximum(length, 1e-12)
    return result


def pair_scores(vectors: np.ndarray, ids: np.ndarray, pairs: pd.DataFrame) -> np.ndarray:
    """Cosine (P,) float64 of every pair; `vectors` (N, D) unit, `ids` (N,) rising image ids.

    Raises FairLabError naming the first pair whose image has no embedding, or whose score is not a number.
    """
    return cross_scores(vectors, ids, vectors, ids, pairs)


def pair_distances(vectors: np.ndarray, ids: np.ndarray, pairs: pd.DataFrame) -> np.ndarray:
    """Squared Euclidean distance (P,) float64 of every pair, summed as insightface does; arguments as of pair_scores.

    Of unit vectors it is 2 - 2 * cosine but for the last digits, which matter to compat.compat_accuracy alone.
    """
    distances = np.empty(len(pairs))
    for rows, one, two in _chunks(_rows(vectors, ids, vectors, ids, pairs), len(pairs)):
        distances[rows] = np.sum(np.square(one - two), 1)
    return _finite(distances, pairs)


def cross_scores(
    gallery: np.ndarray, gallery_ids: np.ndarray, probe: np.ndarray, probe_ids: np.ndarray, pairs: pd.DataFrame
) -> np.ndarray:
    """As pair_scores, with image_a of a pair from the gallery's vectors (N, D) and image_b from the probe's (M, D).

    Two models, one space: what systems need that enrol with one network and ask with another. Raises FairLabError for
    spaces of different lengths too.
    """
    if gallery.shape[1] != probe.shape[1]:
        raise FairLabError(
            f"embeddings of {gallery.shape[1]} and of {probe.shape[1]} numbers have no cosine: gallery and probe must "
            f"have equal length"
        )
    sides = _rows(gallery, gallery_ids, probe, probe_ids, pairs)
    scores = np.empty(len(pairs))
    if len(pairs) >= MANY and np.prod([len(_compact(at)[0]) for _, at in sides]) <= 50 * len(pairs):
        _tiled(scores, *sides)
    else:
        for rows, one, two in _chunks(sides, len(pairs)):
            scores[rows] = np.einsum("nd,nd->n", one, two)
    return _finite(scores, pairs)


Side = tuple[np.ndarray, np.ndarray]
"""Vectors (N, D), and the row among them (P,) of each pair's image."""


def _rows(
    gallery: np.ndarray, gallery_ids: np.ndarray, probe: np.ndarray, probe_ids: np.ndarray, pairs: pd.DataFrame
) -> tuple[Side, Side]:
    """Where the pairs' first and second images are."""
    return (
        (gallery, _places(len(gallery), np.asarray(gallery_ids), pairs, "image_a")),
        (probe, _places(len(probe), np.asarray(probe_ids), pairs, "image_b")),
    )


def _chunks(sides: tuple[Side, Side], count: int) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """CHUNK by CHUNK: rows of the pairs, and float64 vectors (n, D) of their first and of their second images."""
    for start in range(0, count, CHUNK):
        rows = slice(start, start + CHUNK)
        one, two = (vectors[at[rows]].astype(np.float64) for vectors, at in sides)
        yield rows, one, two


def _finite(values: np.ndarray, pairs: pd.DataFrame) -> np.ndarray:
    """The values (P,) of the pairs, or FairLabError for the first that is no number."""
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise FairLabError(
            f"pair {pairs.iloc[bad[0]]['pair_id']} has no finite score: one of its embeddings is NaN or infinite"
        )
    return values


def _tiled(scores: np.ndarray, first: Side, second: Side) -> None:
    """Fill in the cosines (P,) of both sides' (vectors, rows (P,)), by tiles of the matrix of all comparisons."""
    (one, rows), (two, columns) = ((vectors, _compact(at)) for vectors, at in (first, second))
    tile = rows[1] // TILE[0] * len(columns[0]) + columns[1] // TILE[1]
    order = np.argsort(tile, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(tile[order], prepend=-1)), len(order))
    for start, end in pairwise(ends):
        pairs = order[start:end]
        a, b = (at[pairs[0]] // size * size for (_, at), size in zip((rows, columns), TILE, strict=True))
        of_a, of_b = one[rows[0][a : a + TILE[0]]], two[columns[0][b : b + TILE[1]]]
        products = of_a.astype(np.float64) @ of_b.astype(np.float64).T
        scores[pairs] = products[rows[1][pairs] - a, columns[1][pairs] - b]


def _compact(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the different rows among `at` (P,), rising; the place of each pair's row among them (P,)); without sorting."""
    used = np.bincount(at) > 0
    return np.flatnonzero(used), (np.cumsum(used) - 1)[at]


def _places(count: int, ids: np.ndarray, pairs: pd.DataFrame, column: str) -> np.ndarray:
    """The rows (P,) of the pairs' images of `column` among the embedded ones."""
    if len(ids) != count:
        raise FairLabError(f"there are {count} embeddings for {len(ids)} image ids")
    if len(ids) == 0 or (np.diff(ids) <= 0).any():
        raise FairLabError("the ids of the embedded images must be strictly increasing, and there must be at least one")
    wanted = pairs[column].to_numpy()
    at: np.ndarray = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    missing = np.flatnonzero(ids[at] != wanted)
    if len(missing):
        pair = pairs.iloc[missing[0]]
        raise FairLabError(f"pair {pair['pair_id']} names image {pair[column]}, which has no embedding")
    return at
