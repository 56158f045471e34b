"""How often an image was in a pair that the model decides wrongly, at one operating point."""

from __future__ import annotations

import numpy as np

from fairlab.compare.columns.base import COLUMNS, Space
from fairlab.compare.scored import scored
from fairlab.evaluation.error_pairs import decided
from fairlab.evaluation.operating import OperatingPoint
from fairlab.store.results import judged_on, lists_judged, pairs_of

POINT = OperatingPoint("pooled", 0.01)
"""One threshold, at FMR 1 % of all groups: the point that pages start with."""
FINAL = "test"


@COLUMNS.register("errors", label="errors at FMR 1 % of all")
def errors_of_an_image(space: Space, image_ids: np.ndarray) -> np.ndarray:
    """(N,) false matches and false non-matches that each image is part of, on the test pairs (or the first list).

    NaN for an image in no pair, and for a model that was not evaluated on the data.
    """
    name, found = space.data.dataset_id, np.full(len(image_ids), np.nan)
    if space.data.templates is not None or name not in judged_on(space.run.folder):
        return found
    lists = lists_judged(space.run.folder, name)
    protocol = FINAL if FINAL in lists else lists[0]
    table = decided(scored(space.run, space.data, protocol), POINT)
    pairs = pairs_of(space.run.folder, space.data, protocol).set_index("pair_id")
    sides = pairs.loc[table["pair_id"], ["image_a", "image_b"]].to_numpy(np.int64)
    wrong = (table["match"] != table["genuine"]).to_numpy(bool)
    images = len(space.data.images)
    compared = np.bincount(sides.ravel(), minlength=images)[image_ids]
    errors = np.bincount(sides[wrong].ravel(), minlength=images)[image_ids]
    found[compared > 0] = errors[compared > 0]
    return found
