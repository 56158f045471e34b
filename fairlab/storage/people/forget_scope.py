"""What a person's images reach: data sets made of them, runs that looked at them, classifiers that were taught them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.forgetting import borrowing, numbered
from fairlab.data.sampling import identity_labels, training_rows
from fairlab.errors import FairLabError, Refused
from fairlab.files import MANIFEST
from fairlab.queue.launch import borrowers
from fairlab.storage.prune import checkpoints
from fairlab.store.records import read_weights
from fairlab.store.runs import RunRecord, read_run
from fairlab.workspace import Workspace


@dataclass(frozen=True)
class Loss:
    """What a data set loses: rows of its images, number (N,) of what stays (data.forgetting.numbered), names of people."""

    data: Dataset
    rows: np.ndarray
    names: tuple[str, ...]

    @property
    def number(self) -> np.ndarray:
        return numbered(self.rows, len(self.data.images))

    @property
    def pairs(self) -> int:
        """How many pairs name one of the images."""
        gone = self.data.pairs[["image_a", "image_b"]].isin(self.rows).any(axis=1)
        return int(gone.sum())


@dataclass(frozen=True)
class Template:
    """A run that was taught people who go: their rows among `classes` in the classifiers of its weights and checkpoints."""

    record: RunRecord
    rows: tuple[int, ...]
    classes: int
    names: tuple[str, ...]

    @property
    def folders(self) -> list[str]:
        """Where classifiers of the run lie, below its folder."""
        here = self.record.folder
        places = [here / "weights", *checkpoints(here)]
        return [path.relative_to(here).as_posix() for path in places if (path / "head.safetensors").exists()]


def everybody(workspace: Workspace, dataset_id: str) -> dict[str, Loss]:
    """What is lost with a whole data set. Raises Refused while others borrow its images."""
    using = borrowers(workspace, dataset_id)
    if using:
        raise Refused(f"data set {using[0]} borrows its images from {dataset_id}; delete it first")
    data = open_dataset(workspace.dataset(dataset_id))
    return {dataset_id: _loss(data, np.arange(len(data.images)))}


def losses(workspace: Workspace, dataset_id: str, people: Sequence[str]) -> dict[str, Loss]:
    """What this data set, and those that borrow images from it, lose with these people; lenders come before borrowers.

    Raises FairLabError when nobody of that name is there, Refused where the images belong to another data set.
    """
    data = open_dataset(workspace.dataset(dataset_id))
    lenders = data.parents()
    identity = data.images["identity"].astype(str)
    strangers = sorted(set(people) - set(identity))
    if strangers:
        raise FairLabError(f"data set {dataset_id} has no person called {strangers[0]!r}")
    rows = np.flatnonzero(identity.isin(list(people)).to_numpy())
    if lenders:
        parent, row = data.borrowed()
        lender = lenders[int(parent[rows[0]])]
        name = lender.images["identity"].iloc[int(row[rows[0]])]
        raise Refused(
            f"data set {dataset_id} borrows the images of {identity.iloc[rows[0]]!r} from {lender.dataset_id}: forget {str(name)!r} there, then "
            f"{dataset_id} loses them too"
        )
    found = {dataset_id: _loss(data, rows)}
    waiting = [dataset_id]
    while waiting:
        lender_id = waiting.pop(0)
        for name in borrowers(workspace, lender_id):
            child = open_dataset(workspace.dataset(name))
            gone = np.zeros(len(child.images), bool)
            for entry in child.info["images_from"]["parents"]:
                if entry["dataset"] in found:
                    gone[borrowing(child, entry["dataset"], found[entry["dataset"]].rows)] = True
            found.pop(name, None)  # after every lender of its
            found[name] = _loss(child, np.flatnonzero(gone))
            waiting.append(name)
    return found


def _loss(data: Dataset, rows: np.ndarray) -> Loss:
    people = data.images["identity"].astype(str)
    gone = people.iloc[rows]
    stay = set(people.drop(index=people.index[rows]))
    return Loss(data, rows, tuple(name for name in dict.fromkeys(gone) if name not in stay))


def readable_runs(workspace: Workspace) -> tuple[list[RunRecord], list[str]]:
    """(all runs that can be read, what is wrong with the others)."""
    records, faults = [], []
    for path in sorted(workspace.runs_folder.glob("*/run.json")):
        try:
            records.append(read_run(workspace, path.parent.name))
        except FairLabError as error:
            faults.append(str(error))
    return records, faults


def templates(records: Sequence[RunRecord], lost: Mapping[str, Loss], marker: str = "") -> list[Template]:
    """The runs that were taught these people, and those that inherited classifiers from such.

    marker: what an earlier deletion put in place of names; its rows are found in every run.
    """
    found: dict[str, Template] = {}
    names = {name for loss in lost.values() for name in loss.names}
    for record in _parents_first(records):
        taught = _classes(record, lost)
        if not taught:
            continue
        near = record.dataset in lost or any(parent in found for parent in record.parents)
        rows = tuple(
            number
            for number, name in enumerate(taught)
            if (near and name in names) or (marker and (name == marker or name.startswith(f"{marker}-")))
        )
        if rows:
            found[record.run_id] = Template(record, rows, len(taught), tuple(taught[row] for row in rows))
    return list(found.values())


def _parents_first(records: Sequence[RunRecord]) -> list[RunRecord]:
    left, ordered = {record.run_id: record for record in records}, []
    while left:
        ready = [record for record in left.values() if not any(parent in left for parent in record.parents)]
        for record in ready or list(left.values()):
            ordered.append(left.pop(record.run_id))
    return ordered


def _classes(record: RunRecord, lost: Mapping[str, Loss]) -> list[str]:
    """Who a run was taught, in the order of its classifier's rows; [] for a run without a classifier of people."""
    model = record.folder / "weights" / "model.json"
    if (model.parent / MANIFEST).exists() and model.exists():
        known = read_weights(record.folder).get("identities")
        return [str(name) for name in known] if known else []
    if record.config.training is None or record.dataset not in lost or not checkpoints(record.folder):
        return []
    images = lost[record.dataset].data.images  # it has not ended: as its training would find them
    try:
        return identity_labels(images.iloc[training_rows(images, record.config.data, record.seed)])[1]
    except FairLabError:
        return []


def works_on(record: RunRecord, names: Mapping[str, Loss]) -> bool:
    """Does the run read or make one of these data sets?"""
    config = record.config
    read = [record.dataset, config.data.judge]
    if config.overlap is not None:
        read += [config.overlap.train, config.overlap.test]
    if config.drawing is not None:
        read.append(config.drawing.dataset)
    if config.repair is not None:
        read.append(config.repair.cohort)
    if config.recipe is not None:
        read += [config.recipe.dataset, config.recipe.mix]
    return any(name in names for name in read)


def same_name_elsewhere(workspace: Workspace, names: set[str], lost: Mapping[str, Loss]) -> list[str]:
    """Other data sets that have somebody of one of these names."""
    found = []
    for path in sorted(workspace.datasets_folder.glob(f"*/{MANIFEST}")):
        name = path.parent.name
        if name in lost or ".tmp." in name:
            continue
        try:
            people = set(open_dataset(path.parent).images["identity"].astype(str))
        except FairLabError:
            continue
        if people & names:
            found.append(name)
    return found
