"""Where points lie on a map: by UMAP, or where that is too slow by UMAP of landmarks beside which all others are placed.

The second way: landmarks are laid out by UMAP, every other point starts at the weighted mean of its nearest landmarks (or
where another space's map has it), and then all points move by UMAP's own forces along the neighbours of all. The passes are
computed in parallel, each point from where the others were, so that the picture does not depend on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from fairlab.settings.study import Projection
from fairlab.store.index import knn, knn_of_many, knn_within

Tell = Callable[[str, int, int], None]
"""Told the stage, and how many of how many of its pieces are done; it raises Stopped to end the work."""
NEAR = 3
"""Landmarks that place a point: the mean of more draws all points to the middle."""
SHARPNESS = 4
"""Power of the cosine that a landmark weighs by."""
SPREAD = 1e-3
"""Points start apart by this share of the map: forces between points on one spot are none."""
STEP = 0.5
"""First step of the passes, falling to 0. UMAP starts at 1, for points that have no place yet; of 1, .5 and .25, .5 was best with
10,000 to 20,000 points."""
REPELLERS = 5
"""Points that push a point away at each pull, as in UMAP."""
PULL_LIMIT = 4.0
"""Longest step along an axis, as in UMAP."""


def by_umap(unit: np.ndarray, settings: Projection, start: np.ndarray) -> tuple[np.ndarray, str]:
    """(positions, UMAP's version). UMAP divides by the spread of each axis it starts from: one without gets a little.

    Exact neighbours are handed to UMAP: its own search would compile for a minute in every process.
    """
    import numba
    import umap

    for slow in (umap.umap_.smooth_knn_dist, umap.umap_.compute_membership_strengths):
        slow.enable_caching()  # UMAP keeps others compiled; these cost every process the time of a small map's layout
    numba.set_num_threads(1)  # UMAP's parallel sums differ in their last bits from call to call
    rows, cosines = knn(unit, min(settings.neighbours, len(unit) - 1))
    # Rounded, because the last bits of sums depend on the number of threads, and UMAP makes much of them.
    distances = np.round(np.clip(1 - cosines, 0, None), 6)
    begin = np.round(10 * start / (np.abs(start).max() or 1.0), 5).astype(np.float32)
    flat = np.ptp(begin, axis=0) == 0
    if flat.any():
        random = np.random.Generator(np.random.PCG64(settings.seed))
        begin[:, flat] += random.normal(0, 1, (len(begin), int(flat.sum()))).astype(np.float32)
    fit = umap.UMAP(
        n_neighbors=min(settings.neighbours, len(unit) - 1),
        min_dist=settings.min_dist,
        n_epochs=settings.epochs,
        metric="cosine",
        random_state=settings.seed,
        n_jobs=1,
        precomputed_knn=(rows, distances, None),
        init=begin,
    )
    return np.asarray(fit.fit_transform(unit)), str(umap.__version__)


def beside_landmarks(
    unit: np.ndarray, landmarks: np.ndarray, laid: np.ndarray, settings: Projection, tell: Tell
) -> np.ndarray:
    """Positions (N, 2) of unit vectors (N, D): the rows `landmarks` at `laid` (L, 2), each other at the weighted mean of its
    NEAR landmarks, a little apart from others."""
    near, cosines = knn_within(unit[landmarks], unit, NEAR, lambda done, of: tell("placing images", done, of))
    weights = np.clip(cosines.astype(np.float64), 1e-3, None) ** SHARPNESS
    weights /= weights.sum(axis=1, keepdims=True)
    xy = np.einsum("nk,nkc->nc", weights, laid[near])
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([settings.seed, 6])))
    xy += random.normal(0, SPREAD * (np.ptp(laid, axis=0).max() or 1.0), xy.shape)
    xy[landmarks] = laid
    return np.asarray(xy, dtype=np.float32)


def to_neighbours(unit: np.ndarray, start: np.ndarray, settings: Projection, tell: Tell) -> tuple[np.ndarray, float]:
    """Positions (N, 2) of unit vectors (N, D) after they moved from `start` (N, 2) to their neighbours; and the share of true
    nearest neighbours that the search found, measured on some."""
    rows, cosines, recall = knn_of_many(
        unit, settings.neighbours, lambda done, of: tell("finding neighbours", done, of)
    )
    return _moved(start, _graph(rows, cosines, settings), settings, tell), recall


def _graph(rows: np.ndarray, cosines: np.ndarray, settings: Projection) -> Any:
    """The sparse (N, N) matrix of how strongly points pull each other, as UMAP makes it of neighbours (McInnes et al. 2018)."""
    from umap.umap_ import fuzzy_simplicial_set

    distances = np.round(np.clip(1 - cosines, 0, None), 6)
    none = np.zeros((len(rows), 1), np.float32)  # neighbours are given: only the number of rows is asked
    seed = np.random.RandomState(settings.seed)
    graph, _, _ = fuzzy_simplicial_set(
        none, rows.shape[1], seed, "cosine", knn_indices=rows, knn_dists=distances.astype(np.float32)
    )
    graph = graph.tocsr()
    graph.sort_indices()
    return graph


def _moved(start: np.ndarray, graph: Any, settings: Projection, tell: Tell) -> np.ndarray:
    """Positions (N, 2) after `settings.passes` passes of UMAP's forces along the graph, from `start` on."""
    from umap.umap_ import find_ab_params

    a, b = (float(value) for value in find_ab_params(1.0, settings.min_dist))
    chance = (graph.data / graph.data.max()).astype(np.float32)
    edges = graph.indptr.astype(np.int64), graph.indices.astype(np.int64), chance
    old, new = start.copy(), start.copy()
    threads = os.cpu_count() or 1
    cuts = np.linspace(0, len(old), 4 * threads + 1).astype(np.int64)
    one_pass = _kernel()
    with ThreadPoolExecutor(threads) as pool:
        for number in range(settings.passes):
            tell("moving images to their neighbours", number, settings.passes)
            forces = np.array([a, b, STEP * (1 - number / settings.passes)])
            seed = np.random.SeedSequence([settings.seed, 7, number]).generate_state(1, np.uint64)[0]
            parts = [pool.submit(one_pass, (old, new), edges, forces, seed, span) for span in pairwise(cuts)]
            for part in parts:
                part.result()
            old, new = new, old
    return old


@cache
def _kernel() -> Callable[..., None]:
    """Compile (seconds, once) or load from numba's cache; without a writable place for the cache: compile."""
    import numba

    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True)(_pass)
    except RuntimeError:  # "no locator available": the installation and the user's cache folder are read-only
        return numba.njit(nogil=True, error_model="numpy")(_pass)


