"""A data set is written whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.dataset import IMAGES_FILE, INFO, PAIRS_FILE, TEMPLATES_FILE, Dataset
from fairlab.data.kept_pixels import Borrowed, Elsewhere, KeptPixels, NoImages, OwnPixels
from fairlab.data.points import POINTS_FILE
from fairlab.errors import FairLabError, Refused
from fairlab.files import digest, explain, make_folder, place_folder, sha256, write_json, write_manifest
from fairlab.machine.temporaries import beside
from fairlab.reading.characters import fault_among
from fairlab.tables import ALL_GROUPS, IMAGES, PAIRS, TEMPLATES


@dataclass(frozen=True)
class NewDataset:
    """What a data set is to hold.

    kind: how it came about, a kind of readers or "recipe", "demo"; attribute: what `groups` are values of; images:
    tables.IMAGES and columns "attribute.NAME", row i has image_id i; pairs: tables.PAIRS; pixels (N, H, H, 3) uint8 RGB, row i of
    image i: an array, or a .npy file on the same disk, which is moved, or where the encoded images lie, or whose they
    are; None when there are no images, only tables about some; recipe: the settings it was made from; templates:
    tables.TEMPLATES where pairs name those; facts: what else dataset.json says: alignment (the rule, where faces are
    aligned), without_landmarks, failures_to_enrol; points: see data.points, of images that are not aligned when they are read.
    """

    dataset_id: str
    kind: str
    attribute: str
    groups: tuple[str, ...]
    images: pd.DataFrame
    pairs: pd.DataFrame
    pixels: np.ndarray | Path | Elsewhere | Borrowed | None
    recipe: Mapping[str, Any]
    notes: str = ""
    templates: pd.DataFrame | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    points: np.ndarray | None = None

    def kept_pixels(self) -> KeptPixels:
        """The pixels, as a kind that writes itself."""
        if self.pixels is None:
            return NoImages(self.images["location"])
        return self.pixels if isinstance(self.pixels, Elsewhere | Borrowed) else OwnPixels(self.pixels)


def write_dataset(folder: Path, new: NewDataset, expected: str = "") -> Dataset:
    """Write a whole data set as a temporary folder and put it in place; nothing half-written remains.

    `expected`: the fingerprint that it must have. Raises Refused for another one, FairLabError for groups that cannot be
    named so, and when the disk is full or may not be written.
    """
    pixels = new.kept_pixels()
    _check(new, pixels)
    temporary = beside(folder)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        make_folder(temporary)
        names, content = _write_tables(new, temporary)
        of_pixels, seen = pixels.write(temporary)
        names += of_pixels
        if new.points is not None and np.isfinite(new.points).any():
            np.save(temporary / POINTS_FILE, new.points.astype(np.float32))
            names.append(POINTS_FILE)
            seen = digest([seen, sha256(temporary / POINTS_FILE)])
        rule = [new.facts["alignment"]] if "alignment" in new.facts else []
        fingerprint = digest([seen, *content, *rule])
        if expected not in ("", fingerprint):
            raise Refused(
                f"these data are not those of {new.dataset_id} (their fingerprint is {fingerprint[:12]} instead of "
                f"{expected[:12]}): nothing was registered; name the folder with the original files"
            )
        info = _info(new, pixels) | {"seen": seen, "fingerprint": fingerprint}
        write_json(temporary / INFO, info)
        write_manifest(temporary, [INFO, *names])
        place_folder(temporary, folder)
    except OSError as error:
        raise FairLabError(explain(error, folder)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Dataset(folder, info)


def _check(new: NewDataset, pixels: KeptPixels) -> None:
    if ALL_GROUPS in new.groups:
        raise FairLabError(
            f"a group of {new.dataset_id} is called {ALL_GROUPS!r}, which FairLab uses for all groups together; rename it"
        )
    if fault := fault_among(new.groups):
        raise FairLabError(f"groups of {new.dataset_id}: {fault}; rename it")
    count = len(new.images)
    if not np.array_equal(new.images["image_id"], np.arange(count)) or pixels.count != count:
        raise ValueError("image_id must number the images from 0, one per pixel row")


def _write_tables(new: NewDataset, folder: Path) -> tuple[list[str], list[str]]:
    """Names of the files, and a hash of each table: of its content, because parquet writers put their version into the file."""
    further = [name for name in map(str, new.images) if name.startswith("attribute.")]
    tables = [(IMAGES_FILE, new.images, [*IMAGES, *further]), (PAIRS_FILE, new.pairs, list(PAIRS))]
    if new.templates is not None:
        tables.append((TEMPLATES_FILE, new.templates[list(TEMPLATES)], list(TEMPLATES)))
    hashes = []
    for name, table, columns in tables:
        table[columns].to_parquet(folder / name, index=False)
        hashes.append(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes().hex())
    return [name for name, _, _ in tables], hashes


def _info(new: NewDataset, pixels: KeptPixels) -> dict[str, Any]:
    return {
        "dataset_id": new.dataset_id,
        "kind": new.kind,
        "attribute": new.attribute,
        "groups": list(new.groups),
        "image_px": pixels.px,
        "recipe": dict(new.recipe),
        "notes": new.notes,
        **new.facts,
        **pixels.facts(),
        **({} if new.templates is None else {"templates": True}),
    }
