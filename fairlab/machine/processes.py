"""The processes of a run on this machine: one, or several that torchrun has started."""

from __future__ import annotations

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
