"""Runs as jobs of a Slurm cluster, by sbatch, squeue, scontrol and scancel alone: no accounting, nothing to install.

App and nodes share the workspace's folder under one path. Slurm's queue is the queue: a run is handed over as soon as
its parents are done or there too, so a study goes on when no app looks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fairlab.errors import FairLabError
from fairlab.files import write_bytes
from fairlab.queue.engines import slurm_words as words
from fairlab.queue.engines.base import ENGINES, Later
from fairlab.queue.engines.slurm_commands import Rejected, call, partitions, require
from fairlab.queue.engines.slurm_script import FILE, job_script
from fairlab.settings.placement import Placement
from fairlab.settings.user import user_settings
from fairlab.store import remote
from fairlab.store.queue import read_turn
from fairlab.store.remote import ENDED, RUNNING, WAITING, Job, forget_job, read_job, write_job
from fairlab.store.runs import RunRecord, read_status, write_status
from fairlab.workspace import Workspace

EVERY_S, AWAY_S = 2.0, 15.0
"""Slurm is asked once in so many seconds for all runs, whoever looks; and so long after it did not answer."""
PATIENCE = 3
"""After a silence it is left alone for so many times as long: whoever waits for it keeps all others from the queue."""
LAG_S = 60.0
"""A job that ended well has said so; on a network file system its last word may be seen this much later."""
SLOTS = 10_000
FORMAT = "%i|%j|%T|%N|%r"
AT_ONCE = 500
"""Jobs that one command is given."""

_lock = threading.Lock()
_next_question: dict[tuple[str, ...], float] = {}
_away: dict[tuple[str, ...], tuple[float, str]] = {}
_ended_since: dict[tuple[Path, str], float] = {}


@dataclass(frozen=True)
class Row:
    """A job as squeue tells it."""

    job: str
    name: str
    state: str
    node: str
    reason: str


@ENGINES.register("slurm", sentence="on a Slurm cluster that shares the workspace's folder")
class SlurmEngine:
    """A job for each run; job.sbatch and log.txt lie in the run's folder."""

    chains = True

    def slots(self, workspace: Workspace) -> int:
        return SLOTS

    def submit(self, workspace: Workspace, record: RunRecord, placement: Placement) -> None:
        folder, slurm = record.folder, user_settings().slurm
        script = folder / FILE
        text = job_script(workspace, record, placement)
        if "\\" in str(folder):
            raise FairLabError(
                f"Slurm writes no log below a folder with a \\ in its name: {folder}; move the workspace"
            )
        for option in slurm.options:
            if not option.startswith("-") or not option.isprintable():
                raise FairLabError(f"slurm.options: {option[:60]!r} is not an option of sbatch: write --name=value")
        require(slurm.commands, "sbatch")
        until, why = _away.get(slurm.commands, (0.0, ""))
        if (began := time.monotonic()) < until:
            raise Later(why)
        handing_over = folder / "handing-over"  # left by an app that died between sbatch and its note
        try:
            unsure = handing_over.exists() or (folder / remote.FILE).exists()  # a note that cannot be read
            known = _forgotten(slurm.commands, record.run_id, script) if unsure else None
            if known is None:
                write_bytes(script, text.encode())
                handing_over.touch()
                places = (f"--chdir={folder}", f"--output={_log_path(folder)}", *_after(workspace, record))
                known = call(slurm.commands, "sbatch", "--parsable", *places, *slurm.options, str(script))
        except Later as error:
            why = f"Slurm accepts no jobs now ({error}); FairLab will try again"
            _silent(slurm.commands, began, why)
            raise Later(why) from error
        except Rejected as error:
            raise FairLabError(_refusal(placement, str(error))) from error
        known = known.strip().partition(";")[0]  # sbatch adds the cluster's name where there are several
        if not known.isdigit():
            raise FairLabError(f"sbatch should print the job number, but printed {known[:80]!r}")
        write_job(folder, Job("slurm", known, WAITING, words.waiting(known, "", "", "")))
        handing_over.unlink(missing_ok=True)

    def cancel(self, folders: Sequence[Path], force: bool) -> None:
        refused = []
        for commands, jobs in _by_commands(folders).items():
            names = [job.job for job in jobs.values() if job.stand != ENDED]
            try:
                for start in range(0, len(names), AT_ONCE):
                    _cancel(commands, names[start : start + AT_ONCE], force)
            except FairLabError as error:
                refused.append(f"{error}; the runs will stop by themselves once they see the request")
            with _lock:
                _next_question.pop(commands, None)
        self.poll(folders)
        if refused:
            raise FairLabError("; ".join(refused))

    def poll(self, folders: Sequence[Path]) -> None:
        for commands, jobs in _by_commands(folders).items():
            with _lock:
                if (began := time.monotonic()) < _next_question.get(commands, 0.0):
                    continue
                _next_question[commands] = began + EVERY_S
            try:
                rows = _ask(commands, [job.job for job in jobs.values()])
            except FairLabError as error:  # of the runs this says nothing: they stay as they were
                took = _silent(commands, began, f"Slurm does not answer ({error}); FairLab will ask again")
                _next_question[commands] = time.monotonic() + AWAY_S + PATIENCE * took
                for folder, job in jobs.items():
                    last = "it waited in the queue" if job.stand == WAITING else "it was running"
                    _note(folder, job, job.stand, f"Slurm does not answer ({error}); when it last did, {last}")
                continue
            for folder, job in jobs.items():
                row = rows.get(job.job)
                _follow(commands, folder, job, row if row is not None and row.name == folder.name else None)


