"""The process of one run: takes its lock, says that it lives, does the job of its role, and says how it ended.

Where several processes share a run, that is the first of them; the others compute along and write nothing.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from fairlab.errors import FairLabError, Stopped
from fairlab.files import is_disk_full
from fairlab.jobs import on_cluster, roles
from fairlab.jobs.job import Job
from fairlab.jobs.loggers.base import followed
from fairlab.jobs.progress import Moment
from fairlab.jobs.telling import tell_of_run
from fairlab.machine import staying
from fairlab.machine.processes import peak_memory_mb
from fairlab.machine.temporaries import sweep
from fairlab.queue.launch import attempt_of, dispatch
from fairlab.store.locks import CUT_SHORT, cut_short
from fairlab.store.runs import (
    HEARTBEAT,
    RunRecord,
    forget_process,
    read_run,
    read_status,
    record_process,
    state,
    write_heartbeat,
    write_status,
)
from fairlab.training.world import from_environment, leave_environment
from fairlab.workspace import Workspace, now

ALREADY = 75
"""Exit code when another process has the run (EX_TEMPFAIL)."""
BEAT_S = 2.0
GRACE_S = 10.0
"""A process that shares a run may take so long to end after the run has."""


class Heartbeat:
    """The thread that writes what the job does to heartbeat.json, every two seconds."""

    def __init__(self, folder: Path, moment: Moment) -> None:
        self.folder, self.moment = folder, moment
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            self.write()

    def write(self) -> None:
        try:
            write_heartbeat(self.folder, **self.moment.reading())
        except FairLabError as error:  # a full disk is met, and told, by the job itself
            _say(f"no heartbeat: {error}")

    def __enter__(self) -> Heartbeat:
        self.write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=5)


class StopSwitch:
    """True once somebody asked to stop: by the run's stop file, SIGTERM or Ctrl-C."""

    def __init__(self, folder: Path) -> None:
        self.file, self.asked, self.signal = folder / "stop", False, 0

    def install(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, *(on_cluster.SIGNALS if on_cluster.here() else ())):
            signal.signal(number, self._ask)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self.asked, self.signal = True, self.signal or number

    def __call__(self) -> bool:
        """Raises Moved: where the run's folder was, no checkpoint is to be saved."""
        staying.check()
        return self.asked or self.file.exists()


def work(workspace: Workspace, run_id: str) -> int:
    """Carry out a run in this process. Returns an exit code: 0 done or stopped, 1 failed, 75 already running.

    On a cluster a run that was not finished ends with on_cluster.LEFT, or runs that wait for it there would begin.
    """
    record = read_run(workspace, run_id)
    with staying.held(workspace.home, record.folder):
        return _lead(workspace, record) if from_environment().leads else follow(workspace, record)


def _lead(workspace: Workspace, record: RunRecord) -> int:
    lock = FileLock(record.folder / "lock", timeout=on_cluster.patience_s())
    try:
        lock.acquire()
    except Timeout:
        print(f"[fairlab] {record.run_id} is already running", flush=True)
        return ALREADY
    try:
        return _locked(workspace, record)
    finally:
        lock.release()
        forget_process(record.folder)
        leave_environment()  # the runs that are started now have worlds of their own
        for left in record.folder.glob("torchrun.tmp.*"):  # empty folders for logs, which torchrun leaves behind
            shutil.rmtree(left, ignore_errors=True)
        if not on_cluster.here():
            _start_next(workspace)
        for fault in tell_of_run(workspace, record.run_id):
            _say(f"{fault}; the run is not affected")


def _start_next(workspace: Workspace) -> None:
    try:
        dispatch(workspace)
    except FairLabError as error:
        _say(f"could not start the next run: {error}")


def follow(workspace: Workspace, record: RunRecord) -> int:
    """Compute along in a process that is not the run's first. Returns an exit code: 0 done or stopped, 1 failed."""
    faulthandler.enable()
    stop = StopSwitch(record.folder)
    stop.install()
    if state(record.folder).status == "done":
        return 0
    if cut_short(workspace):
        print(f"[fairlab] {CUT_SHORT}, then resume", flush=True)
        return 1
    threading.Thread(target=_end_with, args=(record.folder, read_status(record.folder)), daemon=True).start()
    world = from_environment()
    try:
        roles.carry_out(Job(workspace, record, stop=stop, world=world, attempt=attempt_of(record.folder)))
    except Stopped:
        return 0
    except FairLabError as error:
        print(f"[fairlab] process {world.rank}: {error}", flush=True)
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def _end_with(folder: Path, before: dict[str, object]) -> None:
    """End this process soon after the run's first one has said how the run ended, whatever it waits for."""
    while True:
        time.sleep(BEAT_S)
        try:
            said = read_status(folder)
        except FairLabError:
            said = before  # a shared folder may be away for a moment
        if staying.moved():
            time.sleep(GRACE_S)
            os._exit(1)
        if said != before and said.get("status") in ("done", "failed", "stopped"):
            time.sleep(GRACE_S)
            os._exit(1)


