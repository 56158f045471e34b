"""How far the rates of all comparisons would move with other people: errors by two people, and people drawn anew.

A second pass over all comparisons, at thresholds that are known by then. Errors of two people are weighed and added up
block by block, so their table (as large as people squared) is never there.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fairlab.evaluation.all_pairs import shares
from fairlab.evaluation.all_pairs.blocks import ArrayEngine, Block, Engine
from fairlab.evaluation.all_pairs.counts import Arranged
from fairlab.evaluation.all_pairs.hardest import Hardest

DENSE_FROM = 1 / 16
"""Share of non-empty cells from which a matrix product over all of them is quicker than going through them."""

WHOLE_UP_TO = 1 << 24
"""Single precision holds every whole number up to here."""


@dataclass(frozen=True)
class Redrawn:
    """Errors counted and rates over redrawn people, at K thresholds for impostors and L per group for genuine pairs.

    false_matches (G, G, K) and misses (G, L) int64; fmr (draws, G, G, K), symmetric, and fnmr (draws, G, L), NaN in a
    draw without such a pair; fmr_variance (G, G, K): of the FMRs over people (see clusters); covariance (G, K, L): of the FMRs
    within groups and the FNMRs; hardest (n, 3): as of hardest.Hardest.
    """

    false_matches: np.ndarray
    misses: np.ndarray
    fmr: np.ndarray
    fnmr: np.ndarray
    fmr_variance: np.ndarray
    covariance: np.ndarray
    hardest: np.ndarray


def draw_people(arranged: Arranged, draws: int, seed: int) -> np.ndarray:
    """(people, draws) uint8: how often each is drawn, group by group, as many as the group has.

    The draws hang on the group's name, so that the order of groups changes no interval (as in groups.cut).
    """
    times = np.zeros((len(arranged.people), draws), np.uint8)
    for group, name in enumerate(arranged.groups):
        first, last = arranged.first_person[group : group + 2]
        seeds = np.random.SeedSequence([(seed << 32) + zlib.crc32(name.encode()), last - first])
        random = np.random.Generator(np.random.PCG64(seeds))
        for draw in range(draws):
            chosen = random.integers(last - first, size=last - first)
            times[first:last, draw] = np.bincount(chosen, minlength=last - first)
    return times


def redraw(
    vectors: np.ndarray,
    arranged: Arranged,
    thresholds: np.ndarray,
    own_thresholds: np.ndarray,
    draws: int,
    seed: int,
    engine: Engine | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    stop: Callable[[], bool] = lambda: False,
    sharing: shares.Sharing = shares.ALONE,
    least: np.ndarray | None = None,
) -> Redrawn:
    """Errors of all comparisons at `thresholds` (K,) and of genuine ones at each group's own_thresholds (G, L).

    A genuine pair weighs as often as its person is drawn, an impostor pair as the product of its two people's (vertex
    bootstrap; Fogliato et al., IJCV 2024, arXiv 2306.01198). sharing: as in count_all. least (G, G): scores from which
    impostors of two groups are kept as pairs (hardest.least_scores). Raises Stopped when asked to.
    """
    engine = engine or ArrayEngine(vectors, arranged.order, len(arranged.groups))
    tally = _Errors(arranged, engine, thresholds, own_thresholds, draw_people(arranged, draws, seed))
    if least is not None:
        tally.hardest = Hardest(least)
    asked = (tally.strict, tally.ascending, tally.own, tally.times, tally.hardest.least)
    about = hashlib.sha256(b"".join(np.ascontiguousarray(values).tobytes() for values in asked)).hexdigest()
    found = shares.tallied("errors", about, arranged, engine, tally, sharing, progress, stop)
    return _rates(arranged, tally.times, found)


class _Errors:
    """The second pass: errors at thresholds that are known, counted and weighed by how often people are drawn."""

    def __init__(
        self, arranged: Arranged, engine: Engine, thresholds: np.ndarray, own_thresholds: np.ndarray, times: np.ndarray
    ) -> None:
        groups = len(arranged.groups)
        self.people, self.engine, self.times = arranged.person_of, engine, times
        self.ascending = np.argsort(thresholds, kind="stable")
        self.strict = np.asarray(thresholds, dtype=np.float32)[self.ascending]
        self.own = np.asarray(own_thresholds, dtype=np.float32)
        self._false_matches = np.zeros((groups, groups, len(self.strict)), np.int64)
        self._weighed = np.zeros((groups, groups, len(self.strict), times.shape[1]), np.int64)
        self._missed = np.zeros((len(arranged.people), self.own.shape[1]), np.int64)
        self.images = arranged.images_of.astype(np.int64)
        self._matched = np.zeros((len(arranged.people), groups, len(self.strict)), np.int64)
        self.hardest = Hardest(np.full((groups, groups), np.inf, np.float32))
        self._squares, self._met = (np.zeros_like(self._false_matches) for _ in range(2))

    def add(self, block: Block) -> None:
        people, times = self.people, self.times
        rows, columns = (_begins(people[a:b]) for a, b in ((block.top, block.bottom), (block.left, block.right)))
        cells, genuine_rows, scores = self.engine.errors(block, rows, columns, self.strict)
        for number, table in enumerate(cells):
            self._false_matches[block.groups][self.ascending[number]] += table.sum()
            self._weighed[block.groups][self.ascending[number]] += weighed(
                table, times[people[block.top + rows]], times[people[block.left + columns]]
            )
            self._of_people(
                table, (people[block.top + rows], people[block.left + columns]), block, self.ascending[number]
            )
        wrong = scores[:, None] < self.own[block.groups[0]]
        np.add.at(self._missed, people[block.top + genuine_rows], wrong)
        self.hardest.add(self.engine, block)

    def _of_people(self, table: np.ndarray, who: tuple[np.ndarray, np.ndarray], block: Block, number: int) -> None:
        """What the variance over people needs: each person's false matches by the other's group, and two people's, squared."""
        values = table.astype(np.float64)  # whole numbers, and exact
        rows, columns = who
        self._matched[rows, block.groups[1], number] += values.sum(1).astype(np.int64)
        self._matched[columns, block.groups[0], number] += values.sum(0).astype(np.int64)
        self._squares[block.groups][number] += int((values**2).sum())
        self._met[block.groups][number] += int(self.images[rows] @ values @ self.images[columns])

    def counts(self) -> shares.Counts:
        return {
            "false_matches": self._false_matches,
            "weighed": self._weighed,
            "missed": self._missed,
            "matched": self._matched,
            "squares": self._squares,
            "met": self._met,
            f"hardest{shares.LIST}": self.hardest.found(),
        }


