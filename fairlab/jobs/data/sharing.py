"""Soft group shares from a table, kept with a data set: read and checked whole before anything is written."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.kept_beside import check_own
from fairlab.data.share_tables import read_shares
from fairlab.data.shares import store
from fairlab.errors import Refused
from fairlab.store.locks import CUT_SHORT, cut_short, no_starts
from fairlab.workspace import Workspace


def add_shares(workspace: Workspace, name: str, table: Path) -> Dataset:
    """Import the soft group shares of data set `name`; returns it as it is then. Earlier shares are replaced.

    The data set's fingerprint stays, the shares have their own. Raises what data.share_tables.read_shares does,
    FairLabError for a data set that borrows its images, and Refused when it changed while the table was read.
    """
    data, groups, values = _read(workspace, name, table)
    with no_starts(workspace):
        if cut_short(workspace):
            raise Refused(f"{CUT_SHORT}, then import the shares again")
        if open_dataset(workspace.dataset(name)).info != data.info:
            raise Refused(f"data set {name} changed while the table was read; import the shares again")
        store(data, groups, values, table.name)
    return open_dataset(workspace.dataset(name))


def check_shares(workspace: Workspace, name: str, table: Path) -> tuple[tuple[str, ...], int, int]:
    """(groups, images with shares, images without) that add_shares would keep; nothing is written. Raises as it does."""
    _, groups, values = _read(workspace, name, table)
    known = int((~np.isnan(values[:, 0])).sum())
    return groups, known, len(values) - known


def _read(workspace: Workspace, name: str, table: Path) -> tuple[Dataset, tuple[str, ...], np.ndarray]:
    data = open_dataset(workspace.dataset(name))
    check_own(data, "shares")
    groups, values = read_shares(table, data)
    return data, groups, values
