"""The process of one run: takes its lock, says that it lives, does the job of its role, and says how it ended."""

from __future__ import annotations

import faulthandler
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from fairlab.errors import FairLabError, Stopped
from fairlab.files import sweep
from fairlab.runs import jobs
from fairlab.runs.launch import attempt_of, dispatch
from fairlab.runs.loggers.base import followed
from fairlab.store.runs import (
    RunRecord,
    forget_process,
    read_run,
    read_status,
    record_process,
    state,
    write_heartbeat,
    write_status,
)
from fairlab.workspace import Workspace, now

ALREADY = 75
"""Exit code when another process has the run (EX_TEMPFAIL)."""
BEAT_S = 2.0


class Pulse:
    """What the run is doing now, written to heartbeat.json every two seconds by a thread."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stage, self.done, self.total, self.rate, self.unit = "starting", 0, 0, 0.0, ""
        self.base, self.share = 0.0, 1.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def begin(self, stage: str, base: float, share: float, unit: str = "images") -> None:
        """Enter a stage that covers `share` of the run's work, after `base` of it (fractions of 1)."""
        self.stage, self.base, self.share, self.unit = stage, base, share, unit
        self.done = self.total = 0
        self.rate = 0.0
        self._started = time.monotonic()

    def advance(self, done: int, total: int, rate: float = 0.0) -> None:
        """`done` of `total` pieces of the stage are finished, at `rate` units a second."""
        self.done, self.total, self.rate = done, total, rate

    def reading(self) -> dict[str, object]:
        """The heartbeat's content: overall progress 0..1, and seconds left of this stage from its own pace."""
        part = self.done / self.total if self.total else 0.0
        spent = time.monotonic() - getattr(self, "_started", time.monotonic())
        eta = spent * (1 - part) / part if part > 0 else None
        return {
            "time": now(),
            "stage": self.stage,
            "progress": self.base + self.share * part,
            "eta_s": eta,
            "rate": self.rate,
            "unit": self.unit,
            "done": self.done,
            "total": self.total,
        }

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            self.write()

    def write(self) -> None:
        try:
            write_heartbeat(self.folder, **self.reading())
        except FairLabError as error:  # a full disk is met, and told, by the job itself
            print(f"[fairlab] no heartbeat: {error}", flush=True)

    def __enter__(self) -> Pulse:
        self.write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=5)


class StopSwitch:
    """True once somebody asked to stop: by the run's stop file, SIGTERM or Ctrl-C."""

    def __init__(self, folder: Path) -> None:
        self.file, self.asked = folder / "stop", False

    def install(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True

    def __call__(self) -> bool:
        return self.asked or self.file.exists()


def work(workspace: Workspace, run_id: str) -> int:
    """Carry out a run in this process. Returns an exit code: 0 done or stopped, 1 failed, 75 already running."""
    record = read_run(workspace, run_id)
    lock = FileLock(record.folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        print(f"[fairlab] {run_id} is already running", flush=True)
        return ALREADY
    try:
        return _locked(workspace, record)
    finally:
        lock.release()
        forget_process(record.folder)
        try:
            dispatch(workspace)
        except FairLabError as error:
            print(f"[fairlab] could not start the next run: {error}", flush=True)


def _locked(workspace: Workspace, record: RunRecord) -> int:
    folder = record.folder
    if state(folder).status == "done":
        print(f"[fairlab] {record.run_id} is done already", flush=True)
        return 0
    faulthandler.enable()
    stop = StopSwitch(folder)
    stop.install()
    attempt = attempt_of(folder)
    record_process(folder)
    write_status(folder, "running", reason="", attempt=attempt, started_at=now())
    print(f"[fairlab] {now()} {record.run_id}: attempt {attempt}, {record.title}", flush=True)
    for part in (folder, folder / "checkpoints"):
        if part.is_dir():
            sweep(part)
    started = time.process_time()
    before = float(read_status(folder).get("train_s") or 0.0)
    try:
        with Pulse(folder) as pulse, followed(workspace, record, attempt):
            facts = jobs.carry_out(workspace, record, attempt, pulse, stop)
    except Stopped:
        return _end(folder, "stopped", "stopped by the user", started, before, {})
    except FairLabError as error:
        return _end(folder, "failed", str(error), started, before, {})
    except MemoryError:
        return _end(
            folder, "failed", "out of memory: lower training.batch_size or run fewer at once", started, before, {}
        )
    except Exception as error:
        traceback.print_exc()
        return _end(
            folder,
            "failed",
            f"unexpected {type(error).__name__}: {error} (the log has the details)",
            started,
            before,
            {},
        )
    return _end(folder, "done", "", started, before, facts)


def _end(folder: Path, status: str, reason: str, started: float, before: float, facts: dict[str, object]) -> int:
    spent = before + time.process_time() - started
    try:
        write_status(folder, status, reason=reason, finished_at=now(), train_s=spent, **facts)
        (folder / "stop").unlink(missing_ok=True)
    except FairLabError as error:
        print(f"[fairlab] could not record the end ({status}: {reason}): {error}", file=sys.stderr, flush=True)
        return 1
    print(f"[fairlab] {now()} {status}{': ' + reason if reason else ''} ({spent:.1f} CPU s)", flush=True)
    return 0 if status in ("done", "stopped") else 1
