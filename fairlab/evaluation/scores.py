"""From embeddings to one score per pair: the cosine of the two faces, higher = more alike."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError


def fused(plain: np.ndarray, plain_norms: np.ndarray, flip: np.ndarray, flip_norms: np.ndarray) -> np.ndarray:
    """Unit embeddings (N, D) of image and mirror image together: normalise(f(x) + f(mirror x)), raw outputs added.

    From unit vectors (N, D) and raw norms (N,). Source: official MST-KD evaluation, METHODS.md 1.10 and V3.
    """
    total = plain * np.asarray(plain_norms)[:, None] + flip * np.asarray(flip_norms)[:, None]
    length = np.linalg.norm(total, axis=1, keepdims=True)
    result: np.ndarray = total / np.maximum(length, 1e-12)
    return result


def pair_scores(vectors: np.ndarray, ids: np.ndarray, pairs: pd.DataFrame) -> np.ndarray:
    """Cosine (P,) float64 of every pair; `vectors` (N, D) unit, `ids` (N,) rising image ids.

    Raises FairLabError naming the first pair whose image has no embedding, or whose score is not a number.
    """
    rows = []
    for column in ("image_a", "image_b"):
        wanted = pairs[column].to_numpy()
        at = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
        missing = np.flatnonzero(np.asarray(ids)[at] != wanted)
        if len(missing):
            pair = pairs.iloc[missing[0]]
            raise FairLabError(f"pair {pair['pair_id']} names image {pair[column]}, which has no embedding")
        rows.append(at)
    scores = np.einsum("nd,nd->n", vectors[rows[0]].astype(np.float64), vectors[rows[1]].astype(np.float64))
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise FairLabError(
            f"pair {pairs.iloc[bad[0]]['pair_id']} has no finite score: one of its embeddings is NaN or infinite"
        )
    return scores
