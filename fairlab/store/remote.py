"""What another machine's queue last said of a run: runs/<run>/job.json, written by its engine when it asks there.

Of a process elsewhere neither number nor start time mean anything here, and its clock may differ from ours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from fairlab.errors import FairLabError
from fairlab.files import read_json, write_json

FILE = "job.json"
MOST_LETTERS = 10_000
WAITING, RUNNING, ENDED = "waiting", "running", "ended"


@dataclass(frozen=True)
class Job:
    """engine: who asked; job: its number there; stand: waiting, running or ended; reason: why, in words for people."""

    engine: str
    job: str
    stand: str = WAITING
    reason: str = ""
    node: str = ""


def read_job(folder: Path) -> Job | None:
    """The run's job, or None for a run of this machine. A damaged note is none: the engine asks by the run's name."""
    try:
        raw = read_json(folder / FILE) if (folder / FILE).exists() else None
        if raw is None or not all(isinstance(value, str) and len(value) <= MOST_LETTERS for value in raw.values()):
            return None
        return Job(**raw)
    except (FairLabError, TypeError):
        return None


def write_job(folder: Path, job: Job) -> None:
    """Note what the other queue said."""
    write_json(folder / FILE, asdict(job))


def forget_job(folder: Path) -> None:
    """Before a run is queued anew."""
    (folder / FILE).unlink(missing_ok=True)
