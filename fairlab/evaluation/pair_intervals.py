"""How far the rates of all comparisons would move with other people: errors by two people, and people drawn anew.

A second pass over all comparisons, at thresholds that are known by then. Errors of two people are weighed and added up
block by block, so their table (as large as people squared) is never there.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fairlab.errors import Stopped
from fairlab.evaluation.all_pairs import Arranged
from fairlab.evaluation.pair_blocks import ArrayEngine, Engine

DENSE_FROM = 1 / 16
"""Share of non-empty cells from which a matrix product over all of them is quicker than going through them."""


@dataclass(frozen=True)
class Redrawn:
    """Errors counted and rates over redrawn people, at K thresholds for impostors and L per group for genuine pairs.

    false_matches (G, G, K) and misses (G, L) int64; fmr (draws, G, G, K), symmetric, and fnmr (draws, G, L), NaN in a
    draw without such a pair.
    """

    false_matches: np.ndarray
    misses: np.ndarray
    fmr: np.ndarray
    fnmr: np.ndarray


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
) -> Redrawn:
    """Errors of all comparisons at `thresholds` (K,) and of genuine ones at each group's own_thresholds (G, L).

    A genuine pair weighs as often as its person is drawn, an impostor pair as the product of its two people's (vertex
    bootstrap; Fogliato et al., IJCV 2024, arXiv 2306.01198). Raises Stopped when asked to.
    """
    engine = engine or ArrayEngine(vectors, arranged.order, len(arranged.groups))
    groups, people = len(arranged.groups), arranged.person_of
    ascending = np.argsort(thresholds, kind="stable")
    strict = np.asarray(thresholds, dtype=np.float32)[ascending]
    own = np.asarray(own_thresholds, dtype=np.float32)
    times = draw_people(arranged, draws, seed)
    false_matches = np.zeros((groups, groups, len(strict)), np.int64)
    weighed = np.zeros((groups, groups, len(strict), draws))
    missed = np.zeros((len(arranged.people), own.shape[1]), np.int64)
    done = 0
    for block in arranged.blocks(engine.rows, engine.columns):
        if stop():
            raise Stopped
        rows, columns = (_begins(people[a:b]) for a, b in ((block.top, block.bottom), (block.left, block.right)))
        cells, genuine_rows, scores = engine.errors(block, rows, columns, strict)
        for number, table in enumerate(cells):
            false_matches[block.groups][ascending[number]] += table.sum()
            weighed[block.groups][ascending[number]] += _weighed(
                table, times[people[block.top + rows]], times[people[block.left + columns]]
            )
        wrong = scores[:, None] < own[block.groups[0]]
        np.add.at(missed, people[block.top + genuine_rows], wrong)
        done += block.pairs
        progress(done, arranged.pairs)
    return _rates(arranged, times, false_matches, weighed, missed)


def _begins(people: np.ndarray) -> np.ndarray:
    """Where each person's stretch begins."""
    return np.flatnonzero(np.diff(people, prepend=-1))


def _weighed(table: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(draws,) sum of the table (A, B) with each cell weighed by rows (A, draws) times columns (B, draws)."""
    some = np.nonzero(table)
    if len(some[0]) < DENSE_FROM * table.size:
        values = table[some].astype(np.float64)
        both = rows[some[0]].astype(np.float64) * columns[some[1]]
        return values @ both
    over_rows = table.T.astype(np.float32) @ rows.astype(np.float32)
    return np.einsum("bd,bd->d", over_rows, columns, dtype=np.float64)


def _rates(
    arranged: Arranged, times: np.ndarray, false_matches: np.ndarray, weighed: np.ndarray, missed: np.ndarray
) -> Redrawn:
    """Weighed errors by weighed pairs."""
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
    return Redrawn(both, misses, fmr, fnmr)
