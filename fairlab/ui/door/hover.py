"""What a map says of the face under the pointer: its person, group, part of the data, and how it lies in that space."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.errors import FairLabError
from fairlab.files import MANIFEST
from fairlab.store.embeddings import Embeddings, open_embeddings
from fairlab.workspace import open_workspace


def about(run_id: str, dataset_id: str, image_id: int) -> dict[str, Any]:
    """{"person": name, "lines": sentences} of an image in the space of a run. Raises FairLabError for what is not there."""
    workspace = open_workspace()
    folder = workspace.dataset(dataset_id)
    stamp = (folder / MANIFEST).stat().st_mtime_ns if (folder / MANIFEST).exists() else 0
    people = _people(str(workspace.home), dataset_id, stamp)
    images = people.data.images
    if image_id >= len(images):
        raise FairLabError(f"{dataset_id} has no image {image_id}: it has {len(images):,}")
    row = images.iloc[image_id]
    others = people.images_of(image_id)
    embeddings = open_embeddings(workspace.run(run_id), dataset_id, "plain")
    score = score_to(embeddings, image_id, others[others != image_id])
    said = "n/a: the person has no other image" if score is None else f"{score:.3f}"
    lines = [f"{row['group']}, {row['split']}", f"{len(others):,} images", f"score to own centroid {said}"]
    return {"person": str(row["identity"]), "lines": lines}


def score_to(embeddings: Embeddings, image_id: int, others: np.ndarray) -> float | None:
    """Cosine of an image to the mean of others (M,), -1..1; None where none of them is embedded. Raises FairLabError."""
    own = np.asarray(embeddings.vectors[embeddings.rows_of(np.array([image_id]))[0]], dtype=np.float64)
    here = others[np.isin(others, embeddings.ids)]
    mean = np.asarray(embeddings.vectors[embeddings.rows_of(here)], dtype=np.float64).sum(axis=0)
    length = float(np.linalg.norm(mean))
    return float(np.clip(own @ mean / length, -1, 1)) if len(here) and length > 1e-6 else None


class _People:
    """A data set, its images sorted by person."""

    def __init__(self, data: Dataset) -> None:
        self.data = data
        self.codes, _ = pd.factorize(data.images["identity"])
        self.order = np.argsort(self.codes, kind="stable")
        self.starts = np.searchsorted(self.codes[self.order], np.arange(self.codes.max(initial=-1) + 2))

    def images_of(self, image_id: int) -> np.ndarray:
        """All images (M,) of an image's person."""
        person = self.codes[image_id]
        return self.order[self.starts[person] : self.starts[person + 1]]


@lru_cache(maxsize=4)
def _people(home: str, dataset_id: str, _stamp: int) -> _People:
    return _People(open_dataset(open_workspace(home).dataset(dataset_id)))
