"""What goes with a run, a data set or a study when it is deleted, and what depends on it: said first, then done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.files import read_json, remove_folder
from fairlab.queue import launch
from fairlab.storage.disk import bytes_below
from fairlab.store.locks import no_starts
from fairlab.store.records import study_of
from fairlab.store.runs import builders, children, state
from fairlab.workspace import Workspace, is_name


@dataclass(frozen=True)
class Goes:
    """runs, datasets, studies: what is deleted; bytes: the room it makes; needed_by: runs and data sets that build on it
    and stay, with how; kept: runs of the study that stay, with why.
    """

    runs: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    studies: tuple[str, ...] = ()
    bytes: int = 0
    needed_by: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)


def what_goes(workspace: Workspace, *, run: str = "", dataset: str = "", study: str = "") -> Goes:
    """What goes with one of the three; nothing is touched. Raises FairLabError when it is not there."""
    if run:
        return of_run(workspace, run)
    return of_dataset(workspace, dataset) if dataset else of_study(workspace, study)


def of_run(workspace: Workspace, run_id: str) -> Goes:
    """What goes with a run: its folder, and the data set that it made. Raises FairLabError when there is none."""
    return _of_run(workspace, run_id, children(workspace, run_id))


def _of_run(workspace: Workspace, run_id: str, built: Sequence[str]) -> Goes:
    folder = workspace.run(run_id)
    if not folder.is_dir():
        raise FairLabError(f"there is no run {run_id!r} in {workspace.home}; `fairlab runs list` lists them")
    needed = dict.fromkeys(built, "builds on the run")
    raw = _raw(folder / "run.json")
    made = raw.get("dataset") if raw.get("role") == "dataset" else ""
    if not isinstance(made, str) or not is_name(made) or not workspace.dataset(made).is_dir():
        return Goes((run_id,), bytes=bytes_below(folder), needed_by=needed)
    needed |= _users(workspace, made, {run_id})
    size = bytes_below(folder) + bytes_below(workspace.dataset(made))
    return Goes((run_id,), (made,), bytes=size, needed_by=needed)


def of_dataset(workspace: Workspace, dataset_id: str) -> Goes:
    """What goes with a data set: it and the run that made it, where there is one. Source files elsewhere are never touched."""
    folder = workspace.dataset(dataset_id)
    if not folder.is_dir():
        raise FairLabError(f"there is no data set {dataset_id!r} in {workspace.home}; `fairlab data list` lists them")
    makers = _makers(workspace, dataset_id)
    needed = _users(workspace, dataset_id, set(makers))
    for maker in makers:
        needed |= dict.fromkeys(children(workspace, maker), "builds on the run that made it")
    size = bytes_below(folder) + sum(bytes_below(workspace.run(maker)) for maker in makers)
    return Goes(tuple(makers), (dataset_id,), bytes=size, needed_by=needed)


def of_study(workspace: Workspace, study_id: str) -> Goes:
    """What goes with a study: its runs, but those that are in another study too, or that runs outside it build on."""
    path = workspace.study(study_id) / "study.json"
    if not path.exists():
        raise FairLabError(f"there is no study {study_id!r} in {workspace.home}")
    own = [name for name in study_of(path.parent).run_ids if workspace.run(name).is_dir()]
    kept: dict[str, str] = {}
    for other in workspace.studies_folder.glob("*/study.json"):
        if other.parent.name != study_id:
            kept |= {name: f"is in study {other.parent.name} too" for name in _runs_in(other.parent) if name in own}
    kept |= {name: f"is {state(workspace.run(name)).status}" for name in own if _active(workspace, name)}
    built = builders(workspace)
    while True:  # what a run that stays builds on stays too
        more = {}
        for name in own:
            outside = [child for child in built.get(name, ()) if child not in own or child in kept]
            if outside and name not in kept:
                more[name] = f"{outside[0]} builds on it"
        if not more:
            break
        kept |= more
    going = tuple(name for name in own if name not in kept)
    found = [_of_run(workspace, name, built.get(name, ())) for name in going]
    datasets = tuple(name for goes in found for name in goes.datasets)
    needed = {name: how for goes in found for name, how in goes.needed_by.items() if name not in own}
    size = sum(goes.bytes for goes in found) + bytes_below(path.parent)
    return Goes(going, datasets, (study_id,), size, needed, kept)


def _runs_in(folder: Path) -> Sequence[str]:
    """The runs of another study. One that cannot be read could name any: its runs are not known, so nothing may go."""
    try:
        return study_of(folder).run_ids
    except FairLabError as error:
        raise Refused(f"{error}; mend or delete that study first: nobody can say which runs are in it") from error


def delete_dataset(workspace: Workspace, dataset_id: str, force: bool = False) -> Goes:
    """Delete a data set and the run that made it. Refused while others use it unless `force`, while its run works always."""
    goes = of_dataset(workspace, dataset_id)
    _refuse_users(goes, f"data set {dataset_id}", force)
    for maker in goes.runs:
        launch.delete(workspace, maker, force=True)
    with no_starts(workspace):
        remove_folder(workspace.dataset(dataset_id), workspace.home)
    return goes


def delete_study(workspace: Workspace, study_id: str, force: bool = False) -> Goes:
    """Delete a study with the runs that are only its. Refused while others use the data sets that go, unless `force`."""
    goes = of_study(workspace, study_id)
    _refuse_users(goes, f"study {study_id}", force)
    for name in _children_first(goes.runs, builders(workspace)):  # a kill never leaves a run without what it builds on
        launch.delete(workspace, name, force=True)
    remove_folder(workspace.study(study_id), workspace.home)
    return goes


def _children_first(names: Sequence[str], built: Mapping[str, Sequence[str]]) -> list[str]:
    left, ordered = dict.fromkeys(names), []
    while left:
        ready = [name for name in left if not any(child in left for child in built.get(name, ()))]
        for name in ready or list(left)[-1:]:
            ordered.append(name)
            del left[name]
    return ordered


def _refuse_users(goes: Goes, what: str, force: bool) -> None:
    if goes.needed_by and not force:
        first, how = next(iter(goes.needed_by.items()))
        more = f" and {len(goes.needed_by) - 1} more need it" if len(goes.needed_by) > 1 else ""
        raise Refused(
            f"{what} is needed: {first} {how}{more}; look with --dry-run, then delete them first, or use force"
        )


def _makers(workspace: Workspace, dataset_id: str) -> list[str]:
    """The runs that made a data set and its pairs, and that measured its traits."""
    return [
        name
        for name, raw in _records(workspace)
        if raw.get("role") == "dataset" and dataset_id in (raw["dataset"], *_worked_on(raw))
    ]


def _worked_on(raw: Mapping[str, object]) -> list[object]:
    """The data sets that a run has drawn pairs for or measured traits of."""
    config = raw.get("config")
    asked = [config.get(name) for name in ("drawing", "measuring")] if isinstance(config, dict) else []
    return [settings.get("dataset") for settings in asked if isinstance(settings, dict)]


def _users(workspace: Workspace, dataset_id: str, makers: set[str]) -> dict[str, str]:
    """Runs and data sets, beside those that made it, that need this data set to be looked at or made again."""
    found = dict.fromkeys(launch.borrowers(workspace, dataset_id), "borrows its images from it")
    for name, raw in _records(workspace):
        if name not in makers and raw.get("dataset") == dataset_id and raw.get("role") != "dataset":
            found[name] = f"was made with it ({raw.get('role')})"
    return found


def _records(workspace: Workspace) -> list[tuple[str, dict[str, object]]]:
    found = []
    for path in sorted(workspace.runs_folder.glob("*/run.json")):
        raw = _raw(path)
        if "dataset" in raw:
            found.append((path.parent.name, raw))
    return found


def _raw(path: Path) -> dict[str, object]:
    """A run's record as it stands; {} for a damaged one, which must not keep itself or others from being deleted."""
    try:
        found: dict[str, object] = read_json(path) if path.exists() else {}
    except FairLabError:
        return {}
    return found


def _active(workspace: Workspace, run_id: str) -> bool:
    try:
        return (workspace.run(run_id) / "run.json").exists() and state(workspace.run(run_id)).status in launch.ACTIVE
    except Damaged:
        return False
