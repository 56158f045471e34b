"""Are five points those of a face? A detector that finds none leaves zeros, -1 or equal points, and lists are mixed up.

A profile has its eyes at nearly one place, and a tight crop has points beyond its border: both are faces. The bounds were
set with a head turned by up to 90 degrees and nodding by 45, with points off by 5 % of the face's size: every such face
stays within them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.align import TEMPLATE_112
from fairlab.data.listing import SHOWN, Listing

MISSING = "no points given"
EQUAL = "points that are equal, 0 or -1: no face was detected"
FRACTIONS = "fractions of the image size instead of pixels"
SMALL = "a face less than 8 pixels wide"
OUTSIDE = "points outside the picture"
MIRRORED = "left and right, or x and y, swapped"
UPSIDE_DOWN = "the mouth above the eyes"
NO_FACE = "points in a shape that is not a face"
REASONS = ("", MISSING, EQUAL, FRACTIONS, SMALL, OUTSIDE, MIRRORED, UPSIDE_DOWN, NO_FACE)
"""What faults() tells of an image, by its number; 0 is a face."""
WIDE_PX = 8.0
"""Of the square around a face that alignment cuts out. From 8 pixels no network knows anybody."""
BEYOND = 0.25
"""How far beyond the picture's border a point may lie, as a share of its longer side: of a face that it cuts off."""
LIKE = 0.4
"""Least correlation with the template (as complex numbers). Profiles have 0.6 and more, swapped points 0.23."""
ACROSS = -0.3
"""Least signed area that eyes and mouth span to the right of the line down the face, of the points' total square."""
HEADSTAND = 150.0
"""Degrees of tilt. People lie on their side; a face on its head is a list in another order."""
FLAT = 0.08
"""Least ratio of the points' two spreads. A profile has 0.38: the nose stands out."""
TWIST = 0.3
"""Most that the line of the mouth differs from 0.8 times the line of the eyes, which it runs along in every pose: its
square, of the points' total square. Noise of 5 % makes it 0.1; random points, 0.7."""
CHUNK = 1 << 20


def faults(points: np.ndarray, sizes: np.ndarray | None = None) -> np.ndarray:
    """(N,) int8: the place in REASONS of what is wrong with five points (N, 5, 2) in pixels; 0 where they are a face's.

    sizes (N, 2): width and height of the pictures, NaN where unknown, where nothing is outside.
    """
    parts = [
        _faults(np.asarray(points[start : start + CHUNK], np.float64), None if sizes is None else sizes[start:][:CHUNK])
        for start in range(0, len(points), CHUNK)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.int8)


def with_faces_only(points: np.ndarray) -> np.ndarray:
    """Points (N, 5, 2) with NaN where they are no face's, whatever the size of its picture."""
    return np.where((faults(points) == 0)[:, None, None], points, np.nan)


def judged(listing: Listing, looked: pd.DataFrame) -> Listing:
    """A listing whose points that are no face's are NaN (no points at all: None), and which says so in `without` and in
    its problems. looked: data.checking's table of some or all images, for the sizes of the pictures.
    """
    if listing.landmarks is None:
        return listing
    sizes = np.full((len(listing.images), 2), np.nan)
    seen = looked[looked["readable"].to_numpy(bool)]
    sizes[seen["row"].to_numpy(np.int64)] = seen[["width", "height"]].to_numpy(float)
    reason = faults(listing.landmarks, sizes)
    reason[looked["row"].to_numpy(np.int64)[~looked["readable"].to_numpy(bool)]] = 0  # counted as unreadable
    if not reason.any():
        return listing
    points = np.where((reason == 0)[:, None, None], listing.landmarks, np.nan)
    facts = _facts(listing.images, reason, listing.templates is not None)
    return replace(
        listing,
        landmarks=points if (reason == 0).any() else None,
        without=facts,
        problems=[*listing.problems, sentence(facts)],
    )


def _facts(images: pd.DataFrame, reason: np.ndarray, templates: bool) -> dict[str, Any]:
    """Plain JSON values: images (how many are without), taken (what becomes of them), groups (of each: without, of),
    reasons (how many), examples.
    """
    lacks = reason > 0
    table = images.assign(lacks=lacks).groupby("group", sort=False)["lacks"].agg(["sum", "size"])
    return {
        "images": int(lacks.sum()),
        "taken": "left out of their templates" if templates else "cropped in the middle",
        "groups": {str(row.Index): {"without": int(row.sum), "of": int(row.size)} for row in table.itertuples()},
        "reasons": {REASONS[code]: int((reason == code).sum()) for code in np.unique(reason[lacks])},
        "examples": images["location"].astype(str)[lacks][:SHOWN].tolist(),
    }


