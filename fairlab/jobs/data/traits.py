"""Traits of a data set's images, from a table or measured in the pixels: whole before anything is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fairlab.data import traits
from fairlab.data.beside import check_own
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.pixel_traits import measure
from fairlab.data.trait_tables import read_traits
from fairlab.errors import Refused
from fairlab.store.locks import CUT_SHORT, cut_short, no_starts
from fairlab.workspace import Workspace


def add_traits(workspace: Workspace, name: str, table: Path, columns: Sequence[str] = ()) -> None:
    """Import traits of data set `name`; those of the same name are replaced, the data set's fingerprint stays.

    Raises what data.trait_tables.read_traits does, FairLabError for a data set that borrows its images, and Refused when it
    changed while the table was read.
    """
    data, found = _read(workspace, name, table, columns)
    _keep(workspace, data, found, table.name)


def check_traits(workspace: Workspace, name: str, table: Path, columns: Sequence[str] = ()) -> dict[str, int]:
    """trait -> images with a value, that add_traits would keep; nothing is written. Raises as it does."""
    _, found = _read(workspace, name, table, columns)
    return {trait: int(np.isfinite(values).sum()) for trait, values in found.items()}


def measure_traits(
    workspace: Workspace, name: str, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> None:
    """Measure data.pixel_traits.MEANINGS in all images of data set `name`, and keep them. Raises as add_traits."""
    data = open_dataset(workspace.dataset(name))
    check_own(data, "traits")
    _keep(workspace, data, measure(data, progress), traits.MEASURED)


def remove_trait(workspace: Workspace, name: str, trait: str) -> None:
    """Take a trait of data set `name` away. Raises FairLabError for one that it does not have."""
    with no_starts(workspace):
        if cut_short(workspace):
            raise Refused(f"{CUT_SHORT}, then remove the trait again")
        traits.remove(open_dataset(workspace.dataset(name)), trait)


def _read(
    workspace: Workspace, name: str, table: Path, columns: Sequence[str]
) -> tuple[Dataset, dict[str, np.ndarray]]:
    data = open_dataset(workspace.dataset(name))
    check_own(data, "traits")
    return data, read_traits(table, data, tuple(columns))


def _keep(workspace: Workspace, data: Dataset, found: dict[str, np.ndarray], origin: str) -> None:
    with no_starts(workspace):
        if cut_short(workspace):
            raise Refused(f"{CUT_SHORT}, then add the traits again")
        if open_dataset(data.folder).info != data.info:
            raise Refused(f"data set {data.dataset_id} changed while the traits were read; add them again")
        traits.store(data, found, origin)
