"""The element that draws maps by WebGL, what it is given, and what a hand on it does to the selection.

Points, colours and masks are fetched from addresses that are hashes of their content (ui/door/blobs.py): a browser has each
once. Its script is assets/map/bundle.js, which `npm ci && npm run build` makes there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import streamlit as st

from fairlab.compare.columns.base import PLAIN
from fairlab.data.dataset import Dataset
from fairlab.plots.points import Coding
from fairlab.ui.door.blobs import offer
from fairlab.ui.door.server import map_script_address
from fairlab.ui.frame import choices
from fairlab.ui.frame.gallery import version_of
from fairlab.ui.spaces import selection
from fairlab.ui.spaces.lasso import combined, corners_of, inside
from fairlab.ui.spaces.points import FEWER, Points, drawn_at_most

KEY, HIDDEN = "maps", "hide"
FAILED = "maps cannot be drawn by WebGL"
"""Session: the browser has no WebGL, so Plotly draws fewer points."""
FEWEST = 50_000
"""Points that any browser's memory takes."""
HOWS = ("new", "add", "take")

_JS = """
export default function (component) {
  const { data, parentElement } = component;
  parentElement.fairlabMaps ??= import(location.origin + data.script);
  parentElement.fairlabMaps.then((maps) => maps.show(component));
  return () => parentElement.fairlabMaps?.then((maps) => maps.end(parentElement));
}
"""
_maps = st.components.v2.component("fairlab_maps", js=_JS)


@dataclass(frozen=True)
class View:
    """One map to draw: its points, the bytes of their colours, and which of them are shown, each (N,)."""

    name: str
    run_id: str
    title: str
    note: str
    points: Points
    codes: np.ndarray
    shown: np.ndarray


def of_colour(dataset_id: str, colour_by: str) -> str:
    """What names of a legend are part of: they mean nothing under another colour."""
    return f"{dataset_id} {colour_by}"


def hidden_names(dataset_id: str, colour_by: str, coding: Coding) -> list[str]:
    """Names of the legend that are hidden, as the link asks; those that the legend does not have are dropped."""
    asked = choices.asked(HIDDEN, of_colour(dataset_id, colour_by))
    names = {entry.name for entry in coding.entries}
    hidden = [name for name in dict.fromkeys(asked) if name in names]
    choices.show(HIDDEN, hidden)
    return hidden


def draw(data: Dataset, views: Sequence[View], coding: Coding, colour_by: str, meaning: str) -> None:
    """Draw maps beside each other; a lasso, box or click in one makes the selection of all."""
    hidden = choices.shown(HIDDEN)
    by_name = {view.name: view for view in views}
    dataset_id = data.dataset_id
    _maps(
        key=KEY,
        data=_told(data, views, coding, hidden, meaning),
        on_drawn_change=partial(_drawn, dataset_id, by_name),
        on_clicked_change=partial(_clicked, dataset_id, len(data.images)),
        on_cleared_change=partial(_cleared, dataset_id),
        on_toggled_change=partial(_toggled, of_colour(dataset_id, colour_by), hidden),
        on_failed_change=_failed,
    )


def _told(data: Dataset, views: Sequence[View], coding: Coding, hidden: Sequence[str], meaning: str) -> dict[str, Any]:
    """All that the browser needs, as JSON; arrays by their addresses."""
    chosen = selection.selected(data.dataset_id)
    mask = "" if chosen is None else offer(_bits(_mask(chosen, len(data.images))))
    counts = [np.bincount(view.codes, minlength=len(coding.colours)) for view in views]
    return {
        "script": map_script_address(),
        "dataset": data.dataset_id,
        "version": version_of(data.dataset_id),
        "pictures": data.has_images,
        "meaning": meaning,
        "told": meaning not in PLAIN.values(),
        "colours": list(coding.colours),
        "scale": [f"{end:.4g}" for end in coding.scale] if coding.scale else None,
        "legend": [
            {
                "name": entry.name,
                "under": entry.under,
                "hidden": entry.name in hidden,
                "count": " | ".join(dict.fromkeys(f"{count[code]:,}" for count in counts)),
            }
            for code, entry in enumerate(coding.entries)
        ],
        "chosen": mask,
        "panels": [_panel(data, view, coding, chosen) for view in views],
    }


