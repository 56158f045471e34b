"""A plan as a picture: data, teachers, adaptors, students from left to right, with what is done already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import GREY, styled, translucent, words
from fairlab.tables import TEXT, Table

COLUMNS = {
    "dataset": 0,
    "model": 1,
    "teacher": 1,
    "adaptor": 2,
    "baseline": 2,
    "embedding": 3,
    "student": 4,
    "evaluation": 5,
    "projection": 5,
    "comparison": 5,
}
PLANNED = Table(run_id=TEXT, title=TEXT, role=TEXT, status=TEXT, note=TEXT)
"""A row is a run of a plan; note: the line under the hover."""
TITLES = ("data", "teachers", "common space", "embeddings", "students", "maps")
FILLS = {
    "done": "#009E73",
    "running": "#56B4E9",
    "queued": "#CC79A7",
    "new": "#0072B2",
    "failed": "#D55E00",
    "crashed": "#D55E00",
    "stopped": "#E69F00",
}
NAMES = {"done": "done already: reused", "new": "to do"}
HALF_WIDTH, HALF_HEIGHT, ROW_PX = 0.4, 0.36, 50
LINE = 26
"""Letters that a box has room for on a wide screen."""
WRAP = 20
"""Longer titles are broken before their bracket: so many fit on a laptop's screen."""


def plan_figure(runs: pd.DataFrame, parents: Mapping[str, Sequence[str]]) -> go.Figure:
    """A box per run, a line to each run it needs.

    runs: PLANNED; parents: run_id -> ids of the runs it needs.
    Lines to the maps are left out: they would join everything to everything.
    """
    figure = go.Figure()
    place = places(runs, parents)
    _edges(figure, runs, parents, place)
    for status, part in runs.groupby("status", sort=False):
        colour = FILLS.get(str(status), GREY)
        _boxes(figure, part, place, colour, NAMES.get(str(status), str(status)))
    rows = max((abs(y) for _, y in place.values()), default=0.0) * 2 + 1
    used = sorted({COLUMNS[role] for role in runs["role"]})
    for x, column in enumerate(used):
        figure.add_annotation(
            x=x, y=1.0, yref="paper", yshift=18, text=f"<b>{TITLES[column]}</b>", showarrow=False, opacity=0.7
        )
    styled(figure, int(max(220, ROW_PX * rows + 90)))
    figure.update_layout(
        legend={
            "y": -0.01,
            "yanchor": "top",
            "x": 0.5,
            "xanchor": "center",
            "itemclick": False,
            "itemdoubleclick": False,
        },
        margin={"l": 0, "r": 0, "t": 40, "b": 36},
        dragmode=False,
    )
    figure.update_xaxes(visible=False, fixedrange=True, range=[-0.45, len(used) - 0.55])
    figure.update_yaxes(visible=False, fixedrange=True, range=[-rows / 2 - 0.1, rows / 2 + 0.1])
    return figure


def places(runs: pd.DataFrame, parents: Mapping[str, Sequence[str]]) -> dict[str, tuple[float, float]]:
    """Where each run stands: its role's column, and beside the runs it needs, at least one row from its neighbours."""
    place: dict[str, tuple[float, float]] = {}
    columns = runs["role"].map(COLUMNS)
    for x, column in enumerate(sorted(set(columns))):
        names = list(runs.loc[columns == column, "run_id"])
        wanted = np.zeros(len(names))
        if column < COLUMNS["projection"]:
            for number, name in enumerate(names):
                known = [place[parent][1] for parent in parents.get(name, ()) if parent in place]
                wanted[number] = np.mean(known) if known else 0.0
        for name, y in zip(names, _spread(wanted), strict=True):
            place[name] = (float(x), float(y))
    return place


def _spread(wanted: np.ndarray) -> np.ndarray:
    """Positions near the wanted ones, from top to bottom in their order, at least 1 apart, the middle kept."""
    order = np.argsort(-wanted, kind="stable")
    placed = np.zeros(len(wanted))
    last = np.inf
    for number in order:
        last = min(wanted[number], last - 1.0)
        placed[number] = last
    shifted: np.ndarray = placed + (wanted.mean() - placed.mean())
    return shifted


