"""The processes of a run on this machine: one, or several that torchrun has started."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil

TORCHRUN = "torch.distributed.run"


def family(process: psutil.Process) -> list[psutil.Process]:
    """All processes of a run, from its first one or from torchrun: who starts others first. Raises psutil.NoSuchProcess."""
    parent = process.parent()
    starter = process if _starts_others(process) else parent if parent and _starts_others(parent) else None
    return [process] if starter is None else [starter, *starter.children()]


def _starts_others(process: psutil.Process) -> bool:
    """Is this torchrun? Of a process that may not be looked at: no."""
    try:
        return TORCHRUN in process.cmdline()
    except psutil.AccessDenied:
        return False


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
