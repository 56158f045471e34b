"""Traits of the images behind a run's pairs: those of the data set, and the length of the run's own embeddings."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset
from fairlab.data.trait_tables import MODEL as NORM
from fairlab.data.traits import traits_of
from fairlab.errors import FairLabError
from fairlab.store.embeddings import has_embeddings, open_embeddings
from fairlab.store.results import pairs_of
from fairlab.store.runs import RunRecord


def names_of(record: RunRecord, data: Dataset) -> list[str]:
    """The traits that there are: the embedding's norm first, where the run has embedded the data, then the data set's."""
    own = [NORM] if has_embeddings(record.folder, data.dataset_id, "plain") else []
    return [*own, *traits_of(data).names]


def values_of(record: RunRecord, data: Dataset, name: str) -> np.ndarray:
    """(N,) a trait of every image, NaN unknown. Raises FairLabError for one that there is not, naming those that are."""
    names = names_of(record, data)
    if name not in names:
        how = f"measure or import some: `fairlab data traits {data.dataset_id} --measure`"
        known = f"there are: {', '.join(names)}" if names else how
        raise FairLabError(f"there is no trait {name[:80]!r} of {data.dataset_id} in {record.run_id}; {known}")
    if name != NORM:
        return traits_of(data).of(name)
    stored = open_embeddings(record.folder, data.dataset_id)
    values = np.full(len(data.images), np.nan)
    values[stored.ids] = stored.norms
    return values


def of_sides(record: RunRecord, data: Dataset, protocol: str, pair_ids: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(P, 2) a trait (N,) of the two images of these pairs; where pairs compare templates, the mean over their images."""
    pairs = pairs_of(record.folder, data, protocol)
    at = pd.Index(pairs["pair_id"]).get_indexer(pair_ids)
    if (at < 0).any():
        raise FairLabError(f"pair {pair_ids[int(np.argmax(at < 0))]} is not among the {protocol} pairs")
    images = pairs[["image_a", "image_b"]].to_numpy()[at]
    if data.templates is not None:
        own = pd.Series(values[data.templates["image_id"].to_numpy()])
        means = own.groupby(data.templates["template"].to_numpy()).mean()
        values = values.copy()
        values[means.index.to_numpy()] = means.to_numpy()
    return np.asarray(values[images])
