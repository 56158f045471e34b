"""Pairs named by files, as lists and packs have them, to pairs of rows of an images table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.data.listing import Problem, problem
from fairlab.data.names.rows import rows_of
from fairlab.data.readers.finding_lists import listed_pairs
from fairlab.errors import FairLabError
from fairlab.settings.study import Source

MIXED = "across groups"
"""Group of a pair whose two people are of different groups."""


def pairs_from_list(
    root: Path, images: pd.DataFrame, source: Source
) -> tuple[pd.DataFrame | None, list[Problem | str]]:
    """Pairs of the list that `source` names, or of a usual one in `root` or beside it; None without a list."""
    listed, problems = listed_pairs([root], images, source)
    if listed is None:
        return None, problems
    pairs, more = resolve(listed.pairs, images, listed.path)
    return pairs, [*problems, *(f"{listed.path.name}: {text}" for text in listed.problems), *more]


def resolve(listed: pd.DataFrame, images: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, list[Problem]]:
    """Listed pairs (image_a, image_b: file names; genuine, fold, line) as rows of `images`.

    Pairs of which an image is missing are left out and counted. Raises FairLabError when none is left, or when the
    list calls two images of one person an impostor pair or of two people a genuine one.
    """
    both = {side: rows_of(listed[side].tolist(), images) for side in ("image_a", "image_b")}
    there = (both["image_a"] >= 0) & (both["image_b"] >= 0)
    if not there.any():
        raise FairLabError(
            f"{path}: no pair has both its images in the data, for example not {listed['image_a'].iloc[0]!r}"
        )
    kept = listed[there].reset_index(drop=True)
    a, b = both["image_a"][there], both["image_b"][there]
    people, groups = images["identity"].to_numpy(dtype=object), images["group"].to_numpy(dtype=object)
    genuine = kept["genuine"].to_numpy(bool)
    wrong = np.flatnonzero((people[a] == people[b]) != genuine)
    if len(wrong):
        row = kept.iloc[wrong[0]]
        said = "a genuine pair of two people" if row["genuine"] else "an impostor pair of one person"
        raise FairLabError(f"{path}, line {row['line']}: {said} ({row['image_a']}, {row['image_b']})")
    pairs = pd.DataFrame({"image_a": a, "image_b": b, "genuine": genuine})
    pairs["group"] = np.where(groups[a] == groups[b], groups[a], MIXED)
    pairs["fold"] = kept["fold"].to_numpy()
    lost = listed[~there]
    places = [f"line {line}" for line in lost["line"]]
    return pairs, problem(f"pairs of {path.name} with a missing image, left out", places)
