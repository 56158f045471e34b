"""Who is enrolled and who is searched for, from a table of images of people: the two sides of an identification."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError


@dataclass(frozen=True)
class GallerySplit:
    """image_ids, rising: of the enrolled, and of the probes. notes: who could not be enrolled, and why."""

    gallery: np.ndarray
    probes: np.ndarray
    notes: tuple[str, ...] = ()


def split_gallery(images: pd.DataFrame, seed: int, unknown_share: float, enrolled: int = 1) -> GallerySplit:
    """Who is enrolled, and who is searched: of tables.IMAGES, image_id, identity and group are used.

    Of each identity the first `enrolled` images, by image_id, make the gallery, the others are probes. In each group
    `unknown_share` (0..1) of the identities, rounded, stay out of it, chosen by `seed` and name alone; so do those with no more
    than `enrolled` images. All their images are probes of people who are not enrolled. Raises FairLabError for images without
    identity or group, or given twice.
    """
    if not 0 <= unknown_share <= 1 or enrolled < 1:
        raise FairLabError(
            "the share of unknown people lies between 0 and 1, and one image or more of others is enrolled"
        )
    table = images[["image_id", "identity", "group"]].sort_values("image_id", ignore_index=True)
    for problem, bad in (
        ("has no identity", table["identity"].isna()),
        ("has no group", table["group"].isna()),
        ("is given twice", table["image_id"].duplicated()),
    ):
        if bad.any():
            raise FairLabError(f"image {table['image_id'][bad].iloc[0]} {problem}")
    people = table.groupby("identity", sort=True).agg(images=("image_id", "size"), group=("group", "min"))
    notes = []
    several = int((table.groupby("identity")["group"].nunique() > 1).sum())
    if several:
        notes.append(f"{several} identities are in several groups; each is drawn with the first of them by name")
    unknown: set[Any] = set()
    for group, members in people.groupby("group", sort=True):
        few = members.index[members["images"] <= enrolled]
        if len(few):
            notes.append(
                f"{group}: {len(few)} of {len(members)} identities have {enrolled} "
                f"{'image' if enrolled == 1 else 'images or fewer'}, so they are not enrolled"
            )
        others = sorted(members.index.difference(few), key=lambda name: _lot(seed, name))
        unknown |= {*few, *others[: int(unknown_share * len(others) + 0.5)]}
    number = table.groupby("identity").cumcount().to_numpy()
    at = ~table["identity"].isin(unknown).to_numpy() & (number < enrolled)
    ids = table["image_id"].to_numpy()
    return GallerySplit(ids[at], ids[~at], tuple(notes))


def _lot(seed: int, name: Any) -> bytes:
    """A number drawn for a person, which hangs on no other person and no order."""
    return hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "surrogatepass")).digest()
