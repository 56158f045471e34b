"""Which images a run learns from: splits, who is held out, groups, and the balanced parts of MST-KD's control teachers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from fairlab.data.holding_out import held_out_identities
from fairlab.errors import FairLabError
from fairlab.settings.study import Data


def part_sizes(count: int, parts: int) -> list[int]:
    """Sizes of `parts` parts of `count` identities: each takes the ceiling of an equal share of what is left.

    Source: official MST-KD code, baseline_data_split.py: 6997 in 4 -> 1750, 1749, 1749, 1749.
    """
    sizes: list[int] = []
    for left in range(parts, 0, -1):
        sizes.append(math.ceil((count - sum(sizes)) / left))
    return sizes


PARTS, DRAWS = 4, 5
"""Streams of random numbers: of the balanced parts, and of the subsets that recipes draw."""


def shuffled(names: np.ndarray, seed: int, kind: int) -> np.ndarray:
    """Places of `names` (N,), sorted and then shuffled by `seed`: the same names whatever order they are given in."""
    order = np.argsort(names, kind="stable")
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, kind]))).permutation(order)


def balanced_parts(identities: Sequence[str], groups: Sequence[str], parts: int, seed: int) -> np.ndarray:
    """The part (0..parts-1) of every identity, (N,) int: disjoint, covering, each with an equal share of
    every group.

    Identities are sorted, then shuffled by `seed`, so that the order in which they are given does not matter
    (the official code's split follows the file system's order).
    """
    table = pd.DataFrame({"identity": list(identities), "group": list(groups)})
    result = np.empty(len(table), dtype=np.int64)
    for group in sorted(table["group"].unique()):
        members = table.index[table["group"] == group].to_numpy()
        members = members[shuffled(table.loc[members, "identity"].to_numpy(), seed, PARTS)]
        result[members] = np.repeat(np.arange(parts), part_sizes(len(members), parts))
    return result


def training_rows(images: pd.DataFrame, data: Data, seed: int) -> np.ndarray:
    """Image ids (rising) that a run trains on. Raises FairLabError, naming the split or group, when there are
    none.
    """
    known = set(images["split"])
    for split in data.splits:
        if split not in known:
            raise FairLabError(f"data set {data.dataset} has no split {split!r}; it has: {', '.join(sorted(known))}")
    chosen = images[images["split"].isin(data.splits)]
    if data.held_out is not None:
        chosen = chosen[~chosen["identity"].isin(held_out_identities(images, data, seed))]
    for group in data.groups:
        if group not in set(chosen["group"]):
            raise FairLabError(f"group {group!r} has no image in {', '.join(data.splits)} of data set {data.dataset}")
    if data.groups:
        chosen = chosen[chosen["group"].isin(data.groups)]
    if data.parts > 1:
        people = chosen.drop_duplicates("identity")
        part = balanced_parts(people["identity"].tolist(), people["group"].tolist(), data.parts, seed)
        chosen = chosen[chosen["identity"].isin(people["identity"].to_numpy()[part == data.part])]
    if chosen["identity"].nunique() < 2:
        raise FairLabError(
            f"{', '.join(data.splits)} of data set {data.dataset} leaves "
            f"{chosen['identity'].nunique()} identities to train on; at least two are needed"
        )
    return np.sort(chosen["image_id"].to_numpy())


def identity_labels(images: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """(labels (N,) int64 0..C-1, names of the C identities in the order of their labels: sorted)."""
    names, labels = np.unique(images["identity"].to_numpy(dtype=str), return_inverse=True)
    return labels.astype(np.int64), names.tolist()