def _edges(
    figure: go.Figure,
    runs: pd.DataFrame,
    parents: Mapping[str, Sequence[str]],
    place: Mapping[str, tuple[float, float]],
) -> None:
    """Soft curves from the right side of a run's box to the left side of those that need it, as one trace."""
    bend = np.linspace(0, 1, 16)
    ease = bend * bend * (3 - 2 * bend)
    gap = 1 - 2 * HALF_WIDTH
    xs: list[np.ndarray] = []
    ys: list[np.ndarray] = []
    for row in runs.itertuples():
        for parent in parents.get(row.run_id, ()) if row.role != "projection" else ():
            if parent in place and place[parent][0] < place[row.run_id][0]:
                (x0, y0), (x1, y1) = place[parent], place[row.run_id]
                start, end = x0 + HALF_WIDTH, x1 - HALF_WIDTH
                if x1 - x0 > 1:  # past the columns between, beside their boxes, then over in the last gap
                    lane = _lane(y0, [y for x, y in place.values() if x0 < x < x1])
                    xs += [start + bend * gap, end - gap + bend * gap, np.array([np.nan])]
                    ys += [y0 + ease * (lane - y0), lane + ease * (y1 - lane), np.array([np.nan])]
                else:
                    xs += [start + bend * gap, np.array([np.nan])]
                    ys += [y0 + ease * (y1 - y0), np.array([np.nan])]
    if xs:
        figure.add_scatter(
            x=np.concatenate(xs),
            y=np.concatenate(ys),
            mode="lines",
            line={"color": "rgba(128,128,128,0.5)", "width": 1.2},
            hoverinfo="skip",
            showlegend=False,
        )


def _lane(y: float, boxes: Sequence[float]) -> float:
    """The height nearest to `y` at which a line meets none of these boxes; `y` where there is none."""
    for lane in (y, y - 0.5, y + 0.5):
        if all(abs(lane - box) > HALF_HEIGHT for box in boxes):
            return lane
    return y


def _boxes(
    figure: go.Figure, part: pd.DataFrame, place: Mapping[str, tuple[float, float]], colour: str, label: str
) -> None:
    looks = {"type": "rect", "fillcolor": translucent(colour, 0.16), "line": {"color": colour, "width": 1.4}}
    boxes = [
        {
            **looks,
            "x0": x - HALF_WIDTH,
            "x1": x + HALF_WIDTH,
            "y0": y - HALF_HEIGHT,
            "y1": y + HALF_HEIGHT,
            "layer": "below",
        }
        for x, y in (place[run_id] for run_id in part["run_id"])
    ]
    # all at once: with each add_shape plotly goes through all that are there
    figure.update_layout(shapes=[*figure.layout.shapes, *boxes])
    figure.add_scatter(
        x=[place[run_id][0] for run_id in part["run_id"]],
        y=[place[run_id][1] for run_id in part["run_id"]],
        mode="text",
        text=[_two_lines(title) for title in part["title"]],
        hovertext=[words(title) for title in part["title"]],
        textfont={"size": 12},
        customdata=[words(note) for note in part["note"]],
        hovertemplate="%{hovertext}<br>%{customdata}<extra></extra>",
        showlegend=False,
    )
    figure.add_scatter(
        x=[None], y=[None], mode="markers", name=label, marker={"size": 13, "symbol": "square", "color": colour}
    )


def _two_lines(title: str) -> str:
    """A title as a box has room for it: broken before its bracket, what is too long cut; the hover has it whole."""
    head, bracket, tail = title.partition(" (")
    lines = [title] if len(title) <= WRAP else [head, f"({tail}"] if bracket else [title]
    return "<br>".join(words(line if len(line) <= LINE else line[: LINE - 2].rstrip(" ,;") + " ...") for line in lines)
