"""Shares of all comparisons: units of work that anybody may count, and counts whose sums are those of the whole.

All counts are whole numbers, so it does not matter who counts what, in which order, and what is added to what first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from fairlab.errors import Stopped
from fairlab.evaluation.all_pairs.blocks import Block, Engine

UNIT = 1 << 28
"""Comparisons in a unit, to the next block: seconds on a processor."""

Counts = dict[str, np.ndarray]
"""Arrays of int64 by name."""
LIST = "_list"
"""How the names of arrays end that are lists (n, ...) of what was found: they are put behind each other, not added up."""


class Tally(Protocol):
    """Adds up what is counted in blocks."""

    def add(self, block: Block) -> None: ...

    def counts(self) -> Counts:
        """Everything so far; the arrays may be those that are counted on with."""
        ...


class Blocks(Protocol):
    """Everything that is to be compared (all_pairs.Arranged)."""

    @property
    def pairs(self) -> int: ...

    def units(self, rows: int, columns: int, chosen: Sequence[int]) -> Iterator[tuple[int, Iterator[Block]]]: ...


class Sharing(Protocol):
    """Who counts what in a pass over all comparisons, and what is kept of it."""

    def begin(self, name: str, about: str, units: int) -> Sequence[int]:
        """The units 0..units-1 of the pass that this process is to count, rising. about: all that its counts hang on."""
        ...

    def elsewhere(self) -> int:
        """Units that others have counted, or this run before it was cut short."""
        ...

    def keep(self, units: Sequence[int], counts: Callable[[], Counts]) -> None:
        """This process has counted `units` by now, counts() in all."""
        ...

    def end(self, stopped: bool, units: Sequence[int], counts: Callable[[], Counts]) -> Counts:
        """The sums of everybody's counts. Raises Stopped in all processes when one was stopped."""
        ...


class Alone:
    """One process counts everything and keeps nothing in between."""

    def begin(self, name: str, about: str, units: int) -> Sequence[int]:
        return range(units)

    def elsewhere(self) -> int:
        return 0

    def keep(self, units: Sequence[int], counts: Callable[[], Counts]) -> None: ...

    def end(self, stopped: bool, units: Sequence[int], counts: Callable[[], Counts]) -> Counts:
        if stopped:
            raise Stopped
        return counts()


ALONE = Alone()


def unit_count(pairs: int) -> int:
    """How many units so many comparisons make."""
    return -(-pairs // UNIT)


def merged(parts: Iterable[Counts]) -> Counts:
    """The sums of counts, and lists behind each other, in new arrays. Raises ValueError without any, or when they are not of one kind."""
    total: Counts = {}
    for number, part in enumerate(parts):
        if number and part.keys() != total.keys():
            raise ValueError(f"counts of {sorted(part)} cannot be added to counts of {sorted(total)}")
        for name, values in part.items():
            part_of = slice(1, None) if name.endswith(LIST) else slice(None)
            if values.dtype != np.int64 or (number and values.shape[part_of] != total[name].shape[part_of]):
                raise ValueError(f"{name}: {values.dtype} {values.shape} cannot be added up exactly")
            if number and name.endswith(LIST):
                total[name] = np.concatenate([total[name], values])
            else:
                total[name] = total[name] + values if number else values.copy()
    if not total:
        raise ValueError("there are no counts to add")
    return total


def tallied(
    name: str,
    about: str,
    blocks: Blocks,
    engine: Engine,
    tally: Tally,
    sharing: Sharing,
    progress: Callable[[int, int], None],
    stop: Callable[[], bool],
) -> Counts:
    """A pass over all comparisons by the engine's blocks: this process's share into `tally`, everybody's sums back.

    progress(pairs done, all pairs) and stop() at every block. Blocks of another size are other work: their scores may
    differ in the last bit. Raises Stopped.
    """
    about = f"{about} {type(engine).__name__} {engine.rows} {engine.columns} {UNIT}"
    todo = sharing.begin(name, about, unit_count(blocks.pairs))
    mine, stopped, finished = 0, False, list[int]()
    for unit, inside in blocks.units(engine.rows, engine.columns, todo):
        for block in inside:
            stopped = stop()
            if stopped:
                break
            tally.add(block)
            mine += block.pairs
            progress(min(sharing.elsewhere() * UNIT + mine, blocks.pairs), blocks.pairs)
        if stopped:
            break
        finished.append(unit)
        sharing.keep(finished, tally.counts)
    return sharing.end(stopped, finished, tally.counts)
