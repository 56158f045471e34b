"""A plan as a picture: data, teachers, adaptors, students from left to right, with what is done already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from fairlab.plots.colours import styled

COLUMNS = {"dataset": 0, "teacher": 1, "adaptor": 2, "baseline": 2, "student": 3, "projection": 4}
TITLES = ("data", "teachers", "common space", "students", "maps")
FILLS = {"done": "#009E73", "running": "#56B4E9", "queued": "#F0E442", "new": "#0072B2", "failed": "#D55E00", "crashed": "#D55E00", "stopped": "#E69F00"}


def plan_figure(runs: pd.DataFrame, parents: Mapping[str, Sequence[str]]) -> go.Figure:
    """runs: run_id, title, role, status, note (a line under the hover); parents: run_id -> ids of the runs it needs.

    Edges to the maps are left out: they would join everything to everything.
    """
    figure = go.Figure()
    place: dict[str, tuple[float, float]] = {}
    for column, part in runs.assign(column=runs["role"].map(COLUMNS)).groupby("column"):
        count = len(part)
        for number, run_id in enumerate(part["run_id"]):
            place[run_id] = (float(column), (count - 1) / 2 - number)
    highest = max((abs(y) for _, y in place.values()), default=1.0) or 1.0
    per_column = runs["role"].map(COLUMNS).value_counts()
    tallest = max(per_column, default=1)
    for run_id, (x, y) in list(place.items()):  # spread short columns over the height
        count = per_column[int(x)]
        place[run_id] = (x, y * (highest * 2 / max(count - 1, 1)) / 2 if count > 1 else 0.0) if count > tallest / 2 else (x, y * 1.6)
    lines_x: list[float | None] = []
    lines_y: list[float | None] = []
    for row in runs.itertuples():
        if row.role == "projection":
            continue
        for parent in parents.get(row.run_id, ()):
            if parent in place:
                lines_x += [place[parent][0], place[row.run_id][0], None]
                lines_y += [place[parent][1], place[row.run_id][1], None]
    figure.add_scatter(x=lines_x, y=lines_y, mode="lines", line={"color": "rgba(128,128,128,0.45)", "width": 1.2}, hoverinfo="skip", showlegend=False)
    for status, part in runs.groupby("status", sort=False):
        figure.add_scatter(
            x=[place[run_id][0] for run_id in part["run_id"]], y=[place[run_id][1] for run_id in part["run_id"]],
            mode="markers+text", name={"done": "done already: reused", "new": "to do"}.get(str(status), str(status)),
            marker={"size": 17, "symbol": "square", "color": FILLS.get(str(status), "#888888")},
            text=part["title"], textposition="bottom center", textfont={"size": 11}, cliponaxis=False,
            customdata=part["note"], hovertemplate="%{text}<br>%{customdata}<extra></extra>",
        )
    used = sorted({int(x) for x, _ in place.values()})
    for column in used:
        figure.add_annotation(x=column, y=1.0, yref="paper", yshift=14, text=f"<b>{TITLES[column]}</b>", showarrow=False)
    styled(figure, max(260, 58 * tallest + 90))
    figure.update_layout(legend={"y": -0.02, "yanchor": "top"}, margin={"l": 20, "r": 20, "t": 40, "b": 30})
    figure.update_xaxes(visible=False, range=[min(used) - 0.55, max(used) + 0.55])
    figure.update_yaxes(visible=False, range=[-highest - 0.8, highest + 0.6])
    return figure
