"""Names of temporary files and folders, and whose they are: of a process that lives, of a dead one, or of another machine.

A workspace may be used by several machines or containers at once. Numbers of processes mean nothing elsewhere, so the name
says where its process runs, and what was begun elsewhere counts as left behind only when nothing has changed in it for long.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

QUIET_S = 24 * 3600.0
"""What another machine began and has not touched for so long is left behind."""
_MARK = re.compile(r"\.tmp\.(?:\d+\.)?(?:(h[0-9a-f]{8})\.)?(\d+)$")
OUTSIDE = "outside"


@cache
def here() -> str:
    """Names this start of this machine, and this container on it: where the numbers of processes mean the same."""
    facts = [platform.node()]
    for path, look in (("/proc/sys/kernel/random/boot_id", Path.read_text), ("/proc/self/ns/pid", os.readlink)):
        with suppress(OSError):
            facts.append(str(look(Path(path))).strip())
    return "h" + hashlib.sha256("|".join(facts).encode()).hexdigest()[:8]


def mark() -> str:
    """The end of a temporary's name: ".tmp.", the thread (threads share a number), the place and the process."""
    return f".tmp.{threading.get_ident()}.{here()}.{os.getpid()}"


def beside(path: Path) -> Path:
    """A temporary of this thread beside `path`."""
    return path.with_name(f"{path.name}{mark()}")


def temporary(name: str) -> bool:
    """Is this the name of a temporary, of anybody?"""
    return _MARK.search(name) is not None


def left_behind(name: str, changed_at: float | None = None) -> bool:
    """Is this the name of a temporary whose process is dead? changed_at: when it was last written to, where that is known.

    Without that, what another machine began counts as being written.
    """
    import psutil

    found = _MARK.search(name)
    if found is None:
        return False
    if found[1] in (None, here()):
        return not psutil.pid_exists(int(found[2]))
    return changed_at is not None and abs(time.time() - changed_at) > QUIET_S


def is_left_behind(path: Path) -> bool:
    """The same of a file or folder that is there."""
    return left_behind(path.name) or (_MARK.search(path.name) is not None and left_behind(path.name, _changed(path)))


def _changed(path: Path) -> float:
    """When anything in it was last written; now, when that cannot be said."""
    times = [0.0]
    try:
        for item in (path, *(path.rglob("*") if path.is_dir() else ())):
            times.append(item.lstat().st_mtime)
    except OSError:
        return time.time()
    return max(times)


def sweep(folder: Path) -> int:
    """Remove temporary files and folders that dead processes left in `folder`; return how many."""
    removed = 0
    for path in folder.glob("*.tmp.*"):
        if is_left_behind(path):
            remove(path)
            removed += 1
    return removed


def remove(path: Path) -> None:
    """Remove a temporary; of a note about one outside the workspace, that one too."""
    if path.name.startswith(f"{OUTSIDE}.tmp."):
        _remove_outside(path)
    with suppress(OSError):
        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)


def note_outside(home: Path, temporary: Path) -> Path:
    """Note in the workspace that `temporary` is being written elsewhere, so that a later sweep of `home` finds it."""
    note = home / f"{OUTSIDE}{mark()}"
    note.write_bytes(os.fsencode(temporary))
    return note


def _remove_outside(note: Path) -> None:
    """Only what bears the very mark of the note is removed: a workspace from elsewhere can name nothing else."""
    with suppress(OSError, ValueError):
        named = Path(os.fsdecode(note.read_bytes()[:4096]))
        if named.name.endswith(note.name.removeprefix(OUTSIDE)) and named.is_file() and not named.is_symlink():
            named.unlink()


def foreign(home: Path) -> Iterator[Path]:
    """Temporaries below `home` that another machine may be writing now."""
    for path in sorted(home.rglob("*.tmp.*")):
        found = _MARK.search(path.name)
        if found is not None and found[1] not in (None, here()) and not is_left_behind(path):
            yield path
