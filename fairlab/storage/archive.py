"""A run, or a study with its runs, as one file: a plain tar that lists its own content and hashes first.

Every tar program opens it; FairLab itself takes only what it would have written (archive_reading).
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from fairlab import __version__
from fairlab.data.selections import names
from fairlab.errors import Damaged, FairLabError, Refused, Stopped
from fairlab.files import MANIFEST, digest, not_there, read_json, read_manifest, sha256, write_atomic
from fairlab.jobs.data.drawing import drawers
from fairlab.jobs.data.missing import data_of, maker_of
from fairlab.jobs.repair.fitted import FOLDER as FITTED
from fairlab.jobs.repair.fitted import holds_templates
from fairlab.machine.temporaries import beside, note_outside, sweep
from fairlab.queue.launch import ACTIVE
from fairlab.reading.structured import as_read
from fairlab.store.embeddings import FILES
from fairlab.store.labels import FILE as LABELS
from fairlab.store.records import study_of
from fairlab.store.runs import read_run, state
from fairlab.workspace import Workspace, now

VERSION = 1
LISTING = "archive.json"
END = bytes(1024)
"""Two empty blocks end a tar."""
BLOCK, CHUNK = 512, 1 << 20
SINGLE = ("run.json", "status.json", LABELS, "report.json", "events.jsonl")
OF_STUDY = ("study.json", LABELS)
NUMBERS = ("results", "projections")
SUFFIXES = (".json", ".jsonl", ".parquet", ".npy", ".safetensors", ".onnx", ".pt")
"""Of all that an archive may hold: no images, and nothing that could run."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Choice:
    """What goes into an archive besides the run's record, its readings and its network.

    numbers: results and maps, in which images have names, and what repairs learnt of groups; templates: embeddings,
    cohorts of repairs, classifiers, whose rows are templates of people, and the names of who was learned; checkpoints: to go on training elsewhere, with the classifiers in them.
    An archive leaves the house, so people are in it only when somebody asks for them.
    """

    numbers: bool = True
    templates: bool = False
    checkpoints: bool = False


@dataclass(frozen=True)
class Entry:
    """A file of an archive: its name there, the file it comes from or its content, and its hash by its folder's manifest
    ("" where none lists it).
    """

    name: str
    source: Path | bytes
    promised: str = ""

    @property
    def size(self) -> int:
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    def hash(self, count: Callable[[int], None] = lambda _bytes: None) -> str:
        found = hashlib.sha256()
        for piece in pieces(self.source):
            found.update(piece)
            count(len(piece))
        return found.hexdigest()


