"""The plan of a deletion that was cut short, as it lies in forgetting/: what it may still do is checked before it is done.

A workspace may come from somebody else, with a plan in it. Whatever it lists must lie in the workspace. Images of the user's
own lie elsewhere: they are deleted only when this user asked for it, which the plan's seal tells (made with the user's key,
fairlab.store.links), and when a data set of the workspace names them as its source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fairlab.data.record_file import DatasetFile
from fairlab.errors import Damaged, FairLabError
from fairlab.files import digest, read_json, there, write_json
from fairlab.settings.base import PathText
from fairlab.settings.kept import read_checked
from fairlab.storage.people.forget_survey import Asked
from fairlab.store.links import seal, sealed
from fairlab.store.locks import DELETION
from fairlab.workspace import Workspace

FOLDER, READY = DELETION
PLAN, NEW = "plan.json", "new"
SEAL = "seal"
KIND = "deletion of people"
MOST_NAMED = 3
Paths = Annotated[tuple[PathText, ...], Field(max_length=100_000_000)]


class _File(BaseModel):
    """Names of people and files are taken as they are: no hidden character is cleaned away."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seal: Annotated[str, Field(max_length=200)] = ""


class PlanFile(_File):
    """plan.json: runs.forget_survey.Asked."""

    dataset: Annotated[str, Field(max_length=200)]
    people: Paths
    heads: bool = False
    files: bool = False
    marker: Annotated[str, Field(max_length=200)] = ""
    all: bool = False


class ReadyFile(_File):
    """ready.json: what runs.forget_staging.prepare returns."""

    new: Paths = ()
    deleted: Paths = ()
    folders: dict[PathText, Annotated[str, Field(max_length=64)]] = Field({}, max_length=1_000_000)
    sources: Paths = ()
    unended: Paths = ()


def write_plan(workspace: Workspace, asked: Asked) -> None:
    """Keep what this user asks for now. Raises FairLabError where `files` is asked for and no seal can be made."""
    _write(workspace.home / FOLDER / PLAN, asdict(asked), asked.files)


def write_ready(workspace: Workspace, ready: dict[str, Any], asked: Asked) -> None:
    """Keep what is to be done, once all that is new has been written."""
    _write(workspace.home / FOLDER / READY, ready, asked.files)


def _write(path: Path, content: dict[str, Any], needs_seal: bool) -> None:
    try:
        mark = seal(KIND, digest(content))
    except FairLabError:
        if needs_seal:
            raise
        mark = ""
    write_json(path, {**content, SEAL: mark})


def read_plan(workspace: Workspace) -> Asked | None:
    """What was asked for; None when no deletion was cut short. Raises Damaged."""
    path = workspace.home / FOLDER / PLAN
    if not there(path):
        return None
    for folder in (path.parent, path.parent / NEW):
        if folder.is_symlink():
            raise Damaged(f"{folder} is a link; a deletion works in a folder of its workspace: remove the link")
    kept = _read(PlanFile, path).model_dump(exclude={SEAL})
    return Asked(**kept)


def read_ready(workspace: Workspace) -> ReadyFile:
    """What is to be done, checked: every place lies in the workspace. Raises Damaged, naming file and place."""
    path = workspace.home / FOLDER / READY
    if not there(path):
        return ReadyFile()
    ready = _read(ReadyFile, path)
    links_count = not _is_mine(path)  # of one's own workspace a folder may lie on another disk
    for name in (*ready.new, *ready.deleted, *ready.folders):
        inside(workspace, name, links_count)
    for name in (*ready.new, *ready.folders):
        staged = workspace.home / FOLDER / NEW
        if not (staged / name).resolve().is_relative_to(workspace.home.resolve() / FOLDER / NEW):
            raise Damaged(f"{path} names {name[:200]!r}, which is a link out of {staged}")
    return ready


def _read(kind: type[Any], path: Path) -> Any:
    raw = read_json(path)
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        fault = error.errors()[0]
        field = ".".join(str(part)[:80] for part in fault["loc"])
        raise Damaged(f"{path} is not a plan of this FairLab: {field}: {fault['msg']}") from error


def _is_mine(path: Path) -> bool:
    """Did this user write the file, on this machine?"""
    raw = read_json(path)
    mark = raw.pop(SEAL, "")
    return isinstance(mark, str) and sealed(KIND, digest(raw), mark)


def inside(workspace: Workspace, name: str, links_count: bool = True) -> Path:
    """A place of the list below the workspace, wherever that lies now: it may have been moved or copied meanwhile."""
    path, listed = workspace.home / name, workspace.home / FOLDER / READY
    if Path(name).is_absolute() or ".." in Path(name).parts or path == workspace.home:
        raise Damaged(f"{listed} names {name[:200]!r}, which is not a place in this workspace")
    if links_count and not path.parent.resolve().is_relative_to(workspace.home.resolve()):
        raise Damaged(f"{listed} names {name[:200]!r}, which is not a place in this workspace: a link leads out of it")
    return path


def delete_sources(workspace: Workspace, ready: ReadyFile) -> list[str]:
    """Delete images of the user's own; returns a sentence about each that stays. One of them must not keep all the rest."""
    mine = all(_is_mine(workspace.home / FOLDER / name) for name in (PLAN, READY))
    roots = _source_folders(workspace) if mine else []
    said, refused = [], []
    for name in ready.sources:
        path = Path(name)
        try:
            if not mine or not any(path.resolve().is_relative_to(root) for root in roots):
                refused += [name] if path.exists() or path.is_symlink() else []
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            said.append(f"your own file {name} could not be deleted and stays: {error.strerror or error}")
    return said + _refusals(workspace, refused, mine)


def _refusals(workspace: Workspace, names: Sequence[str], mine: bool) -> list[str]:
    listed = workspace.home / FOLDER / READY
    why = "no data set of this workspace names it as its source" if mine else "you did not ask for that on this machine"
    said = [f"{name} stays: {listed} asks to delete it, but {why}" for name in names[:MOST_NAMED]]
    rest = len(names) - MOST_NAMED
    return said + ([f"{rest} more files outside the workspace stay for the same reason"] if rest > 0 else [])


def _source_folders(workspace: Workspace) -> list[Path]:
    """Where the data sets of the workspace say that the user's own images lie."""
    found = []
    for folder in sorted(workspace.datasets_folder.glob("*")):
        try:
            origin = read_checked(DatasetFile, folder / "dataset.json").images_from
        except FairLabError:
            continue
        if origin is not None and origin.path:
            found.append(Path(origin.path).resolve())
    return found
