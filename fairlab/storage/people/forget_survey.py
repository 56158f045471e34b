"""Whom and what a deletion reaches: found once, listed for people, and the list that the work is done by."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from fairlab.data.listing import has_images
from fairlab.errors import FairLabError, Refused
from fairlab.files import read_json
from fairlab.jobs.repair.fitted import FOLDER as FITTED
from fairlab.storage.people import forget_files, forget_selections
from fairlab.storage.people.forget_archives import archives_with
from fairlab.storage.people.forget_names import Name, is_kept, mentioned
from fairlab.storage.people.forget_scope import (
    Loss,
    everybody,
    losses,
    readable_runs,
    same_name_elsewhere,
    templates,
    works_on,
)
from fairlab.store.embeddings import has_embeddings, open_embeddings
from fairlab.store.runs import RunRecord
from fairlab.workspace import Workspace

MARKER = re.compile(r"deleted-[0-9a-f]{12}")


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

    def asks_as(self, other: Asked) -> bool:
        """Are both about the same people?"""
        return (self.dataset, self.people, self.all) == (other.dataset, other.people, other.all)


@dataclass
class Found:
    """Everything that a deletion reaches, in words and paths, for people to read before it is done."""

    data: list[dict[str, Any]] = field(default_factory=list)
    embeddings: list[dict[str, Any]] = field(default_factory=list)
    numbers: list[dict[str, Any]] = field(default_factory=list)
    maps: list[dict[str, Any]] = field(default_factory=list)
    selections: list[dict[str, Any]] = field(default_factory=list)
    templates: list[dict[str, Any]] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    archives: list[str] = field(default_factory=list)
    mentions: list[str] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def refuse_closed(workspace: Workspace) -> None:
    """Raise Refused where a folder or file of the workspace cannot be read now: the person may be in it."""
    closed: list[str] = []

    def note(error: OSError) -> None:
        closed.append(str(error.filename))

    as_we_are = os.access in os.supports_effective_ids
    for folder, _, names in os.walk(workspace.home, onerror=note):
        paths = [os.path.join(folder, name) for name in names]
        closed += [
            path for path in paths if not os.access(path, os.R_OK, effective_ids=as_we_are) and os.path.lexists(path)
        ]
        if closed:
            break
    if closed:
        raise Refused(
            f"{closed[0]} cannot be read now, so FairLab cannot tell whether the person is in it; nothing was "
            f"deleted: make it "
            "readable (chmod), or move it out of the workspace, then ask again"
        )


class Scope:
    """What a deletion reaches, found once; raises FairLabError, Refused as losses() does."""

    def __init__(self, workspace: Workspace, asked: Asked) -> None:
        self.workspace, self.asked = workspace, asked
        refuse_closed(workspace)
        self.records, self.faults = readable_runs(workspace)
        again = asked.people[0] if is_marker(asked.people) else ""
        if asked.all:
            self.lost = everybody(workspace, asked.dataset)
        else:
            self.lost = {} if again else losses(workspace, asked.dataset, asked.people)
        names = {name for loss in self.lost.values() for name in loss.names} | set(asked.people)
        roots = {str(loss.data.info.get("images_from", {}).get("path", "")) for loss in self.lost.values()} - {""}
        self.name = Name(sorted(names), asked.marker, sorted(roots))
        self.templates = templates(self.records, self.lost, again)
        if again and not self.templates:
            raise FairLabError(f"no classifier of the workspace has a row called {again}")
        self.found = self._look(names)

    def _look(self, names: set[str]) -> Found:
        found = Found(notes=[f"a run could not be checked: {fault}" for fault in self.faults])
        for name, loss in self.lost.items():
            found.data.append({"dataset": name, "images": len(loss.rows), "pairs": loss.pairs})
            found.sources += _sources(loss)
            found.selections += forget_selections.losing(self.workspace, loss)
        for record in self.records:
            for name, loss in self.lost.items():
                self._look_at(record, name, loss, found)
        for template in self.templates:
            about = {"run": template.record.run_id, "title": template.record.title, "places": template.folders}
            found.templates.append({**about, "zeroed": self.asked.heads})
            if not self.asked.heads and not (template.record.folder / "weights").exists():
                found.notes.append(
                    f"{template.record.run_id} has not ended and cannot continue with changed data: zero its "
                    f"checkpoints now (heads), or delete the run; afterwards its rows cannot be identified"
                )
        for record in self.records:
            head = record.folder / "weights" / "head.safetensors"
            if record.elsewhere and head.exists():
                found.notes.append(f"{record.run_id} came with a classifier that does not name its people")
        found.deleted += self._caches()
        home = self.workspace.home
        reached = {record.run_id for record in self.records if works_on(record, self.lost)}
        taught = {template.record.run_id for template in self.templates}
        archives, faults = archives_with(self.workspace, reached | taught, self.lost)
        found.archives = [path.relative_to(home).as_posix() for path in archives]
        found.notes += faults
        if self.asked.all:
            return found
        models = [self.workspace.run(name) / "weights" / "model.json" for name in taught]  # the names go with the rows
        for path in mentioned(self.workspace, self.name):
            if path not in models:
                (found.stays if is_kept(path) else found.mentions).append(path.relative_to(home).as_posix())
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
                if ".tmp." not in protocol and not protocol.endswith(".parts"):
                    how = forget_files.how_judged(record, loss, protocol)
                    found.numbers.append({"run": record.run_id, "dataset": name, "protocol": protocol, "how": how})
        maps = forget_files.maps_of(record, name)
        if maps:
            found.maps.append({"run": record.run_id, "dataset": name, "maps": len(maps)})

    def _caches(self) -> list[str]:
        """What was made of these images and can be made again, finished or half: pictures, hashes, reports, parts of jobs that
        were cut short. Paths below the workspace.
        """
        going: list[Path] = []
        paths = {str(loss.data.info.get("images_from", {}).get("path", "")) for loss in self.lost.values()} - {""}
        for record in self.records:
            config, here = record.config, record.folder
            for name in self.lost:
                going += [*here.glob(f"embeddings/{name}/*.parts"), *here.glob(f"results/{name}/protocols/*.parts")]
                going.append(here / "moved" / name)
            if config.overlap is not None and {config.overlap.train, config.overlap.test} & set(self.lost):
                going += [here / "seen", here / "matches.parquet"]
            if config.repair is not None and config.repair.cohort in self.lost:
                going.append(here / FITTED)  # vectors and moments of the cohort's people
            if works_on(record, self.lost):
                going += forget_files.damaged_maps(record)
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
        return sorted(path.relative_to(self.workspace.home).as_posix() for path in going if path.exists())


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


def is_marker(names: Sequence[str]) -> bool:
    return len(names) == 1 and bool(MARKER.fullmatch(names[0]))
