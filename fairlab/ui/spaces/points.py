"""The points of a map as the browser gets them: image ids and places between -1 and 1, all of them or as many as it can draw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from fairlab.data.dataset import Dataset
from fairlab.jobs.sample import whole_people
from fairlab.store.projections import StoredMap

DRAWN_AT_MOST = 1_000_000
FEWER = "points drawn at most"
"""Session: fewer than DRAWN_AT_MOST, where this browser's memory was too small."""
MARGIN = 1.05


@dataclass(frozen=True)
class Points:
    """ids (N,) int64 of the images with a place; places (N, 2) float32 in -1..1; drawn (M,) rows, None for all."""

    ids: np.ndarray
    places: np.ndarray
    drawn: np.ndarray | None

    def of_drawn(self, column: np.ndarray) -> np.ndarray:
        """A column (N, ...) for the points that are drawn."""
        return column if self.drawn is None else column[self.drawn]


def points_of(stored: StoredMap, data: Dataset) -> Points:
    """The points of a stored map."""
    return _points(stored.key, data.fingerprint, drawn_at_most(), stored, data)


def drawn_at_most() -> int:
    """How many points this session draws in one map."""
    return int(st.session_state.get(FEWER, DRAWN_AT_MOST))


@st.cache_resource(max_entries=12, show_spinner=False)
def _points(key: str, fingerprint: str, most: int, _stored: StoredMap, _data: Dataset) -> Points:
    table = _stored.points
    ids = table["image_id"].to_numpy(np.int64)
    here = (ids >= 0) & (ids < len(_data.images))
    xy = table[["x", "y"]].to_numpy(np.float32)[here]
    ids = ids[here]
    if len(ids) <= most:
        return Points(ids, centred(xy), None)
    people, groups = (_data.images[name].to_numpy()[ids] for name in ("identity", "group"))
    return Points(ids, centred(xy), whole_people(people, groups, most, 0).rows)


def centred(xy: np.ndarray) -> np.ndarray:
    """Places (N, 2) moved and scaled into -1..1, both directions alike; equal places all at 0."""
    if not len(xy):
        return xy
    low, high = xy.min(axis=0), xy.max(axis=0)
    half = float((high - low).max()) / 2 * MARGIN or 1.0
    return np.ascontiguousarray((xy - (low + high) / 2) / half, dtype=np.float32)
