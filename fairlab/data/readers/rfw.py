"""RFW, Racial Faces in the Wild (Wang et al., arXiv 1812.00194): data/<group>/<identity>/, txts/<group>/ with lists."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.data.listing import READERS, Listing, Problem, Progress, Stop, problem
from fairlab.data.readers.folders import read_below
from fairlab.data.readers.pair_files import resolve, rows_of
from fairlab.data.readers.pair_lists import read_pairs
from fairlab.data.readers.rfw_lists import rfw_landmarks
from fairlab.data.walking import walk
from fairlab.errors import FairLabError
from fairlab.settings.study import Source

ATTRIBUTE = "Ethnicity"
POINTS = [f"{axis}{number}" for number in range(1, 6) for axis in "xy"]


def root_of(path: Path) -> Path | None:
    """The folder with data/ and txts/: `path` itself, or up to three below (test/, images/test/, RFW/images/test/)."""
    for depth in range(4):
        for folder in sorted(path.glob("/".join(["*"] * depth))) if depth else [path]:
            if (folder / "data").is_dir() and any((folder / "txts").glob("*/*_pairs.txt")):
                return folder
    return None


@READERS.register("rfw", title="RFW with its lists", order=10)
class Rfw:
    """Groups are the folders under data/; a person who stands under two of them is two identities."""

    def detect(self, path: Path) -> str:
        """data/ beside txts/<group>/<group>_pairs.txt."""
        root = root_of(path) if path.is_dir() else None
        return f"data/ and txts/ with pair lists in {root}" if root else ""

    def listing(self, path: Path, source: Source, progress: Progress, stop: Stop) -> Listing:
        """Images sorted by name; pairs and landmarks of every group that has lists."""
        root = root_of(path)
        if root is None:
            raise FairLabError(f"{path} has no folder with data/ and txts/<group>/<group>_pairs.txt, as in RFW")
        tree = walk(root / "data", 3, progress, stop)
        if not tree.files:
            raise FairLabError(f"{root / 'data'} holds no image as group/identity/image")
        images = pd.DataFrame({"location": tree.files})
        images["group"] = images["location"].str.split("/").str[0]
        images["identity"] = images["location"].str.rpartition("/")[0]
        problems: list[Problem | str] = [*tree.problems()]
        landmarks = np.full((len(images), 5, 2), np.nan)
        tables = []
        for group, lists in _lists(root):
            rows = np.flatnonzero((images["group"] == group).to_numpy())
            members = images.iloc[rows].reset_index(drop=True)
            if members.empty:
                raise FairLabError(f"{lists} has lists, but {root / 'data' / group} has no image")
            listed = read_pairs(lists / f"{group}_pairs.txt", kind="rfw")
            pairs, found = resolve(listed.pairs, members, listed.path)
            problems += [f"{listed.path.name}: {text}" for text in listed.problems]
            tables.append(pairs.assign(image_a=rows[pairs["image_a"]], image_b=rows[pairs["image_b"]]))
            problems += found
            if (lists / f"{group}_lmk.txt").exists():
                problems += _place(landmarks, rows, members, lists / f"{group}_lmk.txt")
        missing = sorted(set(images["group"]) - {group for group, _ in _lists(root)})
        problems += problem("groups without a pair list", missing)
        known = np.isfinite(landmarks).all(axis=(1, 2))
        return Listing(
            images,
            source.attribute or ATTRIBUTE,
            pd.concat(tables, ignore_index=True),
            landmarks if known.any() else None,
            problems,
            [f"RFW in {root}", "no pair spans two groups", *tree.links.notes()],
        )

    def opener(self, path: Path, locations: Sequence[str]) -> Callable[[int], bytes]:
        """Locations are paths below data/."""
        root = root_of(path)
        if root is None:
            raise FairLabError(f"{path} is not an RFW folder")
        return read_below(root / "data", locations)


def _lists(root: Path) -> Iterator[tuple[str, Path]]:
    """(group, folder of its lists), sorted."""
    for path in sorted((root / "txts").glob("*/*_pairs.txt")):
        yield path.name.removesuffix("_pairs.txt"), path.parent


def _place(landmarks: np.ndarray, rows: np.ndarray, members: pd.DataFrame, path: Path) -> list[Problem]:
    """Write a group's landmarks to their images' rows; lines without an image are counted."""
    table = rfw_landmarks(path)
    found = rows_of(table["file"].tolist(), members)
    there = found >= 0
    landmarks[rows[found[there]]] = table.loc[there, POINTS].to_numpy(float).reshape(-1, 5, 2)
    return problem(f"landmarks of {path.name} without an image", table.loc[~there, "file"].tolist())
