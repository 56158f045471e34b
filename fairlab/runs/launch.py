"""Start, stop, resume and delete runs, from page, command line and Python alike.

There is no scheduler process: dispatch() starts what may start, under a lock, and is called by every worker when
it ends, by the app while it looks, and by the command line. Nothing is lost when none of them is alive.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from fairlab.config import parse
from fairlab.errors import FairLabError, Refused
from fairlab.files import read_json, write_json
from fairlab.placement_settings import Placement
from fairlab.runs.engines.base import ENGINES, Later
from fairlab.runs.plan import Plan
from fairlab.store import remote
from fairlab.store.queue import Turn, read_turn, write_turn
from fairlab.store.runs import (
    PROCESS_FILE,
    RunRecord,
    create_run,
    delete_run,
    read_run,
    read_status,
    state,
    write_status,
)
from fairlab.workspace import Workspace, now

ENDED_BADLY = ("failed", "stopped", "crashed")
ACTIVE = ("queued", "running")


def start(workspace: Workspace, plan: Plan, placement: Placement | None = None) -> list[str]:
    """Queue what is not done of `plan` and start what fits. Returns the ids that were queued by this call.

    placement: where they work; default: as the workspace says. Calling it twice starts nothing twice: the same settings are the same runs. Runs of the plan that had stopped,
    failed or crashed are resumed. Raises FairLabError when the disk is too full or not writable.
    """
    queued: list[str] = []
    turn = Turn(placement=placement or default_placement(workspace))
    with _lock(workspace):
        write_study(workspace, plan)
        for planned in plan.runs:
            record = planned.record
            known = (record.folder / "run.json").exists()
            status = state(record.folder).status if known else "new"
            if status == "done" and record.role == "dataset" and not workspace.dataset(record.dataset).is_dir():
                status = "lost"  # somebody deleted the data set; it can be made again, bit for bit
            if status in ("done", "running", "queued"):
                continue
            create_run(workspace, record)
            _queue(record.folder, turn)
            queued.append(record.run_id)
    dispatch(workspace)
    return queued


def start_one(workspace: Workspace, record: RunRecord, anew: bool = False) -> str:
    """Queue one run outside any study, unless it is done, queued or running; returns its id.

    anew: do it again although it is done, because what it looks at, or what it wrote elsewhere, may have changed since.
    """
    with _lock(workspace):
        known = (record.folder / "run.json").exists()
        if known and anew and state(record.folder).status not in ("running", "queued"):
            delete_run(workspace, record.run_id, force=True)
            known = False
        if not known or state(record.folder).status in ENDED_BADLY:
            create_run(workspace, record)
            _queue(record.folder, Turn(placement=default_placement(workspace)))
    dispatch(workspace)
    return record.run_id


def write_study(workspace: Workspace, plan: Plan) -> None:
    """Keep a plan as a study of the workspace: its settings and the names of its runs."""
    path = workspace.study(plan.study_id) / "study.json"
    created = read_json(path)["created_at"] if path.exists() else now()
    write_json(
        path,
        {
            "study_id": plan.study_id,
            "preset": plan.preset,
            "title": plan.study.title,
            "created_at": created,
            "config": plan.study.model_dump(mode="json"),
            "run_ids": [run.record.run_id for run in plan.runs],
        },
    )


def default_placement(workspace: Workspace) -> Placement:
    """Where runs work unless it is said otherwise."""
    return parse(Placement, workspace.setting("placement", {}), str(workspace.settings_file))


def set_default_placement(workspace: Workspace, placement: Placement) -> None:
    """Change where runs work that are queued from now on. Raises FairLabError for an engine that there is not."""
    ENGINES[placement.engine]
    workspace.set("placement", placement.model_dump(mode="json"))


def _queue(folder: Path, turn: Turn | None = None) -> None:
    """Let a run wait for its turn; without `turn` as before."""
    for left in ("stop", PROCESS_FILE, remote.FILE):
        (folder / left).unlink(missing_ok=True)
    if turn is not None:
        write_turn(folder, turn)
    write_status(folder, "queued", reason="")


def dispatch(workspace: Workspace) -> list[str]:
    """Start queued runs whose parents are done, each by its engine, up to its slots. Returns the ids started.

    A queued run with a parent that ended badly stays queued and says which; resuming the parent is enough. A queue that
    knows what waits for what gets runs together with their parents. A run that its engine refuses fails, alone.
    """
    started: list[str] = []
    away: set[str] = set()
    try:
        with _lock(workspace):
            folders = [path.parent for path in workspace.runs_folder.glob("*/run.json")]
            poll(folders)
            live = {folder.name: state(folder) for folder in folders}
            turns = {name: read_turn(workspace.run(name)) for name, view in live.items() if view.status in ACTIVE}
            at_work = [
                name for name, view in live.items() if view.status == "running" or _submitted(workspace.run(name))
            ]
            taken: dict[str, int] = {}
            for name in set(at_work) & set(turns):
                placement = turns[name].placement
                taken[placement.engine] = taken.get(placement.engine, 0) + placement.devices
            waiting = [read_run(workspace, name) for name in turns if name not in at_work]
            for record in sorted(
                waiting, key=lambda record: (turns[record.run_id].position, record.created_at, record.run_id)
            ):
                parents = {name: live[name].status if name in live else "missing" for name in record.parents}
                bad = [name for name, status in parents.items() if status in (*ENDED_BADLY, "missing")]
                if bad:
                    reason = f"waits for {bad[0]}, which is {parents[bad[0]]}: resume it first"
                    if live[record.run_id].reason != reason:
                        write_status(record.folder, "queued", reason=reason)
                    continue
                placement = turns[record.run_id].placement
                if placement.engine in away:
                    continue
                engine = ENGINES[placement.engine]()
                used = taken.get(placement.engine, 0)
                room = used == 0 or used + placement.devices <= engine.slots(workspace)
                if room and all(
                    status == "done" or (engine.chains and _in_same_queue(workspace.run(name), placement))
                    for name, status in parents.items()
                ):
                    try:
                        engine.submit(workspace, record, placement)
                    except Later as error:
                        away.add(placement.engine)
                        if live[record.run_id].reason != str(error):
                            write_status(record.folder, "queued", reason=str(error))
                        continue
                    except FairLabError as error:  # it is this run's own; the others go on
                        write_status(record.folder, "failed", reason=str(error))
                        live[record.run_id] = state(record.folder)
                        continue
                    started.append(record.run_id)
                    taken[placement.engine] = used + placement.devices
    except Timeout as error:
        raise FairLabError(
            f"another FairLab is busy starting runs in {workspace.home}; try again in a moment"
        ) from error
    return started


def _submitted(folder: Path) -> bool:
    """Does a run wait or work in another machine's queue?"""
    job = remote.read_job(folder)
    return job is not None and job.stand != remote.ENDED and read_status(folder).get("status") in ACTIVE


