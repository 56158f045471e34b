"""The NVIDIA GPUs of this machine, found without torch, and which of them the next process gets."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

GIVEN = "FAIRLAB_GPUS"
"""All GPUs that runs may have, for a worker that itself sees only its own and starts the next run."""
SEEN = "CUDA_VISIBLE_DEVICES"
_LISTED = re.compile(r"^GPU (\d+): ", re.M)


def machine_gpus() -> tuple[str, ...]:
    """The GPUs that runs may have, as CUDA_VISIBLE_DEVICES names them; where that is set already, those in it."""
    for name in (GIVEN, SEEN):
        if name in os.environ:
            return tuple(part.strip() for part in os.environ[name].split(",") if part.strip() not in ("", "-1"))
    return _found()


@cache
def _found() -> tuple[str, ...]:
    program = shutil.which("nvidia-smi")
    if program is not None:
        try:
            told = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=20, check=True)
            return tuple(_LISTED.findall(told.stdout))
        except (OSError, subprocess.SubprocessError):
            pass  # a driver that does not answer: its files may still tell
    listed = Path("/proc/driver/nvidia/gpus")
    return tuple(map(str, range(len(list(listed.iterdir()))))) if listed.is_dir() else ()


def pick(known: Sequence[str], in_use: Iterable[str], count: int) -> tuple[str, ...]:
    """`count` of the known GPUs, those first that the fewest runs use; all when there are fewer."""
    users = Counter(in_use)
    chosen = sorted(known, key=lambda gpu: (users[gpu], known.index(gpu)))[:count]
    return tuple(sorted(chosen, key=known.index))


def environment(known: Sequence[str], own: Sequence[str]) -> Mapping[str, str]:
    """Variables of a process that gets the GPUs `own` of those known; none where there are none."""
    if not known:
        return {}
    # Numbers mean nvidia-smi's order; CUDA by itself puts the fastest first.
    return {SEEN: ",".join(own), GIVEN: ",".join(known), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