def _silent(commands: tuple[str, ...], began: float, why: str) -> float:
    """Slurm gave no answer: hand nothing over for a while if that took long. Returns how long, in seconds."""
    took = time.monotonic() - began
    if took > 1:
        _away[commands] = (time.monotonic() + PATIENCE * took, why)
    return took


def _by_commands(folders: Sequence[Path]) -> dict[tuple[str, ...], dict[Path, Job]]:
    """The jobs of these runs by the way to their cluster; one whose place in the queue is damaged says so."""
    found: dict[tuple[str, ...], dict[Path, Job]] = {}
    for folder in folders:
        job = read_job(folder)
        if job is None:
            continue
        try:
            read_turn(folder)
            found.setdefault(user_settings().slurm.commands, {})[folder] = job
        except FairLabError as error:
            _note(folder, job, job.stand, f"its cluster cannot be asked: {error}")
    return found


def _cancel(commands: Sequence[str], jobs: Sequence[str], force: bool) -> None:
    if force:
        _try(commands, "scancel", "--signal=KILL", "--full", *jobs)  # at once, not after the site's KillWait
        call(commands, "scancel", *jobs)
    else:
        call(commands, "scancel", "--state=PENDING", *jobs)
        # INT, not TERM: this is a person's wish, also where the stop file is seen late. Slurm itself sends TERM.
        _try(commands, "scancel", "--signal=INT", *jobs)


def _log_path(folder: Path) -> str:
    """The log's path as sbatch takes it, which fills in what follows a %."""
    return str(folder / "log.txt").replace("%", "%%")


def _after(workspace: Workspace, record: RunRecord) -> list[str]:
    """sbatch's words for: only once these parents' jobs have ended well. A run that stopped or failed has not."""
    parents = [workspace.run(name) for name in record.parents]
    jobs = [read_job(folder) for folder in parents if read_status(folder).get("status") != "done"]
    return [f"--dependency=afterok:{':'.join(job.job for job in jobs if job is not None)}"] if any(jobs) else []


