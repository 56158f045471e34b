"""Which points lie inside a drawn line, and how a selection grows or shrinks by them."""

from __future__ import annotations

from typing import Any

import numpy as np

MOST_CORNERS = 2000


def corners_of(drawn: Any) -> np.ndarray | None:
    """The corners (V, 2) of what a browser sent, x and y in turn; None for anything that is no line around something."""
    if not isinstance(drawn, list) or not 6 <= len(drawn) <= 2 * MOST_CORNERS or len(drawn) % 2:
        return None
    if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in drawn):
        return None
    corners = np.array(drawn, dtype=np.float64).reshape(-1, 2)
    return corners if np.isfinite(corners).all() else None


def inside(corners: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(N,) bool: is a place (N, 2) inside the closed line over corners (V, 2)? By the even-odd rule.

    Points are sorted by height once, and each side of the line looks only at those level with it: a million points and some
    hundred corners take a fraction of a second.
    """
    order = np.argsort(places[:, 1], kind="stable")
    x, y = places[order, 0].astype(np.float64), places[order, 1].astype(np.float64)
    crossed = np.zeros(len(y), dtype=bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y1 == y2:
            continue
        low, high = np.searchsorted(y, sorted((y1, y2)), side="left")
        at = x1 + (y[low:high] - y1) * ((x2 - x1) / (y2 - y1))
        crossed[low:high] ^= x[low:high] < at
    found = np.empty(len(y), dtype=bool)
    found[order] = crossed
    return found


def combined(before: np.ndarray | None, drawn: np.ndarray, how: str) -> np.ndarray:
    """The selection after `drawn` was added to it ("add"), taken from it ("take"), or has replaced it; rising ids."""
    if how == "take":
        return np.empty(0, dtype=np.int64) if before is None else rising(before[~np.isin(before, drawn)])
    return rising(drawn if how == "new" or before is None else np.concatenate([before, drawn]))


def rising(ids: np.ndarray) -> np.ndarray:
    """Ids (N,) sorted, each once: np.unique, which takes thirty times as long because it hashes before it sorts."""
    ids = np.sort(ids)
    return ids[np.diff(ids, prepend=ids[:1] - 1) > 0]
