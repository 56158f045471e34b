"""How many of an image's nearest neighbours stayed the same between two spaces, as `fairlab models moved` measured it."""

from __future__ import annotations

import numpy as np

from fairlab.compare.columns.base import COLUMNS, Space
from fairlab.settings.study import Moved
from fairlab.store.moved import overlap_of


@COLUMNS.register("moved", label="neighbours kept in the other space")
def neighbours_kept(space: Space, image_ids: np.ndarray) -> np.ndarray:
    """(N,) Jaccard overlaps 0..1 of the nearest neighbours in this space and the one beside it.

    NaN where it was not measured: without a space beside, without the job, and for images outside the job's sample.
    """
    kept = np.full(len(image_ids), np.nan)
    if space.beside is None or space.beside.run_id == space.run.run_id:
        return kept
    settings = Moved(splits=tuple(sorted(space.splits))) if space.splits else None
    measured = overlap_of(space.run, space.beside, space.data.dataset_id, settings)
    if measured.empty:
        return kept
    known, overlaps = measured["image_id"].to_numpy(), measured["overlap"].to_numpy()
    order = np.argsort(known)
    place = np.minimum(np.searchsorted(known, image_ids, sorter=order), len(known) - 1)
    found = known[order][place] == image_ids
    kept[found] = overlaps[order][place][found]
    return kept