def _ask(commands: Sequence[str], jobs: Sequence[str]) -> dict[str, Row]:
    """What the cluster knows of these jobs; those that it has forgotten are missing."""
    try:
        told = call(commands, "squeue", "-h", "-t", "all", "-o", FORMAT, "-j", ",".join(jobs))
    except FairLabError as error:
        if "Invalid job id" in str(error):  # of a single job; among several it just leaves them out
            return {}
        raise
    rows = [Row(*line.split("|", 4)) for line in told.splitlines() if line.count("|") >= 4]
    return {row.job: row for row in rows}


def _follow(commands: Sequence[str], folder: Path, job: Job, row: Row | None) -> None:
    """Note what the cluster says of a run's job, or end the run where only the cluster knows how it ended."""
    said = read_status(folder)
    status, stopping = str(said.get("status", "")), (folder / "stop").exists()
    final = status not in ("queued", "running")
    if row is not None and row.reason == words.NEVER and not stopping:
        # A parent ended badly: back to our own queue, which says so.
        if words.stand(row.state) == WAITING:
            _try(commands, "scancel", job.job)
        forget_job(folder)
        return
    stand = ENDED if row is None else words.stand(row.state)
    if stand == WAITING and row is not None:
        if stopping:  # it was requeued before it saw that it is to stop
            _try(commands, "scancel", "--state=PENDING", job.job)
        _note(folder, job, WAITING, words.waiting(job.job, row.reason, status, str(said.get("reason", ""))))
    elif stand == RUNNING and row is not None:
        _note(folder, job, RUNNING, "", row.node)
    elif final:
        _note(folder, job, ENDED, "")
    elif row is not None and row.state == "COMPLETED" and _lags(folder, job.job):
        _note(folder, job, RUNNING, "its job has ended; its final status has not arrived in the shared folder yet")
    else:
        _end(commands, folder, job, row, stopping)


def _end(commands: Sequence[str], folder: Path, job: Job, row: Row | None, stopping: bool) -> None:
    """Of a run whose job ended although it never said how: what the cluster says."""
    if stopping:
        write_status(folder, "stopped", reason="stopped by the user; its last checkpoint, if it had one, stays")
        (folder / "stop").unlink(missing_ok=True)
        _note(folder, job, ENDED, "")
    elif row is not None and row.state == "CANCELLED":
        write_status(folder, "stopped", reason=f"job {job.job} was cancelled in Slurm; resume it: {words.GOES_ON}")
        _note(folder, job, ENDED, "")
    else:
        facts = _try(commands, "scontrol", "-o", "show", "job", job.job) if row is not None else ""
        _note(folder, job, ENDED, words.ended(job.job, row.state if row is not None else "", facts))


def _note(folder: Path, job: Job, stand: str, reason: str, node: str = "") -> None:
    after = replace(job, stand=stand, reason=reason, node=node or job.node)
    if after != job:
        write_job(folder, after)


def _lags(folder: Path, job: str) -> bool:
    return time.monotonic() - _ended_since.setdefault((folder, job), time.monotonic()) < LAG_S


def _try(commands: Sequence[str], *arguments: str) -> str:
    """What a command prints; "" when it is refused, e.g. because the job has just ended."""
    try:
        return call(commands, *arguments)
    except FairLabError:
        return ""


def _forgotten(commands: Sequence[str], run_id: str, script: Path) -> str | None:
    """The number of a living job of this very script."""
    for line in call(commands, "squeue", "-h", "-n", run_id, "-o", "%i|%o").splitlines():
        job, _, command = line.partition("|")
        if command == str(script):
            return job
    return None


def _refusal(placement: Placement, said: str) -> str:
    if "partition" in said.lower() and placement.slurm.partition:
        try:
            there = ", ".join(partitions(user_settings().slurm.commands))
        except FairLabError:
            there = ""
        if there and placement.slurm.partition not in there.split(", "):
            return f"slurm.partition: this cluster has no partition {placement.slurm.partition!r}; it has: {there}"
    return f"Slurm refused the job: {said}"
