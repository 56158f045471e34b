"""What an engine can do. The run folder alone says how a run stands; an engine only starts and signals."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from fairlab.registry import Registry
from fairlab.workspace import Workspace


class Engine(Protocol):
    """Starts a run's worker somewhere and can ask it to stop."""

    def submit(self, workspace: Workspace, run_id: str) -> None:
        """Start `fairlab work RUN_ID` for a queued run; returns at once."""
        ...

    def cancel(self, folder: Path, force: bool) -> None:
        """Hurry a run that has its stop file: a signal to save and end, or with `force` to end now."""
        ...


ENGINES: Registry[type[Engine]] = Registry("engine", "fairlab.runs.engines")
