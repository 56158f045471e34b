"""Several images of one person as one vector, as IJB's protocols compare people.

Feature of an image: (f(x) + f(mirror x)) x the detector's score, raw outputs added. Template: the mean over the images of
each photograph or video (media), these means added, brought to length 1. Source: insightface, recognition/_evaluation_/ijb,
eval_ijbc.py (image2template_feature).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError

CHUNK = 8192
"""Images whose embeddings are added up at once: 8,192 x 512 x 8 bytes are 34 MB."""


def template_vectors(
    views: Sequence[tuple[np.ndarray, np.ndarray]], ids: np.ndarray, templates: pd.DataFrame
) -> np.ndarray:
    """Unit vectors (T, D) float64 of the templates in tables.TEMPLATES, by rising number of the template.

    views: unit embeddings (N, D) with their raw norms (N,), of the images as they are and, for models that are judged by
    both, of their mirror images; ids (N,): rising image ids of the rows. Raises FairLabError naming an image without an
    embedding, and a template that has no direction (its weights are 0, or its images cancel each other).
    """
    wanted = templates["image_id"].to_numpy()
    rows = np.minimum(np.searchsorted(ids, wanted), max(len(ids) - 1, 0))
    missing = wanted[ids[rows] != wanted] if len(ids) else wanted
    if len(missing):
        raise FairLabError(f"image {missing[0]} of a template has no embedding")
    share = templates["weight"].to_numpy(np.float64) / _images_of_its_media(templates)
    numbers, place = np.unique(templates["template"].to_numpy(), return_inverse=True)
    order = np.argsort(place, kind="stable")
    total = np.zeros((len(numbers), views[0][0].shape[1]))
    for start in range(0, len(order), CHUNK):
        part = order[start : start + CHUNK]
        raw = np.zeros((len(part), total.shape[1]))
        for vectors, norms in views:
            raw += vectors[rows[part]] * (norms[rows[part]] * share[part])[:, None]
        starts = np.flatnonzero(np.diff(place[part], prepend=-1))
        total[place[part][starts]] += np.add.reduceat(raw, starts)
    length = np.linalg.norm(total, axis=1, keepdims=True)
    lost = np.flatnonzero(~(length[:, 0] > 0))
    if len(lost):
        image = templates["image_id"].to_numpy()[np.argmax(place == lost[0])]
        raise FairLabError(f"the template of image {image} has no direction: the sum of its embeddings is not above 0")
    total /= length
    return total


def _images_of_its_media(templates: pd.DataFrame) -> np.ndarray:
    """Of each row (R,) how many images its template has of the same photograph or video."""
    return templates.groupby(["template", "media"])["image_id"].transform("size").to_numpy()
