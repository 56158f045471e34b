"""Runs on this machine, as processes of their own that outlive the app, the terminal and the browser."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import psutil

from fairlab.errors import Damaged
from fairlab.gpus import environment as gpu_environment
from fairlab.gpus import machine_gpus, pick
from fairlab.placement_settings import Placement
from fairlab.runs.engines.base import ENGINES
from fairlab.store.queue import Turn, read_turn, write_turn
from fairlab.store.runs import PROCESS_FILE, RunRecord, live_process, record_process
from fairlab.workspace import Workspace


@ENGINES.register("local", sentence="on this machine, as processes that outlive the app")
class LocalEngine:
    """`python -m fairlab work RUN_ID` in a new session, output to the run's log.txt."""

    chains = False

    def slots(self, workspace: Workspace) -> int:
        return workspace.slots

    def submit(self, workspace: Workspace, record: RunRecord, placement: Placement) -> None:
        folder = record.folder
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        mine = _gpus(workspace, folder, placement.devices)
        environment = {**os.environ, **threads, **mine, "OMP_WAIT_POLICY": "passive", "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "fairlab", "--home", str(workspace.home), "work", record.run_id]
        with open(folder / "log.txt", "ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                cwd=folder,
            )
        record_process(folder, process.pid)

    def cancel(self, folder: Path, force: bool) -> None:
        process = live_process(folder)
        if process is None:
            return
        try:
            if not force:
                process.terminate()
            elif hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)  # the worker leads its own group: its helpers end too
            else:
                process.kill()
        except (psutil.NoSuchProcess, ProcessLookupError):
            pass  # it ended by itself meanwhile

    def poll(self, folders: Sequence[Path]) -> None:
        """Nothing: store.runs sees a process of this machine by itself."""


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
