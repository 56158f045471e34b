"""How far a job is: spans inside spans of its work, and what it does at the moment, as its heartbeat tells."""

from __future__ import annotations

import time

from fairlab.workspace import now


class Moment:
    """The stage that a job is in. All spans of the job write here; a thread of the worker reads."""

    def __init__(self) -> None:
        self.stage, self.unit = "starting", ""
        self.start, self.share = 0.0, 1.0
        self.done, self.total, self.rate = 0, 0, 0.0
        self._began = time.monotonic()

    def begin(self, stage: str, unit: str, start: float, share: float) -> None:
        """Enter a stage that covers `share` of the job's work from `start` on (fractions of 1)."""
        self.stage, self.unit, self.start, self.share = stage, unit, start, share
        self.done, self.total, self.rate = 0, 0, 0.0
        self._began = time.monotonic()

    def advance(self, done: int, total: int, rate: float = 0.0) -> None:
        """`done` of `total` pieces of the stage are finished, at `rate` units a second."""
        self.done, self.total, self.rate = done, total, rate

    def reading(self) -> dict[str, object]:
        """The heartbeat's content: overall progress 0..1, and seconds left of this stage from its own pace."""
        part = self.done / self.total if self.total else 0.0
        spent = time.monotonic() - self._began
        return {
            "time": now(),
            "stage": self.stage,
            "progress": min(1.0, self.start + self.share * part),  # sums of parts end a little above 1
            "eta_s": spent * (1 - part) / part if part > 0 else None,
            "rate": self.rate,
            "unit": self.unit,
            "done": self.done,
            "total": self.total,
        }


class Span:
    """A stretch of a job's work. Whoever gets one divides it as if it were the whole, in fractions of 1.

    A span that is not divided is one stage: `begin` enters it, `advance` says how far it is.
    """

    def __init__(self, moment: Moment | None = None, start: float = 0.0, share: float = 1.0) -> None:
        self.moment = moment or Moment()
        self.start, self.share = start, share
        self._taken = 0.0

    def between(self, start: float, end: float, stage: str = "", unit: str = "images") -> Span:
        """The span from `start` to `end` of this one; with a `stage` it is entered now."""
        inner = Span(self.moment, self.start + self.share * start, self.share * (end - start))
        if stage:
            inner.begin(stage, unit)
        return inner

    def part(self, share: float, stage: str = "", unit: str = "images") -> Span:
        """The next `share` of this span, after the parts that were taken before; with a `stage` it is entered now."""
        start, self._taken = self._taken, self._taken + share
        return self.between(start, self._taken, stage, unit)

    def begin(self, stage: str, unit: str = "images") -> None:
        """Enter this span as one stage; unit: what its rate counts."""
        self.moment.begin(stage, unit, self.start, self.share)

    def advance(self, done: int, total: int, rate: float = 0.0) -> None:
        """`done` of `total` pieces of the stage are finished, at `rate` units a second."""
        self.moment.advance(done, total, rate)
