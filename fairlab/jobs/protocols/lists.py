"""What protocols that are lists of pairs share: numbering, scores and numbers as for a data set's own list."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError
from fairlab.evaluation.report import evaluate
from fairlab.evaluation.scores import pair_scores
from fairlab.jobs.evaluate.assess import judged_vectors
from fairlab.jobs.protocols.base import Asked, Outcome
from fairlab.tables import LISTED, PAIRS, SCORES

ROOM = 2**32
"""Pairs that a protocol has numbers for."""


def first_pair(protocol: str) -> int:
    """The lowest pair_id of a protocol's own pairs: beside the data set's, which count from 0, and other protocols'."""
    name = hashlib.blake2b(protocol.encode(), digest_size=3).digest()
    return (1 + int.from_bytes(name, "little")) * ROOM


def judged_list(asked: Asked, protocol: str, pairs: pd.DataFrame, notes: list[str], facts: dict[str, Any]) -> Outcome:
    """Numbers on `pairs` (tables.PAIRS without pair_id and protocol), sorted by group, fold and kind. Raises Stopped."""
    order = pairs.assign(later=~pairs["genuine"]).sort_values(["group", "fold", "later"], kind="stable")
    listed = order.drop(columns="later").reset_index(drop=True)
    listed["protocol"], listed["pair_id"] = protocol, first_pair(protocol) + np.arange(len(listed))
    listed = listed[list(PAIRS)]
    asked.job.go_on()
    vectors, ids, _ = judged_vectors(asked.model, asked.dataset)
    scores = pair_scores(vectors, ids, listed)
    results = evaluate(asked.model.run_id, asked.dataset.images, listed, scores, asked.evaluation)
    table = SCORES.of({"run_id": asked.model.run_id, "pair_id": listed["pair_id"], "score": scores})
    genuine = int(listed["genuine"].sum())
    counted = {"genuine_pairs": genuine, "impostor_pairs": len(listed) - genuine}
    return Outcome(results.metrics, results.curves, table, listed, {}, [*notes, *results.notes], {**facts, **counted})


def with_impostors(pairs: pd.DataFrame, impostors: dict[str, tuple[np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """The genuine pairs of a list, and per group other impostors (image_a (M,), image_b (M,)), spread over its folds."""
    parts = [pairs.loc[pairs["genuine"], ["image_a", "image_b", "genuine", "group", "fold"]]]
    folds = np.unique(pairs["fold"])
    for group, (first, second) in impostors.items():
        fold = folds[np.arange(len(first)) * len(folds) // max(len(first), 1)]
        parts.append(LISTED.of({"image_a": first, "image_b": second, "genuine": False, "group": group, "fold": fold}))
    return pd.concat(parts, ignore_index=True)


def how_many(asked: Asked, pairs: pd.DataFrame, group: str, people: np.ndarray) -> int:
    """Impostor pairs of a group: as many as asked for, or as its list has, of those that images of `people` (n,) make.

    Raises FairLabError when more are asked for than there are.
    """
    possible = strangers(people)
    wanted = asked.settings.impostors
    if wanted is None:
        of = pairs[pairs["group"] == group]
        return min(int((~of["genuine"]).sum()) or int(of["genuine"].sum()), possible)
    if wanted > possible:
        raise FairLabError(
            f"group {group} has only {possible:,} different impostor pairs; lower protocols.impostors ({wanted:,})"
        )
    return wanted


def strangers(people: np.ndarray) -> int:
    """How many pairs of images (n,) show two people."""
    each = np.unique(people, return_counts=True)[1].astype(np.int64)
    return int(len(people) * (len(people) - 1) // 2 - (each * (each - 1) // 2).sum())