def archive(
    workspace: Workspace,
    name: str,
    out: Path,
    choice: Choice | None = None,
    progress: Progress = lambda _done, _total: None,
    stop: Callable[[], bool] = lambda: False,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Write the run or study `name` to the new file `out`; returns the archive's listing.

    overwrite: also where a file is there already; without it that is Refused.
    progress(done, total) counts bytes. Whatever happens, `out` is the whole archive or what was there before. Raises
    FairLabError for neither, Refused while one of the runs works or waits, Damaged for a file that is not as its manifest
    says, Stopped.
    """
    choice = choice or Choice()
    not_there(out, overwrite)
    study = (workspace.study(name) / "study.json").exists()
    runs = _runs_of(workspace, name) if study else [name]
    parents: list[str] = []
    entries: list[Entry] = []
    makers = _adders(workspace, runs)
    for run_id in makers:  # how the data were added, so that they can be found again elsewhere; nobody's name is in it
        folder = workspace.run(run_id)
        entries += [
            replace(entry, name=f"runs/{run_id}/{entry.name}") for entry in of_run(folder, Choice(numbers=False))
        ]
    for run_id in runs:
        record = read_run(workspace, run_id)
        if state(record.folder).status in ACTIVE:
            raise Refused(f"{run_id} is {state(record.folder).status}: stop it, or wait until it has ended")
        parents += record.parents
        entries += [replace(entry, name=f"runs/{run_id}/{entry.name}") for entry in of_run(record.folder, choice)]
    if study:
        for file in OF_STUDY:
            if (workspace.study(name) / file).exists():
                entries.append(Entry(f"studies/{name}/{file}", workspace.study(name) / file))
    total = 2 * sum(entry.size for entry in entries)
    counted = _Counter(total, progress, stop)
    facts = {
        "format": "fairlab storage archive",
        "version": VERSION,
        "fairlab": __version__,
        "created_at": now(),
        "study": name if study else "",
        "runs": [*makers, *runs],
        "parents": sorted(set(parents) - {*makers, *runs}),
        "choice": vars(choice),
        "files": [{"name": e.name, "bytes": e.size, "sha256": _checked(e, counted)} for e in entries],
    }
    listing = as_read({**facts, "check": digest(facts)})
    sweep(workspace.home)
    note = note_outside(
        workspace.home, beside(out.absolute())
    )  # a kill leaves templates where nobody would look for them
    try:
        write_atomic(out.absolute(), partial(_write, listing=listing, entries=entries, counted=counted))
    finally:
        note.unlink(missing_ok=True)
    return dict(listing)


def _adders(workspace: Workspace, runs: Sequence[str]) -> list[str]:
    """The runs, beside these, that added the data sets which these have numbers or embeddings of, or drew their pairs."""
    sets = dict.fromkeys(name for run_id in runs for name, _ in data_of(workspace.run(run_id)))
    found = [maker_of(workspace, name) for name in sets]
    added = [run.run_id for run in found if run is not None and run.method == "add"]
    drew = [name for dataset_id in sets for name in drawers(workspace, dataset_id)]
    return [name for name in dict.fromkeys([*added, *drew]) if name not in runs]


def staying(workspace: Workspace, runs: Sequence[str]) -> dict[str, list[str]]:
    """Saved selections of the data sets that these runs have numbers or embeddings of: they stay here, as the images do."""
    sets = dict.fromkeys(name for run_id in runs for name, _ in data_of(workspace.run(run_id)))
    found = {name: names(workspace, name) for name in sets}
    return {name: kept for name, kept in found.items() if kept}


def _checked(entry: Entry, counted: _Counter) -> str:
    """The file's hash. Raises Damaged when its manifest says another."""
    found = entry.hash(counted.add)
    if entry.promised not in ("", found):
        raise _damaged(entry.source)
    return found


def _damaged(path: Path | bytes) -> Damaged:
    return Damaged(
        f"{path!s} is damaged: its content is not what the manifest beside it recorded; nothing was archived"
    )


def _runs_of(workspace: Workspace, study_id: str) -> list[str]:
    """A study's runs that are there, each after those it builds on."""
    there = [
        name for name in study_of(workspace.study(study_id)).run_ids if (workspace.run(name) / "run.json").exists()
    ]
    if not there:
        raise FairLabError(f"study {study_id} has no runs any more")
    parents = {name: set(read_run(workspace, name).parents) & set(there) for name in there}
    ordered: list[str] = []
    while len(ordered) < len(there):
        ready = [name for name in there if name not in ordered and parents[name] <= set(ordered)]
        ordered += ready or [name for name in there if name not in ordered]
    return ordered


def of_run(folder: Path, choice: Choice) -> Iterator[Entry]:
    """The files of a run that go along, named below it, in an order that is always the same."""
    for name in SINGLE if choice.numbers else SINGLE[:3]:
        if (folder / name).exists():
            yield Entry(name, folder / name)
    if choice.templates:
        yield from _below(folder, "weights")
    else:
        yield from _backbone(folder / "weights")
    for name in (*(NUMBERS if choice.numbers else ()), *(["checkpoints"] if choice.checkpoints else [])):
        yield from _below(folder, name)
    if choice.templates or (choice.numbers and not holds_templates(folder)):
        yield from _below(folder, FITTED)
    if choice.templates:
        for manifest in sorted((folder / "embeddings").glob(f"*/*/{MANIFEST}")):
            if ".tmp." not in str(manifest.relative_to(folder)):
                promised = _promised(manifest.parent)
                for name in (*FILES, MANIFEST):  # the index is made again
                    path = manifest.with_name(name)
                    yield Entry(path.relative_to(folder).as_posix(), path, promised.get(path, ""))


def _below(folder: Path, name: str) -> Iterator[Entry]:
    there = [path for path in sorted((folder / name).rglob("*")) if ".tmp." not in str(path.relative_to(folder))]
    promised: dict[Path, str] = {}
    for path in there:
        if path.name == MANIFEST:
            promised |= _promised(path.parent)
    for path in there:
        if path.is_file() and path.suffix in SUFFIXES:
            yield Entry(path.relative_to(folder).as_posix(), path, promised.get(path, ""))


def _promised(folder: Path) -> dict[Path, str]:
    """The hashes of the files that a folder's manifest lists. Raises Damaged for one that is not there."""
    listed = {folder / name: str(facts["sha256"]) for name, facts in read_manifest(folder)["files"].items()}
    for path in listed:
        if not path.is_file():
            raise Damaged(f"{path} is missing although {folder / MANIFEST} lists it; nothing was archived")
    return listed


def _backbone(weights: Path) -> Iterator[Entry]:
    """A network without its classifier and the names of those it was trained on; the manifest as if it had had none."""
    if not (weights / MANIFEST).exists():
        return
    promised = _promised(weights)
    if sha256(weights / "model.json") != promised.get(weights / "model.json"):
        raise _damaged(weights / "model.json")  # what goes along is another file, with a hash of its own
    facts = read_json(weights / "model.json")
    facts.pop("identities", None)
    model = (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode()
    manifest = read_manifest(weights)
    manifest["files"].pop("head.safetensors", None)
    manifest["files"]["model.json"] = {"bytes": len(model), "sha256": hashlib.sha256(model).hexdigest()}
    for name in sorted(set(manifest["files"]) - {"model.json"}):
        yield Entry(f"weights/{name}", weights / name, promised[weights / name])
    yield Entry("weights/model.json", model)
    checked = {**manifest, "check": digest(manifest)}
    yield Entry(f"weights/{MANIFEST}", (json.dumps(checked, indent=1, sort_keys=True) + "\n").encode())


class _Counter:
    """Tells how many bytes are done, and hears of a stop."""

    def __init__(self, total: int, progress: Progress, stop: Callable[[], bool]) -> None:
        self.done, self.total, self.progress, self.stop = 0, total, progress, stop

    def add(self, count: int) -> None:
        if self.stop():
            raise Stopped
        self.done += count
        self.progress(self.done, self.total)


def pieces(source: Path | bytes) -> Iterator[bytes]:
    """The content in pieces of at most CHUNK bytes."""
    if isinstance(source, bytes):
        yield source
        return
    with open(source, "rb") as handle:
        while piece := handle.read(CHUNK):
            yield piece


def header(name: str, size: int) -> bytes:
    """The one header that a file of this name and size has: no owner, no time, no rights beyond reading and writing."""
    about = tarfile.TarInfo(name)
    about.size, about.mode = size, 0o600
    return about.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict")


def padding(size: int) -> bytes:
    return bytes(-size % BLOCK)


def canonical(listing: dict[str, Any]) -> bytes:
    """The bytes of a listing."""
    return (json.dumps(listing, indent=1, sort_keys=True) + "\n").encode()


def _write(path: Path, listing: dict[str, Any], entries: list[Entry], counted: _Counter) -> None:
    content = canonical(listing)
    with open(path, "wb") as handle:
        os.chmod(path, 0o600)
        handle.write(header(LISTING, len(content)) + content + padding(len(content)))
        for entry, listed in zip(entries, listing["files"], strict=True):
            handle.write(header(entry.name, listed["bytes"]))
            _copy(entry, listed, handle, counted)
            handle.write(padding(listed["bytes"]))
        handle.write(END)


def _copy(entry: Entry, listed: dict[str, Any], handle: IO[bytes], counted: _Counter) -> None:
    found, size = hashlib.sha256(), 0
    for piece in pieces(entry.source):
        handle.write(piece)
        found.update(piece)
        size += len(piece)
        counted.add(len(piece))
    if size != listed["bytes"] or found.hexdigest() != listed["sha256"]:
        raise FairLabError(f"{entry.name} changed while it was archived; try again")
