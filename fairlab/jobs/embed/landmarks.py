"""The landmarks that a network takes beside its images: of the data, or of the template where the user says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fairlab.data.dataset import Dataset
from fairlab.data.points import has_points, lacking, of_template, points_of
from fairlab.errors import FairLabError
from fairlab.store.runs import RunRecord

FACT = "landmarks"
"""In the facts of a model whose network takes them: "data", or "template" for faces without any."""
HOW = "if its faces are aligned to the template, add the model again with landmarks=template"


def check_landmarks(space: RunRecord, facts: Mapping[str, Any], dataset: Dataset) -> None:
    """Raise FairLabError when the model needs landmarks and the data set has none at all; looks at names of files only."""
    if facts.get(FACT) == "data" and not has_points(dataset):
        raise FairLabError(
            f"{space.title} takes the landmarks of each face, and data set {dataset.dataset_id} has none: add the images "
            f"together with their landmarks; {HOW}"
        )


def landmarks_for(
    space: RunRecord, facts: Mapping[str, Any], dataset: Dataset, px: int
) -> tuple[np.ndarray | None, dict[str, int]]:
    """((N, 5, 2) as the network takes them or None where it takes none, what is to be kept beside the embeddings).

    Raises FairLabError for images without landmarks unless the model is told to take the template's.
    """
    if FACT not in facts:
        return None, {}
    check_landmarks(space, facts, dataset)
    points, count = points_of(dataset, px), len(dataset.images)
    without = lacking(points, count)
    if facts[FACT] == "data" and without.any():
        first = dataset.images["location"].iloc[int(np.argmax(without))]
        raise FairLabError(
            f"{space.title} takes the landmarks of each face, and {without.sum():,} of {count:,} images of data set "
            f"{dataset.dataset_id} have none, e.g. {first}: leave them out of the data; {HOW}"
        )
    if points is None:
        points = np.empty((count, 5, 2), np.float32)
    points[without] = of_template(px)
    if without.any():
        print(
            f"[fairlab] {without.sum():,} of {count:,} images of {dataset.dataset_id} have no landmarks: the "
            f"template's points were used",
            flush=True,
        )
    return points, {"landmarks_of_template": int(without.sum())}
