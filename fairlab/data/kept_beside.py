"""What is known of a data set's images beside their pixels: soft group shares, traits.

Each lies in one file, row i of image i, with a fingerprint of its own in dataset.json: images, people and pairs stay the same
data, so embeddings and runs from before stay valid. A data set by recipe has none of its own; it borrows its lenders'.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fairlab.data.amending import amend
from fairlab.data.dataset import INFO, Dataset
from fairlab.errors import FairLabError
from fairlab.files import digest, read_json, sha256, write_json

SHARES_FILE, TRAITS_FILE = "shares.npy", "traits.parquet"
KEPT = {"shares": ("groups", SHARES_FILE), "traits": ("names", TRAITS_FILE)}
"""Field of dataset.json -> (its field that names the columns, the file)."""


def keep(data: Dataset, kind: str, facts: Mapping[str, Any], write: Callable[[Path], None]) -> None:
    """Keep a kind of KEPT, which write(path) puts into its file, in place of what was there; whole or as before.

    Raises FairLabError for a data set that borrows its images, and when the disk refuses.
    """
    check_own(data, kind)
    _, name = KEPT[kind]

    def put(folder: Path) -> None:
        write(folder / name)
        info = {**read_json(data.folder / INFO), kind: dict(facts)}
        write_json(folder / INFO, signed(info, folder))

    amend(data, put, [INFO, name])


def borrows(data: Dataset) -> bool:
    """Is it a data set by recipe?"""
    return bool(data.info.get("images_from", {}).get("kind") == "recipe")


def check_own(data: Dataset, kind: str, do: str = "import the table for") -> None:
    """Raise FairLabError for a data set by recipe, whose shares and traits are its lenders'."""
    if borrows(data):
        lenders = " and ".join(parent.dataset_id for parent in data.parents())
        raise FairLabError(f"data set {data.dataset_id} borrows its images and their {kind}: {do} {lenders}")


def signed(info: dict[str, Any], folder: Path) -> dict[str, Any]:
    """dataset.json's facts with the fingerprint of each kind whose file is in `folder`; the others as they are."""
    for kind, (columns, name) in KEPT.items():
        if kind in info and (folder / name).exists():
            own = digest([info[kind][columns], sha256(folder / name)])
            info = {**info, kind: {**info[kind], "fingerprint": own}}
    return info