def sentence(facts: Mapping[str, Any]) -> str:
    """What _facts counts, in words: how many, which, of which groups, and why."""
    more = ", ..." if facts["images"] > len(facts["examples"]) else ""
    groups = [
        f"{name} {group['without']:,} of {group['of']:,}" for name, group in facts["groups"].items() if group["without"]
    ]
    reasons = [f"{reason} ({count:,})" for reason, count in facts["reasons"].items()]
    return (
        f"images without landmarks, {facts['taken']}: {facts['images']:,} ({', '.join(facts['examples'])}{more}); "
        f"by group: {', '.join(groups)}; why: {'; '.join(reasons)}"
    )


def _faults(points: np.ndarray, sizes: np.ndarray | None) -> np.ndarray:
    with np.errstate(all="ignore"):
        shape = _shape(points)
        tests = [  # the first that holds is the reason
            (MISSING, ~np.isfinite(points).all(axis=(1, 2))),
            (EQUAL, _nothing(points)),
            (FRACTIONS, (points.min(axis=(1, 2)) >= -0.5) & (points.max(axis=(1, 2)) <= 1.5)),
            (OUTSIDE, np.zeros(len(points), bool) if sizes is None else _outside(points, sizes)),
            (MIRRORED, shape["across"] < ACROSS),
            (UPSIDE_DOWN, (np.abs(shape["tilt"]) > HEADSTAND) & (shape["like"] >= LIKE)),
            (NO_FACE, ~(shape["like"] >= LIKE) | ~(shape["flat"] >= FLAT) | ~(shape["twist"] <= TWIST)),
            (SMALL, shape["wide"] < WIDE_PX),
        ]
    reason = np.select([test for _, test in tests], [REASONS.index(name) for name, _ in tests], 0)
    return reason.astype(np.int8)


def _nothing(points: np.ndarray) -> np.ndarray:
    """A point in the picture's corner or at -1, or three in one place: what stands where a detector found nothing."""
    corner = (points == 0).all(axis=2) | (points == -1).all(axis=2)
    same = (np.abs(points[:, :, None] - points[:, None]) < 1e-6).all(axis=3).sum(axis=2)
    return np.asarray(corner.any(axis=1) | (same >= 3).any(axis=1))


def _outside(points: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The middle of the points, or any of them by more than BEYOND."""
    middle, last = points.mean(axis=1), sizes - 0.5
    beyond = BEYOND * sizes.max(axis=1)[:, None, None]
    far = ((points < -0.5 - beyond) | (points > last[:, None] + beyond)).any(axis=(1, 2))
    return np.asarray(far | (middle < -0.5).any(axis=1) | (middle > last).any(axis=1))


def _shape(points: np.ndarray) -> dict[str, np.ndarray]:
    """Of five points (N, 5, 2): like (0..1) and tilt (degrees) to the template, wide (pixels of the crop), across, flat,
    twist.
    """
    z = points[:, :, 0] + 1j * points[:, :, 1]
    centred = z - z.mean(axis=1, keepdims=True)
    model = TEMPLATE_112[:, 0] + 1j * TEMPLATE_112[:, 1]
    model = model - model.mean()
    total, square = (np.abs(centred) ** 2).sum(axis=1), (np.abs(model) ** 2).sum()
    product = np.conj(centred) @ model
    eyes, mouth = (z[:, 0] + z[:, 1]) / 2, (z[:, 3] + z[:, 4]) / 2
    down = mouth - eyes
    of_eyes, of_mouth = z[:, 1] - z[:, 0], z[:, 4] - z[:, 3]
    xx, yy, xy = (centred.real**2).sum(1), (centred.imag**2).sum(1), (centred.real * centred.imag).sum(1)
    root = np.sqrt((xx - yy) ** 2 + 4 * xy**2)
    return {
        "like": np.abs(product) / np.sqrt(total * square),
        "tilt": np.degrees(np.angle(product)),
        "wide": 112 * total / np.abs(product),
        "across": np.minimum((np.conj(of_eyes) * down).imag, (np.conj(of_mouth) * down).imag) / total,
        "flat": np.sqrt(np.clip((total - root) / (total + root), 0, None)),
        "twist": np.abs(of_mouth - 0.8 * of_eyes) ** 2 / total,
    }
