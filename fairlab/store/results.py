"""Numbers of a run on disk: one folder per data set that it was judged on, whole or not there.

runs/<run>/results/<data set>/ {metrics, curves, scores}.parquet and manifest.json with the settings they come from: the
data set's own pair lists. Below it, protocols/<protocol>/ holds the same and pairs.parquet, and further tables of its own.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
from pyarrow.parquet import ParquetFile
from pydantic import Field

from fairlab.errors import Damaged, FairLabError
from fairlab.files import (
    MANIFEST,
    explain,
    make_folder,
    place_folder,
    read_manifest,
    sha256,
    verify_manifest,
    write_atomic,
    write_manifest,
)
from fairlab.machine.temporaries import beside
from fairlab.reading.table_checks import KINDS, TEXT, WHOLE, check_schema, read_table
from fairlab.settings.base import Name, Text
from fairlab.settings.kept import Kept, checked
from fairlab.settings.study import Evaluation
from fairlab.tables import METRICS, SCORES
from fairlab.tables import PAIRS as PAIRS_COLUMNS
from fairlab.workspace import checked_name

log = logging.getLogger(__name__)
TABLES = ("metrics", "curves", "scores")
PAIRS = "pairs"
MOST_LETTERS = 2000
"""Of a name in a table of numbers."""


class ResultsFile(Kept):
    """The facts in the manifest of a run's numbers, as far as they are shown."""

    settings: Evaluation | None = None
    data: Name | None = None
    notes: tuple[Text, ...] = Field((), max_length=10_000)


class HasPairs(Protocol):
    """A data set, as far as its pairs go."""

    @property
    def dataset_id(self) -> str: ...

    def pairs_of(self, protocol: str) -> pd.DataFrame: ...


def results_folder(run_folder: Path, dataset_id: str) -> Path:
    """Where the numbers of a run on a data set lie."""
    return run_folder / "results" / checked_name(dataset_id, "data set")


def protocol_folder(run_folder: Path, dataset_id: str, protocol: str) -> Path:
    """Where the numbers of a run by a protocol that is not one of the data set's own pair lists lie."""
    return results_folder(run_folder, dataset_id) / "protocols" / checked_name(protocol, "protocol")


def judged_on(run_folder: Path) -> list[str]:
    """Data sets on whose own pairs the run has numbers, oldest first."""
    found = (run_folder / "results").glob(f"*/{MANIFEST}")
    return [path.parent.name for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]


def judged_by(run_folder: Path, dataset_id: str) -> list[str]:
    """Further protocols by which the run has numbers on a data set, sorted; those of other data of its name not."""
    folder = results_folder(run_folder, dataset_id)
    found = sorted(path.parent.name for path in (folder / "protocols").glob(f"*/{MANIFEST}"))
    found = [name for name in found if ".tmp." not in name]
    if not found or not (folder / MANIFEST).exists():
        return found
    data = read_manifest(folder).get("data")
    return [name for name in found if read_manifest(folder / "protocols" / name).get("data") == data]


def lists_judged(run_folder: Path, dataset_id: str) -> list[str]:
    """The pair lists and further protocols by which the run has numbers on a data set."""
    own = results_facts(run_folder, dataset_id).get("protocols", {})
    return [*own, *judged_by(run_folder, dataset_id)]


def manifests(run_folder: Path) -> list[Path]:
    """Of all numbers of a run; what changes when they do."""
    found = [
        path for pattern in ("*", "*/protocols/*") for path in (run_folder / "results").glob(f"{pattern}/{MANIFEST}")
    ]
    return sorted(path for path in found if ".tmp." not in str(path.relative_to(run_folder)))


def _changed(run_folder: Path) -> None:
    """Whoever looks at a run's folder alone (the catalogue does) sees that its numbers have changed."""
    with contextlib.suppress(FileNotFoundError):  # the run was deleted meanwhile
        os.utime(run_folder)


def write_results(run_folder: Path, dataset_id: str, tables: Mapping[str, pd.DataFrame], **facts: Any) -> None:
    """Replace a run's numbers on a data set. The manifest comes last: what does not fit it is not believed."""
    folder = results_folder(run_folder, dataset_id)
    for name in TABLES:
        write_atomic(folder / f"{name}.parquet", partial(tables[name].to_parquet, index=False))
    write_manifest(folder, [f"{name}.parquet" for name in TABLES], **facts)
    _changed(run_folder)


def write_protocol(
    run_folder: Path, dataset_id: str, protocol: str, tables: Mapping[str, pd.DataFrame], /, **facts: Any
) -> None:
    """Replace a run's numbers on a data set by one protocol: TABLES, "pairs" and any further tables, all or nothing."""
    folder = protocol_folder(run_folder, dataset_id, protocol)
    temporary = beside(folder)
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        make_folder(temporary)
        for name in (*TABLES, PAIRS, *sorted(set(tables) - {*TABLES, PAIRS})):
            tables[name].to_parquet(temporary / f"{checked_name(name, 'table')}.parquet", index=False)
        write_manifest(temporary, sorted(path.name for path in temporary.glob("*.parquet")), **facts)
        place_folder(temporary, folder)
        _changed(run_folder)
    except OSError as error:
        raise FairLabError(explain(error, folder)) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def metric_rows(results: Path, run_id: str) -> list[tuple[object, ...]] | None:
    """One data set's rows of tables.METRICS, None when there are none or they are not what the manifest recorded.

    While an evaluation replaces them they may not fit; its new manifest, written last, brings us back here.
    """
    if not (results / MANIFEST).exists():
        return None
    try:
        return checked_rows(results, run_id)
    except FairLabError as error:
        log.warning("the numbers of run %s cannot be read: %s", run_id, error)
        return None


