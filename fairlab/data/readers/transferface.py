"""BUPT-Transferface, the training part that RFW came with (Wang et al., ICCV 2019): train/data/Caucasian/<person>/<image>,
but train/data/African/<image> and so on, as only one of the four groups has labels.

Landmarks: train/txts/<group>/<group>_lmk.txt, and for the labelled group erratum1/Caucasian_lmk.txt, which replaces it.
Source for the tree: the reader of RFW in bob.bio.face.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.data.attributes import with_groups
from fairlab.data.listing import PICTURES, READERS, Listing, Problem, Progress, Stop, problem
from fairlab.data.readers.folders import read_below
from fairlab.data.readers.rfw import ATTRIBUTE, POINTS
from fairlab.data.readers.rfw_lists import rfw_landmarks
from fairlab.data.walking import Links, Pace, folders_below
from fairlab.errors import FairLabError
from fairlab.settings.study import Source

_ERRATUM = "erratum1"


def train_root(path: Path) -> Path | None:
    """The folder whose data/ holds groups of which some are flat and some have people: `path` or train/ in it."""
    return next((root for root in (path, path / "train") if _is_mixed(root / "data")), None)


def _is_mixed(data: Path) -> bool:
    try:
        groups = [Path(entry.path) for entry in os.scandir(data) if entry.is_dir() and not entry.name.startswith(".")]
        kinds = {_holds_people(group) for group in groups}
    except OSError:
        return False
    return kinds >= {True, False}


def _holds_people(group: Path) -> bool | None:
    """Folders (True) or images (False), by the first name; None for neither."""
    with os.scandir(group) as entries:
        for entry in entries:
            if entry.is_dir():
                return True
            if entry.name.lower().endswith(PICTURES):
                return False
    return None


@READERS.register("transferface", title="BUPT-Transferface, RFW's training part", order=15)
class Transferface:
    """A group whose images lie in it has no identities: each of its images is its own."""

    def detect(self, path: Path) -> str:
        """data/ with a flat group beside one of people."""
        root = train_root(path) if path.is_dir() else None
        return f"data/ with labelled and unlabelled groups in {root}" if root else ""

    def listing(self, path: Path, source: Source, progress: Progress, stop: Stop) -> Listing:
        """Images sorted by name, with the landmarks of every list there is."""
        root = train_root(path)
        if root is None:
            raise FairLabError(f"{path} has no folder data/ with images in one group and folders of people in another")
        links = Links()
        files: list[str] = []
        elsewhere: list[str] = []
        for below, names in folders_below(root / "data", Pace(progress, stop), links):
            pictures = [below + name for name in names if name.lower().endswith(PICTURES)]
            (files if below.count("/") in (1, 2) else elsewhere).extend(pictures)
        images = pd.DataFrame({"location": pd.Series(files, dtype=object)})
        parts = images["location"].str.split("/")
        images["group"] = parts.str[0]
        nested = (parts.str.len() == 3).to_numpy(bool)
        folder, stem = images["location"].str.rpartition("/")[0], images["location"].str.rpartition(".")[0]
        images["identity"] = np.where(nested, folder, stem.str.replace("/", ":"))  # never one person in two groups
        problems: list[Problem] = problem("images at another depth, left out", elsewhere)
        mixed = [group for group, rows in images.groupby("group").groups.items() if 0 < nested[rows].sum() < len(rows)]
        problems += problem("groups with images both inside and outside folders of people", mixed)
        landmarks = _landmarks(root, images, problems)
        unlabelled = sorted(images.loc[~nested, "group"].unique())
        labelled = ", ".join(sorted(images.loc[nested, "group"].unique()))
        said = (
            f"without labels: {', '.join(unlabelled)}, where every image is its own identity; to train a classifier,"
            f" take the groups with labels only: {labelled}"
        )
        images, attribute, found = with_groups(images, source, ATTRIBUTE)
        notes = [f"BUPT-Transferface in {root}", said, *links.notes()]
        return Listing(images, attribute, None, landmarks, [*problems, *links.problems(), *found], notes)

    def opener(self, path: Path, locations: Sequence[str]) -> Callable[[int], bytes]:
        """Locations are paths below data/."""
        root = train_root(path)
        if root is None:
            raise FairLabError(f"{path} is not a folder of BUPT-Transferface")
        return read_below(root / "data", locations)


def _landmarks(root: Path, images: pd.DataFrame, problems: list[Problem]) -> np.ndarray | None:
    """(N, 5, 2) of all lists; an image is known by its group and the name of its file, as folders differ."""
    found = np.full((len(images), 5, 2), np.nan)
    names = images["location"].str.rpartition("/")[2].str.rpartition(".")[0]
    for group, rows in images.groupby("group").indices.items():
        name = f"{group}_lmk.txt"
        places = (root.parent / _ERRATUM / name, root / _ERRATUM / name, root / "txts" / str(group) / name)
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            continue
        table = rfw_landmarks(path)
        listed = table["file"].str.rpartition("/")[2].str.rpartition(".")[0]
        doubled = names.iloc[rows].duplicated(keep=False) | names.iloc[rows].isin(listed[listed.duplicated()])
        index = pd.Index(names.iloc[rows][~doubled])
        place = index.get_indexer(listed)
        there = place >= 0
        found[rows[~doubled.to_numpy(bool)][place[there]]] = (
            table.loc[there, list(POINTS)].to_numpy(float).reshape(-1, 5, 2)
        )
        problems += problem(f"landmarks of {path.name} without an image", table.loc[~there, "file"].tolist())
        several = images["location"].iloc[rows][doubled].tolist()
        problems += problem(f"images of {group} whose name occurs twice, without landmarks", several)
    return found if np.isfinite(found).all(axis=(1, 2)).any() else None
