"""From one map of the same images to another: every point goes the straight way, and keeps its colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import group_styles, styled, words

STEPS = 12
POINTS = 4000
"""Drawn at most, and as many of a selection."""
STEP_MS = 90


def morph_figure(
    before: pd.DataFrame,
    after: pd.DataFrame,
    groups: Sequence[str],
    titles: tuple[str, str],
    selected: np.ndarray | None = None,
) -> go.Figure:
    """A figure with a slider and a play button from map `before` to map `after`.

    before, after: image_id, x, y, and group of before; images of one map only are left out. The second map is turned, mirrored
    and scaled to the first (Procrustes), so that only what differs moves. selected: image ids that stand out in every step.
    titles: of the two ends.
    """
    points = _drawn(before.merge(after[["image_id", "x", "y"]], on="image_id", suffixes=("", "_after")), selected)
    start = _centred(points[["x", "y"]].to_numpy(np.float64))
    end = _turned(_centred(points[["x_after", "y_after"]].to_numpy(np.float64)), start)
    parts = _parts(points, groups, selected)
    figure = go.Figure()
    named = set[str]()
    for name, marker, at in parts:
        figure.add_scattergl(
            **_places(start, at),
            mode="markers",
            name=words(name),
            legendgroup=words(name),
            showlegend=name not in named,
            customdata=points["image_id"].to_numpy()[at].reshape(-1, 1),
            marker=marker,
            hovertemplate=f"{words(name)}<br>image %{{customdata[0]}}<extra></extra>",
        )
        named.add(name)
    shares = np.linspace(0, 1, STEPS + 1)
    figure.frames = [
        go.Frame(
            name=str(step),
            traces=list(range(len(parts))),
            data=[go.Scattergl(**_places((1 - share) * start + share * end, at)) for _, _, at in parts],
        )
        for step, share in enumerate(shares)
    ]
    return _controlled(styled(figure, 560), titles, np.concatenate([start, end]))


def _drawn(points: pd.DataFrame, selected: np.ndarray | None) -> pd.DataFrame:
    """At most POINTS, evenly taken, and as many of those that are selected."""
    kept = _spread(np.arange(len(points)))
    if selected is not None:
        kept = np.union1d(kept, _spread(np.flatnonzero(points["image_id"].isin(selected).to_numpy())))
    return points.iloc[kept]


def _spread(rows: np.ndarray) -> np.ndarray:
    """At most POINTS of the rows, evenly taken."""
    return rows if len(rows) <= POINTS else rows[np.unique(np.linspace(0, len(rows) - 1, POINTS).astype(int))]


def _parts(
    points: pd.DataFrame, groups: Sequence[str], selected: np.ndarray | None
) -> list[tuple[str, dict[str, Any], np.ndarray]]:
    """(group, marker, rows) of each trace: those that are not selected, faint, below those that are.

    Plotly's own `selectedpoints` loses the faintness in the first step of an animation.
    """
    ids = points["image_id"].to_numpy()
    chosen = np.zeros(len(ids), dtype=bool) if selected is None else np.isin(ids, selected)
    plain, faint, strong = ({"size": size, "opacity": opacity} for size, opacity in ((5, 0.85), (5, 0.12), (8, 1.0)))
    looks = [(~chosen, plain if selected is None else faint), (chosen, strong)]
    styles = group_styles(groups)
    of_group = {name: (points["group"] == name).to_numpy() for name in styles}
    found = [
        (name, {**look, "color": style.colour, "symbol": style.symbol}, np.flatnonzero(of_group[name] & among))
        for among, look in looks
        for name, style in styles.items()
    ]
    return [part for part in found if len(part[2])]


def _centred(xy: np.ndarray) -> np.ndarray:
    """Positions (N, 2) around 0, of mean square 1; zeros stay."""
    moved = xy - xy.mean(0) if len(xy) else xy
    size = float(np.sqrt((moved**2).mean())) if len(xy) else 0.0
    return np.asarray(moved / size if size > 0 else moved)


def _turned(xy: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Centred positions (N, 2) turned or mirrored to lie as near as possible to `reference`: Schoenemann, 1966."""
    left, _, right = np.linalg.svd(xy.T @ reference)
    return np.asarray(xy @ (left @ right))


def _places(xy: np.ndarray, at: np.ndarray) -> dict[str, list[float]]:
    """Lists, not arrays: plotly reads packed arrays in figures, but not in frames."""
    return {"x": np.round(xy[at, 0], 4).tolist(), "y": np.round(xy[at, 1], 4).tolist()}


def _controlled(figure: go.Figure, titles: tuple[str, str], every: np.ndarray) -> go.Figure:
    """With slider and buttons, and axes that hold both ends (2N, 2) and stand still."""
    at_once = {"frame": {"duration": 0, "redraw": True}, "transition": {"duration": 0}, "mode": "immediate"}
    slowly = {**at_once, "frame": {"duration": STEP_MS, "redraw": True}, "fromcurrent": True}
    order = [str(step) for step in range(STEPS + 1)]
    steps = [{"method": "animate", "label": "", "args": [[name], at_once]} for name in order]
    ends = [
        {
            "text": words(title),
            "xref": "paper",
            "yref": "paper",
            "x": x,
            "y": 0,
            "yshift": -78,
            "xanchor": side,
            "showarrow": False,
        }
        for title, x, side in zip(titles, (0.16, 0.96), ("left", "right"), strict=True)
    ]
    buttons = [
        {"label": "Play", "method": "animate", "args": [order, slowly]},
        {"label": "Back", "method": "animate", "args": [order[::-1], slowly]},
    ]
    low, high = (every.min(0) - 0.1, every.max(0) + 0.1) if len(every) else (-np.ones(2), np.ones(2))
    figure.update_layout(
        sliders=[{"steps": steps, "active": 0, "x": 0.16, "len": 0.8, "y": 0, "currentvalue": {"visible": False}}],
        updatemenus=[{"type": "buttons", "buttons": buttons, "direction": "right", "x": 0, "y": 0, "xanchor": "left", "yanchor": "top", "showactive": False}],
        annotations=ends,
        legend={"itemsizing": "constant"},
        margin={"l": 4, "r": 4, "t": 34, "b": 92},
    )  # fmt: skip
    figure.update_xaxes(visible=False, range=[low[0], high[0]])
    return figure.update_yaxes(visible=False, range=[low[1], high[1]], scaleanchor="x")
