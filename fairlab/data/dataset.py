"""A data set of the workspace: a table of images, a table of pairs, and one file of pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.align import RULE
from fairlab.data.landmarks import with_faces_only
from fairlab.data.listing import Texts, reader
from fairlab.data.pixels import EncodedPixels
from fairlab.data.points import LANDMARKS_FILE
from fairlab.data.record_file import DatasetFile
from fairlab.data.views import Pixels, Rescaled, ViewPixels
from fairlab.errors import Damaged, FairLabError
from fairlab.files import (
    MANIFEST,
    digest,
    read_json,
    there,
    verify_manifest,
)
from fairlab.reading.table_checks import read_table
from fairlab.settings.kept import checked
from fairlab.tables import IMAGES, PAIRS, TEMPLATES

INFO, IMAGES_FILE, PAIRS_FILE, PIXELS_FILE = "dataset.json", "images.parquet", "pairs.parquet", "pixels.npy"
SIZES_FILE, HASHES_FILE = "bytes.npy", "hashes.npy"
TEMPLATES_FILE = "templates.parquet"
BORROWED_FILES = ("parent.npy", "row.npy")


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
    def has_images(self) -> bool:
        """False for a data set that came as a table: people and pairs whose images are elsewhere, if anywhere."""
        return not self.info.get("no_images", False)

    @property
    def fingerprint(self) -> str:
        """Hash of pixels and tables, and of how faces are aligned: another fingerprint is other data."""
        return fingerprint_of(self.info)

    @property
    def marked(self) -> str:
        """What is wrong with how its faces were aligned, as a sentence; "" when nothing is."""
        return marked(self.info)

    @cached_property
    def images(self) -> pd.DataFrame:
        """tables.IMAGES; row i has image_id i."""
        return read_table(self.folder / IMAGES_FILE, IMAGES)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """tables.PAIRS, all protocols."""
        return read_table(self.folder / PAIRS_FILE, PAIRS)

    @cached_property
    def templates(self) -> pd.DataFrame | None:
        """tables.TEMPLATES; None where pairs are of single images."""
        return read_table(self.folder / TEMPLATES_FILE, TEMPLATES) if self.info.get("templates") else None

    @cached_property
    def pixels(self) -> Pixels:
        """(N, H, W, 3) uint8 RGB: memory-mapped and read-only, decoded from the user's own files, or another set's."""
        if not self.has_images:
            raise FairLabError(f"data set {self.dataset_id} came as a table of names and pairs: it has no images")
        if "images_from" in self.info:
            origin = self.info["images_from"]
            return self._view(self.image_px) if origin["kind"] == "recipe" else self._encoded(origin, self.image_px)
        try:
            pixels: np.ndarray = np.load(self.folder / PIXELS_FILE, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise Damaged(f"{self.folder / PIXELS_FILE} is missing or damaged: {error}") from error
        return pixels

    def pixels_at(self, px: int) -> Pixels:
        """The images `px` wide: decoded and aligned at that size where they lie encoded, otherwise scaled."""
        if px == self.image_px:
            return self.pixels
        origin = self.info.get("images_from")
        if origin:
            return self._view(px) if origin["kind"] == "recipe" else self._encoded(origin, px)
        return Rescaled(self.pixels, px)

    def _encoded(self, origin: Mapping[str, Any], px: int) -> EncodedPixels:
        path = Path(origin["path"])
        if not path.exists():
            raise FairLabError(
                f"the images of data set {self.dataset_id} were in {path}, which no longer exists; restore it, or "
                f"name their new location: `fairlab data move {self.dataset_id} PATH`"
            )
        locations = Texts(self.images["location"])
        landmarks, sizes = (
            np.load(self.folder / name, mmap_mode="r", allow_pickle=False) if (self.folder / name).exists() else None
            for name in (LANDMARKS_FILE, SIZES_FILE)
        )
        if landmarks is not None and older_rule(self.info):
            landmarks = with_faces_only(landmarks)
        read = reader(origin["kind"]).opener(path, locations)
        return EncodedPixels(
            read,
            lambda row: f"{path}, {locations[row]}",
            len(locations),
            px,
            landmarks,
            bool(origin["swap_channels"]),
            sizes,
        )

    def _view(self, px: int) -> ViewPixels:
        parent, row = self.borrowed()
        return ViewPixels([data.pixels_at(px) for data in self.parents()], parent, row)

    def parents(self) -> list[Dataset]:
        """The data sets that this one borrows its images from, by a recipe; [] when it has its own.

        Raises FairLabError when one of them is gone or other data than then.
        """
        origin = self.info.get("images_from", {})
        found = []
        for lender in origin.get("parents", ()):
            name, folder = lender["dataset"], self.folder.with_name(lender["dataset"])
            if not (folder / MANIFEST).exists():
                raise FairLabError(
                    f"data set {self.dataset_id} borrows its images from data set {name}, which no longer exists; "
                    f"make {name} again, or delete {self.dataset_id}"
                )
            data = open_dataset(folder)
            if data.fingerprint != lender["fingerprint"]:
                raise FairLabError(
                    f"data set {name} is not the one that {self.dataset_id} borrows its images from (fingerprint "
                    f"{data.fingerprint[:12]} instead of {lender['fingerprint'][:12]}); make {self.dataset_id} again"
                )
            found.append(data)
        return found

    def borrowed(self) -> tuple[np.ndarray, np.ndarray]:
        """Of every image: which of parents() lends it (N,), and its row there (N,). Raises Damaged."""
        try:
            parent, row = (np.load(self.folder / name, allow_pickle=False) for name in BORROWED_FILES)
        except (OSError, ValueError, EOFError) as error:
            raise Damaged(f"{self.folder} does not name the data set whose images it borrows: {error}") from error
        if parent.shape != row.shape or len(row) != len(self.images):
            raise Damaged(f"{self.folder} is damaged: {len(row)} borrowed images, but {len(self.images)} in its table")
        return parent, row

    def pairs_of(self, protocol: str) -> pd.DataFrame:
        """The pairs of one protocol, e.g. "validation" or "test", numbered from 0; empty when there are none."""
        return self.pairs[self.pairs["protocol"] == protocol].reset_index(drop=True)


def older_rule(info: Mapping[str, Any]) -> bool:
    """Were the faces of this data set aligned by another rule than align.RULE, when it was added? Of a dataset.json."""
    by_landmarks = str(info.get("notes", "")).partition(";")[0].endswith(": by landmarks")
    return ("alignment" not in info and by_landmarks) or info.get("alignment", RULE) != RULE


def fingerprint_of(info: Mapping[str, Any]) -> str:
    """The fingerprint of the data set with this dataset.json. Faces that are aligned when they are read come out by
    today's rule: by an older one they were other data.
    """
    stored = str(info["fingerprint"])
    return digest([stored, RULE]) if "images_from" in info and older_rule(info) else stored


def marked(info: Mapping[str, Any]) -> str:
    """What is wrong with the alignment of the data set with this dataset.json, as a sentence, or ""."""
    if not older_rule(info):
        return ""
    name = info["dataset_id"]
    if "images_from" in info:
        return (
            f"Data set {name} was added under an older alignment rule, which made turned faces too large. Its numbers "
            f"and embeddings come from different crops: embed and evaluate again, or add the data again."
        )
    return (
        f"The faces of data set {name} were copied under an older alignment rule, which made turned faces too large. "
        f"Its numbers are not comparable with published ones: add the data again."
    )


def open_dataset(folder: Path, verify: bool = False) -> Dataset:
    """Open the data set in `folder`; `verify` checks every file's hash first.

    Raises FairLabError when there is none, Damaged when its files are not what was written.
    """
    if not there(folder / MANIFEST):
        if (folder / INFO).exists():
            raise Damaged(
                f"{folder / MANIFEST} is missing; `fairlab data find {folder.name} PATH` creates the data set again"
            )
        raise FairLabError(
            f"there is no data set {folder.name!r} in {folder.parent}; `fairlab data find {folder.name} PATH` "
            f"restores one that runs refer to, `fairlab data list` lists the existing ones"
        )
    if verify:
        verify_manifest(folder)
    info = read_json(folder / INFO)
    checked(DatasetFile, info, folder / INFO)
    return Dataset(folder, info)
