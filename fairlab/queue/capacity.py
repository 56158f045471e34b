"""Is there room for a run? Memory of this machine, and the workspace's disk, as far as its need can be told before.

The best word is what runs of the same kind took when they ended: their peak memory in status.json, their checkpoints.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable

import psutil

from fairlab.errors import FairLabError
from fairlab.machine.processes import family
from fairlab.plan.needs import CHECKPOINTS, LEAST_DISK_MB, checkpoint_mb, kind_at, memory_mb
from fairlab.settings.placement import Placement
from fairlab.store.queue import read_turn
from fairlab.store.runs import RunRecord, live_process, read_run
from fairlab.workspace import Workspace

ROOM = "waits: needs"
"""How the sentences begin that say what there is too little of."""


def free_memory_mb() -> float:
    """Memory that a new process could have without anything being swapped out."""
    return float(psutil.virtual_memory().available) / 1e6


def free_disk_mb(workspace: Workspace) -> float:
    """Free on the workspace's disk."""
    return shutil.disk_usage(workspace.home).free / 1e6


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
        return f"{ROOM} about {size(need)} of disk, {size(self.disk)} are free on the disk of {self.workspace.home}"

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
        kind = kind_at(record.folder / "run.json")
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
