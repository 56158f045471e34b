"""A space as a flat map (UMAP). A picture, not evidence: distances between clusters mean nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from fairlab.config import Projection
from fairlab.store.index import knn

TRUST_POINTS = 2000
TRUST_NEIGHBOURS = 10


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

    Source: Venna & Kaski 2001, as in scikit-learn; cosine in the space, Euclid on the map; at most 2,000 rows, evenly
    taken. NaN when there are too few rows for k neighbours.
    """
    rows = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), TRUST_POINTS)).astype(int))
    count = len(rows)
    if count <= 3 * k:
        return float("nan")
    space = 1 - vectors[rows] @ vectors[rows].T
    np.fill_diagonal(space, -1)
    rank = np.argsort(np.argsort(space, axis=1, kind="stable"), axis=1)  # 0 = itself
    flat = ((xy[rows][:, None] - xy[rows][None]) ** 2).sum(-1)
    np.fill_diagonal(flat, -1)
    near = np.argsort(flat, axis=1, kind="stable")[:, 1 : k + 1]
    excess = np.take_along_axis(rank, near, 1) - k
    penalty = excess[excess > 0].sum()
    return float(1 - penalty * 2 / (count * k * (2 * count - 3 * k - 1)))


def project(
    vectors: np.ndarray, settings: Projection, init: np.ndarray | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Map of unit vectors (N, D): positions (N, 2) float32 and facts (method, seed, trustworthiness ...).

    `init` (N, 2): start from another space's map of the same images and turn the result to it, so that both compare.
    Exact neighbours are handed to UMAP: its own search would compile for a minute in every process.
    """
    unit = np.asarray(vectors, dtype=np.float32)
    neighbours = min(settings.neighbours, len(unit) - 1)
    facts: dict[str, Any] = {"seed": settings.seed, "settings": settings.model_dump(mode="json"), "points": len(unit)}
    plane = principal_plane(unit)
    if neighbours < 2 or len(unit) < 10:
        facts |= {"method": "PCA (too few images for UMAP)", "version": np.__version__}
        xy = plane
    else:
        import numba
        import umap

        numba.set_num_threads(1)  # UMAP's parallel sums differ in their last bits from call to call
        rows, cosines = knn(unit, neighbours)
        start = plane if init is None else init
        # Rounded, because the last bits of sums depend on the number of threads, and UMAP makes much of them.
        distances = np.round(np.clip(1 - cosines, 0, None), 6)
        spread = np.abs(start).max() or 1.0
        fit = umap.UMAP(
            n_neighbors=neighbours,
            min_dist=settings.min_dist,
            n_epochs=settings.epochs,
            metric="cosine",
            random_state=settings.seed,
            n_jobs=1,
            precomputed_knn=(rows, distances, None),
            init=np.round(10 * start / spread, 5).astype(np.float32),
        )
        xy = fit.fit_transform(unit)
        facts |= {"method": "UMAP", "version": umap.__version__}
    if init is not None:
        xy = procrustes(xy, init)
    facts["trustworthiness"] = trustworthiness(unit, xy)
    return np.asarray(xy, dtype=np.float32), facts
