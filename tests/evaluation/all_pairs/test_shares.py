"""Counts of shares add up to those of the whole, to the bit, however the work is split and the sums are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import pytest

from fairlab.errors import Stopped
from fairlab.evaluation.all_pairs import shares
from fairlab.evaluation.all_pairs.blocks import ArrayEngine, Engine
from fairlab.evaluation.all_pairs.counts import AllPairs, Arranged, arrange, count_all
from fairlab.evaluation.all_pairs.intervals import Redrawn, redraw, weighed
from fairlab.evaluation.all_pairs.shares import Counts, merged
from fairlab.training.device_blocks import DeviceEngine

Make = Callable[[np.ndarray, Arranged], Engine]
ROWS, COLUMNS = 5, 9


def on_processor(vectors: np.ndarray, arranged: Arranged) -> Engine:
    return ArrayEngine(vectors, arranged.order, len(arranged.groups))


def on_device(vectors: np.ndarray, arranged: Arranged) -> Engine:
    return DeviceEngine(vectors, arranged.order, len(arranged.groups), "cpu")


class One(shares.Alone):
    """One of several: its units, and what it counted."""

    def __init__(self, units: Sequence[int]) -> None:
        self.units = sorted(units)

    def begin(self, name: str, about: str, units: int) -> Sequence[int]:
        return self.units

    def end(self, stopped: bool, units: Sequence[int], counts: Callable[[], Counts]) -> Counts:
        assert list(units) == self.units
        self.found = {name: values.copy() for name, values in counts().items()}
        return self.found


class Given(shares.Alone):
    """Nothing to be counted: the sums are known."""

    def __init__(self, known: Counts) -> None:
        self.known = known

    def begin(self, name: str, about: str, units: int) -> Sequence[int]:
        return ()

    def end(self, stopped: bool, units: Sequence[int], counts: Callable[[], Counts]) -> Counts:
        return self.known


def faces(seed: int) -> tuple[np.ndarray, Arranged]:
    """Any unit vectors, so that the last digit of a score would differ in other blocks; people of 1 to 6 images."""
    random = np.random.default_rng(seed)
    people = random.integers(0, 24, 90)
    vectors = random.normal(size=(24, 20))[people] + 0.8 * random.normal(size=(90, 20))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32), arrange(np.array(["x", "y", "z"])[people % 3], people)


@pytest.mark.parametrize("make", [on_processor, on_device])
@pytest.mark.parametrize("unit", [37, 400, 10**6])
def test_any_split_merged_in_any_order_is_the_whole(make: Make, unit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both passes: scores per group and across groups, errors, misses, and the redrawn people's; three splits each."""
    monkeypatch.setattr(shares, "UNIT", unit)
    vectors, arranged = faces(unit)
    thresholds, own = np.array([0.3, 0.1, 0.5]), np.array([[0.2, 0.6, np.nan]] * 3)

    def engine() -> Engine:
        made = make(vectors, arranged)
        made.rows, made.columns = ROWS, COLUMNS
        return made

    def first(sharing: shares.Sharing) -> AllPairs:
        return count_all(vectors, arranged, engine(), sharing=sharing)

    def second(sharing: shares.Sharing) -> Redrawn:
        least = np.full((3, 3), 0.5, np.float32)
        return redraw(vectors, arranged, thresholds, own, 30, 5, engine(), sharing=sharing, least=least)

    whole, redrawn = first(shares.ALONE), second(shares.ALONE)
    assert redrawn.false_matches.sum() > 100
    assert redrawn.misses.sum() > 10
    assert len(redrawn.hardest) > 10
    units = shares.unit_count(arranged.pairs)
    random = np.random.default_rng(unit)
    for parts in (1, 2, 5):
        owner = random.integers(parts, size=units)
        split = [One(np.flatnonzero(owner == part).tolist()) for part in range(parts)]
        for one in split:
            with suppress(AssertionError):  # that it is not all of it
                first(one)
        found = first(Given(_in_any_order([one.found for one in split], random)))
        assert np.array_equal(found.genuine, whole.genuine)
        assert np.array_equal(found.impostors, whole.impostors)
        for one in split:
            second(one)
        again = second(Given(_in_any_order([one.found for one in split], random)))
        for name in ("false_matches", "misses", "fmr", "fnmr", "hardest"):
            assert getattr(again, name).tobytes() == getattr(redrawn, name).tobytes(), name


def _in_any_order(parts: list[Counts], random: np.random.Generator) -> Counts:
    """Added up two at a time, whichever come first."""
    waiting = list(parts)
    while len(waiting) > 1:
        one, other = (waiting.pop(random.integers(len(waiting))) for _ in range(2))
        waiting.append(merged([one, other]))
    return waiting[0]


@pytest.mark.parametrize("unit", [1, 29, 5000])
def test_the_units_hold_every_comparison_once(unit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "UNIT", unit)
    _, arranged = faces(1)
    count = len(arranged.order)
    seen = np.zeros((count, count), int)
    numbers = range(shares.unit_count(arranged.pairs))
    found = []
    for number, blocks in arranged.units(ROWS, COLUMNS, numbers):
        found.append(number)
        for block in blocks:
            for row, start in zip(range(block.top, block.bottom), block.starts, strict=True):
                seen[row, block.left + start : block.right] += 1
    assert found == list(numbers)
    assert np.array_equal(seen, np.triu(np.ones((count, count), int), 1))


def test_weighing_is_exact_beyond_single_precision() -> None:
    """Sums above 2^24, where single precision skips odd numbers, against whole numbers throughout."""
    random = np.random.default_rng(0)
    table = random.integers(0, 40_000, (700, 40)).astype(np.int32)
    rows, columns = (random.integers(0, 9, (count, 25)).astype(np.uint8) for count in table.shape)
    exact = np.einsum("ab,ad,bd->d", table.astype(np.int64), rows.astype(np.int64), columns.astype(np.int64))
    assert weighed(table, rows, columns).tolist() == exact.tolist()
    few = np.where(random.random(table.shape) < 0.03, table, 0)
    exact = np.einsum("ab,ad,bd->d", few.astype(np.int64), rows.astype(np.int64), columns.astype(np.int64))
    assert weighed(few, rows, columns).tolist() == exact.tolist()


def test_what_cannot_be_added_exactly_is_refused() -> None:
    whole = {"genuine": np.ones(3, np.int64)}
    for other in ({"misses": np.ones(3, np.int64)}, {"genuine": np.ones(4, np.int64)}, {"genuine": np.ones(3)}):
        with pytest.raises(ValueError, match="added"):
            merged([whole, other])
    with pytest.raises(ValueError, match="no counts"):
        merged([])
    assert merged([whole, {"genuine": np.arange(3)}, whole])["genuine"].tolist() == [2, 3, 4]
    assert whole["genuine"].tolist() == [1, 1, 1]


def test_blocks_of_another_size_are_other_work() -> None:
    """What a kept count says of itself differs with the engine's blocks and kind."""
    vectors, arranged = faces(2)
    told: list[str] = []

    class Told(shares.Alone):
        def begin(self, name: str, about: str, units: int) -> Sequence[int]:
            told.append(about)
            raise Stopped

    for make in (on_processor, on_device):
        for rows in (5, 6):
            engine = make(vectors, arranged)
            engine.rows = rows
            with suppress(Stopped):
                count_all(vectors, arranged, engine, sharing=Told())
    assert len(set(told)) == 4
