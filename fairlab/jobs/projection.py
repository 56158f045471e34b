"""A space as a flat map. A picture, not evidence: distances between clusters mean nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from fairlab.jobs.layout import Tell, beside_landmarks, by_umap, to_neighbours
from fairlab.jobs.trust import trustworthiness
from fairlab.settings.study import Projection

ENOUGH = 10
"""Different vectors from which UMAP is asked."""
SAME, DIRECTIONS = 1e-5, 12
"""Along a random direction, vectors nearer than this are the same: rounding makes 1e-7 of unit vectors, two photographs
of one person 1e-2 and more."""
PLANE_OF, BLOCK = 20_000, 20_000
"""Vectors that give the plane of a map's start; rows looked at together: 80 MB at 512 dims."""
DISC = 0.03
"""Radius of the disc in which equal vectors are drawn, as a share of the map."""


def principal_plane(vectors: np.ndarray) -> np.ndarray:
    """Coordinates (N, 2) on the two directions of largest variance, with a fixed sign; zeros where there is no second.

    Of more than PLANE_OF vectors, so many evenly taken ones give the directions.
    """
    part = vectors[:: -(-len(vectors) // PLANE_OF)]
    middle = np.mean(part, axis=0)
    _, _, directions = np.linalg.svd(np.asarray(part, dtype=np.float64) - middle, full_matrices=False)
    plane = np.zeros((2, vectors.shape[1]))
    plane[: min(2, len(directions))] = directions[:2]
    for row in plane:
        row *= 1 if row[np.argmax(np.abs(row))] >= 0 else -1
    return _onto(plane.T, vectors, middle)


def _onto(directions: np.ndarray, vectors: np.ndarray, middle: np.ndarray | float = 0.0) -> np.ndarray:
    """(vectors - middle) @ directions in double precision, block by block: (N, K)."""
    parts = [
        (np.asarray(vectors[start : start + BLOCK], np.float64) - middle) @ directions
        for start in range(0, len(vectors), BLOCK)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, directions.shape[1]))


def procrustes(points: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """`points` (N, 2) turned or mirrored, moved and scaled to lie as near as possible to `reference` (N, 2)."""
    a, b = points - points.mean(0), reference - reference.mean(0)
    left, stretch, right = np.linalg.svd(a.T @ b)
    size = float((a**2).sum())
    scale = float(stretch.sum()) / size if size > 0 else 1.0
    return scale * (a @ (left @ right)) + reference.mean(0)


def alike(vectors: np.ndarray) -> np.ndarray:
    """(N,) int: a number for each different vector (N, D); rows with the same number differ by rounding only (SAME).

    Sorted along random directions and cut at the gaps: equal rows never part, and others meet in every direction only
    by an accident that gets rarer with each.
    """
    label = np.zeros(len(vectors), np.int64)
    random = np.random.Generator(np.random.PCG64(0))
    for place in _onto(random.normal(size=(DIRECTIONS, vectors.shape[1])).T, vectors).T:
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


def nobody(stage: str, done: int, of: int) -> None:
    """What is told of a layout that nobody watches."""


def project(
    vectors: np.ndarray,
    settings: Projection,
    init: np.ndarray | None = None,
    landmarks: np.ndarray | None = None,
    tell: Tell = nobody,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Map of unit vectors (N, D): positions (N, 2) float32, always finite, and facts: method, version, seed, settings,
    points, trustworthiness (NaN: see trust_reason), trust_interval and trust_asked (of trust.Trust), notes, degenerate (no
    map to compare others with), aligned; of a map that UMAP would be too slow for also landmarks, placed, neighbours_found.

    `init` (N, 2): start from another space's map of the same images and turn the result to it, so that both compare; it
    is left alone where it is not usable(). landmarks: rows that UMAP lays out, where there are more than twice
    settings.landmarks vectors; None: evenly taken. tell: told how far a layout by landmarks is.
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
    part = unit if whole.all() else unit[whole]
    label = alike(part)
    first = np.unique(label, return_index=True)[1]
    if len(first) < len(part):
        notes.append(_same(label))
    begin = None if init is None else init[whole]
    if len(first) < ENOUGH or not by_landmarks_from(len(part), settings):
        laid, about = _lay_out(part, label, settings, begin)
    else:
        chosen = np.zeros(len(unit), bool)
        chosen[np.linspace(0, len(unit) - 1, settings.landmarks).astype(int) if landmarks is None else landmarks] = True
        laid, about = _lay_out_many((part, label), np.flatnonzero(chosen[whole]), settings, begin, tell)
    distinct = np.sort(first)
    trust = trustworthiness(part[distinct] if len(first) < len(part) else part, laid[distinct])
    xy = np.empty((len(unit), 2))
    xy[whole] = laid
    low, size = (laid.min(0), np.ptp(laid, axis=0).max() or 1.0) if len(laid) else (np.zeros(2), 1.0)
    xy[~whole] = low - 0.1 * size
    xy[~whole] = spread_out(xy[~whole], np.zeros(int((~whole).sum()), np.int64)) if (~whole).any() else xy[~whole]
    degenerate = len(first) < ENOUGH or not whole.any()
    facts |= {**about, "trustworthiness": trust.value, "trust_reason": trust.reason, "notes": notes}
    if 0 < trust.asked < len(first):
        facts |= {"trust_interval": [trust.low, trust.high], "trust_asked": trust.asked}
    return np.asarray(xy, dtype=np.float32), {
        **facts,
        "degenerate": degenerate,
        "aligned": init is not None and not degenerate,
    }


def by_landmarks_from(count: int, settings: Projection) -> bool:
    """Is a map of so many vectors laid out by landmarks? UMAP alone is better, and fast enough up to twice as many."""
    return count > 2 * settings.landmarks


def _same(label: np.ndarray) -> str:
    counts = np.bincount(label)
    if len(counts) == 1:
        return f"{len(label):,} of {len(label):,} vectors are the same: this model sees one face everywhere"
    same = int(counts[counts > 1].sum())
    return f"{same:,} of {len(label):,} vectors duplicate another one; {len(counts):,} are distinct"


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
    xy, version = by_umap(unit, settings, plane if init is None else init)
    if not np.isfinite(xy).all():
        return spread_out(plane, label), {**pca, "method": "PCA (UMAP gave no finite positions)"}
    return xy if init is None else procrustes(xy, init), {"method": "UMAP", "version": version}


def _lay_out_many(
    vectors: tuple[np.ndarray, np.ndarray],
    landmarks: np.ndarray,
    settings: Projection,
    init: np.ndarray | None,
    tell: Tell,
) -> tuple[np.ndarray, dict[str, Any]]:
    """As _lay_out, of (finite vectors, their labels) that are too many for UMAP: it lays out the rows `landmarks`.

    The others start beside their landmarks, or where `init` has them: beside landmarks, people without one would lie
    elsewhere in every map.
    """
    unit, label = vectors
    tell("laying out landmarks", 0, 1)
    own = np.unique(label[landmarks], return_inverse=True)[1]
    laid, about = _lay_out(unit[landmarks], own, settings, None if init is None else init[landmarks])
    if init is None:
        start = beside_landmarks(unit, landmarks, laid, settings, tell)
    else:
        start = init.astype(np.float32)
        start[landmarks] = laid
    xy, found = to_neighbours(unit, start, settings, tell)
    placed = "placed beside them" if init is None else "placed as on the first map"
    about |= {
        "method": f"{about['method']} of landmarks, the others {placed}",
        "landmarks": len(landmarks),
        "placed": len(unit) - len(landmarks),
        "neighbours_found": found,
    }
    tell("measuring trustworthiness", 0, 1)
    return xy if init is None else procrustes(xy, init), about
