"""Bringing in an archive: only what its own listing says, byte for byte, into folders that are whole or not there.

The listing comes first and decides every byte that follows: which header, which content (by hash), which padding. A link, a
device, a path that leads elsewhere, a second file of one name cannot be listed; anything that is not listed is not taken.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from fairlab.data.inspect.verdicts import fingerprint
from fairlab.errors import Damaged, FairLabError, Refused, Stopped
from fairlab.files import MANIFEST, digest, explain, place_folder, read_json, sha256, verify_manifest, write_json
from fairlab.jobs.data.drawing import drawn_by
from fairlab.jobs.data.missing import data_of
from fairlab.jobs.repair.fitted import FOLDER as FITTED
from fairlab.jobs.repair.fitted import read_facts, read_fitted
from fairlab.machine.temporaries import beside, sweep
from fairlab.reading.structured import parse_json
from fairlab.storage.archive import (
    BLOCK,
    CHUNK,
    END,
    LISTING,
    NUMBERS,
    OF_STUDY,
    SINGLE,
    SUFFIXES,
    VERSION,
    Choice,
    Progress,
    canonical,
    header,
    of_run,
    padding,
)
from fairlab.store.faults import faults_of
from fairlab.store.labels import FILE as LABELS
from fairlab.store.labels import read_labels
from fairlab.store.locks import no_starts
from fairlab.store.runs import RunRecord, read_run, read_status, write_status
from fairlab.store.studies import read_study
from fairlab.workspace import Workspace, checked_name

MOST_LISTING = 256 << 20
"""Bytes of a listing: a million files."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
ENDED = ("done", "failed", "stopped")
BROUGHT = "it came with an archive; resume it to go on here"
"""The reason of a run that had not ended where it was archived. What an archive says must start nothing here."""


def read_listing(path: Path) -> dict[str, Any]:
    """What an archive says it holds, checked without unpacking: names, sizes, the whole file's length.

    Raises FairLabError for no such file, Refused for a newer one, Damaged for anything FairLab would not have written.
    """
    with _opened(path) as handle:
        return _listing(handle, path)


