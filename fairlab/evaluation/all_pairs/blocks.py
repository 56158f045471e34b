"""A block of comparisons: the scores of some rows against some columns, counted by threshold or by two people.

What differs between machines is behind `Engine`: here numpy's matrix product with loops compiled by numba, or by numpy
alone where numba is absent; the counts are equal. Another engine keeps the vectors on a device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import numpy as np

STEPS = 20_000
"""Steps of the grid of thresholds from -1 to 1; it has one threshold more."""
SCALE = np.float32(STEPS / 2)
ROWS, COLUMNS = 512, 2048
"""A block's size: 4 MB of scores; small rows waste little below the diagonal, wide columns feed the matrix product."""


def bins(scores: np.ndarray) -> np.ndarray:
    """The last threshold of the grid that a score (float32) reaches, 0 to STEPS; every engine rounds as this does."""
    scaled = scores * SCALE
    scaled += SCALE
    np.clip(scaled, 0, STEPS, out=scaled)
    return scaled.astype(np.int32)


@cache
def grid() -> np.ndarray:
    """(STEPS + 1,) float32: the smallest score that `bins` puts at each step, so counts are exact there.

    About -1, -0.9999 ... 1, each off by less than 1.5e-7 (rounding in single precision). The first stands for every
    score, also those below -1 by rounding.
    """
    wanted = np.arange(1, STEPS + 1, dtype=np.int32)
    low, high = np.full(STEPS, -1.5, np.float32), np.full(STEPS, 1.5, np.float32)
    while True:  # bisection between neighbouring floats
        middle = ((low.astype(np.float64) + high) / 2).astype(np.float32)
        inside = (middle > low) & (middle < high)
        if not inside.any():
            return np.concatenate([np.array([-1], np.float32), high])
        reached = bins(middle) >= wanted
        high = np.where(inside & reached, middle, high)
        low = np.where(inside & ~reached, middle, low)


@dataclass(frozen=True)
class Block:
    """Where a block lies among the sorted rows: rows `top`..`bottom`, columns `left`..`right` of groups `groups`.

    Compared are only columns behind the row itself: of row r (counted from `top`) those from starts[r] to strangers[r]
    are its identity's, those from strangers[r] on are impostors (both counted from `left`).
    """

    top: int
    bottom: int
    left: int
    right: int
    groups: tuple[int, int]
    starts: np.ndarray
    strangers: np.ndarray

    @property
    def pairs(self) -> int:
        """Comparisons in the block."""
        return int((self.right - self.left) * len(self.starts) - self.starts.sum())

    @property
    def ragged(self) -> np.ndarray:
        """Rows (counted from `top`) that have columns which are no impostors."""
        return np.flatnonzero(self.strangers > 0)


