"""A space as a flat map (UMAP). A picture, not evidence: distances between clusters mean nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from fairlab.settings.study import Projection
from fairlab.store.index import knn

TRUST_POINTS = 2000
TRUST_NEIGHBOURS = 10
ENOUGH = 10
"""Different vectors from which UMAP is asked."""
SAME, DIRECTIONS = 1e-5, 12
"""Along a random direction, vectors nearer than this are the same: rounding makes 1e-7 of unit vectors, two photographs
of one person 1e-2 and more."""
DISC = 0.03
"""Radius of the disc in which equal vectors are drawn, as a share of the map."""


def stratified_sample(groups: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Row numbers (rising) of at most `count` rows, every group with its share of the whole (at least one row)."""
    if len(groups) <= count:
        return np.arange(len(groups))
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, 5])))
    chosen = []
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        share = max(1, int(count * len(rows) / len(groups)))
        chosen.append(random.choice(rows, share, replace=False))
    return np.sort(np.concatenate(chosen))


def principal_plane(vectors: np.ndarray) -> np.ndarray:
    """Coordinates (N, 2) on the two directions of largest variance, with a fixed sign; zeros where there is no second."""
    centred = np.asarray(vectors, dtype=np.float64) - np.mean(vectors, axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((2, centred.shape[1]))
    plane[: min(2, len(directions))] = directions[:2]
    for row in plane:
        row *= 1 if row[np.argmax(np.abs(row))] >= 0 else -1
    return centred @ plane.T


def procrustes(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """`points` (N, 2) turned or mirrored, moved and scaled to lie as near as possible to `reference` (N, 2)."""
    a, b = points - points.mean(0), reference - reference.mean(0)
    left, stretch, right = np.linalg.svd(a.T @ b)
    size = float((a**2).sum())
    scale = float(stretch.sum()) / size if size > 0 else 1.0
    return scale * (a @ (left @ right)) + reference.mean(0)


def trustworthiness(vectors: np.ndarray, xy: np.ndarray, k: int = TRUST_NEIGHBOURS) -> float:
    """How far neighbours on the map are neighbours in the space: 1 = all, about 0.5 = as by chance.

    Source: Venna & Kaski 2001, computed by scikit-learn; cosine in the space, Euclid on the map; at most 2,000 rows, evenly
    taken: 80 MB and half a second. NaN when there are too few rows for k neighbours.
    """
    rows = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), TRUST_POINTS)).astype(int))
    if len(rows) <= 3 * k:
        return float("nan")
    from sklearn.manifold import trustworthiness as measured

    return float(measured(vectors[rows], xy[rows], n_neighbors=k, metric="cosine"))


def alike(vectors: np.ndarray) -> np.ndarray:
    """(N,) int: a number for each different vector (N, D); rows with the same number differ by rounding only (SAME).

    Sorted along random directions and cut at the gaps: equal rows never part, and others meet in every direction only
    by an accident that gets rarer with each.
    """
    label = np.zeros(len(vectors), np.int64)
    random = np.random.Generator(np.random.PCG64(0))
    for _ in range(DIRECTIONS):
        place = np.asarray(vectors, np.float64) @ random.normal(size=vectors.shape[1])
        order = np.lexsort((place, label))
        cut = (np.diff(label[order], prepend=-1) != 0) | (np.diff(place[order], prepend=0) > SAME)
        label[order] = np.cumsum(cut) - 1
    return label


