"""Runs on this machine, as processes of their own that outlive the app, the terminal and the browser."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from fairlab.errors import Damaged
from fairlab.machine.gpus import environment as gpu_environment
from fairlab.machine.gpus import machine_gpus, pick
from fairlab.machine.processes import TORCHRUN, family
from fairlab.machine.temporaries import beside
from fairlab.queue.engines.base import ENGINES
from fairlab.settings.placement import Placement
from fairlab.store.queue import Turn, read_turn, write_turn
from fairlab.store.runs import PROCESS_FILE, SPACES, RunRecord, live_process, read_status, record_process, write_status
from fairlab.workspace import Workspace

GONE_S = 5.0
"""How long a process that was killed may take to be gone."""


@ENGINES.register("local", sentence="on this machine, as processes that outlive the app")
class LocalEngine:
    """`python -m fairlab work RUN_ID` in a new session, output to the run's log.txt.

    As several processes by torchrun. It gives each a session of its own, so that they outlive it when it is killed; the
    run is its first process, and stands as that one does (process.json).
    """

    chains = False

    def slots(self, workspace: Workspace) -> int:
        return workspace.slots

    def submit(self, workspace: Workspace, record: RunRecord, placement: Placement) -> None:
        folder = record.folder
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        mine = _gpus(workspace, folder, placement.devices)
        # A worker stands in the run's folder, which may come from somebody else: no module is imported from there.
        more = {"OMP_WAIT_POLICY": "passive", "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
        environment = {**os.environ, **threads, **mine, **more}
        command = ["-m", "fairlab", "--home", str(workspace.home), "work", record.run_id]
        if placement.devices > 1 and record.role in (*SPACES, "embedding", "evaluation"):
            scratch = beside(folder / "torchrun")
            options = ["--standalone", f"--nproc-per-node={placement.devices}", f"--log-dir={scratch}"]
            command = ["-m", TORCHRUN, *options, *command]
        with open(folder / "log.txt", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                cwd=folder,
            )
        record_process(folder, process.pid)
        threading.Thread(target=process.wait, daemon=True).start()  # or an app would collect the dead

    def cancel(self, folders: Sequence[Path], force: bool) -> None:
        for folder in folders:
            process = live_process(folder)
            if process is not None:
                with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile
                    _cancel(folder, process, force)

    def poll(self, folders: Sequence[Path]) -> None:
        """Nothing: store.runs sees a process of this machine by itself."""


def _cancel(folder: Path, process: psutil.Process, force: bool) -> None:
    if force:
        members = family(process)
        for one in members:
            _end_now(one)
        psutil.wait_procs(members, timeout=GONE_S)
        if live_process(folder) is None and read_status(folder).get("status") in ("queued", "running"):
            write_status(
                folder, "stopped", reason="ended at once by the user; its last checkpoint, if it had one, stays"
            )
            (folder / "stop").unlink(missing_ok=True)
    elif read_status(folder).get("status") == "running":  # before it says so it minds no signals yet, but the stop file
        process.terminate()


def _gpus(workspace: Workspace, folder: Path, count: int) -> Mapping[str, str]:
    """Give a run `count` GPUs that the fewest others use, by the notes of those that live; returns its variables."""
    known = machine_gpus()
    if not known:
        return {}
    others = [path.parent for path in workspace.runs_folder.glob(f"*/{PROCESS_FILE}") if live_process(path.parent)]
    own = pick(known, [gpu for other in others for gpu in _turn(other).gpus], count)
    write_turn(folder, replace(_turn(folder), gpus=own))
    return gpu_environment(known, own)


def _turn(folder: Path) -> Turn:
    try:
        return read_turn(folder)
    except Damaged:
        return Turn()


def _end_now(process: psutil.Process) -> None:
    try:
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)  # a worker leads its own group: its helpers end too
        else:
            process.kill()
    except (psutil.NoSuchProcess, ProcessLookupError):
        pass  # it ended by itself meanwhile
