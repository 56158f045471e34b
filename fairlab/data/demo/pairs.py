"""Pair lists: as many impostor as genuine comparisons, in ten folds, impostors among the most similar people."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from fairlab.data.demo.people import generator
from fairlab.errors import FairLabError
from fairlab.tables import LISTED, PAIRS

FOLDS = 10


def nearest_people(factors: np.ndarray, count: int) -> np.ndarray:
    """For each of N people the `count` others with the nearest `factors` (N, F): (N, count) positions,
    nearest first.
    """
    squares = (factors**2).sum(1)
    distance = squares[:, None] + squares[None] - 2.0 * np.einsum("if,jf->ij", factors, factors)
    np.fill_diagonal(distance, np.inf)
    return np.argsort(distance, axis=1, kind="stable")[:, :count]


def draw_pairs(
    images: pd.DataFrame,
    protocol: str,
    factors: Mapping[str, np.ndarray] | None,
    count: int,
    hard: int,
    seed: int,
    folds: int = FOLDS,
) -> pd.DataFrame:
    """`count` genuine and `count` impostor pairs of every group in `images` (tables.IMAGES), as tables.PAIRS.

    Group by group, in contiguous folds; in a fold first the genuine, then as many impostor pairs, as RFW
    lists them. Genuine pairs go through the folds person by person, so that a fold's
    threshold is chosen mostly on other people. An impostor pair joins a person of the fold to one of the
    `hard` most similar people of the group, by `factors` (identity -> (F,)); without factors, to anybody of
    the group. No pair comes twice. Raises FairLabError, naming the group, when there are not so many
    different pairs.
    """
    tables = []
    for number, group in enumerate(images["group"].unique()):
        members = images[images["group"] == group]
        rng = generator(seed, 3, number, *protocol.encode())
        people = rng.permutation(np.array(sorted(members["identity"].unique()), dtype=object))
        rows = [members.loc[members["identity"] == person, "image_id"].to_numpy() for person in people]
        everyone = len(people) - 1
        if factors is None:
            near = nearest_people(np.zeros((len(people), 1)), everyone)
        else:
            near = nearest_people(np.stack([factors[person] for person in people]), min(hard, everyone))
        where = f"group {group!r} of the {protocol} pairs"
        genuine = _genuine(rows, count, rng, where)
        impostor = _impostors(rows, near, genuine[:, 2], rng, where)
        fold = np.arange(count) * folds // count
        both = LISTED.of(
            {
                "image_a": np.concatenate([genuine[:, 0], impostor[:, 0]]),
                "image_b": np.concatenate([genuine[:, 1], impostor[:, 1]]),
                "genuine": np.repeat([True, False], count),
                "group": group,
                "fold": np.concatenate([fold, fold]),
            }
        )
        tables.append(both.sort_values(["fold", "genuine"], ascending=[True, False], kind="stable"))
    result = LISTED.stack(tables)
    return PAIRS.of({**result, "pair_id": np.arange(len(result)), "protocol": protocol})


def _genuine(rows: list[np.ndarray], count: int, rng: np.random.Generator, where: str) -> np.ndarray:
    """(count, 3): two images of one person and the person's position; evenly over people, person by person."""
    every = [[(a, b, person) for i, a in enumerate(own) for b in own[i + 1 :]] for person, own in enumerate(rows)]
    possible = sum(len(pairs) for pairs in every)
    if possible < count:
        raise FairLabError(
            f"{where}: {count} genuine pairs requested, but {len(rows)} people with these images give only "
            f"{possible}; request fewer pairs, or more people or images"
        )
    shuffled = [[pairs[i] for i in rng.permutation(len(pairs))] for pairs in every]
    taken = np.zeros(len(rows), np.int64)
    while taken.sum() < count:  # rounds: one more pair of everybody who has one left
        for person, pairs in enumerate(shuffled):
            if taken[person] < len(pairs) and taken.sum() < count:
                taken[person] += 1
    return np.array([pair for person, pairs in enumerate(shuffled) for pair in pairs[: taken[person]]], np.int64)


def _impostors(
    rows: list[np.ndarray], near: np.ndarray, owners: np.ndarray, rng: np.random.Generator, where: str
) -> np.ndarray:
    """(count, 2): for each owner (count,) an image of them and one of a similar person, no two pairs alike."""
    seen: set[tuple[int, int]] = set()
    result = []
    for owner in owners.tolist():
        for _ in range(50):
            other = int(near[owner, rng.integers(near.shape[1])])
            pair = int(rng.choice(rows[owner])), int(rng.choice(rows[other]))
            if (min(pair), max(pair)) not in seen:
                break
        else:  # few are left: look at every one
            every = [(int(a), int(b)) for other in near[owner] for a in rows[owner] for b in rows[other]]
            unused = [pair for pair in every if (min(pair), max(pair)) not in seen]
            if not unused:
                raise FairLabError(
                    f"{where}: there are not {len(owners)} different impostor pairs among the {near.shape[1]} most similar "
                    "people; request fewer pairs, or raise hard_impostors"
                )
            pair = unused[rng.integers(len(unused))]
        seen.add((min(pair), max(pair)))
        result.append(pair)
    return np.array(result, np.int64)