def spread_out(xy: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Positions (N, 2) with the points of each vector in a small disc around their middle instead of on one spot."""
    size = np.ptp(xy, axis=0).max() or 1.0
    order = np.argsort(label, kind="stable")
    counts = np.bincount(label)
    number = np.empty(len(label))
    number[order] = np.arange(len(label)) - np.repeat(np.cumsum(counts) - counts, counts)
    radius = DISC * size * np.sqrt(number / np.maximum(counts[label] - 1, 1))
    angle = number * (np.pi * (3 - np.sqrt(5)))  # as sunflowers place their seeds
    return np.asarray(xy + radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)]))


def usable(xy: np.ndarray) -> bool:
    """Can another map be started from these positions (N, 2) and turned to them? Finite, and spread along both axes."""
    return bool(np.isfinite(xy).all() and len(xy) > 1 and (np.ptp(xy, axis=0) > 0).all())


def project(
    vectors: np.ndarray, settings: Projection, init: np.ndarray | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Map of unit vectors (N, D): positions (N, 2) float32, always finite, and facts: method, version, seed, settings,
    points, trustworthiness (NaN: see trust_reason), notes, degenerate (no map to compare others with), aligned.

    `init` (N, 2): start from another space's map of the same images and turn the result to it, so that both compare; it
    is left alone where it is not usable(). Exact neighbours are handed to UMAP: its own search would compile for a minute
    in every process.
    """
    unit = np.ascontiguousarray(vectors, dtype=np.float32)
    whole = np.isfinite(unit).all(axis=1)
    facts: dict[str, Any] = {"seed": settings.seed, "settings": settings.model_dump(mode="json"), "points": len(unit)}
    notes = []
    if not whole.all():
        notes.append(
            f"{int((~whole).sum()):,} of {len(unit):,} vectors are not numbers (NaN or infinite): they are placed in "
            f"the lower left corner, away from the others"
        )
    if init is not None:  # one layout, wherever it comes from: sums differ in their last bits otherwise
        init = np.ascontiguousarray(init, dtype=np.float64)
        init = init if len(init) == len(unit) and usable(init) else None
    part = unit[whole]
    label = alike(part)
    first = np.unique(label, return_index=True)[1]
    if len(first) < len(part):
        notes.append(_same(label))
    laid, about = _lay_out(part, label, settings, None if init is None else init[whole])
    value, reason = _trust(part[np.sort(first)], laid[np.sort(first)])
    degenerate = len(first) < ENOUGH or not whole.any()
    xy = np.empty((len(unit), 2))
    xy[whole] = laid
    low, size = (laid.min(0), np.ptp(laid, axis=0).max() or 1.0) if len(laid) else (np.zeros(2), 1.0)
    xy[~whole] = low - 0.1 * size
    xy[~whole] = spread_out(xy[~whole], np.zeros(int((~whole).sum()), np.int64)) if (~whole).any() else xy[~whole]
    facts |= {**about, "trustworthiness": value, "trust_reason": reason, "notes": notes, "degenerate": degenerate}
    facts["aligned"] = init is not None and not degenerate
    return np.asarray(xy, dtype=np.float32), facts


def _same(label: np.ndarray) -> str:
    counts = np.bincount(label)
    if len(counts) == 1:
        return f"{len(label):,} of {len(label):,} vectors are the same: this model sees one face everywhere"
    same = int(counts[counts > 1].sum())
    return f"{same:,} of {len(label):,} vectors duplicate another one; {len(counts):,} are distinct"


def _trust(vectors: np.ndarray, xy: np.ndarray) -> tuple[float, str]:
    """(trustworthiness, why there is none or ""), of different vectors: among equal ones no neighbour is nearer."""
    value = trustworthiness(vectors, xy)
    least = 3 * TRUST_NEIGHBOURS + 1
    return value, "" if np.isfinite(value) else f"it needs {least} distinct vectors, but there are {len(vectors)}"


def _lay_out(
    unit: np.ndarray, label: np.ndarray, settings: Projection, init: np.ndarray | None
) -> tuple[np.ndarray, dict[str, Any]]:
    """(positions (N, 2), method and version) of finite vectors, of which those with one label are the same."""
    different = int(label.max()) + 1 if len(label) else 0
    pca = {"version": np.__version__}
    if not len(unit):
        return np.zeros((0, 2)), {**pca, "method": "none (no vector is a number)"}
    plane = principal_plane(unit)
    if different < ENOUGH or min(settings.neighbours, len(unit) - 1) < 2:
        what = "images" if different == len(unit) else "different vectors"
        return spread_out(plane, label), {**pca, "method": f"PCA (too few {what} for UMAP)"}
    xy, version = _umap(unit, settings, plane if init is None else init)
    if not np.isfinite(xy).all():
        return spread_out(plane, label), {**pca, "method": "PCA (UMAP gave no finite positions)"}
    return xy if init is None else procrustes(xy, init), {"method": "UMAP", "version": version}


def _umap(unit: np.ndarray, settings: Projection, start: np.ndarray) -> tuple[np.ndarray, str]:
    """(positions, UMAP's version). UMAP divides by the spread of each axis it starts from: one without gets a little."""
    import numba
    import umap

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
