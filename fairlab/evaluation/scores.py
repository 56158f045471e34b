"""From embeddings to one score per pair: the cosine of the two faces, higher = more alike."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError

CHUNK = 8192
"""Pairs whose embeddings are copied at once: 8,192 x 512 x 8 bytes, twice, are 67 MB."""


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
    for rows, one, two in _sides(vectors, ids, vectors, ids, pairs):
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
            "be of equal length"
        )
    scores = np.empty(len(pairs))
    for rows, one, two in _sides(gallery, gallery_ids, probe, probe_ids, pairs):
        scores[rows] = np.einsum("nd,nd->n", one, two)
    return _finite(scores, pairs)


def _sides(
    gallery: np.ndarray, gallery_ids: np.ndarray, probe: np.ndarray, probe_ids: np.ndarray, pairs: pd.DataFrame
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """CHUNK by CHUNK: rows of the pairs, and float64 vectors (n, D) of their first and of their second images."""
    sides = []
    for column, vectors, ids in (("image_a", gallery, gallery_ids), ("image_b", probe, probe_ids)):
        sides.append((vectors, _places(len(vectors), np.asarray(ids), pairs, column)))
    for start in range(0, len(pairs), CHUNK):
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


def _places(count: int, ids: np.ndarray, pairs: pd.DataFrame, column: str) -> np.ndarray:
    """The rows (P,) of the pairs' images of `column` among the embedded ones."""
    if len(ids) != count:
        raise FairLabError(f"there are {count} embeddings for {len(ids)} image ids")
    if len(ids) == 0 or (np.diff(ids) <= 0).any():
        raise FairLabError("the ids of the embedded images must rise, each once, and there must be at least one")
    wanted = pairs[column].to_numpy()
    at: np.ndarray = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    missing = np.flatnonzero(ids[at] != wanted)
    if len(missing):
        pair = pairs.iloc[missing[0]]
        raise FairLabError(f"pair {pair['pair_id']} names image {pair[column]}, which has no embedding")
    return at
