"""Traits from a table, kept with a data set: read and checked whole before anything is written."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.kept_beside import check_own
from fairlab.data.trait_tables import read_traits
from fairlab.data.traits import Trait, check_names, remove_traits
from fairlab.jobs.data.measuring import keep_with
from fairlab.store.locks import no_starts
from fairlab.workspace import Workspace


def add_traits(
    workspace: Workspace, name: str, table: Path, columns: Collection[str] = (), skip_unknown: bool = False
) -> list[Trait]:
    """Import the traits of a table for data set `name`; returns them. Imported ones of the same name are replaced.

    Raises what data.trait_tables.read_traits and data.traits.keep_traits do, and Refused when the data set changed while the
    table was read.
    """
    data, traits = read(workspace, name, table, columns, skip_unknown)
    keep_with(workspace, data, traits, "read")
    return traits


def read(
    workspace: Workspace, name: str, table: Path, columns: Collection[str] = (), skip_unknown: bool = False
) -> tuple[Dataset, list[Trait]]:
    """What add_traits would keep; nothing is written. Raises as it does."""
    data = open_dataset(workspace.dataset(name))
    check_own(data, "traits")
    traits = read_traits(table, data, columns, skip_unknown)
    check_names(data, [(trait.name, trait.source) for trait in traits])
    return data, traits


def take_away(workspace: Workspace, name: str, traits: Collection[str]) -> None:
    """Remove traits that were imported or measured. Raises as data.traits.remove_traits."""
    data = open_dataset(workspace.dataset(name))
    check_own(data, "traits", "remove them from")
    with no_starts(workspace):
        remove_traits(open_dataset(data.folder), traits)
