"""Soft group shares: of every image, how much of each group an ethnicity classifier sees in it (arXiv 2506.01532).

They lie beside the data set as one array, with a fingerprint of their own: images, people and pairs stay the same data, so
embeddings and runs from before stay valid. A data set by recipe borrows its lenders' shares as it borrows their images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fairlab.data.dataset import INFO, Dataset
from fairlab.data.kept_beside import SHARES_FILE, borrows, keep
from fairlab.data.record_file import ShareFacts
from fairlab.errors import Damaged, FairLabError
from fairlab.files import digest
from fairlab.settings.kept import checked
from fairlab.tables import NUMBER, TEXT, WHOLE, Table
from fairlab.workspace import now

TOLERANCE = 0.005
"""How far an image's shares may add up to another number than 1: seven groups written with three decimals stay within."""
MASSES = Table(split=TEXT, group=TEXT, mass=NUMBER, mass_share=NUMBER, images=WHOLE, identities=WHOLE)
"""A row is a group in a part. mass: sum of its share over the part's images; mass_share: of all masses, 0..1; images,
identities: those in which it is the largest share (on average)."""
BALANCES = Table(
    split=TEXT, images=WHOLE, without_shares=WHOLE, mass_entropy=NUMBER, image_entropy=NUMBER, largest_excess=NUMBER
)
"""A row is a part; see balance()."""


@dataclass(frozen=True, eq=False)
class Shares:
    """groups: G names; values (N, G) float64, 0..1, row i of image i; a row of NaN for an image without shares."""

    groups: tuple[str, ...]
    values: np.ndarray
    fingerprint: str

    @property
    def known(self) -> np.ndarray:
        """(N,) bool: has the image shares?"""
        return ~np.isnan(self.values[:, 0])


def shares_of(data: Dataset) -> Shares | None:
    """The shares of a data set, its own or its lenders'; None where there are none, or lenders that differ in groups.

    Raises Damaged for a file that is not what was written, FairLabError for a lender that is gone.
    """
    if borrows(data):
        return _borrowed(data)
    if "shares" not in data.info:
        return None
    facts = checked(ShareFacts, data.info["shares"], data.folder / INFO)
    path = data.folder / SHARES_FILE
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise Damaged(f"{path} is missing or damaged: {error}; import the shares again") from error
    if values.shape != (len(data.images), len(facts.groups)) or values.dtype != np.float64:
        raise Damaged(
            f"{path} holds {values.shape} {values.dtype}, expected {len(data.images)} images x {len(facts.groups)} groups"
        )
    return Shares(facts.groups, values, facts.fingerprint)


def _borrowed(data: Dataset) -> Shares | None:
    lenders = [shares_of(parent) for parent in data.parents()]
    there = [shares for shares in lenders if shares is not None]
    if not there or len({shares.groups for shares in there}) > 1:
        return None
    parent, row = data.borrowed()
    values = np.full((len(row), len(there[0].groups)), np.nan)
    for number, shares in enumerate(lenders):
        if shares is not None:
            values[parent == number] = shares.values[row[parent == number]]
    return Shares(there[0].groups, values, digest([data.fingerprint, [shares.fingerprint for shares in there]]))


def needed_shares(data: Dataset, why: str) -> Shares:
    """As shares_of. Raises FairLabError for a data set without: `why` names the setting that needs them."""
    shares = shares_of(data)
    if shares is None:
        raise FairLabError(
            f"{why} needs soft group shares, and data set {data.dataset_id} has none: import a table of them with "
            f"`fairlab data shares {data.dataset_id} TABLE`"
        )
    return shares


def store(data: Dataset, groups: Sequence[str], values: np.ndarray, table: str) -> None:
    """Keep shares (N, G) with the data set, in place of earlier ones; whole or, after a kill, as before.

    table: the name of the file that they come from. Raises FairLabError for a data set that borrows its images, and when
    the disk refuses.
    """
    facts = {"groups": list(groups), "table": table, "added_at": now()}
    keep(data, "shares", facts, lambda path: np.save(path, values.astype(np.float64)))


