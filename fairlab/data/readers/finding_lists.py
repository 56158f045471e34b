"""The list of pairs of a set of images: the one that the user names, or the one that lies with the images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from fairlab.data.listing import PICTURES, Problem
from fairlab.data.names.rows import rows_of
from fairlab.data.readers.pair_lists import PairList, read_pairs
from fairlab.errors import FairLabError
from fairlab.settings.study import Source

USUAL = ("pairs.txt", "pairs.csv", "pairs.tsv")
"""A list with such a name is meant; what is wrong with it is an error."""
LISTS, WORDS = (".txt", ".csv", ".tsv", ".lst", ".mat"), ("pair", "protocol")
"""Endings of other lists, and words in their names: pairs_CALFW.txt, 04_FINAL_protocol_30_years.mat."""
_BEST = "30_years"
"""Of AgeDB's four lists, with 5 to 30 years between the images of a pair, AgeDB-30 is the one that papers use."""
_FOLDERS, _LOOKED = 200, 5000


def listed_pairs(
    roots: Sequence[Path], images: pd.DataFrame, source: Source
) -> tuple[PairList | None, list[Problem | str]]:
    """The pairs that belong to `images` (location), and what is odd; None where there is no list.

    Looked for in `roots`, beside the last one, and in folders without images that lie in the first. Raises FairLabError
    for a list that the user or its name says is meant and that cannot be read.
    """
    if source.pair_list:
        return read_pairs(Path(source.pair_list).expanduser(), identity_from_folder=True), []
    usual = [folder / name for folder in (*roots, roots[-1].parent) for name in USUAL]
    path = next((item for item in usual if item.is_file()), None)
    if path is not None:
        return read_pairs(path, identity_from_folder=True), []
    return _fitting(list(_others(roots)), images, source)


def _fitting(paths: list[Path], images: pd.DataFrame, source: Source) -> tuple[PairList | None, list[Problem | str]]:
    """The only one of `paths` that is a list of pairs of these images; what was wrong with the others."""
    found: list[PairList] = []
    problems: list[Problem | str] = []
    for path in paths:
        try:
            listed = read_pairs(path, identity_from_folder=True)
        except FairLabError as error:
            problems.append(f"{path.name} was not used as a list of pairs: {error}; name the right one as pair_list")
            continue
        sides = listed.pairs[["image_a", "image_b"]].head(_LOOKED)
        if any((rows_of(sides[side].tolist(), images) >= 0).any() for side in sides):
            found.append(listed)
        else:
            problems.append(f"{path.name} was not used as a list of pairs: it names none of these images")
    best = [listed for listed in found if _BEST in listed.path.name.lower()]
    if len(found) > 1 and len(best) != 1:
        names = ", ".join(listed.path.name for listed in found)
        return None, [
            *problems,
            f"several lists of pairs are next to the images; none was used ({names}): name one as pair_list",
        ]
    if len(found) > 1:
        problems.append(
            f"of {len(found)} lists of pairs, {best[0].path.name} was used; to use another, name it as pair_list"
        )
    return next(iter(best or found), None), problems


def _others(roots: Sequence[Path]) -> Iterator[Path]:
    """Files that their names call lists of pairs, in `roots` and in folders of the first that hold no images."""
    seen: set[Path] = set()
    for folder in (*roots, *_beside_images(roots[0])):
        try:
            files = sorted(item for item in folder.iterdir() if item.name.lower().endswith(LISTS))
        except OSError:
            continue
        for file in files:
            name = file.name.lower()
            # mismatchpairs...csv of LFW's tables is read together with matchpairs...csv
            if any(word in name for word in WORDS) and not name.startswith("mismatch") and file not in seen:
                seen.add(file)
                if file.is_file():
                    yield file


def _beside_images(root: Path) -> Iterator[Path]:
    """Folders in `root`, and those in them, in which no images lie; at most _FOLDERS are looked into."""
    waiting = [(root, 0)]
    looked = 0
    while waiting:
        folder, depth = waiting.pop(0)
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
            inside = [entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
        except OSError:
            continue
        if depth and not any(entry.name.lower().endswith(PICTURES) for entry in entries):
            yield folder
        looked += 1
        if looked > _FOLDERS or len(inside) > _FOLDERS:
            return
        if depth < 2:
            waiting += [(Path(entry.path), depth + 1) for entry in inside]
