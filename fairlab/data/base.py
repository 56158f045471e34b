"""A data set of the workspace: a table of images, a table of pairs, and one file of pixels."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairlab.errors import Damaged, FairLabError
from fairlab.files import (
    MANIFEST,
    digest,
    explain,
    read_json,
    sha256,
    verify_manifest,
    write_json,
    write_manifest,
)
from fairlab.registry import Registry
from fairlab.tables import IMAGES, PAIRS

INFO, IMAGES_FILE, PAIRS_FILE, PIXELS_FILE = "dataset.json", "images.parquet", "pairs.parquet", "pixels.npy"

DATASETS: Registry[Callable[..., Dataset]] = Registry("data set reader", "fairlab.data")


@dataclass(frozen=True)
class Dataset:
    """A data set on disk; tables and pixels are read when they are first asked for."""

    folder: Path
    info: Mapping[str, Any]

    @property
    def dataset_id(self) -> str:
        return str(self.info["dataset_id"])

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups, in the order in which they are always shown."""
        return tuple(self.info["groups"])

    @property
    def attribute(self) -> str:
        """What the groups are values of, e.g. "Ethnicity"; shown as the data has it."""
        return str(self.info["attribute"])

    @property
    def image_px(self) -> int:
        return int(self.info["image_px"])

    @property
    def fingerprint(self) -> str:
        """Hash of pixels and tables: another fingerprint is other data."""
        return str(self.info["fingerprint"])

    @cached_property
    def images(self) -> pd.DataFrame:
        """tables.IMAGES; row i has image_id i."""
        return _read(self.folder / IMAGES_FILE, IMAGES)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """tables.PAIRS, all protocols."""
        return _read(self.folder / PAIRS_FILE, PAIRS)

    @cached_property
    def pixels(self) -> np.ndarray:
        """(N, H, W, 3) uint8 RGB, memory-mapped and read-only."""
        try:
            pixels: np.ndarray = np.load(self.folder / PIXELS_FILE, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise Damaged(f"{self.folder / PIXELS_FILE} is missing or damaged: {error}") from error
        return pixels

    def pairs_of(self, protocol: str) -> pd.DataFrame:
        """The pairs of one protocol, e.g. "validation" or "test", numbered from 0; empty when there are none."""
        return self.pairs[self.pairs["protocol"] == protocol].reset_index(drop=True)


def _read(path: Path, columns: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError as error:
        raise FairLabError(f"{path} does not exist; was part of the data set deleted?") from error
    except (OSError, ValueError) as error:
        raise Damaged(f"{path} is damaged: {error}") from error
    missing = [name for name in columns if name not in table]
    if missing:
        raise Damaged(f"{path} lacks the column {missing[0]!r}")
    return table


def open_dataset(folder: Path, verify: bool = False) -> Dataset:
    """Open the data set in `folder`; `verify` checks every file's hash first.

    Raises FairLabError when there is none, Damaged when its files are not what was written.
    """
    if not (folder / MANIFEST).exists():
        raise FairLabError(f"there is no data set {folder.name!r} in {folder.parent}; make it again or check its name")
    if verify:
        verify_manifest(folder)
    return Dataset(folder, read_json(folder / INFO))


def write_dataset(
    folder: Path,
    *,
    dataset_id: str,
    kind: str,
    attribute: str,
    groups: tuple[str, ...],
    images: pd.DataFrame,
    pairs: pd.DataFrame,
    pixels: np.ndarray | Path,
    recipe: Mapping[str, Any],
    notes: str = "",
) -> Dataset:
    """Write a whole data set as a temporary folder and put it in place; nothing half-written remains.

    `pixels` (N, H, W, 3) uint8 RGB, row i belongs to image_id i: an array, or a .npy file on the same disk,
    which is moved. `recipe`: the settings it was made from. Raises FairLabError when the disk is full or may
    not be written.
    """
    content_px = np.load(pixels, mmap_mode="r", allow_pickle=False) if isinstance(pixels, Path) else pixels
    shape, kind_of = content_px.shape, content_px.dtype
    del content_px
    if len(shape) != 4 or shape[3] != 3 or shape[1] != shape[2] or kind_of != np.uint8:
        raise ValueError(f"pixels must be (N, H, H, 3) uint8, not {shape} {kind_of}")
    if list(images["image_id"]) != list(range(len(images))) or shape[0] != len(images):
        raise ValueError("image_id must number the images from 0, one per pixel row")
    temporary = folder.with_name(f"{folder.name}.tmp.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        further = [name for name in map(str, images) if name.startswith("attribute.")]
        images[[*IMAGES, *further]].to_parquet(temporary / IMAGES_FILE, index=False)
        pairs[list(PAIRS)].to_parquet(temporary / PAIRS_FILE, index=False)
        if isinstance(pixels, Path):
            os.replace(pixels, temporary / PIXELS_FILE)
        else:
            np.save(temporary / PIXELS_FILE, pixels)
        # The tables' content is hashed, not their files: parquet writers put their own version into the file.
        content = [
            pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes().hex() for table in (images, pairs)
        ]
        fingerprint = digest([sha256(temporary / PIXELS_FILE), *content])
        info = {
            "dataset_id": dataset_id,
            "kind": kind,
            "attribute": attribute,
            "groups": list(groups),
            "image_px": int(shape[1]),
            "fingerprint": fingerprint,
            "recipe": dict(recipe),
            "notes": notes,
        }
        write_json(temporary / INFO, info)
        write_manifest(temporary, (INFO, IMAGES_FILE, PAIRS_FILE, PIXELS_FILE))
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    except OSError as error:
        raise FairLabError(explain(error, folder)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Dataset(folder, info)
