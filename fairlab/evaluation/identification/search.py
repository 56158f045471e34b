"""Every probe against everybody enrolled: where its own identity ranks, and how near a stranger comes.

An identity's score is its best image's. Cosines are those of scores.pair_scores, in double precision, to the last digit:
a product in single precision, block by block, decides what is clear, and what lies within its rounding error of a
decision is computed again. So neither the size of blocks nor the machine changes a rank, and equal faces are ties.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError, Stopped

PROBES, ENROLLED = 512, 8192
"""Probes and enrolled identities compared at once: 16 MB of scores, beside as much of enrolled vectors of 512 numbers."""
AGAIN = 1024
"""Comparisons computed again at once."""
Progress = Callable[[int, int], None]
Stop = Callable[[], bool]


@dataclass(frozen=True)
class Searched:
    """Of each probe (M,). Own identity enrolled: its score `mate` and its `rank`, 1 + the others that score as much or
    more (a tie counts against the probe); else NaN and 0, and `stranger`, the best score of anybody (else NaN)."""

    mate: np.ndarray
    rank: np.ndarray
    stranger: np.ndarray


class Gallery:
    """The enrolled, by rows of `vectors` (N, D) and their identities (G,).

    `layers` are rows, one image of each identity: the first has an image of all, the next of those that have a second
    one, and so on; identities with more images come first, so a layer is always about the first `len(layer)` of `names`.
    """

    def __init__(self, vectors: np.ndarray, rows: np.ndarray, identities: np.ndarray) -> None:
        self.vectors = vectors
        codes, names = pd.factorize(np.asarray(identities, dtype=object))
        images = np.bincount(codes, minlength=len(names))
        places = np.argsort(-images, kind="stable")
        self.names = pd.Index(names[places], dtype=object)
        column = np.argsort(places)[codes]
        order = np.argsort(column, kind="stable")
        number = np.arange(len(order)) - np.searchsorted(column[order], column[order])
        self.layers = [np.asarray(rows)[order[number == layer]] for layer in range(images.max(initial=0))]

    def exact(self, probes: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Scores (K,) float64 of probes, rows (K,) of `vectors`, against the identities at `columns` (K,)."""
        best = np.full(len(probes), -np.inf)
        for layer in self.layers:
            known = np.flatnonzero(columns < len(layer))
            for start in range(0, len(known), AGAIN):
                some = known[start : start + AGAIN]
                one, two = (self.vectors[at].astype(np.float64) for at in (probes[some], layer[columns[some]]))
                best[some] = np.maximum(best[some], np.einsum("nd,nd->n", one, two))
        return best


def search(
    vectors: np.ndarray,
    gallery: np.ndarray,
    gallery_identities: np.ndarray,
    probes: np.ndarray,
    probe_identities: np.ndarray,
    progress: Progress = lambda _done, _total: None,
    stop: Stop = lambda: False,
    block: tuple[int, int] = (PROBES, ENROLLED),
) -> Searched:
    """Compare the probes with the gallery, both rows (M,), (G,) of `vectors` (N, D), unit length, any memory-mapped too.

    progress(done, total) counts comparisons, once for each block of (probes, enrolled identities). Raises Stopped when
    `stop` says so before a block, and FairLabError for vectors that are not of unit length.
    """
    checked_unit(vectors, np.concatenate([gallery, probes]))
    enrolled = Gallery(vectors, gallery, gallery_identities)
    columns = enrolled.names.get_indexer(np.asarray(probe_identities, dtype=object))
    mate, rank, stranger = (
        np.full(len(probes), np.nan),
        np.zeros(len(probes), dtype=np.int64),
        np.full(len(probes), np.nan),
    )
    known, unknown = np.flatnonzero(columns >= 0), np.flatnonzero(columns < 0)
    mate[known] = enrolled.exact(np.asarray(probes)[known], columns[known])
    rank[known] = 1
    stranger[unknown] = -np.inf if len(enrolled.names) else np.nan
    # Rounding of a sum of D products of unit vectors' numbers in single precision, in whatever order it is taken.
    margin = 1.01 * (vectors.shape[1] + 4) * 2.0**-24
    total, done = len(probes) * len(enrolled.names), 0
    for some, scores, start in _blocks(enrolled, probes, (known, unknown), block, stop):
        if columns[some[0]] >= 0:
            own = columns[some] - start
            inside = np.flatnonzero((own >= 0) & (own < scores.shape[1]))
            scores[inside, own[inside]] = -np.inf
            rank[some] += _ahead(enrolled, scores, mate[some], probes[some], start, margin)
        else:
            nearest = _nearest(enrolled, scores, stranger[some], probes[some], start, margin)
            stranger[some] = np.maximum(stranger[some], nearest)
        done += scores.size
        progress(done, total)
    return Searched(mate, rank, stranger)


