"""Numbers of every image that lie beside a data set as one array: soft group shares, and traits.

They have a fingerprint of their own: images, people and pairs stay the same data, so embeddings and runs from before stay
valid. A data set by recipe borrows its lenders' as it borrows their images.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fairlab.data.dataset import Dataset
from fairlab.errors import Damaged, FairLabError
from fairlab.files import digest, sha256

FILES = {"shares": "shares.npy", "traits": "traits.npy"}
"""The array of each kind, a row per image; dataset.json names its columns under the same key."""
NAMED = {"shares": "groups", "traits": "names"}


def by_recipe(data: Dataset) -> bool:
    """Does the data set borrow its images?"""
    return bool(data.info.get("images_from", {}).get("kind") == "recipe")


def array_of(data: Dataset, kind: str, columns: int) -> np.ndarray:
    """(N, columns) float64 of a data set that has it, memory-mapped. Raises Damaged for a file that is not what was written."""
    path = data.folder / FILES[kind]
    try:
        values: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Damaged(f"{path} is missing or damaged: {error}; import the {kind} again") from error
    if values.shape != (len(data.images), columns) or values.dtype != np.float64:
        raise Damaged(
            f"{path} holds {values.shape} {values.dtype}, expected {len(data.images)} images x {columns} {NAMED[kind]}"
        )
    return values


def check_own(data: Dataset, kind: str) -> None:
    """Raise FairLabError for a data set by recipe, whose numbers are its lenders'."""
    if by_recipe(data):
        lenders = " and ".join(parent.dataset_id for parent in data.parents())
        raise FairLabError(
            f"data set {data.dataset_id} borrows its images and their {kind}: import the table for {lenders}"
        )


def signed(info: dict[str, Any], folder: Any) -> dict[str, Any]:
    """dataset.json's facts with the fingerprints of the arrays that are in `folder`; as they are where there are none."""
    for kind, file in FILES.items():
        if kind in info:
            own = digest([info[kind][NAMED[kind]], sha256(folder / file)])
            info = {**info, kind: {**info[kind], "fingerprint": own}}
    return info