def _panel(data: Dataset, view: View, coding: Coding, chosen: np.ndarray | None) -> dict[str, Any]:
    points = view.points
    ids, shown = points.of_drawn(points.ids), points.of_drawn(view.shown)
    count = int(view.shown.sum())
    picked = 0 if chosen is None else int(np.isin(points.ids, chosen).sum())
    sizes = np.bincount(view.codes[view.shown], minlength=len(coding.colours))
    parts = [f"{entry.name} {sizes[code]:,}" for code, entry in enumerate(coding.entries) if sizes[code]]
    drawn = "" if points.drawn is None else f" Drawn: {len(ids):,} of them, all images of people drawn by seed 0."
    return {
        "name": view.name,
        "title": view.title,
        "alt": f"Map of {view.title}: {count:,} points shown, {picked:,} selected. {', '.join(parts)}",
        "note": f"{view.note}{drawn}",
        "count": count,
        "ids": offer(ids.astype("<u4").tobytes()),
        "places": offer(points.of_drawn(points.places).astype("<f4").tobytes()),
        "codes": offer(points.of_drawn(view.codes).tobytes()),
        "shown": "" if shown.all() else offer(_bits(shown)),
        "about": f"/api/about/{view.run_id}/{data.dataset_id}/",
    }


def _bits(mask: np.ndarray) -> bytes:
    return np.packbits(mask, bitorder="little").tobytes()


def _mask(ids: np.ndarray, count: int) -> np.ndarray:
    mask = np.zeros(count, dtype=bool)
    mask[ids[(ids >= 0) & (ids < count)]] = True
    return mask


def _answer(name: str) -> Any:
    return getattr(st.session_state[KEY], name, None)


def _drawn(dataset_id: str, views: dict[str, View]) -> None:
    """A lasso or box: every point inside that is shown, also those too many to be drawn."""
    answer = _answer("drawn")
    view = views.get(str(answer.get("panel"))) if isinstance(answer, dict) else None
    corners = corners_of(answer.get("corners")) if isinstance(answer, dict) else None
    if view is None or corners is None or answer.get("how") not in HOWS:
        return
    ids = view.points.ids[inside(corners, view.points.places) & view.shown]
    selection.select(dataset_id, combined(selection.selected(dataset_id), ids, answer["how"]))


def _clicked(dataset_id: str, images: int) -> None:
    """A point: its image is the selection, and its neighbours are asked for; with a key it joins or leaves the selection."""
    answer = _answer("clicked")
    image = answer.get("image") if isinstance(answer, dict) else None
    if not isinstance(image, int) or not 0 <= image < images or answer.get("how") not in HOWS:
        return
    before = selection.selected(dataset_id)
    selection.select(dataset_id, combined(before, np.array([image], dtype=np.int64), answer["how"]))
    if answer["how"] == "new":
        choices.choose(selection.FACE, [str(image)], dataset_id)


def _cleared(dataset_id: str) -> None:
    if _answer("cleared"):
        selection.select(dataset_id, None)


def _toggled(of: str, hidden: Sequence[str]) -> None:
    """A name of the legend: hide its points, or show them again."""
    name = _answer("toggled")
    if isinstance(name, str):
        choices.choose(HIDDEN, [one for one in hidden if one != name] if name in hidden else [*hidden, name], of)


def _failed() -> None:
    """The browser cannot draw: without WebGL Plotly does, and where its memory is too small there are fewer points."""
    if _answer("failed") == "memory" and drawn_at_most() > FEWEST:
        st.session_state[FEWER] = max(FEWEST, drawn_at_most() // 4)
    elif _answer("failed"):
        st.session_state[FAILED] = True
