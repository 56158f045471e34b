"""The cohort of a repair: which people it has, drawn by seed, and which of their pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.holding_out import held_out_identities, held_out_pairs
from fairlab.errors import FairLabError
from fairlab.settings.repair import Repair
from fairlab.store.runs import RunRecord
from fairlab.tables import PAIRS
from fairlab.workspace import Workspace

REPAIR = 7
"""Stream of random numbers of this draw."""
VALIDATION = "validation"


@dataclass(frozen=True)
class Chosen:
    """Who the cohort is. part: rows of the data set's images that it was drawn from; members: those of its people; images:
    those drawn of them; pairs: tables.PAIRS of members.
    """

    dataset: Dataset
    part: np.ndarray
    members: np.ndarray
    images: np.ndarray
    pairs: pd.DataFrame
    source: str
    """Whose people these are, in words: "the validation people of demo-1234"."""

    @property
    def people(self) -> pd.DataFrame:
        """identity and group of every person."""
        return self.dataset.images.iloc[self.members][["identity", "group"]].drop_duplicates()


def choose(workspace: Workspace, model: RunRecord, test: Dataset, settings: Repair) -> Chosen:
    """The cohort that these settings name for a model that is tested on a data set.

    Raises FairLabError where there is none: no validation people, an unknown part or pair list, a set of templates.
    """
    if not settings.cohort and model.elsewhere and model.dataset != test.dataset_id:
        raise FairLabError(
            f"{model.title} was trained elsewhere, so no validation people are known: name a cohort, a data set whose "
            "people are neither in its training data nor in the test (--cohort DATA)"
        )
    dataset = open_dataset(workspace.dataset(settings.cohort or model.dataset or test.dataset_id))
    if dataset.templates is not None:
        raise FairLabError(f"data set {dataset.dataset_id} compares templates; a cohort consists of single images")
    held_out = model.config.data.held_out is not None and dataset.dataset_id == model.dataset
    same = dataset.dataset_id in (model.dataset, test.dataset_id)
    if held_out and not settings.cohort_splits:
        names = held_out_identities(dataset.images, model.config.data, model.seed)
        members = dataset.images["split"].isin(model.config.data.splits) & dataset.images["identity"].isin(names)
        pairs = held_out_pairs(dataset.images, model.config.data, model.seed)
        source = f"the people of {dataset.dataset_id} held out of training"
    else:
        splits = _splits(dataset, settings.cohort_splits or ((VALIDATION,) if same else ()))
        members = dataset.images["split"].isin(splits)
        pairs = _pairs(dataset, np.flatnonzero(members.to_numpy(bool)), settings.cohort_pairs)
        source = f"the {', '.join(splits)} people of {dataset.dataset_id}"
    part = np.flatnonzero(members.to_numpy(bool))
    rows, images = drawn(dataset.images, part, settings)
    pairs = pairs[pairs["image_a"].isin(rows) & pairs["image_b"].isin(rows)]
    groups = dataset.images["group"].to_numpy(dtype=str)
    within = groups[pairs["image_a"].to_numpy(np.int64)] == groups[pairs["image_b"].to_numpy(np.int64)]
    return Chosen(dataset, part, rows, images, pairs[within].reset_index(drop=True), source)


def _splits(dataset: Dataset, asked: Sequence[str]) -> tuple[str, ...]:
    known = [str(name) for name in dict.fromkeys(dataset.images["split"])]
    for name in asked:
        if name not in known:
            if name == VALIDATION:
                raise FairLabError(
                    f"data set {dataset.dataset_id} has no validation people to take as a cohort; it has: {', '.join(known)}. "
                    "Name a cohort of other people (--cohort DATA)"
                )
            raise FairLabError(f"data set {dataset.dataset_id} has no part {name!r}; it has: {', '.join(known)}")
    return tuple(asked) or tuple(known)


def _pairs(dataset: Dataset, rows: np.ndarray, asked: str) -> pd.DataFrame:
    """The list asked for, or the validation pairs, or else the first, of these images; none where there is no list."""
    lists = [str(name) for name in dict.fromkeys(dataset.pairs["protocol"])]
    if asked and asked not in lists:
        raise FairLabError(
            f"data set {dataset.dataset_id} has no pair list {asked!r}; it has: {', '.join(lists) or 'none'}"
        )
    inside = dataset.pairs["image_a"].isin(rows) & dataset.pairs["image_b"].isin(rows)
    own = [name for name in lists if inside[dataset.pairs["protocol"] == name].any()]
    name = asked or (VALIDATION if VALIDATION in own else own[0] if own else "")
    return dataset.pairs_of(name) if name else PAIRS.build()


def drawn(images: pd.DataFrame, rows: np.ndarray, settings: Repair) -> tuple[np.ndarray, np.ndarray]:
    """(rows of all images of at most settings.people people of each group, those of settings.images_each of each person).

    images: tables.IMAGES; rows (R,): of those who may be drawn. Independent of the order of rows.
    """
    some = images.iloc[rows]
    kept: list[np.ndarray] = []
    few: list[np.ndarray] = []
    for group in sorted(some["group"].astype(str).unique()):
        members = some[some["group"].astype(str) == group].sort_values(["identity", "image_id"])
        draws = np.random.Generator(np.random.Philox(np.random.SeedSequence([settings.seed, REPAIR, *group.encode()])))
        names = np.sort(members["identity"].astype(str).unique())
        chosen = set(draws.permutation(names)[: settings.people].tolist())
        members = members[members["identity"].astype(str).isin(chosen)]
        kept.append(members["image_id"].to_numpy())
        shuffled = members.iloc[draws.permutation(len(members))]
        few.append(shuffled.groupby("identity", sort=True).head(settings.images_each)["image_id"].to_numpy())
    return np.sort(np.concatenate(kept)), np.sort(np.concatenate(few))
