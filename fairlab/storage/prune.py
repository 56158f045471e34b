"""Pruning checkpoints: which may go, how much room that makes, and letting them go. Weights, numbers and embeddings stay."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fairlab.errors import Damaged, FairLabError
from fairlab.files import MANIFEST, explain, verify_manifest
from fairlab.machine.temporaries import beside
from fairlab.queue.launch import ENDED_BADLY
from fairlab.queue.turns import ACTIVE
from fairlab.storage.disk import bytes_below, study_of
from fairlab.store.locks import no_starts
from fairlab.store.runs import state
from fairlab.tables import TEXT, WHOLE, Table, rows_where
from fairlab.workspace import Workspace

PRUNABLE = Table(run_id=TEXT, status=TEXT, checkpoint=TEXT, bytes=WHOLE)
"""A row is a checkpoint that may go."""


def prunable(workspace: Workspace, keep: int = 1, study: str = "", run_ids: Sequence[str] = ()) -> pd.DataFrame:
    """PRUNABLE: what prune() would delete, nothing is touched.

    keep: how many checkpoints of each run stay, the newest; with 0 all of a done run's go, whose result is its weights.
    The newest holds the weights of the best pass too. Runs that wait or work are left alone, and so is the last
    checkpoint of one that could be resumed, unless it is named in run_ids. Only a checkpoint that is whole, by its hashes,
    counts as kept. Raises FairLabError for a run that is not there.
    """
    if keep < 0:
        raise FairLabError(f"the checkpoints to keep per run must be 0 or more, not {keep}")
    named = set(run_ids)
    for name in run_ids:
        if not (workspace.run(name) / "run.json").exists():
            raise FairLabError(f"there is no run {name!r} in {workspace.home}; `fairlab runs list` lists them")
    rows = []
    for folder in sorted(path.parent for path in workspace.runs_folder.glob("*/run.json")):
        if (named and folder.name not in named) or (study and study_of(workspace, folder.name) != study):
            continue
        found = checkpoints(folder)
        if not found:
            continue
        try:
            status = state(folder).status
        except Damaged:
            continue  # nobody can say whether it works
        least = _least(folder, status, keep, folder.name in named)
        if least is None:
            continue
        kept = _newest_whole(found, least)
        for path in found:
            if path not in kept and (len(kept) >= min(least, 1)):
                rows.append((folder.name, status, path.name, bytes_below(path)))
    return PRUNABLE.build(rows)


def _least(folder: Path, status: str, keep: int, named: bool) -> int | None:
    """How many checkpoints of this run must stay; None: all of them."""
    if status == "done":
        return keep if _whole(folder / "weights") else max(keep, 1)
    if status in ENDED_BADLY:
        return keep if named else max(keep, 1)
    return None


def _newest_whole(found: list[Path], count: int) -> list[Path]:
    """The newest `count` checkpoints whose files are what their manifest says."""
    kept: list[Path] = []
    for path in reversed(found):
        if len(kept) == count:
            break
        if _whole(path):
            kept.append(path)
    return kept


def _whole(folder: Path) -> bool:
    try:
        verify_manifest(folder)
    except FairLabError:
        return False
    return True


def checkpoints(run_folder: Path) -> list[Path]:
    """A run's checkpoints, oldest first."""
    found = (run_folder / "checkpoints").glob(f"step-*/{MANIFEST}")
    return sorted(path.parent for path in found if ".tmp." not in path.parent.name)


def prune(workspace: Workspace, keep: int = 1, study: str = "", run_ids: Sequence[str] = ()) -> pd.DataFrame:
    """Delete the checkpoints of prunable(); returns what went. What has begun to work meanwhile keeps its own."""
    going = prunable(workspace, keep, study, run_ids)  # reads them all: too long to keep everybody waiting
    with no_starts(workspace):
        going = going[rows_where(state(workspace.run(name)).status not in ACTIVE for name in going["run_id"])]
        for row in going.itertuples():
            path = workspace.run(row.run_id) / "checkpoints" / row.checkpoint
            grave = beside(path)
            try:
                os.replace(path, grave)  # gone at once: nobody finds half a checkpoint
                shutil.rmtree(grave)
            except OSError as error:
                raise FairLabError(explain(error, path)) from error
    return going
