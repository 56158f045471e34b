"""Run folders: the truth about every run. How a run stands is derived from its process, never believed.

run.json (what it is, never changed), status.json (what it last said), process.json (which process), heartbeat.json.
"""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.files import explain, read_json, remove_folder, there, write_json
from fairlab.settings.kept import checked, read_checked
from fairlab.settings.study import Run, parse
from fairlab.store import remote
from fairlab.store.records import HeartbeatFile, ProcessFile, RunFile, StatusFile, reason_of
from fairlab.workspace import Workspace, now

SPACES = ("teacher", "adaptor", "baseline", "student", "model")
"""Roles whose runs are models: they have embeddings and results."""
PROCESS_FILE, HEARTBEAT = "process.json", "heartbeat.json"
SEEN_S = 120.0
"""A sign of life from another machine is believed for so long: a shared folder shows it late, and clocks differ."""
CLOCK_SLACK_S = 1.0
"""Two readings of a process's start time may differ by this."""
CHOICE = ("held_out_identities", "chosen_pass", "chosen_on", "chosen_among", "chosen_accuracy")
"""What a run's status may say about the choice of its weights; "chosen_on" names the data: "validation", or a test set."""


@dataclass(frozen=True)
class RunRecord:
    """What a run is. Written once, before it starts."""

    run_id: str
    title: str
    role: str
    method: str
    preset: str
    study: str
    config: Run
    parents: tuple[str, ...]
    dataset: str
    seed: int
    created_at: str
    code_version: str
    folder: Path

    @property
    def elsewhere(self) -> bool:
        """Was this model trained elsewhere? Then it came from a file, and its seed and its costs are not known."""
        return self.role == "model" or self.config.model is not None


@dataclass(frozen=True)
class Live:
    """How a run stands now: queued, running, done, failed, stopped or crashed; progress 0..1, times in seconds."""

    status: str
    reason: str = ""
    stage: str = ""
    progress: float | None = None
    eta_s: float | None = None
    rate: float = 0.0
    unit: str = ""
    heartbeat_at: str = ""


def create_run(workspace: Workspace, record: RunRecord) -> None:
    """Write run.json unless the run exists already; the status is the caller's to write."""
    folder = workspace.run(record.run_id)
    if (folder / "run.json").exists():
        return
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise FairLabError(explain(error, folder)) from error
    facts = {name: value for name, value in vars(record).items() if name not in ("config", "folder", "parents")}
    # Every value is written, also a default, which a later version may have changed; what the role does not use is left out.
    config = {name: value for name, value in record.config.model_dump(mode="json").items() if value is not None}
    write_json(folder / "run.json", {**facts, "parents": list(record.parents), "config": config})


def read_run(workspace: Workspace, run_id: str) -> RunRecord:
    """The record of a run. Raises FairLabError when its folder is gone or its settings are not readable."""
    folder = workspace.run(run_id)
    if not there(folder / "run.json"):
        raise FairLabError(f"there is no run {run_id!r} in {workspace.home}; was its folder deleted?")
    path = folder / "run.json"
    raw = read_json(path)
    facts = checked(RunFile, raw, path)
    if facts.run_id != run_id:
        raise Damaged(f"{path} is the record of {facts.run_id!r}; was the folder renamed or copied?")
    if "config" not in raw:
        raise Damaged(f"{path} lacks 'config'; it was not written by this version of FairLab")
    try:
        config = parse(Run, raw["config"], f"{path}: config")
    except FairLabError as error:
        raise Damaged(str(error)) from error
    return RunRecord(config=config, folder=folder, **dict(facts))


def read_status(folder: Path) -> dict[str, Any]:
    """What the run last said of itself; {} when it never said anything."""
    path = folder / "status.json"
    if not there(path):
        return {}
    raw = read_json(path)
    return {**raw, **checked(StatusFile, raw, path).model_dump(mode="json", exclude_unset=True)}


