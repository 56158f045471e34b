"""What moved between two spaces, on disk beside the run of the second: named by a hash of both spaces' vectors and the settings.

runs/<after>/moved/<data set>/ <key>.json (facts, written last), <key>-numbers, -images and -near.parquet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import Field

from fairlab.errors import FairLabError
from fairlab.files import digest, read_json, sha256, write_atomic, write_json
from fairlab.reading.structured import as_read
from fairlab.reading.table_checks import read_table
from fairlab.settings.base import Name
from fairlab.settings.kept import Count, FolderName, Kept, Time, checked
from fairlab.settings.study import Moved
from fairlab.store.embeddings import Embeddings, open_embeddings
from fairlab.store.runs import RunRecord
from fairlab.tables import MOVED_IMAGES, MOVED_NUMBERS, NUMBER, TEXT, WHOLE, Table
from fairlab.workspace import checked_name, now

OVERLAP = Table(image_id=WHOLE, overlap=NUMBER)
"""A row is an image and the overlap of its neighbours in two spaces, 0..1, NaN where it is undefined."""
NEAR = Table(image_id=WHOLE, space=TEXT, rank=WHOLE, neighbour=WHOLE, score="float32")
"""A row is a neighbour of one of the images that moved most. space: "before" or "after"; rank: from 1; score: cosine."""
TABLES = {"numbers": MOVED_NUMBERS, "images": MOVED_IMAGES, "near": NEAR}
Hash = Annotated[str, Field(max_length=64, pattern=r"^[0-9a-f]*$")]


class MovedFile(Kept):
    """The facts of a measurement, as far as they are shown."""

    dataset: FolderName
    before: FolderName
    after: FolderName
    vectors: tuple[Hash, Hash]
    k: Count
    depth: Count
    measured: Count
    of: Count
    people: Count
    cut: Count = 0
    """People of whom only some images are measured."""
    tied: Count
    chance: Annotated[float, Field(ge=0, le=1)] | None = None
    created_at: Time = ""
    sha256: Annotated[dict[Name, Hash], Field(max_length=10)]


@dataclass(frozen=True)
class StoredMove:
    """numbers: MOVED_NUMBERS; images: MOVED_IMAGES; near: NEAR; facts: see MovedFile."""

    key: str
    numbers: pd.DataFrame
    images: pd.DataFrame
    near: pd.DataFrame
    facts: dict[str, Any]


def moved_key(before: Embeddings, after: Embeddings, settings: Moved) -> str:
    """Name of the measurement of these vectors with these settings."""
    return digest([before.hash, after.hash, settings.model_dump(mode="json")], 16)


def moved_folder(run_folder: Path, dataset_id: str) -> Path:
    """Where the measurements of a data set lie that end in this run's space."""
    return run_folder / "moved" / checked_name(dataset_id, "data set")


def write_moved(folder: Path, key: str, tables: Mapping[str, pd.DataFrame], facts: Mapping[str, Any]) -> None:
    """Store a measurement; tables: by the names of TABLES. The facts are written last: without them there is none."""
    hashes = {}
    for name in TABLES:
        path = folder / f"{key}-{name}.parquet"
        write_atomic(path, partial(tables[name].to_parquet, index=False))
        hashes[name] = sha256(path)
    content = as_read({**facts, "key": key, "created_at": now(), "sha256": hashes})
    write_json(folder / f"{key}.json", {**content, "check": digest(content)})


def read_moved(folder: Path, key: str) -> StoredMove | None:
    """A stored measurement; None when there is none or it is damaged (it can be made again)."""
    facts = _facts(folder / f"{key}.json")
    if facts is None:
        return None
    try:
        tables = _tables(folder, key, facts)
    except (FairLabError, OSError, ValueError, TypeError):
        return None
    return StoredMove(key, facts=facts, **tables)


def _facts(path: Path) -> dict[str, Any] | None:
    try:
        facts = read_json(path)
        if facts.pop("check") != digest(facts):
            return None
        checked(MovedFile, facts, path)
    except (FairLabError, OSError, KeyError):
        return None
    return facts


def _tables(folder: Path, key: str, facts: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Raises FairLabError, OSError, ValueError or TypeError for a table that is not as it was written."""
    found = {}
    for name, table in TABLES.items():
        path = folder / f"{key}-{name}.parquet"
        if sha256(path) != facts["sha256"].get(name):
            raise FairLabError(f"{path} is damaged: its hash differs from the recorded one")
        content = read_table(path, table)
        found[name] = table.of({column: content[column] for column in table})
    return found


def find_moved(
    before: RunRecord, after: RunRecord, dataset_id: str, settings: Moved | None = None
) -> StoredMove | None:
    """What moved between the two spaces as their vectors are now; None when it was not measured.

    settings: only a measurement with these; default: the newest. Raises FairLabError where a space has no embeddings.
    """
    spaces = [open_embeddings(run.folder, dataset_id) for run in (before, after)]
    folder = moved_folder(after.folder, dataset_id)
    if settings is not None:
        return read_moved(folder, moved_key(spaces[0], spaces[1], settings))
    found = _keys_of(folder, [space.hash for space in spaces])
    return next((move for move in (read_moved(folder, key) for key in found) if move is not None), None)


def overlap_of(one: RunRecord, other: RunRecord, dataset_id: str, settings: Moved | None = None) -> pd.DataFrame:
    """OVERLAP of each measured image, to colour a map by; no rows where nothing was measured. Either space may be first.

    settings: as in find_moved(). Raises FairLabError where a space has no embeddings.
    """
    for before, after in ((one, other), (other, one)):
        move = find_moved(before, after, dataset_id, settings)
        if move is not None:
            return OVERLAP.of({name: move.images[name] for name in OVERLAP})
    return OVERLAP.build()


def stamp_of(one: RunRecord, other: RunRecord, dataset_id: str) -> str:
    """Changes with every measurement between two spaces; what caches of overlap_of() hang on."""
    found = [path for run in (one, other) for path in moved_folder(run.folder, dataset_id).glob("*.json")]
    return " ".join(sorted(f"{path.name}:{path.stat().st_mtime_ns}" for path in found))


def _keys_of(folder: Path, vectors: list[str]) -> list[str]:
    """The measurements of these vectors, newest first."""
    known = [(path.stem, _facts(path)) for path in folder.glob("*.json")]
    fitting = [(facts["created_at"], key) for key, facts in known if facts and list(facts["vectors"]) == vectors]
    return [key for _, key in sorted(fitting, reverse=True)]
