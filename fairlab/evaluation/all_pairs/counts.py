"""Every image against every other: exact numbers of genuine and impostor comparisons at 20,001 thresholds.

N images make N(N-1)/2 comparisons; they are computed in blocks and counted at once, so memory does not grow with them.
Genuine: two images of one person. Impostors are kept apart by the groups of the two people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError
from fairlab.evaluation.all_pairs import shares
from fairlab.evaluation.all_pairs.blocks import ArrayEngine, Block, Engine, grid

MakeEngine = Callable[[np.ndarray, np.ndarray, int], Engine]
"""Of vectors (N, D), the order of their rows (M,) and the number of groups."""
Corners = tuple[int, int, int, int, tuple[int, int]]
"""Of a block: top, bottom, left, right, groups."""
UNIT_WITHIN = 1e-3
CHECKED = 4096
"""Rows looked at together."""


@dataclass(frozen=True)
class Arranged:
    """The rows to compare, sorted by group and then person: order (M,) rows of the vectors.

    group_of, person_of (M,) codes of the sorted rows; names of both; left_out: images left out of each person whose
    images are in two groups.
    """

    order: np.ndarray
    group_of: np.ndarray
    person_of: np.ndarray
    groups: tuple[str, ...]
    people: np.ndarray
    left_out: dict[str, int]

    @cached_property
    def ends(self) -> np.ndarray:
        """(M,) of every sorted row: where its person's rows end."""
        return np.searchsorted(self.person_of, self.person_of, side="right")

    @cached_property
    def edges(self) -> np.ndarray:
        """(G + 1,) where each group's rows begin, and the end."""
        return np.searchsorted(self.group_of, np.arange(len(self.groups) + 1))

    @cached_property
    def first_person(self) -> np.ndarray:
        """(G + 1,) codes of the groups' first people, and how many there are."""
        return np.append(self.person_of, len(self.people))[self.edges]

    @cached_property
    def images_of(self) -> np.ndarray:
        """(people,) images of each person."""
        return np.bincount(self.person_of, minlength=len(self.people))

    def of_rows(self, rows: np.ndarray) -> Arranged:
        """The same where what was row i when it was arranged is rows[i] of the vectors."""
        return replace(self, order=rows[self.order])

    @property
    def pairs(self) -> int:
        """Comparisons of all images with each other."""
        return len(self.order) * (len(self.order) - 1) // 2

    def blocks(self, rows: int, columns: int) -> Iterator[Block]:
        """All comparisons once, in blocks that lie within one group or two; columns before rows, so they can be kept."""
        return (self._block(*corners) for corners in self._corners(rows, columns))

    def units(self, rows: int, columns: int, chosen: Sequence[int]) -> Iterator[tuple[int, Iterator[Block]]]:
        """The chosen units (rising numbers) with their blocks; a block belongs to the unit in which its first comparison lies."""
        wanted, before = set(chosen), 0
        within: dict[int, list[Corners]] = {}
        waiting = iter(chosen)
        current = next(waiting, None)
        for corners in self._corners(rows, columns):
            unit = before // shares.UNIT
            before += _pairs(corners)
            while current is not None and current < unit:
                yield current, (self._block(*each) for each in within.pop(current, []))
                current = next(waiting, None)
            if unit in wanted:
                within.setdefault(unit, []).append(corners)
        while current is not None:
            yield current, (self._block(*each) for each in within.pop(current, []))
            current = next(waiting, None)

    def _corners(self, rows: int, columns: int) -> Iterator[Corners]:
        for second in range(len(self.groups)):
            for left in range(self.edges[second], self.edges[second + 1], columns):
                right = min(left + columns, int(self.edges[second + 1]))
                for first in range(second + 1):
                    for top in range(self.edges[first], min(self.edges[first + 1], right - 1), rows):
                        bottom = min(top + rows, int(self.edges[first + 1]), right - 1)
                        yield top, bottom, max(left, top), right, (first, second)

    def _block(self, top: int, bottom: int, left: int, right: int, groups: tuple[int, int]) -> Block:
        own = np.arange(top, bottom)
        starts = np.clip(own + 1 - left, 0, right - left)
        strangers = np.clip(self.ends[top:bottom] - left, starts, right - left)
        return Block(top, bottom, left, right, groups, starts, strangers)


