"""Is there room for a run? Memory of this machine, and the workspace's disk, as far as its need can be told before.

The best word is what runs of the same kind took when they ended: their peak memory in status.json, their checkpoints.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import psutil

from fairlab.errors import FairLabError
from fairlab.files import digest, read_json
from fairlab.machine.processes import family
from fairlab.registry import declared_facts
from fairlab.settings.placement import Placement
from fairlab.settings.study import Training
from fairlab.store.queue import read_turn
from fairlab.store.records import study_of
from fairlab.store.runs import RunRecord, live_process, read_run, read_status
from fairlab.workspace import Workspace

ROOM = "waits: needs"
"""How the sentences begin that say what there is too little of."""
BASE_MB = 700.0
"""Memory of a process that has loaded torch and trains a small network; what is taken before one has been measured."""
CHECKPOINTS = 3
"""Room for so many checkpoints must be free: two are kept, and a third is written before the older one goes."""
LEAST_DISK_MB = 20.0
"""What any run writes: its log, readings, embeddings of a small set."""


def free_memory_mb() -> float:
    """Memory that a new process could have without anything being swapped out."""
    return float(psutil.virtual_memory().available) / 1e6


def free_disk_mb(workspace: Workspace) -> float:
    """Free on the workspace's disk."""
    return shutil.disk_usage(workspace.home).free / 1e6


def peak_memory_mb() -> float:
    """The most memory that this process has had so far."""
    status = Path("/proc/self/status")  # getrusage would hand down the peak of the process that started this one
    if status.exists():
        line = next((line for line in status.read_text().splitlines() if line.startswith("VmHWM:")), None)
        if line is not None:
            return int(line.split()[1]) * 1024 / 1e6
    peak = getattr(psutil.Process().memory_info(), "peak_wset", None)  # Windows
    if peak is not None:
        return float(peak) / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def _kind_at(path: Path) -> str:
    """What decides a run's need, as a hash; "" where there is no record that can be read."""
    try:
        return _kind(path)
    except (FairLabError, KeyError, TypeError, AttributeError):
        return ""  # not kept: it may be written in a moment


@lru_cache(maxsize=20_000)
def _kind(path: Path) -> str:
    """A record never changes, so it is read once."""
    raw = read_json(path)
    config = raw["config"]
    wanted = [raw["role"], raw["method"], raw["dataset"], config.get("backbone"), config.get("adaptor")]
    return digest([*wanted, (config.get("training") or {}).get("batch_size"), len(raw["parents"])])


def _alike(workspace: Workspace, record: RunRecord) -> list[Path]:
    """The run itself, and the runs of its study of the same kind."""
    names: Iterable[str] = ()
    if record.study:
        try:
            names = study_of(workspace.study(record.study)).run_ids
        except FairLabError:
            names = ()  # the study was deleted
    kind = _kind_at(record.folder / "run.json")
    others = [workspace.run(name) for name in names if name != record.run_id]
    return [record.folder, *(folder for folder in others if kind and _kind_at(folder / "run.json") == kind)]


def memory_mb(workspace: Workspace, record: RunRecord, processes: int = 1) -> float:
    """Memory that a run will need, all its processes together."""
    told = [_said(folder).get("peak_rss_mb") for folder in _alike(workspace, record)]
    return max([float(peak) for peak in told if isinstance(peak, int | float)], default=BASE_MB) * processes


def checkpoint_mb(workspace: Workspace, record: RunRecord, people: int = 0) -> float:
    """Size of one checkpoint: as such runs have written it, else from the network's parameters, else as its parents'.

    people: the classifier's rows, where they are known before such a run has written them.
    """
    if record.config.training is None:
        return 0.0
    for folder in _alike(workspace, record):
        kept = sorted(path for path in folder.glob("checkpoints/step-*") if ".tmp." not in path.name)
        if kept:
            return _size_mb(kept[-1])
    backbone, bytes_each = record.config.backbone, 4 * copies(record.config.training)
    space = backbone or record.config.adaptor
    head = people * space.embedding_dim if space and record.config.loss else 0
    known = declared_facts("BACKBONES", "models")
    if backbone is not None and "parameters" in known.get(backbone.name, {}):
        return float(known[backbone.name]["parameters"] + head) * bytes_each / 1e6
    parents = max((2 * _size_mb(workspace.run(name) / "weights") for name in record.parents), default=0.0)
    return parents + head * bytes_each / 1e6


