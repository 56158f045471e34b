"""What every function of a job is handed: the run, its data, its stretch of the progress, and whether to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from fairlab.data.dataset import Dataset
from fairlab.errors import Stopped
from fairlab.jobs.progress import Span
from fairlab.store.runs import RunRecord
from fairlab.training.world import ALONE, World
from fairlab.workspace import Workspace


def never() -> bool:
    """The stop of a job that nobody can stop."""
    return False


@dataclass(frozen=True)
class Job:
    """A run at work in this process, or a part of its work: parts differ in `progress` and in the data set."""

    workspace: Workspace
    record: RunRecord
    data: Dataset | None = None
    """The data set that is at hand; None for a job that has yet to make it, or needs none."""
    progress: Span = field(default_factory=Span)
    """The stretch of the run's work that this part covers."""
    stop: Callable[[], bool] = never
    """True once the user has asked to stop."""
    world: World = ALONE
    """The processes that do this job together; the first one leads."""
    attempt: int = 1

    @property
    def dataset(self) -> Dataset:
        """The data set at hand, for jobs that cannot do without one."""
        assert self.data is not None, f"{self.record.run_id} has no data set at hand"
        return self.data

    def on(self, dataset: Dataset) -> Job:
        """The same work on this data set."""
        return replace(self, data=dataset)

    def part(self, share: float) -> Job:
        """The work of the next `share` of the progress (progress.Span.part)."""
        return replace(self, progress=self.progress.part(share))

    def between(self, start: float, end: float) -> Job:
        """The work from `start` to `end` of the progress (progress.Span.between)."""
        return replace(self, progress=self.progress.between(start, end))

    def go_on(self) -> None:
        """Raise Stopped when the user has asked to stop."""
        if self.stop():
            raise Stopped

    @contextmanager
    def joined(self, device: str) -> Iterator[None]:
        """Inside, the processes of this job know each other; device: "cuda" or "cpu" (training.world.World.joined).

        Raises Stopped in all of them when one was asked to stop before.
        """
        with self.world.joined(device):
            if self.world.any(self.stop()):
                raise Stopped
            yield
