"""What an engine can do. The run folder alone says how a run stands; an engine only starts and signals."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from fairlab.errors import FairLabError
from fairlab.registry import Registry
from fairlab.settings.placement import Placement
from fairlab.store.runs import RunRecord
from fairlab.workspace import Workspace


class Later(FairLabError):
    """The run could not be taken now, but nothing is wrong with it: it stays queued and is offered again."""


class Engine(Protocol):
    """Starts a run's worker somewhere and can ask it to stop."""

    chains: bool
    """Does it take a run whose parents wait or work in its queue, and hold it back until they are done?"""

    def slots(self, workspace: Workspace) -> int:
        """How many processes of runs it may have at work, or in another queue, at the same time."""
        ...

    def submit(self, workspace: Workspace, record: RunRecord, placement: Placement) -> None:
        """Start `fairlab work RUN_ID` for a queued run; returns at once. Raises FairLabError when that is refused,
        Later when it may be taken in a while."""
        ...

    def cancel(self, folders: Sequence[Path], force: bool) -> None:
        """Hurry runs that have their stop files: a signal to save and end, or with `force` to end now."""
        ...

    def poll(self, folders: Sequence[Path]) -> None:
        """Note in store.remote how these runs of this engine stand; nothing to do for processes of this machine."""
        ...


ENGINES: Registry[type[Engine]] = Registry("engine", "fairlab.queue.engines")
"""Facts of a registration: sentence, what the engine is in words."""