def checked_unit(vectors: np.ndarray, rows: np.ndarray) -> None:
    """Raises FairLabError for the first of `rows` (K,) that is not of unit length."""
    for start in range(0, len(rows), AGAIN):
        some = rows[start : start + AGAIN]
        part = np.asarray(vectors[some], dtype=np.float32)
        length = np.sqrt(np.einsum("nd,nd->n", part, part))
        bad = np.flatnonzero(~(np.abs(length - 1) < 1e-3))
        if len(bad):
            raise FairLabError(f"embedding number {some[bad[0]]} has length {length[bad[0]]:.4g}; expected 1")


def _blocks(
    enrolled: Gallery, probes: np.ndarray, kinds: tuple[np.ndarray, ...], block: tuple[int, int], stop: Stop
) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """(places of some probes of one kind (n,), their scores (n, k) float32, first of the k identities), until all are had."""
    width = min(len(enrolled.names), max(1, block[1] // max(1, len(enrolled.layers))))
    space = np.empty((min(2, len(enrolled.layers)), min(block[0], len(probes)) * width), dtype=np.float32)
    for start in range(0, len(enrolled.names), max(1, width)):
        layers = [layer[start : start + width] for layer in enrolled.layers if len(layer) > start]
        tiles = [np.asarray(enrolled.vectors[layer], dtype=np.float32) for layer in layers]
        for kind in kinds:
            for first in range(0, len(kind), block[0]):
                if stop():
                    raise Stopped
                some = kind[first : first + block[0]]
                part = np.asarray(enrolled.vectors[probes[some]], dtype=np.float32)
                scores = space[0, : len(some) * len(tiles[0])].reshape(len(some), -1)
                np.matmul(part, tiles[0].T, out=scores)
                for tile in tiles[1:]:
                    more = space[1, : len(some) * len(tile)].reshape(len(some), -1)
                    np.matmul(part, tile.T, out=more)
                    np.maximum(scores[:, : len(tile)], more, out=scores[:, : len(tile)])
                yield some, scores, start


def _ahead(
    enrolled: Gallery, scores: np.ndarray, mate: np.ndarray, probes: np.ndarray, start: int, margin: float
) -> np.ndarray:
    """How many (n,) of the scores (n, k) are as high as `mate` (n,) or higher."""
    ahead = np.zeros(len(mate), dtype=np.int64)
    low, high = (mate + side * margin for side in (-1, 1))
    rows = np.flatnonzero(scores.max(1) >= low)
    if not len(rows):
        return ahead
    chosen = scores if len(rows) == len(mate) else scores[rows]
    # Compared in single precision, a step further out, so that nothing is rounded across.
    certain = chosen > np.nextafter(high[rows].astype(np.float32), np.float32(np.inf))[:, None]
    possible = chosen >= np.nextafter(low[rows].astype(np.float32), np.float32(-np.inf))[:, None]
    ahead[rows] = _counted(certain)
    at, column = _true(np.not_equal(possible, certain, out=possible))
    again = enrolled.exact(probes[rows[at]], start + column) >= mate[rows[at]]
    ahead += np.bincount(rows[at[again]], minlength=len(mate))
    return ahead


def _nearest(
    enrolled: Gallery, scores: np.ndarray, best: np.ndarray, probes: np.ndarray, start: int, margin: float
) -> np.ndarray:
    """The highest (n,) float64 of the scores (n, k), where it may be above `best` (n,) so far; else -inf."""
    nearest = np.full(len(best), -np.inf)
    top = scores.max(1)
    limit = np.nextafter(np.maximum(top - 2 * margin, best - margin).astype(np.float32), np.float32(-np.inf))
    at, column = _true(scores >= limit[:, None])
    np.maximum.at(nearest, at, enrolled.exact(probes[at], start + column))
    return nearest


def _counted(rows: np.ndarray) -> np.ndarray:
    """How many are true in each row; numpy counts a whole row many times as fast as along an axis."""
    return np.fromiter((np.count_nonzero(row) for row in rows), dtype=np.int64, count=len(rows))


def _true(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rows, columns) of what is true in a table, as np.nonzero, which takes several times as long on two axes."""
    return np.divmod(np.flatnonzero(table), table.shape[1])
