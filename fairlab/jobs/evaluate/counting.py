"""All comparisons counted by several processes, or by one that may be killed: shares, and what is kept of them.

An evaluation.shares.Sharing over files (store.count_parts): each process keeps what it has counted every half minute, and
at the end reads what the others have kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from fairlab.errors import FairLabError, Stopped
from fairlab.evaluation.all_pairs.shares import Counts, merged
from fairlab.files import read_json, write_json
from fairlab.jobs.embed.embedding import agreed
from fairlab.store.count_parts import CountParts
from fairlab.training.world import World

KEEP_S = 30.0
LOOK_S = 2.0
KEEPING = 0.05
"""The share of the time that keeping may take."""
SEEN_WITHIN_S = 90.0
"""A shared folder shows what another machine wrote a little later."""


class CountedTogether:
    """The sharing of all passes of one protocol; key: all that decides its numbers."""

    def __init__(self, folder: Path, key: str, world: World) -> None:
        self.parts, self.world = CountParts(folder, key), world
        self._fresh = True

    def begin(self, name: str, about: str, units: int) -> Sequence[int]:
        self.name, self.about, self.total = name, about, units
        todo = self.parts.folder / f"{name}.todo.json"
        if self.world.leads:  # one process decides what is to be done, so that no unit is counted twice or not at all
            if self._fresh:
                self.parts.prepare()
            counted = {unit for part, _ in self.parts.read(name, about) for unit in part}
            missing = [unit for unit in range(units) if unit not in counted]
            if self.world.size > 1:
                write_json(todo, missing)
        self.world.wait()
        if self.world.size > 1:
            missing = read_json(todo, list)
        self._fresh = False
        self._before = units - len(missing)
        self._own = missing[self.world.rank :: self.world.size]
        self._kept, self._took, self._saved = time.monotonic(), 0.0, 0
        self._looked, self._others = time.monotonic(), 0
        return self._own

    def elsewhere(self) -> int:
        if self.world.size > 1 and self.world.leads and time.monotonic() - self._looked > LOOK_S:
            counted = self.parts.units(self.name, self.about)
            self._others = max(len(counted - set(self._own)) - self._before, 0)
            self._looked = time.monotonic()
        return self._before + self._others

    def keep(self, units: Sequence[int], counts: Callable[[], Counts]) -> None:
        now = time.monotonic()
        if now - self._kept >= max(KEEP_S, self._took / KEEPING):
            self._save(units, counts)

    def end(self, stopped: bool, units: Sequence[int], counts: Callable[[], Counts]) -> Counts:
        in_files = self.world.size > 1 or self._before > 0 or self._saved > 0
        if in_files and len(units) > self._saved and not stopped:
            self._save(units, counts)
        if agreed(self.world, stopped):
            raise Stopped
        return merged(self._everything()) if in_files else counts()

    def _save(self, units: Sequence[int], counts: Callable[[], Counts]) -> None:
        started = time.monotonic()
        self.parts.save(self.name, self.about, units, counts())
        self._kept, self._saved = time.monotonic(), len(units)
        self._took = self._kept - started

    def _everything(self) -> list[Counts]:
        """What all have kept. Raises FairLabError when it does not become whole."""
        until = time.monotonic() + (SEEN_WITHIN_S if self.world.size > 1 else 0.0)
        while True:
            found = self.parts.read(self.name, self.about)
            if sum(len(units) for units, _ in found) == self.total:
                return [counts for _, counts in found]
            if time.monotonic() >= until:
                raise FairLabError(
                    f"{self.total - sum(len(units) for units, _ in found)} of {self.total} units of comparisons are "
                    f"missing from {self.parts.folder}: were they counted on another kind of device, or deleted? "
                    f"Resume to count them"
                )
            time.sleep(0.5)
