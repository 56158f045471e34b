"""Folders of images: <group>/<identity>/<image> or <identity>/<image>, e.g. BUPT-BalancedFace or a synthetic set."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from fairlab.config import Source
from fairlab.data.attributes import with_groups
from fairlab.data.pair_files import pairs_from_list
from fairlab.data.reading import PICTURES, READERS, Listing, Progress, Stop, problem
from fairlab.errors import FairLabError, Stopped

DEPTHS = {2: "identity/image", 3: "group/identity/image"}


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


def depth_of(root: Path) -> int:
    """Names on the way to the first image under `root`, in sorted order: 1 for an image in it; 0 without images."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if any(name.lower().endswith(PICTURES) for name in files):
            return len(Path(folder).relative_to(root).parts) + 1
    return 0


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
        depth = depth_of(root)
        if depth not in DEPTHS:
            raise FairLabError(
                f"{path} has no images as identity/image or group/identity/image (JPEG, PNG or WebP, by their endings)"
            )
        files, others, elsewhere = walk(root, depth, progress, stop)
        if not files:
            raise FairLabError(f"{path} holds no image at the depth {DEPTHS[depth]}")
        parts = [name.split("/") for name in files]
        images = pd.DataFrame({"location": files})
        if depth == 3:
            images["group"] = [part[0] for part in parts]
            images["identity"] = [f"{part[0]}/{part[1]}" for part in parts]
        else:
            images["identity"] = [part[0] for part in parts]
        problems = problem("files that are no images, left out", others)
        problems += problem("images at another depth, left out", elsewhere)
        images, attribute, more = with_groups(images, source, "group" if depth == 3 else "")
        pairs, found = pairs_from_list(root, images, source)
        return Listing(
            images, attribute, pairs, None, problems + more + found, [f"images as {DEPTHS[depth]} in {root}"]
        )

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


def _unreadable(error: OSError) -> None:
    """os.walk would leave the folder out in silence."""
    raise FairLabError(f"{error.filename} cannot be read: {error.strerror}") from error


def walk(root: Path, depth: int, progress: Progress, stop: Stop) -> tuple[list[str], list[str], list[str]]:
    """(images at `depth`, other files there, images elsewhere), names below `root`, each sorted."""
    files: list[str] = []
    others: list[str] = []
    elsewhere: list[str] = []
    for folder, folders, names in os.walk(root, onerror=_unreadable):
        if stop():
            raise Stopped
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(folder).relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        right = prefix.count("/") + 1 == depth
        for name in sorted(names):
            if name.startswith("."):
                continue
            if name.lower().endswith(PICTURES):
                (files if right else elsewhere).append(prefix + name)
            elif right:
                others.append(prefix + name)
        progress(len(files), 0)
    return files, others, elsewhere
