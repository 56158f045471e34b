"""Archives inside the workspace that hold something of data that goes: told by what they list, whatever they are called."""

from __future__ import annotations

import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from fairlab.errors import FairLabError
from fairlab.reading.structured import parse_json
from fairlab.storage.archive import LISTING
from fairlab.storage.archive_reading import read_listing
from fairlab.workspace import Workspace


def archives_with(workspace: Workspace, runs: set[str], datasets: Collection[str]) -> tuple[list[Path], list[str]]:
    """(archives with one of these runs, or with anything made of these data sets; what is wrong with unreadable ones)."""
    found, faults = [], []
    for path in _archives(workspace.home):
        try:
            listing = read_listing(path)
            if runs & set(listing["runs"]) or _of_data(path, listing, datasets):
                found.append(path)
        except (FairLabError, OSError, ValueError, KeyError, tarfile.TarError) as error:
            faults.append(f"the archive {path} stays, because its people cannot be listed: {error}")
    return found, faults


def _archives(home: Path) -> Iterator[Path]:
    start = LISTING.encode() + b"\0"  # a tar begins with the name of its first file
    for path in sorted(home.rglob("*")):
        try:
            if path.is_file():
                with open(path, "rb") as handle:
                    if handle.read(len(start)) == start:
                        yield path
        except FileNotFoundError:
            continue  # of a run that works
        except OSError:
            yield path  # whoever reads on says what is wrong


def _of_data(path: Path, listing: dict[str, Any], datasets: Collection[str]) -> bool:
    """Also of runs that the workspace has no more: they say themselves what they were taught and what a map shows."""
    names = [str(file["name"]) for file in listing["files"]]
    if any(f"/{part}/{name}/" in entry for entry in names for part in ("embeddings", "results") for name in datasets):
        return True
    with tarfile.open(path, "r:") as tar:
        for name in names:
            about_map = "/projections/" in name and name.endswith(".json")
            content = tar.extractfile(name) if about_map or name.endswith("/run.json") else None
            facts = parse_json(content.read(), f"{path}: {name}") if content is not None else {}
            if facts.get("dataset") in datasets:
                return True
    return False