def write_status(folder: Path, status: str, reason: str, **facts: Any) -> None:
    """Replace the status, keeping earlier facts that are not given anew. A deleted folder is not made again."""
    if not folder.is_dir():
        raise FairLabError(f"the run folder {folder} is gone; its status ({status}) could not be recorded")
    if "notes" in facts:
        facts["notes"] = [reason_of(str(note)) for note in facts["notes"]]
    said = {**_last_words(folder), "status": status, "reason": reason_of(reason), "updated_at": now(), **facts}
    write_json(folder / "status.json", said)


def _last_words(folder: Path) -> dict[str, Any]:
    """What the status said before; of a damaged one nothing, so that a run can always say how it ends."""
    try:
        return read_status(folder)
    except Damaged:
        return {}


def write_heartbeat(folder: Path, **facts: Any) -> None:
    """Say that the run lives and what it does: time, stage, progress, eta_s, rate, unit, done, total."""
    if folder.is_dir():
        write_json(folder / HEARTBEAT, facts)


@cache
def boot_id() -> str:
    """Names this start of the machine, so that a process id from before a reboot is not believed."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else str(int(psutil.boot_time()))


def record_process(folder: Path, pid: int | None = None) -> None:
    """Note which process has the run (default: this one)."""
    pid = pid or os.getpid()
    try:
        started = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return  # it ended before it could be noted; its status says how
    noted = {"pid": pid, "create_time": started, "ticks": _ticks(pid), "boot_id": boot_id(), "host": platform.node()}
    write_json(folder / PROCESS_FILE, noted)


def _ticks(pid: int) -> int | None:
    """When a process began, in ticks since the machine's start; None where the system does not say.

    Its time of day, which psutil tells, moves with every change of the clock: a living run would be taken for dead.
    """
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def _same_start(process: psutil.Process, noted: ProcessFile) -> bool:
    ticks = _ticks(process.pid)
    if ticks is not None and noted.ticks is not None:
        return ticks == noted.ticks
    return bool(abs(process.create_time() - noted.create_time) <= CLOCK_SLACK_S)


def forget_process(folder: Path) -> None:
    """The run's own process says that it is about to end, so that a resume need not wait until it is gone."""
    path = folder / PROCESS_FILE
    try:
        ours = path.exists() and read_checked(ProcessFile, path).pid == os.getpid()
    except Damaged:
        ours = True  # of nobody's use, and it would make a resume wait
    if ours:
        path.unlink(missing_ok=True)


def live_process(folder: Path) -> psutil.Process | None:
    """The run's process if it lives: same pid, same start time, same boot, not a zombie."""
    path = folder / PROCESS_FILE
    if not path.exists():
        return None
    try:
        noted = read_checked(ProcessFile, path)
    except FairLabError:
        return None  # damaged: nobody to believe in, and the run's lock still keeps a second worker out
    if noted.boot_id != boot_id():
        return None
    try:
        process = psutil.Process(noted.pid)
        return process if _same_start(process, noted) and process.status() != psutil.STATUS_ZOMBIE else None
    except (psutil.Error, OverflowError):
        return None


