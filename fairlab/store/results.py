"""Numbers of a run on disk: one folder per data set that it was judged on, whole or not there.

runs/<run>/results/<data set>/ {metrics, curves, scores}.parquet and manifest.json with the settings they come from.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from fairlab.errors import Damaged, FairLabError
from fairlab.files import MANIFEST, read_manifest, write_atomic, write_manifest
from fairlab.workspace import checked_name

TABLES = ("metrics", "curves", "scores")


def results_folder(run_folder: Path, dataset_id: str) -> Path:
    """Where the numbers of a run on a data set lie."""
    return run_folder / "results" / checked_name(dataset_id, "data set")


def judged_on(run_folder: Path) -> list[str]:
    """Data sets on which the run has numbers, oldest first."""
    found = (run_folder / "results").glob(f"*/{MANIFEST}")
    return [path.parent.name for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]


def write_results(run_folder: Path, dataset_id: str, tables: Mapping[str, pd.DataFrame], **facts: Any) -> None:
    """Replace a run's numbers on a data set. The manifest comes last: what does not fit it is not believed."""
    folder = results_folder(run_folder, dataset_id)
    for name in TABLES:
        write_atomic(folder / f"{name}.parquet", partial(tables[name].to_parquet, index=False))
    write_manifest(folder, [f"{name}.parquet" for name in TABLES], **facts)


def read_results(run_folder: Path, dataset_id: str, name: str) -> pd.DataFrame:
    """One of TABLES. Raises FairLabError when the run was not judged on the data set, Damaged for a broken file."""
    path = results_folder(run_folder, dataset_id) / f"{name}.parquet"
    if not path.exists():
        raise FairLabError(
            f"{run_folder.name} has no numbers on {dataset_id} yet; judge it with "
            f"`fairlab evaluate {run_folder.name} {dataset_id}`"
        )
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise Damaged(f"{path} is damaged: {error}") from error


def results_facts(run_folder: Path, dataset_id: str) -> dict[str, Any]:
    """What the numbers come from: settings, data, flip, notes. Raises FairLabError when there are none."""
    folder = results_folder(run_folder, dataset_id)
    if not (folder / MANIFEST).exists():
        raise FairLabError(f"{run_folder.name} has no numbers on {dataset_id} yet")
    return read_manifest(folder)
