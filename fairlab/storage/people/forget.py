"""Deleting a person: from data set, pairs, embeddings, indexes, maps, numbers, reports, and where asked from classifiers.

First everything that changes is written anew beside the workspace's files, in forgetting/; then, when all of it is there,
it is put in place: data sets and embeddings each in one step, the rest file by file; no run starts in between. A plan
lies in forgetting/ from before the first byte until after the last, so whoever calls again finishes what was cut short,
wherever that was.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from fairlab.errors import FairLabError, Refused
from fairlab.files import MANIFEST, explain, place_folder, sha256
from fairlab.formatting import some
from fairlab.machine.temporaries import beside, foreign, is_left_behind, remove, sweep
from fairlab.storage.people.forget_plan import (
    FOLDER,
    NEW,
    PLAN,
    READY,
    ReadyFile,
    delete_sources,
    read_plan,
    read_ready,
    write_plan,
    write_ready,
)
from fairlab.storage.people.forget_scope import readable_runs, templates
from fairlab.storage.people.forget_staging import prepare
from fairlab.storage.people.forget_survey import Asked, Found, Scope, is_marker
from fairlab.store import database
from fairlab.store.locks import cut_short, no_starts
from fairlab.workspace import Workspace

Progress = Callable[[int, int], None]


def survey(
    workspace: Workspace, dataset_id: str, people: str | Sequence[str], heads: bool = False, files: bool = False
) -> Found:
    """Everything that forget() would reach; nothing is changed. Raises FairLabError when there is nobody of that name."""
    return Scope(workspace, Asked(dataset_id, _tuple(people), heads, files, _marker())).found


def survey_all(workspace: Workspace, dataset_id: str, heads: bool = False) -> Found:
    """The same of forget_all()."""
    return Scope(workspace, Asked(dataset_id, (), heads, False, _marker(), True)).found


def unfinished(workspace: Workspace) -> bool:
    """Was a deletion cut short? Calling forget() or finish() again completes it."""
    return (workspace.home / FOLDER / PLAN).exists()


def forget(
    workspace: Workspace,
    dataset_id: str,
    people: str | Sequence[str],
    heads: bool = False,
    files: bool = False,
    progress: Progress = lambda _done, _total: None,
) -> Found:
    """Delete one or more people from a data set and from everything in the workspace that was made with their images.

    people: names in the data set, or the marker of an earlier deletion whose rows in classifiers are now to be zeroed
    too (heads). Image files of the user's own are touched only with `files`. A deletion that was cut short is finished
    first, with what is asked now beyond it. Returns what was reached; its notes name files of the user's own that could
    not be deleted. Raises Refused while a run works on the data, FairLabError as survey().
    """
    names = _tuple(people)
    marker = names[0] if is_marker(names) else _marker()
    return _forget(workspace, Asked(dataset_id, names, heads, files, marker), progress)


def forget_all(
    workspace: Workspace, dataset_id: str, heads: bool = False, progress: Progress = lambda _done, _total: None
) -> Found:
    """Delete a data set with all embeddings, indexes and maps of it, and the names of its people from classifiers.

    Numbers stay: they are of groups. Source files elsewhere are not touched. As forget() otherwise.
    """
    return _forget(workspace, Asked(dataset_id, (), heads, False, _marker(), True), progress)


def _forget(workspace: Workspace, asked: Asked, progress: Progress) -> Found:
    with _alone(workspace):
        sweep(workspace.home)
        before, notes = read_plan(workspace), []
        if before is not None and before.asks_as(asked) and not cut_short(workspace):
            shutil.rmtree(workspace.home / FOLDER)  # it has changed nothing yet: this one says what is wanted now
        elif before is not None:
            same, ready = before.asks_as(asked), read_ready(workspace)
            if same and asked.files:
                write_plan(workspace, replace(before, files=True))
            notes = ["finished an interrupted deletion", *_finish(workspace, progress)]
            if same:
                return Found(notes=notes + (_heads_too(workspace, before, ready, progress) if asked.heads else []))
        found = Scope(workspace, asked).found  # nobody of that name: nothing is written
        write_plan(workspace, asked)
        found.notes += [*notes, *_finish(workspace, progress)]
        return found


def _heads_too(workspace: Workspace, before: Asked, ready: ReadyFile, progress: Progress) -> list[str]:
    """Zero the rows that a finished deletion has left under its mark; returns what is to be said of it."""
    if before.heads:
        return []
    said = [f"checkpoints of {some(ready.unended)} still hold their rows: delete these runs"] if ready.unended else []
    again = Asked(before.dataset, (before.marker,), True, False, before.marker)
    try:
        if not templates(readable_runs(workspace)[0], {}, before.marker):
            return said
        write_plan(workspace, again)
        _finish(workspace, progress)
    except FairLabError as error:
        how = f"`fairlab storage forget {before.dataset} {before.marker} --heads` does it"
        return [*said, f"their rows in classifiers are not zeroed: {error}; {how}"]
    return [*said, "zeroed their rows in classifiers"]


def finish(workspace: Workspace) -> Found | None:
    """Complete a deletion that was cut short; None when there is none. The notes are as those of forget()."""
    with _alone(workspace):
        if read_plan(workspace) is None:
            return None
        return Found(notes=["finished an interrupted deletion", *_finish(workspace, lambda _done, _total: None)])


def _tuple(people: str | Sequence[str]) -> tuple[str, ...]:
    names = (people,) if isinstance(people, str) else tuple(dict.fromkeys(people))
    if not names:
        raise FairLabError("name at least one person to delete")
    return names


def _marker() -> str:
    return f"deleted-{secrets.token_hex(6)}"


def _alone(workspace: Workspace) -> Any:
    lock = FileLock(workspace.home / "forget.lock", timeout=0)
    try:
        return lock.acquire()
    except Timeout as error:
        raise Refused(
            f"a deletion of people is already running in {workspace.home}; wait until it has ended"
        ) from error


def _finish(workspace: Workspace, progress: Progress) -> list[str]:
    """Carry out what the plan says, from wherever an earlier attempt came to; returns what is to be said of it."""
    folder, asked = workspace.home / FOLDER, read_plan(workspace)
    if asked is None:
        return []
    try:
        with no_starts(workspace):
            if not (folder / READY).exists():
                shutil.rmtree(folder / NEW, ignore_errors=True)
                try:
                    write_ready(workspace, prepare(workspace, asked, Workspace(folder / NEW), progress), asked)
                except Exception:
                    shutil.rmtree(folder, ignore_errors=True)  # nothing was changed yet, and nothing will be
                    raise
            ready = read_ready(workspace)
            _put_in_place(workspace, ready, folder / NEW)
            stay = delete_sources(workspace, ready) if asked.files else []
            stay += _sweep_all(workspace)
            database.purge(workspace)
            grave = beside(workspace.home / FOLDER)
            os.replace(folder, grave)  # plan and list go at once, or a later attempt would take one without the other
        shutil.rmtree(grave)
    except OSError as error:
        raise FairLabError(explain(error, folder)) from error
    return stay


def _put_in_place(workspace: Workspace, ready: ReadyFile, new: Path) -> None:
    """Move what is still to be moved, delete what is still there: each may have been done by an earlier attempt."""
    for name, manifest in ready.folders.items():
        target = workspace.home / name
        if (new / name).exists() and not ((target / MANIFEST).exists() and sha256(target / MANIFEST) == manifest):
            target.parent.mkdir(parents=True, exist_ok=True)
            place_folder(new / name, target)
        shutil.rmtree(new / name, ignore_errors=True)  # it may be the old one: swapped, and then cut short
    for name in ready.new:
        if (new / name).exists() and not any(name.startswith(f"{folder}/") for folder in ready.folders):
            target = workspace.home / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(new / name, "rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(new / name, target)
    for name in ready.deleted:
        path = workspace.home / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _sweep_all(workspace: Workspace) -> list[str]:
    """Half-written files of jobs that died, anywhere: they may hold what was deleted.

    Not of runs that work: on another machine their processes have numbers that mean nothing here.
    """
    working = {name for name, status in database.statuses(workspace).items() if status == "running"}
    for path in [*workspace.home.rglob("*.tmp.*")]:
        if not working & set(path.relative_to(workspace.home).parts) and is_left_behind(path):
            remove(path)
    return [
        f"{path.relative_to(workspace.home)} is being written by another machine and may hold what was deleted: ask again "
        "when it has ended"
        for path in foreign(workspace.home)
    ]