def sums_of(values: np.ndarray, members: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(sum of the shares (count, G), images with shares (count,)) of each of `count` identities; members (N,): whose."""
    known = ~np.isnan(values[:, 0])
    of, values = members[known], values[known]
    sums = np.stack([np.bincount(of, column, count) for column in values.T], axis=1)
    return sums, np.bincount(of, minlength=count)


def entropy(parts: np.ndarray) -> np.ndarray:
    """Shannon entropy of the last axis (..., G), each made to add up to 1, over log G: 0 one group alone, 1 all equal."""
    parts = np.asarray(parts, np.float64)
    total = parts.sum(-1, keepdims=True)
    shares = np.divide(parts, total, out=np.zeros_like(parts), where=total > 0)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.asarray(-(shares * logs).sum(-1) / np.log(parts.shape[-1]))


def balance(values: np.ndarray) -> dict[str, float]:
    """Of shares (N, G): mass_entropy of the groups' masses, 0..1, 1 where all are equal; image_entropy, the mean over
    images, 0..1, 0 where each belongs to one group alone; largest_excess of the largest mass over the smallest, 0 where all
    are equal (0.01: by 1 %), infinite where a group has none.
    """
    values = values[~np.isnan(values[:, 0])]
    if not len(values):
        return {"mass_entropy": np.nan, "image_entropy": np.nan, "largest_excess": np.nan}
    mass = values.sum(0)
    least = float(mass.min())
    excess = float(mass.max()) / least - 1 if least > 0 else np.inf
    return {
        "mass_entropy": float(entropy(mass)),
        "image_entropy": float(entropy(values).mean()),
        "largest_excess": excess,
    }


def masses(data: Dataset, shares: Shares) -> pd.DataFrame:
    """Every group's mass and counts in every part: MASSES."""
    tables = []
    for split, rows in _parts(data):
        values = np.asarray(shares.values[rows])
        names, members = np.unique(data.images["identity"].to_numpy(dtype=str)[rows], return_inverse=True)
        sums, images = sums_of(values, members, len(names))
        mass = np.nansum(values, axis=0)
        known = ~np.isnan(values[:, 0])
        columns = {
            "split": split,
            "group": list(shares.groups),
            "mass": mass,
            "mass_share": mass / mass.sum() if mass.sum() > 0 else np.nan,
            "images": np.bincount(values[known].argmax(1), minlength=len(shares.groups)),
            "identities": np.bincount(sums[images > 0].argmax(1), minlength=len(shares.groups)),
        }
        tables.append(MASSES.of(columns))
    return MASSES.stack(tables)


def balances(data: Dataset, shares: Shares) -> pd.DataFrame:
    """How balanced every part is, and how many of its images have no shares: BALANCES."""
    rows = []
    for split, images in _parts(data):
        values = np.asarray(shares.values[images])
        without = int(np.isnan(values[:, 0]).sum())
        rows.append({"split": split, "images": len(values), "without_shares": without, **balance(values)})
    return BALANCES.build(rows)


def _parts(data: Dataset) -> list[tuple[str, np.ndarray]]:
    """(name, rows) of every part, in the data's order."""
    splits = data.images["split"].astype(object).to_numpy()
    return [(str(split), np.flatnonzero(splits == split)) for split in dict.fromkeys(splits)]


def margin_factors(values: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """Of every image (1 + s - mean)^2: (N,), 0..4. values (N, G): shares, NaN without; identities (N,): 0..C-1.

    s: mean share, over its images, of the group that is its identity's largest; mean: of s over this group's identities.
    RaceFace, utils/dataset.py and utils/losses.py of the code of arXiv 2408.16563; there s is a sum over images where its
    selection hands it on, whose factors grow with the number of images. Every identity must have an image with shares.
    """
    sums, images = sums_of(values, identities, int(identities.max()) + 1)
    means = sums / images[:, None]
    group = means.argmax(1)
    own = means[np.arange(len(means)), group]
    of_group = np.bincount(group, own, means.shape[1]) / np.maximum(np.bincount(group, minlength=means.shape[1]), 1)
    factors: np.ndarray = np.square(1 + own - of_group[group])
    return factors[identities]
