"""What no list shows because its files cannot be read: runs, studies and data sets, each with the file and what is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from fairlab.data.dataset import IMAGES_FILE, INFO, PAIRS_FILE, open_dataset
from fairlab.errors import FairLabError
from fairlab.files import MANIFEST, read_manifest, sentence_of, there
from fairlab.machine.temporaries import temporary
from fairlab.store.faults import left_out, sentences
from fairlab.store.records import study_of
from fairlab.workspace import Workspace

EFFECTIVE = os.access in os.supports_effective_ids
"""Whether the system can be asked what this process may read, also where it took on another user's rights."""


def hidden(workspace: Workspace) -> list[str]:
    """A sentence for everything that is left out of lists, or shown without its files; none when all is well."""
    found = [f"study {name} is left out because it cannot be read: {why}" for name, why in bad_studies(workspace)]
    found += [f"data set {name} cannot be used: {why}" for name, why in bad_datasets(workspace)]
    return [*sentences(left_out(workspace)), *found]


def of_commands(workspace: Workspace) -> list[str]:
    """As `hidden`, and what of the runs' files cannot be read; on a page that would take too long each time."""
    found = hidden(workspace)
    said = "\n".join(found)
    return [*found, *(sentence for path, sentence in unreadable(workspace.runs_folder) if path not in said)]


def unreadable(folder: Path | str) -> Iterator[tuple[str, str]]:
    """(path, sentence) of all below a folder that cannot be read, or is neither file nor folder."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except FileNotFoundError:
        return  # deleted at this moment
    except OSError as error:
        yield str(folder), f"{folder} cannot be read: {sentence_of(error)}"
        return
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                yield from unreadable(entry.path)
            elif entry.is_symlink() and not os.path.exists(entry.path):
                yield entry.path, f"{entry.path} is a broken link"
            elif not (entry.is_file() or entry.is_dir()):
                yield entry.path, f"{entry.path} is a pipe, a socket or a device; it is not data"
            elif not os.access(entry.path, os.R_OK, effective_ids=EFFECTIVE) and os.path.exists(entry.path):
                yield entry.path, f"{entry.path} cannot be read: no permission; its owner can give it (chmod)"
        except OSError as error:
            yield entry.path, f"{entry.path} cannot be read: {sentence_of(error)}"


def bad_studies(workspace: Workspace) -> Iterator[tuple[str, str]]:
    """(study, what is wrong with its record)."""
    return _bad(workspace.studies_folder, _study_fault)


def bad_datasets(workspace: Workspace) -> Iterator[tuple[str, str]]:
    """(data set, what is wrong with its files, as far as a glance tells)."""
    return _bad(workspace.datasets_folder, _dataset_fault)


def _bad(home: Path, fault: Callable[[Path], str]) -> Iterator[tuple[str, str]]:
    for name in sorted(os.listdir(home)):
        if temporary(name):
            continue
        try:
            why = fault(home / name)
        except FairLabError as error:
            why = str(error)
        except OSError as error:
            why = sentence_of(error)
        if why:
            yield name, why


def _study_fault(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} is a file; expected the folder of a study"
    path = folder / "study.json"
    if not there(path):
        return f"{path}, which describes the study, is missing" if os.listdir(folder) else ""
    return _record_fault(path, _stamp(path))


@lru_cache(maxsize=4096)
def _record_fault(path: Path, _stamp: tuple[int, ...]) -> str:
    try:
        study_of(path.parent)
    except FairLabError as error:
        return str(error)
    return ""


def _dataset_fault(folder: Path) -> str:
    if not folder.is_dir():
        return f"{folder} is a file; expected the folder of a data set"
    names = os.listdir(folder)
    if not {INFO, MANIFEST, IMAGES_FILE, PAIRS_FILE} & set(names):
        return ""  # of one that was deleted, only its age limit stays
    for name in (MANIFEST, INFO):
        if not there(folder / name):
            return (
                f"{folder / name} is gone; `fairlab data find {folder.name} PATH` restores it from what runs recorded"
            )
    for name, size in _listed(folder, _stamp(folder / MANIFEST), _stamp(folder / INFO)):
        if why := file_fault(folder / name, size):
            return why
    return ""


@lru_cache(maxsize=1024)
def _listed(folder: Path, _manifest: tuple[int, ...], _info: tuple[int, ...]) -> tuple[tuple[str, int], ...]:
    """Names and sizes of a data set's files. Raises FairLabError where manifest or record cannot be read."""
    open_dataset(folder)
    return tuple((name, entry["bytes"]) for name, entry in read_manifest(folder)["files"].items())


def _stamp(path: Path) -> tuple[int, ...]:
    facts = path.stat()
    may = os.access(path, os.R_OK, effective_ids=EFFECTIVE)
    return facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size, facts.st_ino, may


def file_fault(path: Path, size: int) -> str:
    """Why a file that a manifest lists with this size cannot be used, as far as a glance tells; or ""."""
    if not there(path):
        return f"{path} is gone"
    if not path.is_file():
        return f"{path} is not a file"
    if not os.access(path, os.R_OK, effective_ids=EFFECTIVE):
        return f"no permission to read {path}; its owner can give it (chmod)"
    if path.stat().st_size != size:
        return f"{path} is damaged: it has {path.stat().st_size:,} bytes, {size:,} were written"
    return ""
