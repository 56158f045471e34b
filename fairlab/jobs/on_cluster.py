"""What a worker does differently on a node of a cluster: checks that it may begin, makes way, starts nothing else.

It writes into run folders only: its own, and that of a model which it embeds or judges with. The rest is the app's, or
Slurm's, which holds back the runs that wait for this one.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

from fairlab import __version__
from fairlab.store.runs import RunRecord, read_status, write_status
from fairlab.workspace import Workspace

SIGNALS = (signal.SIGUSR1,) if hasattr(signal, "SIGUSR1") else ()
"""That Slurm announces a time limit with (the batch script asks it to)."""
LEFT = 3
"""Exit code of a run that stopped: runs that wait for it in the cluster's queue must not begin."""
SEEN_S = 60.0
"""On a network file system a node may see what another node wrote this much later."""
KEPT = ("checkpoints/step-*", "embeddings/*/*.parts/[0-9]*", "embeddings/*/*/manifest.json",
        "results/*/protocols/*.parts/*.counts", "results/*/manifest.json")  # fmt: skip
LOCK_S = 180.0
"""So long a file server keeps the lock of a node that died (NFS: a lease of 90 s)."""


def here() -> bool:
    """Is this process part of a job of a cluster?"""
    return os.environ.get("FAIRLAB_ENGINE") == "slurm"


def patience_s() -> float:
    """How long to wait for the run's lock."""
    return LOCK_S if here() else 0.0


def refusal(workspace: Workspace, record: RunRecord) -> str:
    """Why this node must not carry out the run, as a sentence; "" when it may."""
    if not here():
        return ""
    wanted = os.environ.get("FAIRLAB_VERSION", __version__)
    if wanted != __version__:
        return (
            f"node {platform.node()} has FairLab {__version__} ({sys.executable}) and the run was queued by FairLab "
            f"{wanted}: install the same on all nodes, or name its Python: `fairlab settings config --set slurm.python=PATH`"
        )
    end = time.monotonic() + SEEN_S
    for name in record.parents:
        while (status := read_status(workspace.run(name)).get("status", "missing")) != "done":
            if time.monotonic() > end:
                return f"{name}, which it builds on, is {status}, not done: resume it first"
            time.sleep(1)
    return ""


def saved(workspace: Workspace, record: RunRecord) -> frozenset[tuple[str, int]]:
    """What a run has kept so far, with the time: checkpoints, embeddings and counts and their parts.

    A run that embeds or judges another's model keeps what it makes in the folder of that one.
    """
    folders = [record.folder, *(workspace.run(name) for name in record.parents)]
    found = [
        path for folder in folders for pattern in KEPT for path in folder.glob(pattern) if ".tmp." not in path.name
    ]
    return frozenset((str(path), _time(path)) for path in found)


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0  # put together at this moment


def why_left(record: RunRecord, got: int, more: bool) -> tuple[str, str]:
    """Status and reason of a run that was asked to leave: by its user, before its time limit, or by Slurm for others.

    got: the signal, 0 for none; more: it has kept something since the worker began.
    """
    folder = record.folder
    if not here() or got in (0, signal.SIGINT) or (folder / "stop").exists():
        return "stopped", "stopped by the user"
    if got in SIGNALS:
        if not more:  # the next job would get exactly as far
            return "failed", "its time limit in Slurm ended it before it could save anything: raise slurm.time_limit"
        return "queued", "its Slurm time limit was near: it saved its state and continues from there"
    return "queued", "Slurm took its node: it saved its state and continues from there"


def requeue(folder: Path) -> None:
    """After status "queued": ask Slurm for the job again, unless it is being ended already and Slurm knows what follows."""
    job = os.environ.get("SLURM_JOB_ID", "")
    state = _slurm("squeue", "-h", "-j", job, "-o", "%T")
    if state not in (None, "", "RUNNING"):
        return
    print(f"[fairlab] asks Slurm to requeue job {job}", flush=True)
    if _slurm("scontrol", "requeue", job) is None:
        reason = f"{read_status(folder).get('reason', '')}; but Slurm did not requeue its job {job}: resume it"
        write_status(folder, "stopped", reason=reason)


def _slurm(*words: str) -> str | None:
    """What a command prints, or None when it is missing or fails."""
    try:
        told = subprocess.run(words, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if told.returncode != 0:
        print(f"[fairlab] {words[0]}: {told.stderr.strip()}", flush=True)
    return told.stdout.strip() if told.returncode == 0 else None
