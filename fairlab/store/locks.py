"""A while in which nobody else starts a run or changes the queue: for launch, and for what changes what runs build on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from fairlab.errors import FairLabError
from fairlab.machine.staying import check
from fairlab.workspace import Workspace

WAIT_S = 30
DELETION = ("forgetting", "ready.json")
"""Below the workspace: there while a deletion of people (storage.people.forget) moves files. In between they do not fit each other."""
CUT_SHORT = "a deletion of people was interrupted: finish it with `fairlab storage forget`"


class Busy(FairLabError):
    """Somebody else changes the queue now."""


@contextmanager
def no_starts(workspace: Workspace, patience_s: float = WAIT_S) -> Iterator[None]:
    """Of all processes on this workspace one is inside. Raises Busy when somebody else has it for longer."""
    check(workspace.home)  # a lock makes its folder
    lock = FileLock(workspace.home / "dispatch.lock", timeout=patience_s)
    try:
        lock.acquire()
    except Timeout as error:
        raise Busy(f"another FairLab is busy in {workspace.home}; try again in a moment") from error
    try:
        yield
    finally:
        lock.release()


def cut_short(workspace: Workspace) -> bool:
    """Has a deletion of people begun to move files and not ended? Then nothing may work on the data."""
    return workspace.home.joinpath(*DELETION).exists()
