"""The hardest impostors of all comparisons: of every two groups the pairs that score highest, found while they are counted.

The first pass over all comparisons tells how high a score must be for no more than MOST pairs of two groups to reach it; the
second keeps the pairs that do. So memory is bounded, nothing is sorted, and who counts what changes nothing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from fairlab.evaluation.all_pairs.blocks import Block, Engine
from fairlab.evaluation.all_pairs.counts import AllPairs
from fairlab.tables import NUMBER, TEXT, WHOLE, Table

MOST, ALTOGETHER, FEWEST = 200, 100_000, 20
"""Pairs kept of two groups; fewer, but FEWEST at least, where the groups are so many that ALTOGETHER would be kept."""
HARDEST = Table(image_a=WHOLE, image_b=WHOLE, group_a=TEXT, group_b=TEXT, score=NUMBER)
"""A row is an impostor pair among the highest scores of its two groups; the highest come first."""


def most_of(groups: int) -> int:
    """Pairs that are kept of every two of so many groups."""
    return int(np.clip(ALTOGETHER // max(groups * (groups + 1) // 2, 1), FEWEST, MOST))


def least_scores(found: AllPairs, most: int) -> tuple[np.ndarray, np.ndarray]:
    """(least (G, G) float32, kept (G, G) int64), first group <= second: the lowest threshold of the grid that at most `most`
    impostors of the two groups reach, and how many do. Infinite where none does, also where more share the highest step.
    """
    groups = len(found.groups)
    least, kept = np.full((groups, groups), np.inf, np.float32), np.zeros((groups, groups), np.int64)
    for one in range(groups):
        for two in range(one, groups):
            reached = found.matches(found.impostors[one, two])
            at = int(np.searchsorted(-reached, -most))
            if at < len(reached) and reached[at]:
                least[one, two] = found.thresholds[at] if at else -np.inf
                kept[one, two] = reached[at]
    return least, kept


class Hardest:
    """Collects impostors that reach the least score (G, G) of their two groups."""

    def __init__(self, least: np.ndarray) -> None:
        self.least, self._found = least, [np.empty((0, 3), np.int64)]

    def add(self, engine: Engine, block: Block) -> None:
        """The block's, just after engine.errors(block)."""
        least = float(self.least[block.groups])
        if least == np.inf:
            return
        rows, columns, scores = engine.above(block, least)
        bits = scores.astype(np.float32).view(np.int32).astype(np.int64)
        self._found.append(np.column_stack([rows + block.top, columns + block.left, bits]).astype(np.int64))

    def found(self) -> np.ndarray:
        """(n, 3) int64: places of both rows among the sorted ones, and the bits of the score (float32)."""
        self._found = [np.concatenate(self._found)]
        return self._found[0]


def hardest_table(
    listed: np.ndarray, order: np.ndarray, group_of: np.ndarray, names: tuple[str, ...], ids: np.ndarray
) -> pd.DataFrame:
    """HARDEST of what Hardest found. order, group_of (M,): as of counts.Arranged; ids: image of each row of the vectors."""
    first, second = listed[:, 0], listed[:, 1]
    scores = listed[:, 2].astype(np.int32).view(np.float32).astype(np.float64)
    ordered = np.lexsort((second, first, -scores))
    first, second, scores = first[ordered], second[ordered], scores[ordered]
    groups = [np.array(names, dtype=object)[group_of[side]] for side in (first, second)]
    columns = (ids[order[first]], ids[order[second]], *groups, scores)
    return HARDEST.of(dict(zip(HARDEST, columns, strict=True)))