def _begins(people: np.ndarray) -> np.ndarray:
    """Where each person's stretch begins."""
    return np.flatnonzero(np.diff(people, prepend=-1))


def weighed(table: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(draws,) int64: the sum of the table (A, B) of counts, each cell weighed by rows (A, draws) times columns (B, draws).

    Exact: every number on the way is whole and below what its type can hold.
    """
    some = np.nonzero(table)
    if len(some[0]) < DENSE_FROM * table.size:
        values = table[some].astype(np.float64)
        both = rows[some[0]].astype(np.float64) * columns[some[1]]
        total: np.ndarray = values @ both
    else:
        most = int(table.sum(dtype=np.int64)) * int(rows.max(initial=0))
        kind = np.float32 if most < WHOLE_UP_TO else np.float64  # half the time
        over_rows = table.T.astype(kind) @ rows.astype(kind)
        total = np.einsum("bd,bd->d", over_rows, columns, dtype=np.float64)
    return total.astype(np.int64)


def _rates(arranged: Arranged, times: np.ndarray, found: shares.Counts) -> Redrawn:
    """Weighed errors by weighed pairs."""
    false_matches, weighed, missed = (found[name] for name in ("false_matches", "weighed", "missed"))
    groups, draws, edges = len(arranged.groups), times.shape[1], arranged.first_person
    images = arranged.images_of
    fmr = np.full((draws, groups, groups, false_matches.shape[-1]), np.nan)
    fnmr = np.full((draws, groups, missed.shape[1]), np.nan)
    misses = np.zeros((groups, missed.shape[1]), np.int64)
    drawn = np.zeros((groups, draws))
    with np.errstate(invalid="ignore", divide="ignore"):
        for group in range(groups):
            own = slice(edges[group], edges[group + 1])
            weights, count = times[own].astype(np.float64), images[own].astype(np.float64)
            drawn[group] = count @ weights
            pairs = {group: (drawn[group] ** 2 - (count**2) @ weights**2) / 2}
            pairs |= {other: drawn[group] * drawn[other] for other in range(group)}
            for other, of in pairs.items():
                fmr[:, other, group] = (weighed[other, group] / of).T
                fmr[:, group, other] = fmr[:, other, group]
            misses[group] = missed[own].sum(0)
            fnmr[:, group] = (weights.T @ missed[own]) / (weights.T @ (count * (count - 1) / 2))[:, None]
    fmr[~np.isfinite(fmr)], fnmr[~np.isfinite(fnmr)] = np.nan, np.nan
    upper = np.arange(groups)[:, None] <= np.arange(groups)
    both = np.where(upper[..., None], false_matches, false_matches.transpose(1, 0, 2))
    variance = _fmr_variance(arranged, both, found)
    listed = found[f"hardest{shares.LIST}"]
    listed = listed[np.lexsort((listed[:, 1], listed[:, 0]))]  # whoever found which first
    return Redrawn(both, misses, fmr, fnmr, variance, _covariance(arranged, both, misses, found), listed)


def _covariance(arranged: Arranged, false_matches: np.ndarray, misses: np.ndarray, found: shares.Counts) -> np.ndarray:
    """(G, K, L) as Clusters.rate_covariance."""
    groups, edges, images = len(arranged.groups), arranged.first_person, arranged.images_of.astype(np.float64)
    covariance = np.full((groups, false_matches.shape[-1], misses.shape[1]), np.nan)
    for group in range(groups):
        own = slice(edges[group], edges[group + 1])
        count, people = images[own], edges[group + 1] - edges[group]
        met, same = count * (count.sum() - count), count * (count - 1) / 2
        if people < 2 or not met.any() or not same.any():
            continue
        pairs = met.sum() / 2, same.sum()
        matched = found["matched"][own, group] - met[:, None] * false_matches[group, group] / pairs[0]
        missed = found["missed"][own] - same[:, None] * misses[group] / pairs[1]
        covariance[group] = matched.T @ missed / (pairs[0] * pairs[1]) * people / (people - 1)
    return covariance


def _fmr_variance(arranged: Arranged, false_matches: np.ndarray, found: shares.Counts) -> np.ndarray:
    """(G, G, K) as Clusters.rate_variance: sums over people, and over two people; symmetric.

    Two people whose images lie in two blocks count as two pairs of people, which makes the variance a little larger.
    """
    groups, edges, images = len(arranged.groups), arranged.first_person, arranged.images_of.astype(np.float64)
    variance = np.full(false_matches.shape, np.nan)
    of_group = [slice(edges[group], edges[group + 1]) for group in range(groups)]
    count, square = ([(images[part] ** power).sum() for part in of_group] for power in (1, 2))
    for a in range(groups):
        for b in range(a, groups):
            pairs = (count[a] ** 2 - square[a]) / 2 if a == b else count[a] * count[b]
            people = len(images[of_group[a]]) + (0 if a == b else len(images[of_group[b]]))
            if pairs == 0 or people < 2:
                continue
            rate = false_matches[a, b] / pairs
            sides = [(a, b)] if a == b else [(a, b), (b, a)]
            by_person = np.zeros(len(rate))
            for one, other in sides:
                own = images[of_group[one]]
                met = own * (count[other] - (own if a == b else 0))
                by_person += ((found["matched"][of_group[one], other] - met[:, None] * rate) ** 2).sum(0)
            fourth = [(images[part] ** 4).sum() for part in (of_group[a], of_group[b])]
            both = (square[a] ** 2 - fourth[0]) / 2 if a == b else square[a] * square[b]
            of_two = found["squares"][a, b] - 2 * rate * found["met"][a, b] + rate**2 * both
            least = np.maximum(of_two, 0)
            variance[a, b] = variance[b, a] = np.maximum(by_person - of_two, least) / pairs**2 * people / (people - 1)
    return variance
