"""The length of an embedding before it is normalised: many networks make it longer for clearer faces."""

from __future__ import annotations

import numpy as np

from fairlab.compare.columns.base import COLUMNS, Space


@COLUMNS.register("norm", label="raw length")
def raw_length(space: Space, image_ids: np.ndarray) -> np.ndarray:
    """(N,) L2 norms of the raw embeddings, no unit."""
    return np.asarray(space.embeddings.norms[space.embeddings.rows_of(image_ids)], dtype=np.float64)
