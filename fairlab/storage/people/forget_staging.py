"""Everything that a deletion changes, written anew beside the workspace's files: nothing is replaced here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.forgetting import write_without as write_data_without
from fairlab.errors import FairLabError, Refused
from fairlab.files import MANIFEST, amend_manifest, read_manifest, sha256, verify_manifest, write_json
from fairlab.queue.launch import poll
from fairlab.queue.turns import submitted
from fairlab.storage.people import forget_files, forget_selections
from fairlab.storage.people.forget_names import Name, write_without
from fairlab.storage.people.forget_scope import Loss, Template, works_on
from fairlab.storage.people.forget_survey import Asked, Scope
from fairlab.store.embeddings import embeddings_folder, open_embeddings
from fairlab.store.records import read_weights
from fairlab.store.runs import RunRecord, state
from fairlab.workspace import Workspace


def prepare(
    workspace: Workspace, asked: Asked, staged: Workspace, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Write all files that change into `staged`, at the places that they have in the workspace.

    Returns what is then to be done: "new" files below `staged`, those of them that lie in whole "folders" (whole_folders),
    what is to be "deleted", the user's own "sources", and runs that are "unended" and whose checkpoints hold rows. Raises
    Refused while a run works on the data, where a source cannot be deleted, or when the disk cannot hold both.
    """
    scope = Scope(workspace, asked)
    refuse_at_work(workspace, scope)
    _check_room(workspace, scope, asked.heads)
    sources = [Path(name) for name in scope.found.sources if Path(name).is_file()]
    if asked.files:
        _check_sources(sources)
    going = [workspace.home / name for name in (*scope.found.deleted, *scope.found.archives)]
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
            going += [folder for folder in [workspace.selections(name)] if folder.is_dir()]
            continue
        prints = {key: data.fingerprint for key, data in after.items()}
        numbers = {key: scope.lost[key].number for key in after}
        note = f"{len(loss.rows)} images were deleted on request."
        write_data_without(loss.data, loss.rows, staged.dataset(name), numbers, prints, note)
        after[name] = open_dataset(staged.dataset(name))
        going += forget_selections.write_without(workspace, staged, loss, after[name], scope.name)
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
    refuse_at_work(workspace, scope)  # that took a while, and other machines' queues ask nobody here
    new = [path.relative_to(staged.home).as_posix() for path in staged.home.rglob("*") if path.is_file()]
    return {
        "new": sorted(new),
        "folders": whole_folders(workspace, staged),
        "deleted": [path.relative_to(workspace.home).as_posix() for path in going],
        "sources": [str(path) for path in sources],
        "unended": [each.record.run_id for each in scope.templates if not (each.record.folder / "weights").exists()],
    }


def _check_sources(sources: Sequence[Path]) -> None:
    for folder in dict.fromkeys(path.parent for path in sources):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise Refused(
                f"{folder} holds images that are to be deleted and cannot be written to, so nothing was deleted: make it "
                "writable, or leave out --files"
            )


def refuse_at_work(workspace: Workspace, scope: Scope) -> None:
    """Raise Refused where a run works on what goes, or waits in another machine's queue, where nobody can hold it back."""
    taught = {template.record.run_id for template in scope.templates}
    near = [record for record in scope.records if works_on(record, scope.lost) or record.run_id in taught]
    poll([record.folder for record in near])
    for record in near:
        data = ", ".join(scope.lost) or "the classifier of a person to delete"
        if state(record.folder).status == "running":
            raise Refused(f"{record.run_id} is working on {data}: stop it first, then delete")
        if submitted(workspace, record.run_id):
            raise Refused(
                f"{record.run_id} waits in another machine's queue, to work on {data}: stop it first, then delete"
            )


def whole_folders(workspace: Workspace, staged: Workspace) -> dict[str, str]:
    """Data sets and embeddings that lie whole in `staged`: folders below it, with the hash of the manifest of each."""
    found = [*staged.home.glob(f"datasets/*/{MANIFEST}"), *staged.home.glob(f"runs/*/embeddings/*/*/{MANIFEST}")]
    return {
        path.parent.relative_to(staged.home).as_posix(): sha256(path)
        for path in sorted(found)
        if all((path.parent / name).exists() for name in read_manifest(path.parent)["files"])
        and not (workspace.home / path.parent.relative_to(staged.home)).is_symlink()  # its files lie elsewhere
    }


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
        facts = read_weights(here)
        for number, row in enumerate(template.rows):
            facts["identities"][row] = asked.marker if len(template.rows) == 1 else f"{asked.marker}-{number}"
        write_json(staged / "weights" / "model.json", facts)
        changed = sorted(path.name for path in (staged / "weights").glob("*") if path.name != "manifest.json")
        amend_manifest(here / "weights", staged / "weights", changed)


def _prepare_mention(workspace: Workspace, staged: Workspace, name: str, person: Name) -> None:
    """A file that names the person, without the name."""
    path, target = workspace.home / name, staged.home / name
    write_without(target if target.exists() else path, person, target)


def _staged(workspace: Workspace, staged: Workspace, path: Path) -> bool:
    return (staged.home / path.relative_to(workspace.home)).exists()


def _check_room(workspace: Workspace, scope: Scope, heads: bool) -> None:
    need = sum(
        path.stat().st_size for loss in scope.lost.values() for path in loss.data.folder.glob("*") if path.is_file()
    )
    for item in scope.found.embeddings:
        folder = embeddings_folder(workspace.run(item["run"]), item["dataset"], item["view"])
        need += sum(path.stat().st_size for path in folder.glob("*"))
    if heads:
        from fairlab.training.forgetting import HEADS, STATE

        places = [template.record.folder / place for template in scope.templates for place in template.folders]
        need += sum(
            (place / name).stat().st_size for place in places for name in (*HEADS, STATE) if (place / name).exists()
        )
    free = shutil.disk_usage(workspace.home).free
    if need > free:
        raise Refused(
            f"deleting first writes a new copy of what stays: {need / 1e9:.1f} GB, and the disk has {free / 1e9:.1f} "
            f"GB free; "
            "free some space, e.g. with `fairlab storage prune`"
        )
