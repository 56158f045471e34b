"""Start, stop, resume and delete runs, from page, command line and Python alike.

There is no scheduler process: dispatch() starts what may start, under a lock, and is called by every worker when
it ends, by the app while it looks, and by the command line. Nothing is lost when none of them is alive.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from fairlab.data.dataset import open_dataset
from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.files import explain, read_json, remove_folder, write_json
from fairlab.plan.choices import check
from fairlab.plan.plan import Plan
from fairlab.queue.engines.base import ENGINES, Later
from fairlab.queue.turns import ACTIVE, ENDED_BADLY, Waiting, look, submitted
from fairlab.registry import declared_facts
from fairlab.settings.placement import Placement, warn_once, without_programs
from fairlab.settings.study import changed, parse
from fairlab.store import remote
from fairlab.store.database import statuses
from fairlab.store.locks import Busy, no_starts
from fairlab.store.queue import Turn, read_turn, write_turn
from fairlab.store.runs import (
    PROCESS_FILE,
    Live,
    RunRecord,
    create_run,
    delete_run,
    read_run,
    read_status,
    state,
    write_status,
)
from fairlab.workspace import Workspace, now


def start(workspace: Workspace, plan: Plan, placement: Placement | None = None) -> list[str]:
    """Queue what is not done of `plan` and start what fits. Returns the ids that were queued by this call.

    placement: where they work; default: as the workspace says. Calling it twice starts nothing twice: the same settings
    are the same runs. Runs of the plan that had stopped, failed or crashed are resumed. Raises FairLabError for an
    engine that there is not, and when the disk is too full or not writable.
    """
    queued: list[str] = []
    turn = Turn(placement=placement or default_placement(workspace))
    check_engine(turn.placement)
    with no_starts(workspace):
        write_study(workspace, plan)
        for planned in plan.runs:
            record = planned.record
            known = (record.folder / "run.json").exists()
            status = state(record.folder).status if known else "new"
            if status in ("done", "running", "queued") and not _lost(workspace, record):
                continue
            enter(workspace, record, turn)
            queued.append(record.run_id)
    dispatch(workspace)
    return queued


def start_one(workspace: Workspace, record: RunRecord, anew: bool = False, placement: Placement | None = None) -> str:
    """Queue one run outside any study, unless it is done, queued or running; returns its id.

    anew: do it again although it is done, because what it looks at, or what it wrote elsewhere, may have changed since.
    placement: where; default: as the workspace says, but a look at files, which somebody waits for, on this machine.
    """
    if placement is None:
        placement = default_placement(workspace) if record.role in ("embedding", "evaluation") else Placement()
    with no_starts(workspace):
        known = (record.folder / "run.json").exists()
        if known and anew and state(record.folder).status not in ("running", "queued"):
            delete_run(workspace, record.run_id, force=True)
            known = False
        if not known or state(record.folder).status in ENDED_BADLY or _lost(workspace, record):
            enter(workspace, record, Turn(placement=placement))
    dispatch(workspace)
    return record.run_id


def _lost(workspace: Workspace, record: RunRecord) -> bool:
    """Is this run done and the data set that it made gone? It can be made again, bit for bit."""
    if record.role != "dataset" or not record.dataset or record.method == "inspect":
        return False
    return state(record.folder).status == "done" and not workspace.dataset(record.dataset).is_dir()


def enter(workspace: Workspace, record: RunRecord, turn: Turn) -> None:
    """Make a run and let it wait for its turn. Where it is to work comes first: a run of which this were not known would
    work on whatever machine looks next.
    """
    if not (record.folder / "run.json").exists():
        write_turn(record.folder, turn)
        create_run(workspace, record)
    enqueue(record.folder, turn)


def write_study(workspace: Workspace, plan: Plan) -> None:
    """Keep a plan as a study of the workspace: its settings and the names of its runs."""
    path = workspace.study(plan.study_id) / "study.json"
    before = read_json(path) if path.exists() else {}
    clones = before.get("clones", [])
    write_json(
        path,
        {
            "study_id": plan.study_id,
            "preset": plan.preset,
            "title": plan.study.title,
            "created_at": before.get("created_at") or now(),
            "config": plan.study.model_dump(mode="json"),
            "run_ids": [*(run.record.run_id for run in plan.runs), *clones],
            "clones": clones,
            "varied": {
                run.record.run_id: {"like": run.like, "values": dict(run.varied)} for run in plan.runs if run.varied
            },
        },
    )


def default_placement(workspace: Workspace) -> Placement:
    """Where runs work unless it is said otherwise."""
    where, ignored = without_programs(workspace.setting("placement", {}))
    warn_once(str(workspace.settings_file), ignored)
    return parse(Placement, where, str(workspace.settings_file))


def placement_of(workspace: Workspace, where: Placement | Mapping[str, Any] | None) -> Placement:
    """Where new work is to be done: a placement, or the workspace's default with dotted settings changed.

    Raises FairLabError for an engine or a setting that does not exist.
    """
    placement = where if isinstance(where, Placement) else changed(default_placement(workspace), where or {})
    check_engine(placement)
    return placement


def check_engine(placement: Placement) -> None:
    """Raise FairLabError, naming those that there are, for an engine that there is not."""
    check("engine", [placement.engine], declared_facts("ENGINES", "queue/engines"))


def set_default_placement(workspace: Workspace, placement: Placement) -> None:
    """Change where runs work that are queued from now on. Raises FairLabError for an engine that there is not."""
    check_engine(placement)
    workspace.set("placement", placement.model_dump(mode="json"))


def enqueue(folder: Path, turn: Turn | None = None) -> None:
    """Let a run wait for its turn; without `turn` as before."""
    for left in ("stop", PROCESS_FILE, remote.FILE):
        (folder / left).unlink(missing_ok=True)
    if turn is not None:
        write_turn(folder, turn)
    write_status(folder, "queued", reason="")


def dispatch(workspace: Workspace) -> list[str]:
    """Start queued runs whose turn it is (queue.turns), each by its engine. Returns the ids started.

    A run that cannot start without somebody's help stays queued and says why; resuming a parent is enough.
    """
    with no_starts(workspace):
        return _dispatch(workspace)


def dispatch_unless_busy(workspace: Workspace) -> list[str]:
    """For who looks again soon: as dispatch, but nothing where somebody else is starting or deleting just now."""
    try:
        with no_starts(workspace, patience_s=0):
            return _dispatch(workspace)
    except Busy:
        return []


def _dispatch(workspace: Workspace) -> list[str]:
    stand = statuses(workspace)
    active = [workspace.run(name) for name, status in stand.items() if status in ACTIVE]
    poll(active)
    live = {folder.name: _state(folder) for folder in active}
    stand |= {name: view.status for name, view in live.items()}
    started: list[str] = []
    away: set[str] = set()
    while True:
        waiting = [item for item in look(workspace, stand).waiting if item.record.run_id not in started]
        now_started = _start_those(workspace, waiting, live, stand, away)
        started += now_started
        if not now_started:
            return started  # a queue that took a run may now take those that build on it


def _start_those(
    workspace: Workspace, waiting: list[Waiting], live: Mapping[str, Live], stand: dict[str, str], away: set[str]
) -> list[str]:
    """Start those of the waiting runs that wait for nothing; returns their ids. away: engines not to be asked again."""
    started = []
    for item in waiting:
        folder, run_id, placement = item.record.folder, item.record.run_id, item.turn.placement
        if item.kind or placement.engine in away:
            noted = live[run_id].reason if placement.engine in away else item.noted
            if live[run_id].reason != noted:
                write_status(folder, "queued", reason=noted)
            continue
        try:
            if item.words:
                with open(folder / "log.txt", "a", encoding="utf-8") as log:
                    log.write(f"[fairlab] {now()} {item.words}\n")
            ENGINES[placement.engine]().submit(workspace, item.record, placement)
            started.append(run_id)
            stand[run_id] = _state(folder).status
        except Later as error:
            away.add(placement.engine)
            if live[run_id].reason != str(error):
                write_status(folder, "queued", reason=str(error))
        except FairLabError as error:  # refused there: said on the run, and no reason for the others to wait
            stand[run_id] = _failed(folder, str(error))
        except OSError as error:  # of the system; but tried again and again it would keep all others waiting
            stand[run_id] = _failed(folder, f"it could not be started: {explain(error, folder / 'log.txt')}")
    return started


def _failed(folder: Path, reason: str) -> str:
    with contextlib.suppress(FairLabError):  # its folder may be what is wrong
        write_status(folder, "failed", reason=reason)
    return "failed"


def _state(folder: Path) -> Live:
    """A run's state; one that cannot be read keeps none but its own dependants from starting."""
    try:
        return state(folder)
    except FairLabError as error:
        return Live("damaged", str(error))