def _locked(workspace: Workspace, record: RunRecord) -> int:
    folder = record.folder
    if state(folder).status == "done":
        print(f"[fairlab] {record.run_id} is done already", flush=True)
        return 0
    faulthandler.enable()
    stop = StopSwitch(folder)
    stop.install()
    attempt = attempt_of(folder)
    refusal = f"{CUT_SHORT}, then resume" if cut_short(workspace) else on_cluster.refusal(workspace, record)
    if refusal:
        return _end(folder, "failed", refusal, Spent(folder))
    for part in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        sweep(part)
    spent = Spent(folder)
    saved = on_cluster.saved(workspace, record)
    job = Job(workspace, record, stop=stop, world=from_environment(), attempt=attempt)
    try:
        record_process(folder)
        write_status(folder, "running", reason="", attempt=attempt, started_at=now())
        print(f"[fairlab] {now()} {record.run_id}: attempt {attempt}, {record.title}", flush=True)
        with Heartbeat(folder, job.progress.moment), followed(workspace, record, attempt):
            facts = roles.carry_out(job)
    except Stopped:
        status, reason = on_cluster.why_left(record, stop.signal, bool(on_cluster.saved(workspace, record) - saved))
        code = _end(folder, status, reason, spent)
        if status == "queued":
            on_cluster.requeue(folder)
        return on_cluster.LEFT if on_cluster.here() else code
    except Exception as error:
        status, reason = _trouble(error, job.progress.moment.stage)
        code = _end(folder, status, reason, spent)
        return on_cluster.LEFT if on_cluster.here() and status == "stopped" else code
    return _end(folder, "done", "", spent, facts)


def _trouble(error: Exception, stage: str) -> tuple[str, str]:
    """How a run ends that met this error: (status, reason), a sentence with what to change."""
    if staying.moved():  # whatever failed first
        return "stopped", "the workspace was moved while it worked; resume it"
    if is_disk_full(error):
        words = str(error).removeprefix("the disk is full: ")
        return "stopped", f"paused: disk full: {words}"
    if isinstance(error, FairLabError):
        return "failed", str(error)
    with contextlib.suppress(OSError):
        traceback.print_exc()
    if _is_memory(error):
        return "failed", (
            f"out of memory while {stage}: resume it with fewer runs at a time (Settings), or clone it with a lower "
            "training.batch_size; training.accumulate keeps the size of the step"
        )
    return "failed", f"unexpected {type(error).__name__}: {error} (the log has the details)"


def _is_memory(error: Exception) -> bool:
    """Python's own, torch's on a GPU, and torch's on the processor, which only its text tells from other errors."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or "DefaultCPUAllocator" in str(error)


class Spent:
    """The seconds of CPU that a run has taken: in this process from now on, and in earlier attempts."""

    def __init__(self, folder: Path) -> None:
        self._before = float(read_status(folder).get("train_s") or 0.0) - time.process_time()

    def seconds(self) -> float:
        return self._before + time.process_time()


def _end(folder: Path, status: str, reason: str, spent: Spent, facts: Mapping[str, object] | None = None) -> int:
    """Write how the run ended, with the facts of its job; returns the exit code."""
    train_s = spent.seconds()
    place = staying.now_at(folder)
    if place is None:
        _say(f"{now()} {status}: {reason or 'the workspace was moved'}; {folder} is gone, so no file says so")
        return 1
    folder = place
    try:
        if status == "stopped":
            (folder / HEARTBEAT).unlink(missing_ok=True)  # nobody needs it any more, and a full disk its room
        peak = round(peak_memory_mb(), 1)
        facts = {"train_s": train_s, "peak_rss_mb": peak, **(facts or {})}
        write_status(folder, status, reason=reason, finished_at=now(), **facts)
        (folder / "stop").unlink(missing_ok=True)
    except (FairLabError, OSError) as error:
        _say(f"could not record the end ({status}: {reason}): {error}")
        return 1
    _say(f"{now()} {status}{': ' + reason if reason else ''} ({train_s:.1f} CPU s)")
    return 0 if status in ("done", "stopped") else 1


def leave(code: int) -> None:
    """Before this process ends with `code`: a signal that is still on its way changes that no more, and where a thread
    still waits for a disk that does not answer, for which Python would wait, it ends at once.
    """
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
        *on_cluster.SIGNALS,
    ):  # Python restores handlers of its own at its end
        signal.signal(number, signal.SIG_IGN)
    if any(thread is not threading.main_thread() and not thread.daemon for thread in threading.enumerate()):
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        os._exit(code)


def _say(text: str) -> None:
    """Into the log, if the disk has room for it."""
    with contextlib.suppress(OSError):
        print(f"[fairlab] {text}", flush=True)
