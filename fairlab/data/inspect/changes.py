"""Whether files are still those that were looked at: their names, sizes and times, without reading them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from fairlab.tables import TEXT, WHOLE, Table

SEEN = Table(file=TEXT, bytes=WHOLE, modified_ns=WHOLE)
"""A row is a file; `file` is below the path that was looked at, or a whole path for what lies elsewhere."""
SHOWN = 3


def seen(path: Path, others: Iterable[Path] = ()) -> pd.DataFrame:
    """SEEN of all files below a folder, or of a file and those beside it that share its stem, and of `others`.

    Hidden files do not count, as no reader reads them. What is gone or cannot be looked into is not in the table.
    """
    rows = list(_below(str(path), "") if path.is_dir() else _beside(path))
    rows += [row for other in others for row in _one(str(other), str(other))]
    return SEEN.build(rows).sort_values("file", ignore_index=True)


def _below(folder: str, prefix: str) -> Iterator[tuple[str, int, int]]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _below(entry.path, f"{prefix}{entry.name}/")
        else:
            yield from _one(entry.path, prefix + entry.name)


def _beside(path: Path) -> Iterator[tuple[str, int, int]]:
    for file in sorted(path.parent.glob(f"{_escaped(path.stem)}.*")):
        yield from _one(str(file), file.name)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _one(path: str, name: str) -> Iterator[tuple[str, int, int]]:
    try:
        facts = os.stat(path)
    except OSError:
        return
    yield name, facts.st_size, facts.st_mtime_ns


def difference(before: pd.DataFrame, after: pd.DataFrame) -> str:
    """How the files of two tables SEEN differ, e.g. "2 more (a/1.jpg, a/2.jpg), 1 fewer (b/1.jpg)"; "" if they do not."""
    both = before.merge(after, on="file", how="outer", suffixes=("", "_now"), indicator="there")
    kinds = {
        "more": both["there"] == "right_only",
        "fewer": both["there"] == "left_only",
        "changed": (both["there"] == "both")
        & ((both["bytes"] != both["bytes_now"]) | (both["modified_ns"] != both["modified_ns_now"])),
    }
    said = []
    for kind, which in kinds.items():
        names = both.loc[which, "file"].tolist()
        if names:
            more = ", ..." if len(names) > SHOWN else ""
            said.append(f"{len(names):,} {kind} ({', '.join(names[:SHOWN])}{more})")
    return ", ".join(said)