def _in_same_queue(folder: Path, placement: Placement) -> bool:
    """Does a run wait or work where `placement` would put another, so that that queue knows both?"""
    job = remote.read_job(folder)
    return (
        _submitted(folder)
        and job is not None
        and job.engine == placement.engine
        and read_turn(folder).placement.slurm.commands == placement.slurm.commands
    )


def poll(folders: Sequence[Path]) -> None:
    """Ask the other queues how those of these runs stand that are there."""
    asked: dict[str, list[Path]] = {}
    for folder in folders:
        job = remote.read_job(folder)
        if job is not None and _submitted(folder):
            asked.setdefault(job.engine, []).append(folder)
    for name, of_engine in asked.items():
        ENGINES[name]().poll(of_engine)


def _lock(workspace: Workspace) -> FileLock:
    return FileLock(workspace.home / "dispatch.lock", timeout=30)


def stop(workspace: Workspace, run_id: str, force: bool = False) -> None:
    """Ask a run to save and stop; with `force`, end its process now (its last checkpoint stays)."""
    record = read_run(workspace, run_id)
    with _lock(workspace):
        view = state(record.folder)
        if view.status == "queued" and not _submitted(record.folder):
            write_status(record.folder, "stopped", reason="stopped before it began")
        elif view.status in ACTIVE:
            (record.folder / "stop").touch()
            ENGINES[read_turn(record.folder).placement.engine]().cancel(record.folder, force)
        else:
            raise Refused(f"{run_id} is not running: it is {view.status}")


def resume(workspace: Workspace, run_id: str) -> None:
    """Queue a run again that stopped, failed or crashed; it goes on from its last checkpoint."""
    record = read_run(workspace, run_id)
    with _lock(workspace):
        view = state(record.folder)
        if view.status not in ENDED_BADLY:
            raise Refused(f"{run_id} cannot be resumed: it is {view.status}")
        _queue(record.folder)
    dispatch(workspace)


def delete(workspace: Workspace, run_id: str, force: bool = False) -> None:
    """Delete a run's folder, and the data set that it made. Refused while it runs, and while others build on it unless
    `force`.
    """
    record = read_run(workspace, run_id)
    with _lock(workspace):
        if _submitted(record.folder):
            raise Refused(f"{run_id} is in another machine's queue; stop it before you delete it")
        using = _borrowers(workspace, record.dataset) if record.role == "dataset" and record.dataset else []
        if using and not force:
            raise Refused(
                f"data set {using[0]} borrows its images from {record.dataset}"
                f"{f' and so do {len(using) - 1} more' if using[1:] else ''}; delete it first, or force it"
            )
        delete_run(workspace, run_id, force=force)
        if record.role == "dataset" and record.dataset:  # a mere look at data made none
            shutil.rmtree(workspace.dataset(record.dataset), ignore_errors=True)


def _borrowers(workspace: Workspace, dataset_id: str) -> list[str]:
    """Data sets that are made, by recipe, of this one's images."""
    found = []
    for path in workspace.datasets_folder.glob("*/dataset.json"):
        try:
            lenders = read_json(path).get("images_from", {}).get("parents", ())
            found += [path.parent.name for lender in lenders if lender["dataset"] == dataset_id]
        except (FairLabError, AttributeError, KeyError, TypeError):
            continue  # one damaged data set must not keep all others from being deleted
    return sorted(set(found))


def attempt_of(folder: Path) -> int:
    """Which attempt the next start of a run is, counted from 1."""
    return int(read_status(folder).get("attempt", 0)) + 1
