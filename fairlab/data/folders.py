"""Folders of images: <group>/<identity>/<image> or <identity>/<image>, e.g. BUPT-BalancedFace or a synthetic set."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from fairlab.config import Source
from fairlab.data.attributes import with_columns, with_groups
from fairlab.data.pair_files import pairs_from_list
from fairlab.data.reading import READERS, Listing, Progress, Stop
from fairlab.data.walking import Pace, depth_of, walk
from fairlab.errors import FairLabError

DEPTHS = {2: "identity/image", 3: "group/identity/image"}
POSES = {"frontal", "profile"}
"""CFP has them where others have identities: Data/Images/001/frontal/01.jpg."""


def descend(path: Path) -> Path:
    """The folder where the data begin: wrappings that hold nothing but one folder are unpacked, four at most."""
    for _ in range(4):
        inside = [entry for entry in os.scandir(path) if not entry.name.startswith(".")]
        if len(inside) != 1 or not inside[0].is_dir():
            break
        below = Path(inside[0].path)
        if not any(entry.is_dir() for entry in os.scandir(below)):
            break  # a single identity
        path = below
    return path


@READERS.register("folders", title="folders of images", order=90)
class Folders:
    """Identity by folder, group by the folder above or from a table."""

    def detect(self, path: Path) -> str:
        """Images two or three names down."""
        if not path.is_dir():
            return ""
        depth = depth_of(descend(path))
        return f"images as {DEPTHS[depth]}" if depth in DEPTHS else ""

    def listing(self, path: Path, source: Source, progress: Progress, stop: Stop) -> Listing:
        """Sorted by name, so that two file systems give the same numbers to the same images."""
        root = descend(path) if path.is_dir() else path
        depth = depth_of(root, Pace(progress, stop))
        if depth not in DEPTHS:
            raise FairLabError(
                f"{path} has no images as identity/image or group/identity/image (JPEG, PNG or WebP, by their endings)"
            )
        tree = walk(root, depth, progress, stop)
        if not tree.files:
            raise FairLabError(f"{path} holds no image at the depth {DEPTHS[depth]}")
        said = f"images as {DEPTHS[depth]} in {root}"
        identity = [name.rpartition("/")[0] for name in tree.files]  # no list of parts: a million lists are slow
        images = pd.DataFrame({"location": tree.files, "identity": identity})
        if depth == 3 and {folder.rpartition("/")[2] for folder in set(identity)} <= POSES:
            images["attribute.pose"] = [folder.rpartition("/")[2] for folder in identity]
            images["identity"] = [folder.rpartition("/")[0] for folder in identity]
            images, attribute, more = with_columns(images, source, ())
            said = f"images as identity/pose/image in {root}"
        else:
            if depth == 3:
                images["group"] = [folder.partition("/")[0] for folder in identity]
            images, attribute, more = with_groups(images, source, "group" if depth == 3 else "")
        pairs, found = pairs_from_list(root, images, source)
        problems = [*tree.problems(), *more, *found]
        return Listing(images, attribute, pairs, None, problems, [said, *tree.links.notes()])

    def opener(self, path: Path, locations: Sequence[str]) -> Callable[[int], bytes]:
        """Locations are paths below the root."""
        return read_below(descend(path), locations)


def read_below(root: Path, locations: Sequence[str]) -> Callable[[int], bytes]:
    """read(row) -> the content of the file locations[row] below `root`; half the time of Path.read_bytes."""
    folder = str(root)

    def read(row: int) -> bytes:
        with open(f"{folder}{os.sep}{locations[row]}", "rb", buffering=0) as handle:
            return handle.read()

    return read