def _pass(
    places: tuple[np.ndarray, np.ndarray],
    edges: tuple[np.ndarray, np.ndarray, np.ndarray],
    forces: np.ndarray,
    seed: np.uint64,
    span: tuple[int, int],
) -> None:
    """One pass for the points of a span: from the first of the places to the second, each (N, 2) float32.

    edges: indptr, indices and chance of the graph's rows; forces: UMAP's a and b, and the step. A point is drawn along each
    of its edges with the edge's chance, and at each pull pushed from REPELLERS random points. Its dice are its own.
    """
    old, new = places
    indptr, indices, chance = edges
    a, b, step = forces
    count = np.uint64(len(old))
    for i in range(span[0], span[1]):
        x, y = float(old[i, 0]), float(old[i, 1])
        # splitmix64 makes the first state, xorshift64 the next ones
        dice = np.uint64(seed) + np.uint64(i) * np.uint64(0x9E3779B97F4A7C15)
        dice = (dice ^ (dice >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        dice = (dice ^ (dice >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        dice = (dice ^ (dice >> np.uint64(31))) | np.uint64(1)
        for edge in range(indptr[i], indptr[i + 1]):
            dice ^= dice << np.uint64(13)
            dice ^= dice >> np.uint64(7)
            dice ^= dice << np.uint64(17)
            if float(dice >> np.uint64(11)) / 9007199254740992.0 >= chance[edge]:
                continue
            other = indices[edge]
            across, up = x - old[other, 0], y - old[other, 1]
            square = across * across + up * up
            if square > 0:
                power = square**b
                pull = -2 * a * b * power / square / (a * power + 1)
                x += step * min(PULL_LIMIT, max(-PULL_LIMIT, pull * across))
                y += step * min(PULL_LIMIT, max(-PULL_LIMIT, pull * up))
            for _ in range(REPELLERS):
                dice ^= dice << np.uint64(13)
                dice ^= dice >> np.uint64(7)
                dice ^= dice << np.uint64(17)
                other = np.int64(dice % count)
                across, up = x - old[other, 0], y - old[other, 1]
                square = across * across + up * up
                if other != i and square > 0:
                    push = 2 * b / ((0.001 + square) * (1 + a * square**b))
                    x += step * min(PULL_LIMIT, max(-PULL_LIMIT, push * across))
                    y += step * min(PULL_LIMIT, max(-PULL_LIMIT, push * up))
        new[i, 0], new[i, 1] = x, y