def checked_rows(results: Path, run_id: str) -> list[tuple[object, ...]]:
    """The same. Raises FairLabError, Damaged with what is wrong."""
    path = results / "metrics.parquet"
    listed = read_manifest(results)["files"].get(path.name)
    try:
        if listed is None or listed["sha256"] != sha256(path):
            raise Damaged(f"{path} differs from its manifest")
        with ParquetFile(
            path
        ) as file:  # without a data frame on the way: thousands of runs are read when it is made anew
            check_schema(file, METRICS, path)
            table = file.read(columns=list(METRICS))
    except FairLabError:
        raise
    except Exception as error:  # a damaged file makes the reader raise nearly anything
        raise Damaged(f"{path} is damaged: {str(error)[:200]}") from error
    texts = [name for name in METRICS if KINDS[name] == TEXT]
    empty = [name for name in METRICS if KINDS[name] in (TEXT, WHOLE) and table[name].null_count]
    if empty:
        raise Damaged(f"{path}: the column {empty[0]!r} has empty cells; expected {KINDS[empty[0]]}")
    rows = list(zip(*(table[name].to_pylist() for name in METRICS), strict=True))
    if any(row[0] != run_id for row in rows):
        raise Damaged(f"{path}: the column 'run_id' names a run other than {run_id!r}")
    for name in texts:
        place = METRICS.index(name)
        if any(len(str(row[place])) > MOST_LETTERS for row in rows):
            raise Damaged(f"{path}: the column {name!r} has texts of more than {MOST_LETTERS:,} letters")
    return rows


def rows_of(folder: Path) -> Iterator[tuple[object, ...]]:
    """All stored numbers of a run: rows of tables.METRICS, each with its data set behind."""
    for dataset in judged_on(folder):
        further = [protocol_folder(folder, dataset, protocol) for protocol in judged_by(folder, dataset)]
        for table in (metric_rows(path, folder.name) for path in (results_folder(folder, dataset), *further)):
            yield from ((*row, dataset) for row in table or ())


def read_results(run_folder: Path, dataset_id: str, name: str) -> pd.DataFrame:
    """One of TABLES, of the data set's own pairs and then of the further protocols.

    Raises FairLabError when the run was not judged on the data set, Damaged for a broken file.
    """
    path = results_folder(run_folder, dataset_id) / f"{name}.parquet"
    if not path.exists():
        raise FairLabError(
            f"{run_folder.name} has no numbers on {dataset_id} yet; evaluate it with "
            f"`fairlab evaluate {run_folder.name} {dataset_id}`"
        )
    further = [read_protocol(run_folder, dataset_id, protocol, name) for protocol in judged_by(run_folder, dataset_id)]
    tables = [_read(path, name), *(table for table in further if len(table))]
    return pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]


def read_protocol(run_folder: Path, dataset_id: str, protocol: str, name: str) -> pd.DataFrame:
    """A table of a run's numbers by a further protocol. Raises FairLabError when there is none, Damaged."""
    path = protocol_folder(run_folder, dataset_id, protocol) / f"{name}.parquet"
    if not path.exists():
        raise FairLabError(
            f"{run_folder.name} has no {name} by {protocol} on {dataset_id}; evaluate it with "
            f"`fairlab evaluate {run_folder.name} {dataset_id} --protocol {protocol}`"
        )
    return _read(path, name)


def _read(path: Path, name: str) -> pd.DataFrame:
    return read_table(path, {"metrics": METRICS, "scores": SCORES, PAIRS: PAIRS_COLUMNS}.get(name, ()))


def pairs_of(run_folder: Path, dataset: HasPairs, protocol: str) -> pd.DataFrame:
    """The pairs (tables.PAIRS) that a run was judged on: the data set's own, or those kept with a further protocol.

    Empty when it has none, or compares everybody with everybody.
    """
    if protocol in judged_by(run_folder, dataset.dataset_id):
        return read_protocol(run_folder, dataset.dataset_id, protocol, PAIRS)
    return dataset.pairs_of(protocol)


def results_facts(run_folder: Path, dataset_id: str, protocol: str = "") -> dict[str, Any]:
    """What the numbers come from: settings, data, flip, notes; with a `protocol` what its numbers come from.

    Raises FairLabError when there are none.
    """
    folder = protocol_folder(run_folder, dataset_id, protocol) if protocol else results_folder(run_folder, dataset_id)
    if not (folder / MANIFEST).exists():
        by = f" by {protocol}" if protocol else ""
        raise FairLabError(f"{run_folder.name} has no numbers on {dataset_id}{by} yet")
    facts = read_manifest(folder)
    checked(ResultsFile, facts, folder / MANIFEST)
    return facts


def kept_facts(run_folder: Path, dataset_id: str, protocol: str) -> dict[str, Any] | None:
    """results_facts of a further protocol if it is there and whole, otherwise None: it may be made anew."""
    folder = protocol_folder(run_folder, dataset_id, protocol)
    try:
        return verify_manifest(folder) if (folder / MANIFEST).exists() else None
    except FairLabError:
        return None
