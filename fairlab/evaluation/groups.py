"""A list of pairs cut by group, each with its people looked up and redrawn: what every report starts from."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError
from fairlab.evaluation.intervals import IdentityBootstrap
from fairlab.evaluation.many_pairs import ManyPairs

MANY = 100_000_000
"""Weights, one for every draw and pair of a group, that may be held at once: 400 MB."""


class Asked(Protocol):
    """What an evaluation is asked for (config.Evaluation, or Defaults): FMRs of all groups' impostors together at which
    thresholds are set, draws of identities for an interval, and their seed.
    """

    @property
    def fmr_targets(self) -> tuple[float, ...]: ...
    @property
    def bootstrap(self) -> int: ...
    @property
    def seed(self) -> int: ...


@dataclass(frozen=True)
class Defaults:
    """What is asked for when nothing is said."""

    fmr_targets: tuple[float, ...] = (0.1, 0.01, 0.001)
    bootstrap: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class GroupPairs:
    """The pairs of one group (P,), their places `where` in the whole list, and the draws of the group's people.

    repeated (P,): pairs of the same two images as one before them; None: there are none.
    """

    name: str
    scores: np.ndarray
    genuine: np.ndarray
    folds: np.ndarray
    bootstrap: IdentityBootstrap
    where: np.ndarray
    repeated: np.ndarray | None = None

    @property
    def trials(self) -> tuple[int, int]:
        """(genuine, impostor) pairs, each counted once: what an exact bound may take for trials."""
        once = True if self.repeated is None else ~self.repeated
        return int((self.genuine & once).sum()), int((~self.genuine & once).sum())

    @property
    def counts(self) -> tuple[int, int]:
        """(genuine, impostor) pairs."""
        return int(self.genuine.sum()), int((~self.genuine).sum())


def cut(images: pd.DataFrame, pairs: pd.DataFrame, scores: np.ndarray, settings: Asked) -> list[GroupPairs]:
    """The pairs by group, with identities looked up; groups keep the order in which the pairs name them.

    Raises FairLabError for scores that do not fit, an image that is not in `images`, a group without a name, and a pair
    whose `genuine` contradicts its identities.
    """
    scores = checked(pairs, scores)
    if pairs["group"].isna().any():
        raise FairLabError(f"pair {pairs['pair_id'][pairs['group'].isna()].iloc[0]} has no group")
    first, second = (_identities(images, pairs, column) for column in ("image_a", "image_b"))
    genuine = pairs["genuine"].to_numpy(dtype=bool)
    lying = np.flatnonzero((first == second) != genuine)
    if len(lying):
        raise FairLabError(
            f"pair {pairs['pair_id'].iloc[lying[0]]} is called {'genuine' if genuine[lying[0]] else 'impostor'}, but its "
            f"images show {first[lying[0]]} and {second[lying[0]]}"
        )
    found = []
    low, high = np.sort(pairs[["image_a", "image_b"]].to_numpy(), axis=1).T
    repeated = pd.DataFrame({"low": low, "high": high, "group": pairs["group"].to_numpy()}).duplicated().to_numpy()
    for name in dict.fromkeys(pairs["group"]):
        of = np.flatnonzero((pairs["group"] == name).to_numpy())
        seed = seed_of(str(name), settings.seed)
        draws = redrawn_people(first[of], second[of], genuine[of], settings.bootstrap, seed)
        folds = pairs["fold"].to_numpy()[of]
        found.append(GroupPairs(str(name), scores[of], genuine[of], folds, draws, of, repeated[of]))
    return found


def redrawn_people(
    first: np.ndarray, second: np.ndarray, genuine: np.ndarray, draws: int, seed: int
) -> IdentityBootstrap:
    """Draws of the people whom these pairs (P,) compare; the same draws either way, in bounded memory for many pairs."""
    kind = ManyPairs if draws * len(genuine) > MANY else IdentityBootstrap
    return kind(first, second, genuine, draws, seed)


def seed_of(group: str, seed: int) -> int:
    """The seed of a group's draws. It hangs on the group's name, so that the order of groups and of pairs changes no
    interval.
    """
    return (seed << 32) + zlib.crc32(group.encode())


def checked(pairs: pd.DataFrame, scores: np.ndarray) -> np.ndarray:
    """The scores (P,) as float64. Raises FairLabError when they do not fit the pairs or are no numbers."""
    values = np.asarray(scores, dtype=np.float64)
    if len(values) != len(pairs):
        raise FairLabError(f"there are {len(values)} scores for {len(pairs)} pairs")
    if len(pairs) == 0:
        raise FairLabError("there are no pairs to evaluate")
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise FairLabError(f"the score of pair {pairs['pair_id'].iloc[bad[0]]} is not a finite number")
    return values


def _identities(images: pd.DataFrame, pairs: pd.DataFrame, column: str) -> np.ndarray:
    """Whose face the pairs' images of `column` show (P,)."""
    at = pd.Index(images["image_id"]).get_indexer(pairs[column])
    if (at < 0).any():
        pair = pairs.iloc[int(np.argmax(at < 0))]
        raise FairLabError(f"pair {pair['pair_id']} names image {pair[column]}, which the images table does not have")
    shown: np.ndarray = images["identity"].to_numpy()[at]
    return shown
