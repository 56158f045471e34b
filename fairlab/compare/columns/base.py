"""The table of columns, and what their functions are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset
from fairlab.data.traits import names_beside, traits_of
from fairlab.errors import FairLabError
from fairlab.registry import Registry
from fairlab.store.embeddings import Embeddings, open_embeddings
from fairlab.store.index import Index, index_among, open_index
from fairlab.store.runs import RunRecord
from fairlab.workspace import Workspace


@dataclass(frozen=True)
class Space:
    """One model's embeddings of one data set."""

    workspace: Workspace
    run: RunRecord
    data: Dataset
    splits: tuple[str, ...] = ()
    """Parts of the data among which neighbours are looked for; none named: all."""
    beside: RunRecord | None = None
    """The space shown beside it, for columns that compare two."""

    @cached_property
    def embeddings(self) -> Embeddings:
        """The stored unit vectors."""
        return open_embeddings(self.run.folder, self.data.dataset_id, "plain")

    @cached_property
    def index(self) -> Index:
        """Over the vectors of the parts of the data."""
        if not self.splits:
            return open_index(self.embeddings)
        images = self.data.images
        return index_among(self.embeddings, images.loc[images["split"].isin(self.splits), "image_id"].to_numpy())


Column = Callable[[Space, np.ndarray], np.ndarray]
COLUMNS: Registry[Column] = Registry("column of a space", "fairlab.compare.columns")
ATTRIBUTE, TRAIT = "attribute.", "trait."
PLAIN = {"group": "group", "identity": "person", "source": "source", "split": "part of the data"}
"""Columns of every table of images, and what they are called."""


def labels(data: Dataset) -> dict[str, str]:
    """Every column that maps of a data set can be coloured by: name -> label. Those of its table come first."""
    attributes = {name: name.removeprefix(ATTRIBUTE) for name in data.images if str(name).startswith(ATTRIBUTE)}
    traits = {f"{TRAIT}{name}": name for name in names_beside(data)}
    return {**PLAIN, **attributes, **traits, **{name: str(COLUMNS.facts(name)["label"]) for name in COLUMNS}}


def values(space: Space, name: str, image_ids: np.ndarray) -> np.ndarray:
    """A column for these images, (N,): text ("n/a" where there is none) or float64 (NaN where there is none).

    Raises FairLabError for a name that is no column, and where an image has no embedding.
    """
    known = labels(space.data)
    if name not in known:
        raise FairLabError(f"a map cannot be coloured by {name!r}; columns are: {', '.join(known)}")
    if name in COLUMNS:
        return COLUMNS[name](space, image_ids)
    if name.startswith(TRAIT):
        trait = traits_of(space.data)[name.removeprefix(TRAIT)]
        found = trait.values[image_ids]
        return found if trait.numeric else np.where(trait.known[image_ids], found, "n/a").astype(str)
    column = space.data.images[name].iloc[image_ids]
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return column.to_numpy(np.float64, na_value=np.nan)
    return column.astype(object).where(column.notna(), "n/a").astype(str).to_numpy()
