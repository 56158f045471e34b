"""A data set without some of its images: the same tables and pixels with those rows gone and the others numbered anew."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.dataset import (
    BORROWED_FILES,
    HASHES_FILE,
    IMAGES_FILE,
    INFO,
    PAIRS_FILE,
    PIXELS_FILE,
    SIZES_FILE,
    TEMPLATES_FILE,
    Dataset,
    fingerprint_of,
)
from fairlab.data.kept_beside import SHARES_FILE, TRAITS_FILE, signed
from fairlab.data.points import LANDMARKS_FILE, POINTS_FILE
from fairlab.errors import FairLabError
from fairlab.files import MANIFEST, digest, read_manifest, write_json, write_manifest

CHUNK = 4096
"""Rows of pixels copied at a time."""


def numbered(rows: np.ndarray, count: int) -> np.ndarray:
    """(count,) the new number of every image once `rows` are gone; -1 for those."""
    stays = np.ones(count, bool)
    stays[rows] = False
    return np.where(stays, np.cumsum(stays) - 1, -1)


def renumbered(table: pd.DataFrame, number: np.ndarray, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table without the rows that name an image which goes, the others naming images by their new numbers."""
    stays = np.ones(len(table), bool)
    for name in columns:
        stays &= number[table[name].to_numpy(np.int64)] >= 0
    table = table[stays].reset_index(drop=True)
    return table.assign(**{name: number[table[name].to_numpy(np.int64)] for name in columns})


def borrowing(data: Dataset, lender: str, rows: np.ndarray) -> np.ndarray:
    """Rows of `data` whose images are those `rows` of the data set `lender`, whose images it borrows."""
    names = [entry["dataset"] for entry in data.info["images_from"]["parents"]]
    parent, row = data.borrowed()
    return np.flatnonzero((parent == names.index(lender)) & np.isin(row, rows))


def added_at(data: Dataset) -> str:
    """When a data set was added, UTC ISO 8601: as it says itself once it was written anew, before that by its files."""
    files = (data.folder / name for name in (MANIFEST, IMAGES_FILE))
    oldest = datetime.fromtimestamp(min(path.stat().st_mtime for path in files), UTC)
    return str(data.info.get("added_at", oldest.isoformat()))


def write_without(
    data: Dataset,
    rows: np.ndarray,
    folder: Path,
    lenders: Mapping[str, np.ndarray],
    fingerprints: Mapping[str, str],
    note: str,
) -> str:
    """Write `data` without the images `rows` into the new `folder`; returns its fingerprint.

    lenders: of each data set that it borrows from and that has lost images too, numbered(); fingerprints: their new ones.
    A data set that loses nothing itself keeps its fingerprint. Raises FairLabError when nobody would be left.
    """
    images = data.images
    if len(rows) == len(images):
        raise FairLabError(f"data set {data.dataset_id} has no other people; delete it: `fairlab data delete`")
    number = numbered(rows, len(images))
    stays = np.flatnonzero(number >= 0)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    left = images.iloc[stays].reset_index(drop=True)
    left["image_id"] = np.arange(len(left))
    if (folder_pixels := data.folder / PIXELS_FILE).exists():
        _copy_pixels(folder_pixels, folder / PIXELS_FILE, stays)
        left["location"] = left["image_id"] if images["location"].equals(images["image_id"]) else left["location"]
    left.to_parquet(folder / IMAGES_FILE, index=False)
    renumbered(data.pairs, number, ("image_a", "image_b")).to_parquet(folder / PAIRS_FILE, index=False)
    if data.templates is not None:
        _templates(data.templates, number).to_parquet(folder / TEMPLATES_FILE, index=False)
    for name in (LANDMARKS_FILE, POINTS_FILE, SIZES_FILE, HASHES_FILE, SHARES_FILE):
        if (data.folder / name).exists():
            np.save(folder / name, np.load(data.folder / name, allow_pickle=False)[stays])
    if (data.folder / TRAITS_FILE).exists():
        traits = pd.read_parquet(data.folder / TRAITS_FILE)
        traits.iloc[stays].reset_index(drop=True).to_parquet(folder / TRAITS_FILE, index=False)
    info = {**data.info, "added_at": added_at(data)}
    if (data.folder / BORROWED_FILES[0]).exists():
        info["images_from"] = _borrow_anew(data, stays, folder, lenders, fingerprints)
    if len(rows):
        info["fingerprint"] = digest([data.fingerprint, "without", np.sort(rows).tolist()])
        info["seen"] = digest([info.get("seen", data.fingerprint), "without", np.sort(rows).tolist()])
        here = set(left["group"])
        info["groups"] = [group for group in data.groups if group in here]
        info["notes"] = f"{data.info.get('notes', '')} {note}".strip()
    write_json(folder / INFO, signed(info, folder))
    names = read_manifest(data.folder)["files"]
    write_manifest(folder, names)
    for path in data.folder.iterdir():  # the folder is replaced as a whole: what stands beside the data stays
        if path.is_file() and path.name not in (*names, MANIFEST) and ".tmp." not in path.name:
            shutil.copy2(path, folder / path.name)
    shutil.copymode(data.folder, folder)
    return fingerprint_of(info)


def _copy_pixels(source: Path, target: Path, stays: np.ndarray) -> None:
    pixels = np.load(source, mmap_mode="r", allow_pickle=False)
    with open(target, "wb") as handle:
        header = {"descr": pixels.dtype.str, "fortran_order": False, "shape": (len(stays), *pixels.shape[1:])}
        np.lib.format.write_array_header_1_0(handle, header)
        for start in range(0, len(stays), CHUNK):
            handle.write(np.ascontiguousarray(pixels[stays[start : start + CHUNK]]).tobytes())


def _templates(templates: pd.DataFrame, number: np.ndarray) -> pd.DataFrame:
    """A template is named by its first image; where that goes but others stay (two people in one), all of it goes."""
    return renumbered(templates, number, ("template", "image_id"))


def _borrow_anew(
    data: Dataset,
    stays: np.ndarray,
    folder: Path,
    lenders: Mapping[str, np.ndarray],
    fingerprints: Mapping[str, str],
) -> dict[str, Any]:
    parent, row = (part[stays] for part in data.borrowed())
    origin = dict(data.info["images_from"])
    origin["parents"] = [dict(entry) for entry in origin["parents"]]
    for place, entry in enumerate(origin["parents"]):
        name = entry["dataset"]
        if name in lenders:
            of = parent == place
            row[of] = lenders[name][row[of]]
            entry["fingerprint"] = fingerprints[name]
    for name, numbers in zip(BORROWED_FILES, (parent, row), strict=True):
        np.save(folder / name, numbers.astype(np.int64))
    return origin
