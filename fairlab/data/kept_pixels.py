"""How a data set keeps the pixels of its images: each kind writes itself, and says what has been seen of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from fairlab.data.dataset import BORROWED_FILES, HASHES_FILE, PIXELS_FILE, SIZES_FILE, Dataset
from fairlab.data.points import LANDMARKS_FILE
from fairlab.files import digest, sha256


class KeptPixels(Protocol):
    """Pixels of `count` images, `px` wide and high."""

    @property
    def count(self) -> int: ...

    @property
    def px(self) -> int: ...

    def write(self, folder: Path) -> tuple[list[str], str]:
        """Write what is kept of them; returns the names of the files, and the hash of what was seen."""
        ...

    def facts(self) -> dict[str, Any]:
        """What dataset.json says of them."""
        ...


class OwnPixels:
    """(N, H, H, 3) uint8 RGB, kept with the data set: an array, or a .npy file on the same disk, which is moved.

    Raises ValueError for an array of another shape or type.
    """

    def __init__(self, content: np.ndarray | Path) -> None:
        array = np.load(content, mmap_mode="r", allow_pickle=False) if isinstance(content, Path) else content
        shape = array.shape
        if array.ndim != 4 or shape[3] != 3 or shape[1] != shape[2] or array.dtype != np.uint8:
            raise ValueError(f"pixels must be (N, H, H, 3) uint8, not {shape} {array.dtype}")
        self.content, self.count, self.px = content, int(shape[0]), int(shape[1])

    def write(self, folder: Path) -> tuple[list[str], str]:
        if isinstance(self.content, Path):
            os.replace(self.content, folder / PIXELS_FILE)
        else:
            np.save(folder / PIXELS_FILE, self.content)
        return [PIXELS_FILE], sha256(folder / PIXELS_FILE)

    def facts(self) -> dict[str, Any]:
        return {}


@dataclass(frozen=True)
class Elsewhere:
    """Images that stay encoded where they lie.

    origin: kind, path, swap_channels (see reading.READERS); hashes (N,) int64 and sizes (N,) in bytes of the encoded images;
    landmarks (N, 5, 2) or None, where faces are to be aligned when they are read.
    """

    origin: Mapping[str, Any]
    px: int
    hashes: np.ndarray
    landmarks: np.ndarray | None = None
    sizes: np.ndarray | None = None

    @property
    def count(self) -> int:
        return len(self.hashes)

    def write(self, folder: Path) -> tuple[list[str], str]:
        reading = {name: value for name, value in self.origin.items() if name != "path"}
        seen = digest([self.hashes.tobytes().hex(), reading])  # the same bytes elsewhere are the same data
        names = [HASHES_FILE]
        np.save(folder / HASHES_FILE, self.hashes)
        if self.sizes is not None:
            np.save(folder / SIZES_FILE, self.sizes.astype(np.uint32))
            names.append(SIZES_FILE)
        if self.landmarks is not None:
            np.save(folder / LANDMARKS_FILE, self.landmarks.astype(np.float32))
            names.append(LANDMARKS_FILE)
            seen = digest([seen, sha256(folder / LANDMARKS_FILE)])
        return names, seen

    def facts(self) -> dict[str, Any]:
        return {"images_from": dict(self.origin)}


@dataclass(frozen=True)
class Borrowed:
    """Images of other data sets of the workspace: parent (N,) says of which of `parents`, row (N,) which of its rows."""

    parents: tuple[Dataset, ...]
    parent: np.ndarray
    row: np.ndarray

    @property
    def count(self) -> int:
        return len(self.row)

    @property
    def px(self) -> int:
        return self.parents[0].image_px

    def write(self, folder: Path) -> tuple[list[str], str]:
        for name, numbers in zip(BORROWED_FILES, (self.parent, self.row), strict=True):
            np.save(folder / name, numbers.astype(np.int64))
        lenders = [data.fingerprint for data in self.parents]
        return list(BORROWED_FILES), digest([lenders, *(sha256(folder / name) for name in BORROWED_FILES)])

    def facts(self) -> dict[str, Any]:
        lenders = [{"dataset": data.dataset_id, "fingerprint": data.fingerprint} for data in self.parents]
        return {"images_from": {"kind": "recipe", "parents": lenders}}


@dataclass(frozen=True)
class NoImages:
    """Only tables about images, which are known by their locations (N,), names or places of any kind."""

    locations: pd.Series
    px: int = 0

    @property
    def count(self) -> int:
        return len(self.locations)

    def write(self, _folder: Path) -> tuple[list[str], str]:
        hashes = pd.util.hash_pandas_object(self.locations, index=False).to_numpy()
        return [], digest(["no images", hashes.tobytes().hex()])

    def facts(self) -> dict[str, Any]:
        return {"no_images": True}
