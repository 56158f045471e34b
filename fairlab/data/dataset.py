"""A data set of the workspace: a table of images, a table of pairs, and one file of pixels."""

from __future__ import annotations

import os
import shutil
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
from fairlab.data.points import LANDMARKS_FILE, POINTS_FILE
from fairlab.data.record_file import DatasetFile
from fairlab.data.views import Pixels, Rescaled, ViewPixels
from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.files import (
    MANIFEST,
    digest,
    explain,
    make_folder,
    place_folder,
    read_json,
    sha256,
    there,
    verify_manifest,
    write_json,
    write_manifest,
)
from fairlab.machine.temporaries import beside
from fairlab.reading.characters import fault_among
from fairlab.reading.table_checks import read_table
from fairlab.settings.kept import checked
from fairlab.tables import ALL_GROUPS, IMAGES, PAIRS, TEMPLATES

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


@dataclass(frozen=True)
class Borrowed:
    """Images of other data sets of the workspace: parent (N,) says of which of `parents`, row (N,) which of its rows."""

    parents: tuple[Dataset, ...]
    parent: np.ndarray
    row: np.ndarray


def _count_and_size(pixels: np.ndarray | Path | Elsewhere | Borrowed) -> tuple[int, int]:
    """(images, width in pixels). Raises ValueError for an array of another shape or type."""
    if isinstance(pixels, Borrowed):
        return len(pixels.row), pixels.parents[0].image_px
    if isinstance(pixels, Elsewhere):
        return len(pixels.hashes), pixels.px
    content = np.load(pixels, mmap_mode="r", allow_pickle=False) if isinstance(pixels, Path) else pixels
    if content.ndim != 4 or content.shape[3] != 3 or content.shape[1] != content.shape[2] or content.dtype != np.uint8:
        raise ValueError(f"pixels must be (N, H, H, 3) uint8, not {content.shape} {content.dtype}")
    return int(content.shape[0]), int(content.shape[1])


def write_dataset(
    folder: Path,
    *,
    dataset_id: str,
    kind: str,
    attribute: str,
    groups: tuple[str, ...],
    images: pd.DataFrame,
    pairs: pd.DataFrame,
    pixels: np.ndarray | Path | Elsewhere | Borrowed | None,
    recipe: Mapping[str, Any],
    notes: str = "",
    templates: pd.DataFrame | None = None,
    facts: Mapping[str, Any] | None = None,
    expected: str = "",
    points: np.ndarray | None = None,
) -> Dataset:
    """Write a whole data set as a temporary folder and put it in place; nothing half-written remains.

    `pixels` (N, H, W, 3) uint8 RGB, row i belongs to image_id i: an array, or a .npy file on the same disk,
    which is moved, or where the encoded images lie, or whose they are; None when there are no images, only tables about
    some. `recipe`: the settings it was made from; `templates`: tables.TEMPLATES where pairs name those; `facts`: what else
    dataset.json says: alignment (the rule, where faces are aligned), without_landmarks, failures_to_enrol;
    `expected`: the fingerprint that it must have; `points`: see data.points, of images that are not aligned when they are
    read. Raises Refused for another fingerprint, and FairLabError when the disk is full or may not be written.
    """
    count, px = (len(images), 0) if pixels is None else _count_and_size(pixels)
    if ALL_GROUPS in groups:
        raise FairLabError(
            f"a group of {dataset_id} is called {ALL_GROUPS!r}, which FairLab uses for all groups together; rename it"
        )
    if fault := fault_among(groups):
        raise FairLabError(f"groups of {dataset_id}: {fault}; rename it")
    if not np.array_equal(images["image_id"], np.arange(len(images))) or count != len(images):
        raise ValueError("image_id must number the images from 0, one per pixel row")
    temporary = beside(folder)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        make_folder(temporary)
        further = [name for name in map(str, images) if name.startswith("attribute.")]
        images[[*IMAGES, *further]].to_parquet(temporary / IMAGES_FILE, index=False)
        pairs[list(PAIRS)].to_parquet(temporary / PAIRS_FILE, index=False)
        names = [INFO, IMAGES_FILE, PAIRS_FILE]
        tables = [images, pairs]
        if templates is not None:
            tables.append(templates[list(TEMPLATES)])
            tables[-1].to_parquet(temporary / TEMPLATES_FILE, index=False)
            names.append(TEMPLATES_FILE)
        if isinstance(pixels, Elsewhere):
            reading = {name: value for name, value in pixels.origin.items() if name != "path"}
            seen = digest([pixels.hashes.tobytes().hex(), reading])  # the same bytes elsewhere are the same data
            np.save(temporary / HASHES_FILE, pixels.hashes)
            names.append(HASHES_FILE)
            if pixels.sizes is not None:
                np.save(temporary / SIZES_FILE, pixels.sizes.astype(np.uint32))
                names.append(SIZES_FILE)
            if pixels.landmarks is not None:
                np.save(temporary / LANDMARKS_FILE, pixels.landmarks.astype(np.float32))
                names.append(LANDMARKS_FILE)
                seen = digest([seen, sha256(temporary / LANDMARKS_FILE)])
        elif isinstance(pixels, Borrowed):
            for name, numbers in zip(BORROWED_FILES, (pixels.parent, pixels.row), strict=True):
                np.save(temporary / name, numbers.astype(np.int64))
            names += BORROWED_FILES
            lenders = [{"dataset": data.dataset_id, "fingerprint": data.fingerprint} for data in pixels.parents]
            seen = digest(
                [[data.fingerprint for data in pixels.parents], *(sha256(temporary / n) for n in BORROWED_FILES)]
            )
        elif pixels is None:
            seen = digest(
                ["no images", pd.util.hash_pandas_object(images["location"], index=False).to_numpy().tobytes().hex()]
            )
        else:
            if isinstance(pixels, Path):
                os.replace(pixels, temporary / PIXELS_FILE)
            else:
                np.save(temporary / PIXELS_FILE, pixels)
            seen = sha256(temporary / PIXELS_FILE)
            names.append(PIXELS_FILE)
        if points is not None and np.isfinite(points).any():
            np.save(temporary / POINTS_FILE, points.astype(np.float32))
            names.append(POINTS_FILE)
            seen = digest([seen, sha256(temporary / POINTS_FILE)])
        # The tables' content is hashed, not their files: parquet writers put their own version into the file.
        content = [pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes().hex() for table in tables]
        rule = [facts["alignment"]] if facts and "alignment" in facts else []
        fingerprint = digest([seen, *content, *rule])
        if expected not in ("", fingerprint):
            raise Refused(
                f"these data are not those of {dataset_id} (their fingerprint is {fingerprint[:12]} instead of "
                f"{expected[:12]}): nothing was registered; name the folder with the original files"
            )
        info = {
            "dataset_id": dataset_id,
            "kind": kind,
            "attribute": attribute,
            "groups": list(groups),
            "image_px": px,
            "seen": seen,
            "fingerprint": fingerprint,
            "recipe": dict(recipe),
            "notes": notes,
            **(facts or {}),
        }
        if isinstance(pixels, Elsewhere):
            info["images_from"] = dict(pixels.origin)
        if isinstance(pixels, Borrowed):
            info["images_from"] = {"kind": "recipe", "parents": lenders}
        if pixels is None:
            info["no_images"] = True
        if templates is not None:
            info["templates"] = True
        write_json(temporary / INFO, info)
        write_manifest(temporary, names)
        place_folder(temporary, folder)
    except OSError as error:
        raise FairLabError(explain(error, folder)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Dataset(folder, info)
