"""Deleting a person: from data set, pairs, embeddings, indexes, maps, numbers, reports, and where asked from classifiers.

First everything that changes is written anew beside the workspace's files, in forgetting/; then, when all of it is there,
it is put in place file by file. A plan lies in forgetting/ from before the first byte until after the last, so whoever calls
again finishes what was cut short, wherever that was.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from filelock import FileLock, Timeout

from fairlab.data.base import Dataset, open_dataset
from fairlab.data.forgetting import write_without as write_data_without
from fairlab.data.reading import has_images
from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.files import amend_manifest, explain, read_json, sweep, verify_manifest, write_json
from fairlab.runs import forget_files
from fairlab.runs.archive_reading import read_listing
from fairlab.runs.forget_names import Name, mentioned, write_without
from fairlab.runs.forget_scope import (
    Loss,
    Template,
    everybody,
    losses,
    readable_runs,
    same_name_elsewhere,
    templates,
    works_on,
)
from fairlab.runs.quiet import no_starts
from fairlab.store import database
from fairlab.store.embeddings import embeddings_folder, has_embeddings, open_embeddings
from fairlab.store.runs import RunRecord, state
from fairlab.workspace import Workspace

_MARKER = re.compile(r"deleted-[0-9a-f]{12}")
FOLDER, PLAN, READY, NEW = "forgetting", "plan.json", "ready.json", "new"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Asked:
    """Whom to forget. heads: zero the person's rows in classifiers too; files: delete the user's own image files too.

    marker: what stands for the name where a row of a classifier stays; the row is found by it later. all: everybody, and
    the data set itself.
    """

    dataset: str
    people: tuple[str, ...]
    heads: bool = False
    files: bool = False
    marker: str = ""
    all: bool = False


@dataclass
class Found:
    """Everything that a deletion reaches, in words and paths, for people to read before it is done."""

    data: list[dict[str, Any]] = field(default_factory=list)
    embeddings: list[dict[str, Any]] = field(default_factory=list)
    numbers: list[dict[str, Any]] = field(default_factory=list)
    maps: list[dict[str, Any]] = field(default_factory=list)
    templates: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    mentions: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Scope:
    """What a deletion reaches, found once; raises FairLabError, Refused as losses() does."""

    def __init__(self, workspace: Workspace, asked: Asked) -> None:
        self.workspace, self.asked = workspace, asked
        self.records, self.faults = readable_runs(workspace)
        again = asked.people[0] if _is_marker(asked.people) else ""
        if asked.all:
            self.lost = everybody(workspace, asked.dataset)
        else:
            self.lost = {} if again else losses(workspace, asked.dataset, asked.people)
        names = {name for loss in self.lost.values() for name in loss.names} | set(asked.people)
        self.name = Name(sorted(names), asked.marker)
        self.templates = templates(self.records, self.lost, again)
        if again and not self.templates:
            raise FairLabError(f"no classifier of the workspace has a row called {again}")
        self.found = self._look(names)

    def _look(self, names: set[str]) -> Found:
        found = Found(notes=[f"a run could not be looked at: {fault}" for fault in self.faults])
        for name, loss in self.lost.items():
            found.data.append({"dataset": name, "images": len(loss.rows), "pairs": loss.pairs})
            found.sources += _sources(loss)
        for record in self.records:
            for name, loss in self.lost.items():
                self._look_at(record, name, loss, found)
        for template in self.templates:
            about = {"run": template.record.run_id, "title": template.record.title, "places": template.folders}
            found.templates.append({**about, "zeroed": self.asked.heads})
            if not self.asked.heads and not (template.record.folder / "weights").exists():
                found.notes.append(
                    f"{template.record.run_id} has not ended and cannot go on with other data: its checkpoints can be zeroed "
                    "now (heads), or the run deleted; later nothing tells whose its rows are"
                )
        for record in self.records:
            head = record.folder / "weights" / "head.safetensors"
            if record.role == "model" and head.exists():
                found.notes.append(f"{record.run_id} came with a classifier that does not say whom it knows")
        found.deleted += self._caches()
        home = self.workspace.home
        if self.asked.all:
            return found
        found.mentions = [path.relative_to(home).as_posix() for path in mentioned(self.workspace, self.name)]
        found.elsewhere = same_name_elsewhere(self.workspace, names, self.lost)
        return found

    def _look_at(self, record: RunRecord, name: str, loss: Loss, found: Found) -> None:
        for view in ("plain", "flip"):
            if has_embeddings(record.folder, name, view):
                about = {"run": record.run_id, "dataset": name, "view": view}
                found.embeddings.append({**about, "vectors": _vectors(record, loss, view)})
        results = record.folder / "results" / name
        if results.is_dir():
            for protocol in ["", *sorted(path.name for path in (results / "protocols").glob("*") if path.is_dir())]:
                if ".tmp." not in protocol:
                    how = forget_files.how_judged(record, loss, protocol)
                    found.numbers.append({"run": record.run_id, "dataset": name, "protocol": protocol, "how": how})
        maps = forget_files.maps_of(record, name)
        if maps:
            found.maps.append({"run": record.run_id, "dataset": name, "maps": len(maps)})

    def _caches(self) -> list[str]:
        """Pictures, hashes and reports made of these images, which can be made again: paths below the workspace."""
        going: list[Path] = []
        paths = {str(loss.data.info.get("images_from", {}).get("path", "")) for loss in self.lost.values()} - {""}
        for record in self.records:
            config, here = record.config, record.folder
            if config.overlap is not None and {config.overlap.train, config.overlap.test} & set(self.lost):
                going += [here / "seen", here / "matches.parquet"]
            if config.source is not None and (record.dataset in self.lost or str(Path(config.source.path)) in paths):
                going += [here / "looked", *here.glob("*.png")]
        for verdict in (self.workspace.home / "overlaps").glob("*.json"):
            try:
                facts = read_json(verdict)
                sides = {facts[side]["dataset"] for side in ("train", "test")}
            except (FairLabError, KeyError, TypeError):
                continue
            if sides & set(self.lost):
                going.append(verdict)
        going += self._archives()
        return sorted(path.relative_to(self.workspace.home).as_posix() for path in going if path.exists())

    def _archives(self) -> list[Path]:
        """Archives of these runs that lie inside the workspace."""
        reached = {record.run_id for record in self.records if works_on(record, self.lost)}
        reached |= {template.record.run_id for template in self.templates}
        found = []
        for path in self.workspace.home.rglob("*.tar"):
            try:
                if reached & set(read_listing(path)["runs"]):
                    found.append(path)
            except FairLabError:
                continue  # no archive of ours
        return found


def _vectors(record: RunRecord, loss: Loss, view: str) -> int:
    """How many of the stored vectors are of images that go; -1 where they are of an earlier state of the data or damaged."""
    try:
        stored = open_embeddings(record.folder, loss.data.dataset_id, view)
    except FairLabError:
        return -1
    if stored.facts.get("fingerprint") != loss.data.fingerprint:
        return -1
    return int(np.isin(stored.ids, loss.rows).sum())


def _sources(loss: Loss) -> list[str]:
    """Where the user's own images of the person lie: files, or places in packed ones."""
    origin = loss.data.info.get("images_from", {})
    if "path" not in origin or not has_images(str(origin["kind"])):
        return []
    places = loss.data.images["location"].iloc[loss.rows].astype(str)
    return [str(Path(origin["path"]) / place) for place in places]


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
    first. Returns what was reached. Raises Refused while a run works on the data, FairLabError as survey().
    """
    names = _tuple(people)
    marker = names[0] if _is_marker(names) else _marker()
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
        before = _finish(workspace, progress)
        if before is not None and (before.dataset, before.people) == (asked.dataset, asked.people):
            return Found(notes=["finished a deletion that had been cut short"])
        found = Scope(workspace, asked).found  # nobody of that name: nothing is written
        write_json(workspace.home / FOLDER / PLAN, asdict(asked))
        _finish(workspace, progress)
        return found


def finish(workspace: Workspace) -> bool:
    """Complete a deletion that was cut short; False when there is none."""
    with _alone(workspace):
        return _finish(workspace, lambda _done, _total: None) is not None


def _tuple(people: str | Sequence[str]) -> tuple[str, ...]:
    names = (people,) if isinstance(people, str) else tuple(dict.fromkeys(people))
    if not names:
        raise FairLabError("name at least one person to delete")
    return names


def _is_marker(names: Sequence[str]) -> bool:
    return len(names) == 1 and bool(_MARKER.fullmatch(names[0]))


def _marker() -> str:
    return f"deleted-{secrets.token_hex(6)}"


def _alone(workspace: Workspace) -> Any:
    lock = FileLock(workspace.home / "forget.lock", timeout=0)
    try:
        return lock.acquire()
    except Timeout as error:
        raise Refused(f"somebody is being deleted from {workspace.home} already; wait until that has ended") from error


def _finish(workspace: Workspace, progress: Progress) -> Asked | None:
    """Carry out what the plan says, from wherever an earlier attempt came to; returns whom it was about."""
    folder = workspace.home / FOLDER
    if not (folder / PLAN).exists():
        return None
    try:
        raw = read_json(folder / PLAN)
        asked = Asked(**{**raw, "people": tuple(raw["people"])})
    except (KeyError, TypeError) as error:
        raise Damaged(f"{folder / PLAN} is not a plan of this FairLab: {error}") from error
    try:
        with no_starts(workspace):
            if not (folder / READY).exists():
                shutil.rmtree(folder / NEW, ignore_errors=True)
                try:
                    _prepare(workspace, asked, folder, progress)
                except Exception:
                    shutil.rmtree(folder, ignore_errors=True)  # nothing was changed yet, and nothing will be
                    raise
            _put_in_place(workspace, read_json(folder / READY), folder / NEW)
            _sweep_all(workspace)
        database.purge(workspace)
        grave = workspace.home / f"{FOLDER}.tmp.{os.getpid()}"
        os.replace(folder, grave)  # plan and list go at once, or a later attempt would take one without the other
        shutil.rmtree(grave)
    except OSError as error:
        raise FairLabError(explain(error, folder)) from error
    return asked


def _prepare(workspace: Workspace, asked: Asked, folder: Path, progress: Progress) -> None:
    """Write all files that change into `folder`/new, and then the list of what to put where and what to delete."""
    scope = Scope(workspace, asked)
    for record in scope.records:
        if works_on(record, scope.lost) and state(record.folder).status == "running":
            raise Refused(f"{record.run_id} is working on {', '.join(scope.lost)}: stop it first, then delete")
    staged = Workspace(folder / NEW)
    _check_room(workspace, scope)
    going = [workspace.home / name for name in scope.found.deleted]
    steps = len(scope.lost) + len(scope.found.embeddings) + len(scope.found.numbers) + len(scope.templates)
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        progress(done, steps)

    after: dict[str, Dataset] = {}
    for name, loss in scope.lost.items():
        if asked.all:
            going += [loss.data.folder, *(workspace.run(run) for run in _made(scope, name))]
            continue
        prints = {key: data.fingerprint for key, data in after.items()}
        numbers = {key: scope.lost[key].number for key in after}
        note = f"{len(loss.rows)} images were deleted at somebody's wish."
        write_data_without(loss.data, loss.rows, staged.dataset(name), numbers, prints, note)
        after[name] = open_dataset(staged.dataset(name))
        step()
    by_id = {record.run_id: record for record in scope.records}
    for item in scope.found.embeddings:
        record, loss = by_id[item["run"]], scope.lost[item["dataset"]]
        here = embeddings_folder(record.folder, item["dataset"], item["view"])
        if item["vectors"] < 0 or item["vectors"] == len(
            open_embeddings(record.folder, item["dataset"], item["view"]).ids
        ):
            going.append(here)
        else:
            fingerprint = after[item["dataset"]].fingerprint
            forget_files.embeddings_without(record, loss, item["view"], fingerprint, staged.run(record.run_id))
            going += [
                here / name for name in ("index.faiss", "index.json") if not _staged(workspace, staged, here / name)
            ]
        step()
    for item in scope.found.maps:
        record = by_id[item["run"]]
        if asked.all:
            going += forget_files.files_of_maps(record, item["dataset"])
            continue
        forget_files.maps_without(record, scope.lost[item["dataset"]], staged.run(record.run_id))
    for item in () if asked.all else scope.found.numbers:
        _prepare_numbers(by_id[item["run"]], scope.lost[item["dataset"]], after[item["dataset"]], item, staged, going)
        step()
    for template in scope.templates:
        _prepare_heads(template, asked, staged.run(template.record.run_id), going)
        step()
    for name in scope.found.mentions:
        _prepare_mention(workspace, staged, name, scope.name)
    if asked.files:
        going += [Path(name) for name in scope.found.sources if Path(name).is_file()]
    new = sorted(path.relative_to(staged.home).as_posix() for path in staged.home.rglob("*") if path.is_file())
    write_json(folder / READY, {"new": new, "deleted": [str(path) for path in going]})


def _prepare_numbers(
    record: RunRecord, loss: Loss, now: Dataset, item: Mapping[str, Any], staged: Workspace, going: list[Path]
) -> None:
    results = record.folder / "results" / item["dataset"]
    protocol, how = item["protocol"], item["how"]
    if how == "deleted":
        going += (
            [results / "protocols" / protocol] if protocol else [path for path in results.glob("*") if path.is_file()]
        )
    elif protocol:
        forget_files.protocol_without(record, loss, now, protocol, staged.run(record.run_id), how)
    else:
        forget_files.own_numbers_without(record, loss, now, staged.run(record.run_id), how)


def _made(scope: Scope, dataset_id: str) -> list[str]:
    """The runs that made a data set: they have nothing else."""
    return [record.run_id for record in scope.records if record.role == "dataset" and record.dataset == dataset_id]


def _prepare_heads(template: Template, asked: Asked, staged: Path, going: list[Path]) -> None:
    """The names of the rows become the marker; with heads the rows of weights and checkpoints become zero.

    A damaged checkpoint goes as a whole: nobody can say what it holds.
    """
    here = template.record.folder
    if asked.heads:
        from fairlab.training.forgetting import zero_rows

        for place in template.folders:
            try:
                verify_manifest(here / place)  # or a damaged file would be given a hash that fits
            except FairLabError:
                if place == "weights":
                    raise
                going.append(here / place)
                continue
            changed = zero_rows(here / place, staged / place, template.rows, template.classes)
            if place != "weights":
                amend_manifest(here / place, staged / place, changed)
    model = here / "weights" / "model.json"
    if model.exists():
        facts = read_json(model)
        for number, row in enumerate(template.rows):
            facts["identities"][row] = asked.marker if len(template.rows) == 1 else f"{asked.marker}-{number}"
        write_json(staged / "weights" / "model.json", facts)
        changed = sorted(path.name for path in (staged / "weights").glob("*") if path.name != "manifest.json")
        amend_manifest(here / "weights", staged / "weights", changed)


def _prepare_mention(workspace: Workspace, staged: Workspace, name: str, person: Name) -> None:
    """A file that names the person, without the name; what a manifest vouches for was written above or is left."""
    path, target = workspace.home / name, staged.home / name
    vouched = path.name != "manifest.json" and (path.parent / "manifest.json").exists()
    if path.name != "run.json" and not vouched:
        write_without(target if target.exists() else path, person, target)


def _staged(workspace: Workspace, staged: Workspace, path: Path) -> bool:
    return (staged.home / path.relative_to(workspace.home)).exists()


def _check_room(workspace: Workspace, scope: Scope) -> None:
    need = sum(
        path.stat().st_size for loss in scope.lost.values() for path in loss.data.folder.glob("*") if path.is_file()
    )
    for item in scope.found.embeddings:
        folder = embeddings_folder(workspace.run(item["run"]), item["dataset"], item["view"])
        need += sum(path.stat().st_size for path in folder.glob("*"))
    free = shutil.disk_usage(workspace.home).free
    if need > free:
        raise Refused(
            f"deleting writes what stays anew first: {need / 1e9:.1f} GB, and the disk has {free / 1e9:.1f} GB free; "
            "free some space, e.g. with `fairlab prune`"
        )


def _put_in_place(workspace: Workspace, ready: Mapping[str, Any], new: Path) -> None:
    """Move what is still to be moved, delete what is still there: each may have been done by an earlier attempt."""
    for name in ready["new"]:
        if (new / name).exists():
            target = workspace.home / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(new / name, "rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(new / name, target)
    for text in ready["deleted"]:
        path = Path(text)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _sweep_all(workspace: Workspace) -> None:
    """Half-written files of jobs that died, anywhere: they may hold what was deleted."""
    for path in [*workspace.home.rglob("*.tmp.*")]:
        pid = path.name.rpartition(".")[2]
        if pid.isdigit() and path.exists() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
