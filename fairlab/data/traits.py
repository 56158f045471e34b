"""Traits: numbers of every image that may go with errors, such as pose, blur or a quality score.

They lie beside the data set as one array, see data.beside. What groups people is an attribute, not a trait.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.data.amending import amend
from fairlab.data.beside import FILES, array_of, by_recipe, check_own, signed
from fairlab.data.dataset import INFO, Dataset
from fairlab.data.record_file import TraitFacts
from fairlab.errors import FairLabError
from fairlab.files import digest, read_json, write_json
from fairlab.settings.kept import checked
from fairlab.tables import NUMBER, TEXT, WHOLE, Table

MEASURED = "measured"
"""Origin of traits that FairLab measured in the pixels; that of others is the name of their table."""
SUMMARY = Table(
    trait=TEXT, origin=TEXT, group=TEXT, images=WHOLE, unknown=WHOLE, low=NUMBER, median=NUMBER, high=NUMBER
)
"""A row is a trait in a group. images: those with a value; low, high: 5 % and 95 % points of the values."""


@dataclass(frozen=True, eq=False)
class Traits:
    """names, origins: T each; values (N, T) float64, row i of image i, NaN where an image has none."""

    names: tuple[str, ...]
    origins: tuple[str, ...]
    values: np.ndarray
    fingerprint: str

    def of(self, name: str) -> np.ndarray:
        """(N,) values of one. Raises FairLabError for another name."""
        if name not in self.names:
            raise FairLabError(f"there is no trait {name[:80]!r}; there are: {', '.join(self.names) or 'none'}")
        return np.asarray(self.values[:, self.names.index(name)])


def traits_of(data: Dataset) -> Traits:
    """The traits of a data set, its own or its lenders'; without a name where there are none.

    Of several lenders every trait counts that one of them has. Raises Damaged for a file that is not what was written,
    FairLabError for a lender that is gone.
    """
    if by_recipe(data):
        return _borrowed(data)
    if "traits" not in data.info:
        return Traits((), (), np.empty((len(data.images), 0)), "")
    facts = checked(TraitFacts, data.info["traits"], data.folder / INFO)
    return Traits(facts.names, facts.origins, array_of(data, "traits", len(facts.names)), facts.fingerprint)


def _borrowed(data: Dataset) -> Traits:
    lenders = [traits_of(parent) for parent in data.parents()]
    origins = {name: origin for of in lenders for name, origin in zip(of.names, of.origins, strict=True)}
    parent, row = data.borrowed()
    values = np.full((len(row), len(origins)), np.nan)
    for number, of in enumerate(lenders):
        mine = parent == number
        for column, name in enumerate(origins):
            if name in of.names:
                values[mine, column] = of.of(name)[row[mine]]
    known = digest([data.fingerprint, [of.fingerprint for of in lenders]]) if origins else ""
    return Traits(tuple(origins), tuple(origins.values()), values, known)


def store(data: Dataset, columns: Mapping[str, np.ndarray], origin: str) -> None:
    """Keep traits, (N,) each, with the data set, beside those that it has; one of the same name is replaced.

    Whole or, after a kill, as before. Raises FairLabError for a data set that borrows its images, and when the disk refuses.
    """
    check_own(data, "traits")
    before = traits_of(data)
    kept = {name: before.of(name) for name in before.names} | dict(columns)
    origins = dict(zip(before.names, before.origins, strict=True)) | dict.fromkeys(columns, origin)
    _write(data, kept, origins)


def remove(data: Dataset, name: str) -> None:
    """Take a trait away. Raises FairLabError for one that there is not."""
    check_own(data, "traits")
    before = traits_of(data)
    before.of(name)
    kept = {each: before.of(each) for each in before.names if each != name}
    _write(data, kept, dict(zip(before.names, before.origins, strict=True)))


def _write(data: Dataset, columns: Mapping[str, np.ndarray], origins: Mapping[str, str]) -> None:
    def write(folder: Path) -> None:
        values = np.stack(list(columns.values()), axis=1) if columns else np.empty((len(data.images), 0))
        np.save(folder / FILES["traits"], values.astype(np.float64))
        info = read_json(data.folder / INFO)
        if columns:
            info["traits"] = {"names": list(columns), "origins": [origins[name] for name in columns]}
        else:
            info.pop("traits", None)
        write_json(folder / INFO, signed(info, folder))

    amend(data, write, [INFO, FILES["traits"]])


def summary(data: Dataset, traits: Traits) -> pd.DataFrame:
    """What the values of every trait are in every group: SUMMARY."""
    groups = data.images["group"].to_numpy(dtype=str)
    rows = []
    for name, origin in zip(traits.names, traits.origins, strict=True):
        values = traits.of(name)
        for group in data.groups:
            part = values[groups == group]
            known = part[np.isfinite(part)]
            low, median, high = np.quantile(known, [0.05, 0.5, 0.95]) if len(known) else (np.nan,) * 3
            rows.append((name, origin, group, len(known), len(part) - len(known), low, median, high))
    return SUMMARY.build(rows)
