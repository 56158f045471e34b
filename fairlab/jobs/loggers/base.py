"""Telling others of a run's readings. The run never waits for them: they read what it has written, in a thread.

events.jsonl is the queue: whoever is slow or away for a while goes on where they were. Adding one: a file here with a
class registered in LOGGERS under the name of its switch in settings.loggers.Loggers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from fairlab.errors import FairLabError, Stopped
from fairlab.registry import Registry, declared
from fairlab.settings.loggers import Loggers, without_server
from fairlab.settings.study import parse
from fairlab.store.events import read_new
from fairlab.store.runs import SPACES, RunRecord
from fairlab.workspace import Workspace

LOOK_S = 2.0
AGAIN_S = 30.0
"""Until a logger that failed is asked again."""
END_S = 10.0
"""How long a run that has ended waits for its loggers, all together."""


class Logger(Protocol):
    """Made, and called, in a thread of the run's process; whatever it raises is said once and tried again."""

    offset: int
    """Byte of events.jsonl from which on it wants to know."""

    def __init__(self, record: RunRecord, attempt: int, settings: Loggers) -> None: ...

    def write(self, lines: Sequence[dict[str, Any]], offset: int) -> None:
        """Readings as store.events has them, up to byte `offset`; none must be lost, one may come twice."""
        ...

    def end(self, status: str) -> None:
        """The run is done, stopped or failed; its numbers are stored."""
        ...


LOGGERS: Registry[type[Logger]] = Registry("logger", "fairlab.jobs.loggers")


def settings_of(workspace: Workspace) -> Loggers:
    """What the workspace asks for."""
    return parse(Loggers, without_server(workspace.setting("loggers", {}))[0], str(workspace.settings_file))


def set_loggers(workspace: Workspace, settings: Loggers) -> None:
    """Change it, for the runs that start from now on."""
    workspace.set("loggers", settings.model_dump(mode="json"))


@contextmanager
def followed(workspace: Workspace, record: RunRecord, attempt: int) -> Iterator[None]:
    """While the body works, tell the loggers that the workspace asks for of a model's readings; at the end of its numbers.

    Without one nothing is loaded and no thread started.
    """
    settings = settings_of(workspace)
    names = [name for name in declared("LOGGERS", "jobs/loggers") if getattr(settings, name)]
    if not names or record.role not in SPACES:
        yield
        return
    followers = [_Follower(name, record, attempt, settings) for name in names]
    status = "failed"
    try:
        yield
        status = "done"
    except Stopped:
        status = "stopped"
        raise
    finally:
        until = time.monotonic() + END_S
        for follower in followers:
            follower.end(status)
        for follower in followers:
            follower.join(max(until - time.monotonic(), 0))


class _Follower(threading.Thread):
    """One logger at work. A daemon: a server that does not answer cannot keep the run's process alive."""

    def __init__(self, name: str, record: RunRecord, attempt: int, settings: Loggers) -> None:
        super().__init__(name=f"logger {name}", daemon=True)
        self.kind, self.record, self.attempt, self.settings = name, record, attempt, settings
        self.logger: Logger | None = None
        self.status = ""
        self._ended, self._said = threading.Event(), False
        self.start()

    def end(self, status: str) -> None:
        self.status = status
        self._ended.set()

    def run(self) -> None:
        while True:
            last = self._ended.wait(LOOK_S)
            try:
                self._tell(last)
            except Exception as error:  # whatever a server or somebody's package comes up with: the run goes on
                self._say(error)
                if not last:
                    self._ended.wait(AGAIN_S)
                    continue
            if last:
                return

    def _tell(self, last: bool) -> None:
        if self.logger is None:
            self.logger = LOGGERS[self.kind](self.record, self.attempt, self.settings)
        lines, offset = read_new(self.record.folder, self.logger.offset)
        if lines:
            self.logger.write(lines, offset)
        self.logger.offset = offset
        if last:
            self.logger.end(self.status)

    def _say(self, error: Exception) -> None:
        if not self._said:
            self._said = True
            text = str(error) if isinstance(error, FairLabError) else f"{type(error).__name__}: {str(error)[:160]}"
            print(f"[fairlab] {self.kind} does not record this run: {text}; the run continues", flush=True)
