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
            "the share of unknown people must be between 0 and 1, and at least one image per known person is enrolled"
        )
    for problem, bad in (
        ("has no identity", images["identity"].isna()),
        ("has no group", images["group"].isna()),
        ("is given twice", images["image_id"].duplicated()),
    ):
        if bad.any():
            raise FairLabError(f"image {images['image_id'][bad].iloc[0]} {problem}")
    table = images.sort_values("image_id")
    shown: dict[Any, list[int]] = {}
    belongs: dict[Any, set[str]] = {}
    for image, identity, group in zip(table["image_id"], table["identity"], table["group"], strict=True):
        shown.setdefault(identity, []).append(image)
        belongs.setdefault(identity, set()).add(str(group))
    members: dict[str, list[Any]] = {}
    for identity, groups in belongs.items():
        members.setdefault(min(groups), []).append(identity)
    notes = []
    if several := sum(len(groups) > 1 for groups in belongs.values()):
        notes.append(f"{several} identities are in several groups; each is assigned to the alphabetically first")
    gallery: list[int] = []
    for group, people in sorted(members.items()):
        enough = [identity for identity in people if len(shown[identity]) > enrolled]
        if len(enough) < len(people):
            notes.append(
                f"{group}: {len(people) - len(enough)} of {len(people)} identities have {enrolled} "
                f"{'image' if enrolled == 1 else 'images or fewer'}, so they are not enrolled"
            )
        enough.sort(key=lambda identity: _lot(seed, identity))
        for identity in enough[int(unknown_share * len(enough) + 0.5) :]:
            gallery += shown[identity][:enrolled]
    ids = table["image_id"].to_numpy()
    at = np.isin(ids, np.array(gallery, dtype=ids.dtype))
    return GallerySplit(ids[at], ids[~at], tuple(notes))


def _lot(seed: int, name: Any) -> bytes:
    """A number drawn for a person, which hangs on no other person and no order."""
    return hashlib.sha256(f"{seed}\0{name}".encode("utf-8", "surrogatepass")).digest()