def copies(training: Training) -> int:
    """How many numbers a checkpoint holds for each of the network's: its weights, and what is kept of each."""
    return 2 + (training.optimiser == "adamw") + (training.ema_decay is not None)


def _size_mb(folder: Path) -> float:
    try:
        return sum(path.stat().st_size for path in folder.glob("*") if path.is_file()) / 1e6
    except OSError:
        return 0.0  # replaced at this moment


def _said(folder: Path) -> dict[str, Any]:
    try:
        return read_status(folder)
    except FairLabError:
        return {}


class Room:
    """What is free as runs are given it, in one look at the queue.

    A run that has just begun has not taken yet what it will need: that is kept for it.
    """

    def __init__(self, workspace: Workspace, at_work: Iterable[str]) -> None:
        """at_work: ids of the runs that work on this machine now."""
        self.workspace = workspace
        self.at_work = list(at_work)
        self.disk = free_disk_mb(workspace)
        self._memory: float | None = None
        self._needs: dict[tuple[str, ...], float] = {}

    def lacks_disk(self, record: RunRecord) -> str:
        """Why the disk is too full for a run, in words; "" when it is not."""
        checkpoint = self._need("disk", record, lambda: checkpoint_mb(self.workspace, record))
        need = max(CHECKPOINTS * checkpoint, LEAST_DISK_MB)
        if self.disk >= need:
            return ""
        return f"{ROOM} about {size(need)} of disk, {size(self.disk)} are free on that of {self.workspace.home}"

    def lacks_memory(self, record: RunRecord, placement: Placement) -> str:
        """Why this machine has too little memory for a run, in words; "" when it has enough."""
        need, free = self._memory_of(record, placement.devices), self._free()
        return "" if free >= need else f"{ROOM} about {size(need)} of memory, {size(max(free, 0.0))} are free"

    def take(self, record: RunRecord, placement: Placement) -> None:
        """Keep what a run will need that is about to start."""
        self.at_work.append(record.run_id)
        self._memory = self._free() - self._memory_of(record, placement.devices)

    def _memory_of(self, record: RunRecord, processes: int) -> float:
        return self._need("memory", record, lambda: memory_mb(self.workspace, record)) * processes

    def _need(self, what: str, record: RunRecord, ask: Callable[[], float]) -> float:
        """Looked up once for all runs of a study that are alike: there may be thousands of them."""
        kind = _kind_at(record.folder / "run.json")
        key = (what, record.study, kind) if record.study and kind else (what, record.run_id)
        if key not in self._needs:
            self._needs[key] = ask()
        return self._needs[key]

    def _free(self) -> float:
        if self._memory is None:
            self._memory = free_memory_mb() - sum(map(self._still_to_take, self.at_work))
        return self._memory

    def _still_to_take(self, run_id: str) -> float:
        folder = self.workspace.run(run_id)
        process = live_process(folder)
        if process is None:
            return 0.0
        try:
            several = {each for one in family(process) for each in (one, *one.children(recursive=True))}
            has = sum(each.memory_info().rss for each in several) / 1e6
            need = self._memory_of(read_run(self.workspace, run_id), read_turn(folder).placement.devices)
        except (psutil.Error, FairLabError):
            return 0.0  # it ended meanwhile, or cannot be read
        return max(need - has, 0.0)


def size(megabytes: float) -> str:
    """Megabytes in words: "1.2 GB", "350 MB"."""
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"