def bring_in(
    workspace: Workspace,
    path: Path,
    progress: Progress = lambda _done, _total: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Unpack an archive into the workspace; returns {"study", "runs", "same", "missing", "notes"}.

    runs: those that came in; same: those that were here already with the same content, left alone; missing: what the runs
    build on and is not here: they come in all the same, because looking at them needs none of it, and it is said. Each run
    appears whole or not at all; nothing is overwritten. A run that had not ended is stopped here until somebody resumes it.
    Raises Refused for a run that is here with other content.
    """
    sweep(workspace.home)  # what a killed import left
    with _opened(path) as handle:
        listing = _listing(handle, path)
        files: list[dict[str, Any]] = listing["files"]
        same = [run_id for run_id in listing["runs"] if _same(workspace, run_id, listing)]
        need, free = sum(file["bytes"] for file in files), shutil.disk_usage(workspace.home).free
        if need > free:
            raise Refused(f"{path.name} holds {need / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free")
        temporary = beside(workspace.home / "import")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            _unpack(handle, path, files, temporary, progress, stop)
            notes = _check(workspace, Workspace(temporary), listing, path)
            came = _place(workspace, Workspace(temporary), listing, same)
        except OSError as error:
            raise FairLabError(explain(error, workspace.home)) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    missing = [name for name in listing["parents"] if not (workspace.run(name) / "run.json").exists()]
    return {"study": listing["study"], "runs": came, "same": same, "missing": missing, "notes": notes}


def _opened(path: Path) -> IO[bytes]:
    if not path.is_file():  # no pipe, no device
        raise FairLabError(f"there is no file {path}; name an archive that `fairlab storage archive` has written")
    try:
        return open(path, "rb")
    except OSError as error:
        raise FairLabError(f"could not read {path}: {error.strerror or error}") from error


def _listing(handle: IO[bytes], path: Path) -> dict[str, Any]:
    """Read the listing at the start of an archive and check all that can be checked before the rest is read."""
    strange = Damaged(f"{path} is not an archive of FairLab, or its start is damaged")
    try:
        size = tarfile.TarInfo.frombuf(handle.read(BLOCK), "utf-8", "strict").size
    except (tarfile.HeaderError, UnicodeDecodeError, ValueError) as error:
        raise strange from error
    length = os.fstat(handle.fileno()).st_size
    handle.seek(0)
    if not 0 < size <= min(MOST_LISTING, length) or handle.read(BLOCK) != header(LISTING, size):
        raise strange
    content = handle.read(size)
    try:
        listing = parse_json(content, str(path))
        facts = {name: value for name, value in listing.items() if name != "check"}
        whole = listing["check"] == digest(facts) and canonical(listing) == content
    except (Damaged, ValueError, KeyError, TypeError) as error:
        raise strange from error
    if not whole or handle.read(len(padding(size))) != padding(size):
        raise Damaged(f"{path} is damaged: its listing does not fit its own hash")
    version = listing.get("version")
    if listing.get("format") != "fairlab storage archive" or not isinstance(version, int):
        raise strange
    if version > VERSION:
        raise Refused(f"{path} is an archive of version {version}, this FairLab reads up to {VERSION}; update FairLab")
    try:
        _check_names(listing)
        expected = handle.tell() + len(END)
        expected += sum(
            len(header(f["name"], f["bytes"])) + f["bytes"] + len(padding(f["bytes"])) for f in listing["files"]
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Damaged(
            f"{path} is not an archive of FairLab: its listing does not follow the format ({error})"
        ) from error
    if length != expected:
        raise Damaged(f"{path} is damaged: it has {length:,} bytes and its listing makes {expected:,}")
    return dict(listing)


def _check_names(listing: dict[str, Any]) -> None:
    """Raise FairLabError unless every file lies where an archive may have one. Numbers and hashes are checked too."""
    runs, study = listing["runs"], listing["study"]
    for name in (*runs, *listing["parents"], *filter(None, [study])):
        checked_name(name, "run")
    names = [file["name"] for file in listing["files"]]
    if len({name.lower() for name in names}) != len(names):
        raise Damaged("the archive lists two files of one name")
    if len(set(runs)) != len(runs) or any(f"runs/{run_id}/run.json" not in names for run_id in runs):
        raise Damaged("the archive lists a run without its run.json")
    for file in listing["files"]:
        first, second, *rest = file["name"].split("/")
        for part in (second, *rest):
            checked_name(part, "file in an archive")
        known = len(rest) == 1 and rest[0] in OF_STUDY if first == "studies" else _of_run(rest)
        if second not in {"runs": runs, "studies": [study]}.get(first, ()) or not known:
            raise Damaged(f"the archive lists {file['name'][:200]!r}, which is not a file of a run or study")
        size = file["bytes"]
        if type(size) is not int or size < 0 or not _SHA256.fullmatch(file["sha256"]):
            raise Damaged(f"the archive lists {file['name']} without a size and hash")


def _of_run(rest: list[str]) -> bool:
    if len(rest) < 2:
        return rest[:1] != [] and rest[0] in SINGLE
    allowed = SUFFIXES if rest[0] == "checkpoints" else tuple(name for name in SUFFIXES if name != ".pt")
    return (
        len(rest) <= 6
        and rest[0] in (*NUMBERS, FITTED, "weights", "embeddings", "checkpoints")
        and rest[-1].endswith(allowed)
    )


def _same(workspace: Workspace, run_id: str, listing: dict[str, Any]) -> bool:
    """Would an archive of the run that is here hold these very files? Raises Refused when it is here otherwise."""
    folder, start = workspace.run(run_id), f"runs/{run_id}/"
    if not folder.exists():
        return False
    taken = listing.get("choice")
    choice = Choice(**{name: isinstance(taken, dict) and taken.get(name) is True for name in vars(Choice())})
    here = {entry.name: entry for entry in of_run(folder, choice)} if (folder / "run.json").exists() else {}
    for file in listing["files"]:
        name = file["name"].removeprefix(start)
        if name in (file["name"], LABELS) or (name == "status.json" and _brought(folder) == file["sha256"]):
            continue
        if name not in here or here[name].size != file["bytes"] or here[name].hash() != file["sha256"]:
            raise Refused(
                f"run {run_id} is in this workspace already, with a different {name}; nothing was imported: delete it "
                "first, or import into another workspace with --home"
            )
    return True


def _brought(folder: Path) -> str:
    """The hash of the status with which a run came that still stands as _halt left it; "" for any other."""
    said = read_status(folder)
    came = (said.get("status"), said.get("reason")) == ("stopped", BROUGHT)
    return str(said.get("archived_status")) if came else ""


def _unpack(
    handle: IO[bytes],
    path: Path,
    files: list[dict[str, Any]],
    folder: Path,
    progress: Progress,
    stop: Callable[[], bool],
) -> None:
    done, total = 0, sum(file["bytes"] for file in files)
    for file in files:
        expected = header(file["name"], file["bytes"])
        if handle.read(len(expected)) != expected:
            raise Damaged(f"{path} is damaged at byte {handle.tell():,}: not the header of {file['name']}")
        target = folder / file["name"]
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        found, left = hashlib.sha256(), file["bytes"]
        with open(target, "xb") as out:
            while left and (piece := handle.read(min(CHUNK, left))):
                if stop():
                    raise Stopped
                out.write(piece)
                found.update(piece)
                left -= len(piece)
                done += len(piece)
                progress(done, total)
        if left or found.hexdigest() != file["sha256"]:
            raise Damaged(f"{path} is damaged: {file['name']} is not what the listing says")
        if handle.read(len(padding(file["bytes"]))) != padding(file["bytes"]):
            raise Damaged(
                f"{path} is damaged at byte {handle.tell():,}: bytes after {file['name']} that are not part of it"
            )
    if handle.read(len(END) + 1) != END:
        raise Damaged(f"{path} is damaged: it does not end as an archive does")


def _check(workspace: Workspace, unpacked: Workspace, listing: dict[str, Any], path: Path) -> list[str]:
    """Are these runs that this FairLab can read? Returns what is to be known of them."""
    notes: dict[str, str] = {}
    for run_id in listing["runs"]:
        record = _readable(unpacked, run_id, path)
        for manifest in sorted(record.folder.rglob(MANIFEST)):
            verify_manifest(manifest.parent)
        _halt(record.folder)
        if (record.folder / "weights" / "model.onnx").exists():
            from fairlab.models.files.onnx import inspect_onnx  # loads torch

            inspect_onnx(record.folder / "weights" / "model.onnx")
        for name, made_of in data_of(record.folder):
            here = fingerprint(workspace, name)
            if not here:
                drawn = drawn_by(unpacked, name, made_of)
                again = f", and its pairs are drawn again with seed {drawn.seed} as before" if drawn else ""
                notes[name] = (
                    f"data set {name} is not here: its faces, pairs and numbers cannot be shown until it is; `fairlab data "
                    f"find {name} PATH` restores it{again}"
                )
            elif here != made_of:
                notes[name] = (
                    f"data set {name} in this workspace is a different one (its fingerprint differs): the imported "
                    f"runs do not fit it"
                )
    if listing["study"]:
        try:
            read_study(unpacked, listing["study"])
            read_labels(unpacked.study(listing["study"]))
        except FairLabError as error:
            raise _not_ours(error, unpacked, path) from error
    return list(notes.values())


def _readable(unpacked: Workspace, run_id: str, path: Path) -> RunRecord:
    """A run of the archive, every small file and table of it checked as a list or page would read it."""
    try:
        record = read_run(unpacked, run_id)
        if read_facts(record.folder):
            read_fitted(record.folder)
    except FairLabError as error:
        raise _not_ours(error, unpacked, path) from error
    faults = faults_of(unpacked, run_id)
    if faults:
        raise _not_ours(faults[0], unpacked, path)
    return record


def _not_ours(fault: object, unpacked: Workspace, path: Path) -> Damaged:
    return Damaged(f"{path} cannot be imported, and nothing was: {str(fault).replace(f'{unpacked.home}{os.sep}', '')}")


def _halt(folder: Path) -> None:
    """Stop an unpacked run that would wait for its turn here, or seem to work: whatever it says but that it has ended."""
    if read_status(folder).get("status") not in ENDED:
        path = folder / "status.json"
        write_status(folder, "stopped", BROUGHT, archived_status=sha256(path) if path.exists() else "")


def _place(workspace: Workspace, unpacked: Workspace, listing: dict[str, Any], same: list[str]) -> list[str]:
    """Put each run in its place, and then the study."""
    came = []
    with no_starts(workspace):
        for run_id in listing["runs"]:
            if run_id in same:
                continue
            if workspace.run(run_id).exists():
                raise Refused(f"run {run_id} appeared in this workspace meanwhile; import again")
            place_folder(unpacked.run(run_id), workspace.run(run_id))
            came.append(run_id)
        study = listing["study"]
        if study and not (workspace.study(study) / "study.json").exists():
            for name in OF_STUDY:
                if (unpacked.study(study) / name).exists():
                    write_json(workspace.study(study) / name, read_json(unpacked.study(study) / name))
    return came