def _pairs(corners: Corners) -> int:
    """Comparisons of a block, as Block.pairs; its columns never begin before its rows."""
    top, bottom, left, right, _ = corners
    below = max(bottom - left, 0)  # rows that are among the columns
    return int((right - left) * (bottom - top) - below * (below + 1) // 2)


def arrange(groups: np.ndarray, people: np.ndarray, exclude_mixed: bool = False) -> Arranged:
    """Sort images by the names of their group (N,) and person (N,); groups keep the order in which they come.

    Raises FairLabError for an image without a group, for fewer than two images, and for a person with images in two
    groups, whose comparisons would be within and across groups at once; with exclude_mixed such people are left out.
    """
    group_of, names = pd.factorize(np.asarray(groups, dtype=object))
    who, person_of = np.unique(np.asarray(people).astype(str), return_inverse=True)
    if (group_of < 0).any():
        raise FairLabError(f"the image in row {int(np.argmin(group_of))} has no group")
    lowest, highest = np.full(len(who), len(names)), np.zeros(len(who), np.int64)
    np.minimum.at(lowest, person_of, group_of)
    np.maximum.at(highest, person_of, group_of)
    mixed = np.flatnonzero(lowest < highest)
    if len(mixed) and not exclude_mixed:
        raise FairLabError(
            f"{len(mixed)} people have images in two groups, e.g. {who[mixed[0]]}: their comparisons are neither within nor "
            "across groups; leave them out with exclude_mixed"
        )
    kept = np.flatnonzero(lowest[person_of] == highest[person_of])
    if len(kept) < 2:
        raise FairLabError(f"{len(kept)} images cannot be compared with each other")
    order = kept[np.lexsort((person_of[kept], group_of[kept]))]
    codes, first = pd.factorize(person_of[order])
    present, renamed = np.unique(group_of[order], return_inverse=True)
    images = np.bincount(person_of, minlength=len(who))
    return Arranged(
        order,
        renamed,
        codes,
        tuple(str(names[code]) for code in present),
        who[first],
        {str(who[person]): int(images[person]) for person in mixed},
    )


def some_people(arranged: Arranged, people: int, seed: int) -> Arranged:
    """Only `people` people of each group, drawn by chance, with all their images; groups with fewer keep all of theirs.

    For sets whose comparisons would take weeks. A draw of whole people, and not of comparisons: then intervals over people
    say what it costs, as they say it of the people whom the data set itself is a draw of.
    """
    draws = np.random.Generator(np.random.PCG64(seed))
    chosen = np.zeros(len(arranged.people), bool)
    for first, end in pairwise(arranged.first_person):
        chosen[first + draws.permutation(end - first)[:people]] = True
    kept = chosen[arranged.person_of]
    codes = np.cumsum(chosen) - 1
    return replace(
        arranged,
        order=arranged.order[kept],
        group_of=arranged.group_of[kept],
        person_of=codes[arranged.person_of[kept]],
        people=arranged.people[chosen],
    )


@dataclass(frozen=True)
class AllPairs:
    """Numbers of comparisons by threshold: column k counts those that reach thresholds[k] but not thresholds[k + 1].

    genuine (G, T), impostors (G, G, T) with first group <= second, int64; thresholds (T,). A pair matches iff its score
    (single precision) >= threshold, so the numbers at the thresholds are exact.
    """

    groups: tuple[str, ...]
    thresholds: np.ndarray
    genuine: np.ndarray
    impostors: np.ndarray

    @property
    def total(self) -> int:
        """Comparisons counted."""
        return int(self.genuine.sum() + self.impostors.sum())

    @cached_property
    def within(self) -> np.ndarray:
        """Impostors of each group among themselves (G, T)."""
        return self.impostors[np.arange(len(self.groups)), np.arange(len(self.groups))]

    def matches(self, counts: np.ndarray) -> np.ndarray:
        """How many of `counts` (..., T) are at or above each threshold (..., T)."""
        return np.cumsum(counts[..., ::-1], axis=-1)[..., ::-1]

    def fmr(self) -> np.ndarray:
        """False match rate of each group's impostors among themselves, at each threshold (G, T); NaN without any."""
        return _rates(self.matches(self.within), self.within.sum(-1))

    def fnmr(self) -> np.ndarray:
        """False non-match rate of each group at each threshold (G, T); NaN without genuine pairs."""
        total = self.genuine.sum(-1)
        return _rates(total[:, None] - self.matches(self.genuine), total)

    def between(self, at: int) -> tuple[np.ndarray, np.ndarray]:
        """(false matches, impostors) (G, G) int64, symmetric, at threshold number `at`: within and across groups."""
        upper = self.impostors[..., at:].sum(-1), self.impostors.sum(-1)
        both = tuple(np.triu(counts) + np.triu(counts, 1).T for counts in upper)
        return both[0], both[1]

    def threshold_at(self, target: float, group: int | None = None) -> int:
        """Number of the smallest threshold of the grid with FMR at most `target` (0..1): of the impostors within all
        groups together, or of one group; len(thresholds) when even the last lets too many match.

        Raises FairLabError without impostors, or for a target outside 0..1.
        """
        if not 0 <= target <= 1:
            raise FairLabError(f"a false match rate lies between 0 and 1, not at {target:g}")
        counts = self.within.sum(0) if group is None else self.within[group]
        if not counts.any():
            raise FairLabError("there is no impostor pair within a group, so no threshold can be set")
        allowed = np.flatnonzero(self.matches(counts) <= target * counts.sum())
        return int(allowed[0]) if len(allowed) else len(self.thresholds)


def _rates(errors: np.ndarray, total: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        rates: np.ndarray = errors / total[:, None]
    return rates


@dataclass(frozen=True)
class _Scores:
    """The first pass: all scores by threshold."""

    engine: Engine

    def add(self, block: Block) -> None:
        self.engine.count(block)

    def counts(self) -> shares.Counts:
        return dict(zip(("genuine", "impostors"), self.engine.histograms(), strict=True))


def count_all(
    vectors: np.ndarray,
    arranged: Arranged,
    engine: Engine | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    stop: Callable[[], bool] = lambda: False,
    sharing: shares.Sharing = shares.ALONE,
) -> AllPairs:
    """Compare all arranged rows of the unit vectors (N, D); progress(pairs done, all pairs) and stop() at every block.

    sharing: the processes that call this together; each counts its share and returns the whole.

    Raises FairLabError for a vector that is not of length 1, Stopped when asked to.
    """
    check_units(vectors, arranged.order)
    engine = engine or ArrayEngine(vectors, arranged.order, len(arranged.groups))
    counts = shares.tallied("scores", "", arranged, engine, _Scores(engine), sharing, progress, stop)
    found = AllPairs(arranged.groups, grid().astype(np.float64), counts["genuine"], counts["impostors"])
    if found.total != arranged.pairs:
        raise AssertionError(f"{found.total} comparisons were counted, but there are {arranged.pairs}")
    return found


def check_units(vectors: np.ndarray, rows: np.ndarray) -> None:
    """Raise FairLabError, naming the row, unless all `rows` of the vectors (N, D) have length 1."""
    for start in range(0, len(rows), CHECKED):
        part = rows[start : start + CHECKED]
        chosen = vectors[part]
        lengths = np.einsum("nd,nd->n", chosen, chosen)
        bad = np.flatnonzero(~(np.abs(lengths - 1) <= 2 * UNIT_WITHIN))
        if len(bad):
            raise FairLabError(
                f"the embedding in row {part[bad[0]]} has length {np.sqrt(lengths[bad[0]]):.3g}; only unit embeddings can "
                "be compared"
            )