def poll(folders: Sequence[Path]) -> None:
    """Ask the other queues how those of these runs stand that are there. One that cannot be asked hinders no other."""
    asked: dict[str, dict[Path, remote.Job]] = {}
    for folder in folders:
        job = remote.read_job(folder)
        if job is not None and job.stand != remote.ENDED and _state(folder).status in ACTIVE:
            asked.setdefault(job.engine, {})[folder] = job
    for name, jobs in asked.items():
        try:
            ENGINES[name]().poll(list(jobs))
        except FairLabError as error:
            for folder, job in jobs.items():
                remote.write_job(folder, replace(job, reason=f"its queue cannot be asked: {error}"))


def stop(workspace: Workspace, run_id: str, force: bool = False) -> None:
    """Ask a run to save and stop; with `force`, end its process now (its last checkpoint stays)."""
    if not stop_all(workspace, [run_id], force):
        raise Refused(f"{run_id} is not running: it is {state(workspace.run(run_id)).status}")


def stop_all(workspace: Workspace, run_ids: Sequence[str], force: bool = False) -> list[str]:
    """Stop those of these runs that wait or work; returns their ids. None takes the slot of another meanwhile."""
    records = [read_run(workspace, run_id) for run_id in run_ids]
    with no_starts(workspace):
        active = [record for record in records if state(record.folder).status in ACTIVE]
        asked: dict[str, list[Path]] = {}
        for record in active:
            if state(record.folder).status == "queued" and not submitted(workspace, record.run_id):
                write_status(record.folder, "stopped", reason="stopped before it began")
            else:
                (record.folder / "stop").touch()  # for all of them first: each run that sees its own ends by itself
                asked.setdefault(_engine(record.folder), []).append(record.folder)
        refused = []
        for name, folders in asked.items():
            try:
                ENGINES[name]().cancel(folders, force)
            except FairLabError as error:
                refused.append(str(error))
    if refused:
        raise FairLabError("; ".join(refused))
    return [record.run_id for record in active]


