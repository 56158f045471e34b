"""What the workspace holds on disk: bytes by run, data set, study and kind, from one walk over the folders."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from fairlab.errors import FairLabError
from fairlab.files import read_json
from fairlab.machine.temporaries import left_behind
from fairlab.tables import TEXT, WHOLE, Table
from fairlab.workspace import Workspace

USAGE = Table(where=TEXT, name=TEXT, study=TEXT, kind=TEXT, bytes=WHOLE, files=WHOLE)
"""A row is what one run, data set or the workspace itself holds of one kind. where: run, data set or workspace; study: of a
run, the study that it was first started for."""
BY = {"run": ["where", "name"], "study": ["study"], "kind": ["kind"]}
OF_RUN = {
    "checkpoints": "checkpoints",
    "weights": "weights",
    "embeddings": "embeddings",
    "results": "results",
    "projections": "projections",
    "moved": "results",
    "repair": "results",
    "seen": "caches",
    "looked": "caches",
    "events.jsonl": "logs and events",
    "log.txt": "logs and events",
}
INDEX_FILES = ("index.faiss", "index.json")
PICTURES = (".png", ".jpg", ".webp")
LEFT, BEING_WRITTEN = "left by killed jobs", "being written"


def usage(workspace: Workspace) -> pd.DataFrame:
    """USAGE of the whole workspace, largest first. What vanishes while we look is not counted."""
    totals: dict[tuple[str, str, str], list[int]] = {}
    for parts, size in _files(str(workspace.home), ()):
        cell = totals.setdefault(_place(parts), [0, 0])
        cell[0] += size
        cell[1] += 1
    studies = {name: study_of(workspace, name) for where, name, _ in totals if where == "run"}
    rows = [
        (where, name, studies.get(name, "") if where == "run" else "", kind, size, files)
        for (where, name, kind), (size, files) in totals.items()
    ]
    table = USAGE.build(rows)
    return table.sort_values(["bytes", "where", "name", "kind"], ascending=[False, True, True, True], ignore_index=True)


def summed(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """USAGE added up by "run" (data sets and the rest too), "study" or "kind": those columns, bytes, files; largest first."""
    if by not in BY:
        raise FairLabError(f"disk usage is shown by {', '.join(BY)}, not by {by!r}")
    if by == "study":
        table = table.assign(study=table["study"].where(table["study"] != "", "(" + table["where"] + "s of no study)"))
        table["study"] = table["study"].replace({"(workspaces of no study)": "(the workspace itself)"})
    found = table.groupby(BY[by], as_index=False, sort=True)[["bytes", "files"]].sum()
    return found.sort_values("bytes", ascending=False, kind="stable", ignore_index=True)


def bytes_below(path: Path) -> int:
    """Bytes of a file, or of all files below a folder; 0 when it is gone."""
    if path.is_dir():
        return sum(size for _, size in _files(str(path), ()))
    return path.lstat().st_size if path.exists() else 0


def study_of(workspace: Workspace, run_id: str) -> str:
    """The study that a run was first started for; "" when it has none or cannot be read."""
    try:
        study = read_json(workspace.runs_folder / run_id / "run.json").get("study")
    except FairLabError:
        return ""
    return study if isinstance(study, str) else ""


def _files(folder: str, parts: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    """(path below the start as parts, bytes) of every file; links are not followed."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_dir(follow_symlinks=False):
                        yield from _files(entry.path, (*parts, entry.name))
                    else:
                        yield (*parts, entry.name), entry.stat(follow_symlinks=False).st_size
                except OSError:
                    continue
    except OSError:
        return


def _place(parts: tuple[str, ...]) -> tuple[str, str, str]:
    """(where, name, kind) of a file by its path below the workspace."""
    unfinished = [part for part in parts if ".tmp." in part]
    temporary = "" if not unfinished else LEFT if any(map(left_behind, unfinished)) else BEING_WRITTEN
    if parts[0] == "runs" and len(parts) > 2:
        return "run", parts[1], temporary or _kind_in_run(parts[2:])
    if parts[0] == "datasets" and len(parts) > 2:
        if temporary:
            return "data set", parts[1].partition(".tmp.")[0], temporary
        return "data set", parts[1], "pixels" if parts[2] == "pixels.npy" else "tables of data sets"
    if temporary:
        return "workspace", "", temporary
    return "workspace", "", "catalogue" if parts[0].startswith("catalogue.") else "other"


def _kind_in_run(parts: tuple[str, ...]) -> str:
    if parts[-1] in INDEX_FILES:
        return "index"
    if parts[-1].endswith(PICTURES):
        return "previews"
    return OF_RUN.get(parts[0], "records")