def state(folder: Path) -> Live:
    """How the run in `folder` stands, from its last word and whether its process lives.

    "running" without a living process is "crashed", and so is one that was started and died before it could say
    "running", or it would be started again for ever. Of a run on other machines its job there says whether it lives
    (store.remote). Raises FairLabError when the folder is gone or damaged.
    """
    if not there(folder / "run.json"):
        raise FairLabError(f"there is no run in {folder}; was its folder deleted?")
    said = read_status(folder)
    status, reason = str(said.get("status", "queued")), str(said.get("reason", ""))
    if status not in ("queued", "running"):
        return Live(status, reason, progress=1.0 if status == "done" else None)
    job = remote.read_job(folder)
    if job is not None and job.stand == remote.WAITING:
        return Live("queued", job.reason)
    if job is not None and job.stand == remote.ENDED:
        return Live("crashed", job.reason)
    if job is None and live_process(folder) is None:
        if status == "queued" and not (folder / PROCESS_FILE).exists():
            return Live("queued", reason)
        if read_status(folder) != said:  # it has said more before it ended
            return state(folder)
        if elsewhere := _works_on(folder):
            return _at_work(folder, f"runs on {elsewhere}, according to its last heartbeat")
        if status == "running":
            where = _last_stage(folder)
            return Live(
                "crashed", f"its process ended without a message{where}; resume continues from the last checkpoint"
            )
        return Live("crashed", "its process ended before it could begin; see its log, then resume it")
    return _at_work(folder, reason or (job.reason if job is not None else ""), status == "running")


def readable(folder: Path) -> bool:
    """Is there a run in `folder` that can be read now? One that cannot is named by every list, see storage.hidden."""
    try:
        state(folder)
    except FairLabError:
        return False
    return True


def _works_on(folder: Path) -> str:
    """Another machine, where the run's process lives: its last sign of life is there for us to see and not old; or ""."""
    try:
        host = read_checked(ProcessFile, folder / PROCESS_FILE).host if (folder / PROCESS_FILE).exists() else ""
        if host in ("", platform.node()):
            return ""
        return host if abs(time.time() - (folder / HEARTBEAT).stat().st_mtime) < SEEN_S else ""
    except (FairLabError, OSError):
        return ""


def _at_work(folder: Path, reason: str, says_more: bool = True) -> Live:
    beat = _heartbeat(folder) if says_more else HeartbeatFile()
    stage = beat.stage or "starting"
    return Live("running", reason, stage, beat.progress, beat.eta_s, beat.rate or 0.0, beat.unit, beat.time)


def _heartbeat(folder: Path) -> HeartbeatFile:
    try:
        return read_checked(HeartbeatFile, folder / HEARTBEAT)
    except FairLabError:
        return HeartbeatFile()  # none yet, or damaged: the next one comes in seconds


def _last_stage(folder: Path) -> str:
    stage = _heartbeat(folder).stage
    return f" while {stage}" if stage else ""


def builders(workspace: Workspace) -> dict[str, list[str]]:
    """Of every run that others build on, the ids of those; one look at all records."""
    found: dict[str, list[str]] = {}
    for path in sorted(workspace.runs_folder.glob("*/run.json")):
        try:
            raw = read_json(path)
        except FairLabError:
            continue  # one damaged run must not keep all others from being deleted
        parents = raw.get("parents")
        for parent in dict.fromkeys(map(str, parents if isinstance(parents, list) else ())):
            found.setdefault(parent, []).append(path.parent.name)
    return found


def children(workspace: Workspace, run_id: str) -> list[str]:
    """Ids of the runs that build on this one. Who asks of many takes builders() once."""
    return builders(workspace).get(run_id, [])


def _works(folder: Path) -> bool:
    try:
        return state(folder).status == "running"
    except Damaged:
        return live_process(folder) is not None


def delete_run(workspace: Workspace, run_id: str, force: bool = False) -> None:
    """Remove a run's folder. Refused while it runs, and while other runs build on it unless `force`."""
    folder = workspace.run(run_id)
    if not folder.is_dir():
        raise FairLabError(f"there is no run {run_id!r} in {workspace.home}; was its folder deleted?")
    if (folder / "run.json").exists() and _works(folder):
        raise Refused(f"{run_id} is running; stop it before you delete it")
    using = [] if force else children(workspace, run_id)  # a look at all records
    if using:
        raise Refused(
            f"{len(using)} runs build on {run_id}: {', '.join(using[:4])}{' ...' if len(using) > 4 else ''}; delete "
            f"them first, or use force"
        )
    remove_folder(folder, workspace.home)  # outside runs/, where nobody takes it for a run
