"""A part of the training identities that no run trains on: who they are, and the pairs to validate on."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fairlab.data.folds import spread_folds
from fairlab.errors import FairLabError
from fairlab.settings.study import Data
from fairlab.tables import PAIRS

HELD_OUT = 6
"""Stream of random numbers of this draw and of its pairs."""
MOST = 3000
"""Genuine pairs of a group at most, and as many impostor pairs: as in each list of RFW."""


def held_out_identities(images: pd.DataFrame, data: Data, seed: int) -> list[str]:
    """Names, sorted, of the share `data.held_out` of the identities of every group in `data.splits`; [] for none.

    Of all groups, whatever groups and part this run trains on: so runs with one seed all leave out the same people, and
    a student is not judged on people whom its teachers know. Never less than two of a group. Independent of the order
    of rows. Raises FairLabError, naming the group, when two would be more than half.
    """
    if data.held_out is None:
        return []
    people = images.loc[images["split"].isin(data.splits), ["identity", "group"]].drop_duplicates()
    chosen: set[str] = set()
    for group in sorted(people["group"].unique()):
        names = np.sort(people.loc[people["group"] == group, "identity"].to_numpy(dtype=str))
        if len(names) < 4:
            raise FairLabError(
                f"group {group!r} of data set {data.dataset} has {len(names)} identities to train on; to hold some out for "
                "validation (data.held_out) it needs four or more"
            )
        count = max(round(data.held_out * len(names)), 2)
        chosen.update(_draws(seed, group).permutation(names)[:count].tolist())
    return sorted(chosen)


def held_out_pairs(images: pd.DataFrame, data: Data, seed: int, most: int = MOST) -> pd.DataFrame:
    """Pairs of the held-out people as tables.PAIRS, protocol "validation": within groups, in folds by people.

    All genuine pairs of a group, or `most` drawn from them, and as many impostor pairs (fewer of both where there are
    not so many). Raises FairLabError, naming the group, where there is no pair of either kind.
    """
    names = held_out_identities(images, data, seed)
    part = images[images["split"].isin(data.splits) & images["identity"].isin(names)]
    tables = []
    for group in dict.fromkeys(part["group"]):
        members = part[part["group"] == group].sort_values(["identity", "image_id"])
        who = np.unique(members["identity"].to_numpy(dtype=str), return_inverse=True)[1]
        ids, sizes, draws = members["image_id"].to_numpy(), np.bincount(who), _draws(seed, f"pairs of {group}")
        genuine_pairs = int((sizes * (sizes - 1) // 2).sum())
        impostor_pairs = int((len(who) ** 2 - (sizes**2).sum()) // 2)
        count = min(most, genuine_pairs, impostor_pairs)
        if count == 0:
            raise FairLabError(
                f"the held-out identities of group {group!r} in data set {data.dataset} have "
                f"{'only one image each' if genuine_pairs == 0 else 'no impostor pair'}, so there are no pairs to "
                f"validate on; raise data.held_out, or leave it empty"
            )
        ends = np.cumsum(sizes)
        every = [np.stack(np.triu_indices(size, 1), 1) + end - size for size, end in zip(sizes, ends, strict=True)]
        genuine = draws.permutation(np.concatenate(every))[:count]
        both = np.concatenate([genuine, _impostors(who, impostor_pairs, count, draws)])
        tables.append(
            pd.DataFrame(
                {
                    "image_a": ids[both[:, 0]],
                    "image_b": ids[both[:, 1]],
                    "genuine": np.repeat([True, False], count),
                    "group": group,
                }
            )
        )
    pairs = pd.concat(tables, ignore_index=True)
    owner = images.set_index("image_id")["identity"]
    first, second = (
        np.searchsorted(names, owner.loc[pairs[side]].to_numpy(dtype=str)) for side in ("image_a", "image_b")
    )
    codes = pd.factorize(pairs["group"])[0]
    pairs["fold"] = spread_folds(first, second, names, codes, pairs["genuine"].to_numpy(bool))
    pairs = pairs.sort_values(["group", "fold", "genuine"], ascending=[True, True, False], kind="stable")
    return pairs.assign(pair_id=np.arange(len(pairs)), protocol="validation").reset_index(drop=True)[list(PAIRS)]


def _impostors(who: np.ndarray, possible: int, count: int, draws: np.random.Generator) -> np.ndarray:
    """(count, 2) positions a < b of different people, no two alike; who (N,): the person of every image, rising."""
    if possible <= 2 * count:  # few: draw from the list of all
        first, second = np.nonzero(np.triu(who[:, None] != who[None]))
        return draws.permutation(np.stack([first, second], 1))[:count]
    found = np.empty((0, 2), np.int64)
    while len(found) < count:
        drawn = np.sort(draws.integers(0, len(who), (2 * count, 2)), axis=1)
        found = np.concatenate([found, drawn[who[drawn[:, 0]] != who[drawn[:, 1]]]])
        found = found[np.sort(np.unique(found, axis=0, return_index=True)[1])]  # each once, in the order of the draws
    return found[:count]


def _draws(seed: int, what: str) -> np.random.Generator:
    """Random numbers that depend on the seed and this text alone."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, HELD_OUT, *what.encode()])))