def _engine(folder: Path) -> str:
    """Where a run works, by its job's note if its place in the queue is damaged."""
    job = remote.read_job(folder)
    try:
        return read_turn(folder).placement.engine
    except FairLabError:
        return job.engine if job is not None else Placement().engine


def resume(workspace: Workspace, run_id: str, other_data: bool = False) -> None:
    """Queue a run again that stopped, failed or crashed; it continues from its last checkpoint.

    other_data: also where its data set is no longer the one it started with. Its checkpoints and its status say so for
    ever. Raises Refused for a run that is in no such state.
    """
    if not resume_all(workspace, [run_id], other_data):
        raise Refused(f"{run_id} cannot be resumed: it is {state(workspace.run(run_id)).status}")


def resume_all(workspace: Workspace, run_ids: Sequence[str], other_data: bool = False) -> list[str]:
    """Queue those of these runs again that stopped, failed or crashed; returns their ids."""
    records = [read_run(workspace, run_id) for run_id in run_ids]
    with no_starts(workspace):
        ended = [record for record in records if state(record.folder).status in ENDED_BADLY]
        for record in ended:
            enqueue(record.folder)
            if other_data:
                data = open_dataset(workspace.dataset(record.dataset))
                write_status(record.folder, "queued", reason="", accepted_data=data.fingerprint)
    dispatch(workspace)
    return [record.run_id for record in ended]


def delete(workspace: Workspace, run_id: str, force: bool = False) -> None:
    """Delete a run's folder, and the data set that it made. Refused while it runs, and while others build on it unless
    `force`.
    """
    try:
        record = read_run(workspace, run_id)
        made = record.dataset if record.role == "dataset" else ""  # a mere look at data made none
    except Damaged:
        made = ""  # what it was nobody can say; it can go all the same
    with no_starts(workspace):
        if submitted(workspace, run_id):
            raise Refused(f"{run_id} is in another machine's queue; stop it before you delete it")
        using = borrowers(workspace, made) if made else []
        if using and not force:
            raise Refused(
                f"data set {using[0]} borrows its images from {made}"
                f"{f' and so do {len(using) - 1} more' if using[1:] else ''}; delete it first, or use force"
            )
        delete_run(workspace, run_id, force=force)
        if made:
            remove_folder(workspace.dataset(made), workspace.home)


def borrowers(workspace: Workspace, dataset_id: str) -> list[str]:
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
