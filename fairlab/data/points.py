"""Five points of every face, in the crop that a network sees: for networks that take landmarks beside the image (KP-RPE).

In shares of the crop's width and height, 0..1, as CVLface's networks take them: x in pixels divided by the width. Where faces
are aligned when they are read, the points come from the landmarks that they are aligned by; other images keep theirs in a file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairlab.data.align import template
from fairlab.data.landmarks import faults, with_faces_only

if TYPE_CHECKING:
    from fairlab.data.dataset import Dataset

POINTS_FILE, LANDMARKS_FILE = "points.npy", "landmarks.npy"
"""Of images that are handed out as they lie, (N, 5, 2) shares of the crop; of images that are aligned when they are read,
(N, 5, 2) pixels of the stored image. NaN where a face has none."""
MIRRORED = [1, 0, 2, 4, 3]
"""In the mirror the left eye is the right one."""
CHUNK = 1 << 18


def of_template(px: int) -> np.ndarray:
    """(5, 2): where alignment brings a face's points in a crop of `px` pixels."""
    return (template(px) / px).astype(np.float32)


def aligned(landmarks: np.ndarray, px: int) -> np.ndarray:
    """Landmarks (N, 5, 2) in pixels of stored images, as shares of the crops that align.crop makes of them."""
    parts = [_aligned(landmarks[start : start + CHUNK], px) for start in range(0, len(landmarks), CHUNK)]
    return np.concatenate(parts) if parts else np.zeros((0, 5, 2), np.float32)


def _aligned(landmarks: np.ndarray, px: int) -> np.ndarray:
    """The similarity of align.similarity for many faces: with complex numbers z -> p z + q."""
    points, target = np.asarray(landmarks, np.float64), template(px)
    z, wanted = points[..., 0] + 1j * points[..., 1], target[:, 0] + 1j * target[:, 1]
    middle = z.mean(1, keepdims=True)
    centred = z - middle
    with np.errstate(all="ignore"):  # NaN where a face has none
        turn = (np.conj(centred) @ (wanted - wanted.mean())) / (np.abs(centred) ** 2).sum(1)
        crop = turn[:, None] * centred + wanted.mean()
    return (np.stack([crop.real, crop.imag], axis=2) / px).astype(np.float32)


def in_the_middle(points: np.ndarray, sizes: np.ndarray, px: int) -> np.ndarray:
    """Points (N, 5, 2) in pixels of images of `sizes` (N, 2) (width, height), as shares of the crops that pixels.fit makes.

    NaN where they are no face's.
    """
    kept = np.where((faults(points, sizes) == 0)[:, None, None], np.asarray(points, np.float64), np.nan)
    side = sizes.min(1).astype(np.float64)
    corner = np.floor((sizes - side[:, None]) / 2)
    inside = (kept + 0.5 - corner[:, None]) * (px / side)[
        :, None, None
    ] - 0.5  # as a picture is scaled: from its corner
    return (inside / px).astype(np.float32)


def mirrored(points: np.ndarray) -> np.ndarray:
    """The points (N, 5, 2) of the mirror images."""
    other = points[:, MIRRORED].copy()
    other[..., 0] = 1 - other[..., 0]
    return other


def points_of(dataset: Dataset, px: int) -> np.ndarray | None:
    """(N, 5, 2) float32 shares of the data set's crops of `px` pixels, NaN where a face has none; None where no face has."""
    from fairlab.data.dataset import older_rule

    if dataset.info.get("images_from", {}).get("kind") == "recipe":
        return _borrowed(dataset, px)
    if (dataset.folder / LANDMARKS_FILE).exists():
        landmarks = np.load(dataset.folder / LANDMARKS_FILE, mmap_mode="r", allow_pickle=False)
        return aligned(with_faces_only(landmarks) if older_rule(dataset.info) else landmarks, px)
    if (dataset.folder / POINTS_FILE).exists():
        return np.asarray(np.load(dataset.folder / POINTS_FILE, allow_pickle=False), np.float32)
    return None


def has_points(dataset: Dataset) -> bool:
    """Has any image of the data set points? By the files that there are."""
    if dataset.info.get("images_from", {}).get("kind") == "recipe":
        return any(has_points(parent) for parent in dataset.parents())
    return any((dataset.folder / name).exists() for name in (LANDMARKS_FILE, POINTS_FILE))


def _borrowed(dataset: Dataset, px: int) -> np.ndarray | None:
    lent = [points_of(parent, px) for parent in dataset.parents()]
    parent, row = dataset.borrowed()
    if all(points is None for points in lent):
        return None
    borrowed = np.full((len(row), 5, 2), np.nan, np.float32)
    for number, points in enumerate(lent):
        if points is not None:
            borrowed[parent == number] = points[row[parent == number]]
    return borrowed


def lacking(points: np.ndarray | None, count: int) -> np.ndarray:
    """(N,) bool: which of `count` images have no points."""
    return np.ones(count, bool) if points is None else ~np.isfinite(points).all(axis=(1, 2))
