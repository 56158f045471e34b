"""What is wrong with the files of runs: which runs no list shows, and every fault of one of them by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from fairlab.errors import FairLabError
from fairlab.store.database import list_runs
from fairlab.store.labels import read_labels
from fairlab.store.marks import closed_folders, marks_of
from fairlab.store.queue import read_turn
from fairlab.store.records import read_weights
from fairlab.store.results import checked_rows, judged_by, judged_on, protocol_folder, results_facts, results_folder
from fairlab.store.runs import read_run, state
from fairlab.workspace import Workspace


def left_out(workspace: Workspace) -> dict[str, str]:
    """Runs that no list shows because their files cannot be read, with what is wrong: file, field and what belongs there."""
    hidden = marks_of(workspace).keys() - set(list_runs(workspace)["run_id"])
    found = closed_folders(workspace)
    for name in sorted(hidden - found.keys()):
        try:
            read_run(workspace, name)
            state(workspace.run(name))
        except FairLabError as error:
            found[name] = str(error)
    return found


def sentences(hidden: dict[str, str], most: int = 3) -> list[str]:
    """What is left out of every list, in words; none when nothing is."""
    shown = [
        f"run {name} is left out because it cannot be read: {why}; `fairlab runs delete {name}` removes it"
        for name, why in list(hidden.items())[:most]
    ]
    more = len(hidden) - len(shown)
    return [*shown, *([f"{more} more runs are left out; `fairlab doctor` names them"] if more else [])]


def faults_of(workspace: Workspace, run_id: str) -> list[str]:
    """Everything that is wrong with a run's record, status, place in the queue, labels, network and numbers; each is a sentence."""
    try:
        folder = workspace.run(run_id)
    except FairLabError as error:
        return [str(error)]
    return [f"run {run_id}: {error}" for error in _faults(workspace, folder)]


def _faults(workspace: Workspace, folder: Path) -> Iterator[FairLabError]:
    def numbers(dataset: str) -> None:
        checked_rows(results_folder(folder, dataset), folder.name)
        results_facts(folder, dataset)
        for protocol in judged_by(folder, dataset):
            checked_rows(protocol_folder(folder, dataset, protocol), folder.name)
            results_facts(folder, dataset, protocol)

    looks = [
        lambda: read_run(workspace, folder.name),
        lambda: state(folder),
        lambda: read_turn(folder),
        lambda: read_labels(folder),
        lambda: read_weights(folder) if (folder / "weights" / "model.json").exists() else None,
        *(lambda name=name: numbers(name) for name in judged_on(folder)),
    ]
    for look in looks:
        try:
            look()
        except FairLabError as error:
            yield error