class Engine(Protocol):
    """Computes blocks of the vectors that it was made with, and adds them up."""

    rows: int
    columns: int

    def count(self, block: Block) -> None:
        """Add the block's scores to the histograms."""

    def histograms(self) -> tuple[np.ndarray, np.ndarray]:
        """All that was counted: genuine (G, STEPS + 1) and impostors (G, G, STEPS + 1) int64, first group <= second."""

    def errors(
        self, block: Block, rows: np.ndarray, columns: np.ndarray, strict: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What matches in the block: (cells (K, A, B), genuine rows (P,), genuine scores (P,)).

        rows, columns: where each person's rows and columns begin in the block; strict (K,) rising thresholds. A cell
        counts the impostors of two people with score >= threshold; a genuine row is counted from `top`.
        """

    def above(self, block: Block, least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Impostors of the block with score >= least: (rows (P,) from `top`, columns (P,) from `left`, scores (P,) float32).

        Cheap where the block is the one that errors() has just been asked for.
        """


def empty_histograms(groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Of zeros; the half of the impostors that is never written takes no memory."""
    return np.zeros((groups, STEPS + 1), np.int64), np.zeros((groups, groups, STEPS + 1), np.int64)


class ArrayEngine:
    """On the processor. vectors (N, D) unit, memory-mapped or not; order (N,): their rows, sorted; `groups`: how many."""

    rows, columns = ROWS, COLUMNS

    def __init__(self, vectors: np.ndarray, order: np.ndarray, groups: int, compiled: bool = True) -> None:
        self.vectors, self.order = vectors, order
        self._genuine, self._impostors = empty_histograms(groups)
        self._loops = loops() if compiled else None
        self._scores = np.empty(self.rows * self.columns, np.float32)
        self._left = self._right = -1
        self._seen: tuple[Block | None, np.ndarray] = (None, self._scores)
        self._columns = np.empty((0, vectors.shape[1]), np.float32)

    def _block(self, block: Block) -> np.ndarray:
        """The scores (rows, columns) of a block, in memory that the next block overwrites."""
        self._seen = None, self._scores
        if block.right != self._right or block.left < self._left:  # taken once for all rows above them
            self._left, self._right = block.left, block.right
            self._columns = self._taken(block.left, block.right)
        columns = self._columns[block.left - self._left :]
        rows = self._taken(block.top, block.bottom)
        scores = self._scores[: len(rows) * len(columns)].reshape(len(rows), len(columns))
        return np.matmul(rows, columns.T, out=scores)

    def _taken(self, start: int, stop: int) -> np.ndarray:
        return np.asarray(self.vectors[self.order[start:stop]], dtype=np.float32)

    def count(self, block: Block) -> None:
        scores = self._block(block)
        genuine, impostors = self._genuine[block.groups[0]], self._impostors[block.groups]
        if self._loops is not None:
            self._loops.count(scores, block.starts, block.strangers, genuine, impostors)
        else:
            _count(scores, block, genuine, impostors)

    def histograms(self) -> tuple[np.ndarray, np.ndarray]:
        return self._genuine, self._impostors

    def errors(
        self, block: Block, rows: np.ndarray, columns: np.ndarray, strict: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        scores = self._block(block)
        genuine_rows, genuine_scores = genuine_of(scores, block)
        self._seen = block, scores  # of impostors they stay what they are
        cells = np.zeros((len(strict), len(rows), len(columns)), np.int32)
        if self._loops is not None:
            at_row, at_column = (
                np.repeat(np.arange(len(starts)), np.diff(np.append(starts, count)))
                for starts, count in ((rows, scores.shape[0]), (columns, scores.shape[1]))
            )
            self._loops.cells(scores, block.strangers, at_row, at_column, strict.astype(np.float32), cells)
        else:
            for row in block.ragged:
                scores[row, : block.strangers[row]] = -np.inf
            for number, threshold in enumerate(strict.astype(np.float32)):
                by_row = np.add.reduceat(scores >= threshold, rows, axis=0, dtype=np.int32)
                cells[number] = np.add.reduceat(by_row, columns, axis=1)
        return cells, genuine_rows, genuine_scores

    def above(self, block: Block, least: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        seen, scores = self._seen
        scores = scores if seen is block else self._block(block)
        rows, columns = np.divmod(np.flatnonzero(scores >= np.float32(least)), scores.shape[1])
        strange = columns >= block.strangers[rows]
        rows, columns = rows[strange], columns[strange]
        return rows, columns, scores[rows, columns]


def genuine_of(scores: np.ndarray, block: Block) -> tuple[np.ndarray, np.ndarray]:
    """(rows (P,), scores (P,)) of the block's genuine comparisons."""
    some = np.flatnonzero(block.strangers > block.starts)
    parts = [scores[row, block.starts[row] : block.strangers[row]] for row in some]
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.float32)
    return np.repeat(some, [len(part) for part in parts]), np.concatenate(parts)


def _count(scores: np.ndarray, block: Block, genuine: np.ndarray, impostors: np.ndarray) -> None:
    """The histograms by numpy alone."""
    at = bins(scores)
    genuine += np.bincount(bins(genuine_of(scores, block)[1]), minlength=STEPS + 1)
    for row in block.ragged:
        at[row, : block.strangers[row]] = STEPS + 1  # a place behind the last, not counted
    impostors += np.bincount(at.ravel(), minlength=STEPS + 2)[: STEPS + 1]


@dataclass(frozen=True)
class Loops:
    """The compiled functions, see `_count_loop` and `_cells_loop`."""

    count: Callable[..., None]
    cells: Callable[..., None]


@cache
def loops() -> Loops | None:
    """Compile (seconds, once) or load from numba's cache; None without numba."""
    try:
        import numba
    except ImportError:
        return None

    def compiled(function: Callable[..., None]) -> Any:
        try:
            return numba.njit(nogil=True, cache=True)(function)
        except RuntimeError:  # no writable place for the cache
            return numba.njit(nogil=True)(function)

    return Loops(compiled(_count_loop), compiled(_cells_loop))


def _count_loop(scores: Any, starts: Any, strangers: Any, genuine: Any, impostors: Any) -> None:
    """Four histograms in turn: two neighbouring scores in one bin would wait for each other."""
    columns, last = scores.shape[1], len(impostors) - 1
    parts = np.zeros((4, len(impostors)), np.int32)
    for row in range(scores.shape[0]):
        for column in range(starts[row], strangers[row]):
            genuine[min(max(int(scores[row, column] * SCALE + SCALE), 0), last)] += 1
        column = strangers[row]
        while column + 4 <= columns:
            for part in range(4):
                at = int(scores[row, column + part] * SCALE + SCALE)
                parts[part, min(max(at, 0), last)] += 1
            column += 4
        while column < columns:
            parts[0, min(max(int(scores[row, column] * SCALE + SCALE), 0), last)] += 1
            column += 1
    for at in range(last + 1):
        impostors[at] += parts[0, at] + parts[1, at] + parts[2, at] + parts[3, at]


def _cells_loop(scores: Any, strangers: Any, at_row: Any, at_column: Any, strict: Any, cells: Any) -> None:
    """Impostors of every two people that reach each of the rising thresholds."""
    for row in range(scores.shape[0]):
        for column in range(strangers[row], scores.shape[1]):
            score = scores[row, column]
            for number in range(len(strict)):
                if score < strict[number]:
                    break
                cells[number, at_row[row], at_column[column]] += 1
