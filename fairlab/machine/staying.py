"""A process keeps writing where it began: a workspace that is moved or deleted meanwhile is not made anew at its old place.

The folders are held open, so the system keeps their numbers (also on a network file system) and may say where they are now.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fairlab.errors import FairLabError


class Moved(FairLabError):
    """The workspace is no longer where this process began to work in it."""


@dataclass(frozen=True)
class _Held:
    folder: Path
    handle: int | None
    device: int
    number: int

    def moved(self) -> bool:
        """Is another folder, or none, at its place? A storage that does not answer says nothing about that."""
        try:
            return self._is_other(self.folder)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False

    def _is_other(self, place: Path) -> bool:
        facts = os.stat(place)
        return (facts.st_dev, facts.st_ino) != (self.device, self.number)

    def now_at(self) -> Path | None:
        """Where the folder is now, as the system says; None where it cannot say, or the folder has been deleted."""
        if self.handle is None:
            return None
        with suppress(OSError, ValueError):
            place = Path(os.readlink(f"/proc/self/fd/{self.handle}"))
            if not self._is_other(place):
                return place
        return None


_held: list[_Held] = []


@contextmanager
def held(*folders: Path) -> Iterator[None]:
    """While the body runs, nothing is written below these folders once they have been moved or deleted."""
    found = [_hold(folder) for folder in folders]
    _held.extend(found)
    try:
        yield
    finally:
        for each in found:
            _held.remove(each)
            if each.handle is not None:
                os.close(each.handle)


def _hold(folder: Path) -> _Held:
    handle = None
    if os.name != "nt":
        with suppress(OSError):
            handle = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    facts = os.stat(folder if handle is None else handle)
    return _Held(folder.absolute(), handle, facts.st_dev, facts.st_ino)


def moved() -> bool:
    """Has one of the folders been moved or deleted?"""
    return any(each.moved() for each in _held)


def check(path: Path | None = None) -> None:
    """Before anything is written at `path` (anywhere): raise Moved where that would be at the old place of a moved folder."""
    for each in _held:
        near = path is None or path.is_relative_to(each.folder)
        if near and each.moved():
            raise Moved(
                f"the workspace was moved: {each.folder} is no longer the folder in which this run started; resume it"
            )


def now_at(folder: Path) -> Path | None:
    """Where a held folder is now: its own place while it has not been moved, None where nobody can say."""
    for each in _held:
        if each.folder == folder.absolute():
            return each.now_at() if each.moved() else folder
    return folder
