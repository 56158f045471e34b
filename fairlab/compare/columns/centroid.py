"""How alike an image is to the other images of its person, in one space."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from fairlab.compare.columns.base import COLUMNS, Space

BLOCK = 32_768
"""Rows taken at a time: 64 MB at 512 dimensions."""


@COLUMNS.register("centroid", label="score to own centroid")
def score_to_own_centroid(space: Space, image_ids: np.ndarray) -> np.ndarray:
    """(N,) cosines to the mean of the person's other images, -1..1; NaN where the person has no other image.

    The image itself is left out: with it, a person of two images would look twice as compact as one of many.
    """
    embeddings = space.embeddings
    people, names = pd.factorize(space.data.images["identity"].to_numpy(dtype=str)[embeddings.ids])
    sums = np.zeros((len(names), embeddings.vectors.shape[1]), dtype=np.float32)
    for start in range(0, len(people), BLOCK):
        part = people[start : start + BLOCK]
        rows = np.arange(len(part))
        here, compact = np.unique(part, return_inverse=True)
        member = csr_matrix((np.ones(len(part), np.float32), (compact, rows)), shape=(len(here), len(part)))
        sums[here] += member @ np.asarray(embeddings.vectors[start : start + BLOCK], dtype=np.float32)
    counts = np.bincount(people, minlength=len(names))
    rows = embeddings.rows_of(image_ids)
    scores = np.full(len(rows), np.nan)
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        own = np.asarray(embeddings.vectors[part], dtype=np.float32)
        others = sums[people[part]] - own
        lengths = np.linalg.norm(others, axis=1)
        known = (counts[people[part]] > 1) & (lengths > 1e-6)
        cosines = np.einsum("nd,nd->n", own, others) / np.where(known, lengths, 1)
        scores[start : start + BLOCK] = np.where(known, np.clip(cosines, -1, 1), np.nan)
    return scores
