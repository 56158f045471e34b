"""Curves of many runs in one figure: a panel for each reading, a colour and dash for each run, one legend for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from fairlab.errors import FairLabError
from fairlab.plots.colours import Style, group_styles, legend_below, styled, words

DRAWN = 40_000
"""Readings drawn in the whole figure, shared by its curves, so that it opens as quickly with 20 runs as with two."""
LEAST, PANEL_PX = 60, 230
HEADINGS = {
    "loss": "loss", "identity": "identity loss", "distillation": "distillation loss", "lr": "learning rate",
    "validation_accuracy": "accuracy, held-out people: mean", "grad_norm": "gradient norm", "images_per_s": "images/s",
    "routing/entropy": "routing: entropy / log n", "routing/own_rate": "routing: to the group's own teacher",
    "routing/information_bits": "routing: I(group; teacher), bits",
}  # fmt: skip
ACROSS = {"step": "step", "epoch": "epoch", "time": "seconds of work"}


TERMS = ("identity", "distillation")
"""Loss terms: one that is always 0 is not part of a run's loss, and is not drawn."""


@dataclass(frozen=True)
class Look:
    """How curves are drawn. smoothing: weight of what came before, 0 to below 1; across: one of ACROSS."""

    smoothing: float = 0.0
    across: str = "step"
    log_x: bool = False
    log_y: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise FairLabError(f"smoothing is at least 0 and below 1, not {self.smoothing:g}")
        if self.across not in ACROSS:
            raise FairLabError(f"curves are drawn across {', '.join(ACROSS)}, not {self.across!r}")


def heading(quantity: str) -> str:
    """What a reading is called above its panel."""
    kind, _, of = quantity.partition("/")
    if kind == "validation_accuracy" and of:
        return f"accuracy, held-out people: {of}"
    return HEADINGS.get(quantity, quantity.replace("gradient/", "gradient: "))


def smoothed(values: np.ndarray, weight: float) -> np.ndarray:
    """(N,) the mean of each value and those before it, whose weights fall by `weight` a reading; 0 leaves them as they are.

    The weights are divided by their sum, so the start is not drawn to 0 (Adam, arXiv 1412.6980, section 3).
    """
    if weight == 0:
        return values
    return pd.Series(values).ewm(alpha=1 - weight, adjust=True).mean().to_numpy()


def epochs_of(events: pd.DataFrame) -> np.ndarray:
    """(N,) how many epochs one run's readings (tables.EVENTS) lie from its start, from their steps; 1.5 is amid the second.

    An epoch that still runs is taken to have as many steps as the one before it.
    """
    last = events.groupby("epoch")["step"].max()
    steps, passes = [0.0, *map(float, last)], [0.0, *(float(epoch) + 1 for epoch in last.index)]
    if len(steps) > 2:
        steps[-1] = max(steps[-1], 2 * steps[-2] - steps[-3])
    return np.interp(events["step"].to_numpy(np.float64), steps, passes)


def thinned(count: int, most: int) -> np.ndarray:
    """Which of `count` readings to draw, at most `most`, evenly and with the last one."""
    return (
        np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))
        if count
        else np.zeros(0, np.int64)
    )


def overlay(
    events: pd.DataFrame, titles: Mapping[str, str], quantities: Sequence[str], look: Look = Look()
) -> go.Figure:
    """Readings of several runs, one panel per quantity. events: tables.EVENTS; titles: by run id, in the legend's order.

    A click in the legend hides a run in every panel. Raises FairLabError without a quantity.
    """
    if not quantities:
        raise FairLabError("choose at least one curve")
    columns = 1 if len(quantities) == 1 else 2
    rows = -(-len(quantities) // columns)
    figure = make_subplots(
        rows, columns, subplot_titles=[words(heading(name)) for name in quantities],
        vertical_spacing=min(0.12, 0.28 / rows), horizontal_spacing=0.07,
    )  # fmt: skip
    styles, most = group_styles(list(titles)), max(LEAST, DRAWN // max(1, len(titles) * len(quantities)))
    drawn: list[go.Scatter] = []
    named: set[str] = set()
    for run_id, run in events.groupby("run_id", sort=False, observed=True):
        if run_id not in titles:
            continue
        parts = dict(list(run.assign(x=_across(run, look.across)).groupby("name", observed=True)))
        for number, quantity in enumerate(quantities):
            part = parts.get(quantity)
            if part is None or (quantity in TERMS and not part["value"].any()):
                continue
            trace = _curve(part.sort_values("step"), words(titles[run_id]), quantity, most, look)
            trace |= {"legendgroup": run_id, "showlegend": run_id not in named, **_dress(styles[run_id])}
            place = str(number + 1) if number else ""
            drawn.append(go.Scatter(xaxis=f"x{place}", yaxis=f"y{place}", **trace))
            named.add(run_id)
    figure.add_traces(drawn)
    return _dressed(figure, rows, quantities, look, len(named))


def _curve(part: pd.DataFrame, title: str, quantity: str, most: int, look: Look) -> dict[str, Any]:
    """One run's readings of one name, as plotly takes them."""
    kept = thinned(len(part), most)
    return {
        "x": part["x"].to_numpy()[kept],
        "y": smoothed(part["value"].to_numpy(), look.smoothing)[kept],
        "mode": "lines+markers" if len(kept) < 12 else "lines",
        "name": title,
        "hovertemplate": f"{title}<br>{words(heading(quantity))} %{{y:.4g}}<br>{ACROSS[look.across]} %{{x:,.4~g}}<extra></extra>",
    }


def _dress(style: Style) -> dict[str, Any]:
    return {
        "line": {"color": style.colour, "dash": style.dash, "width": 1.6},
        "marker": {"symbol": style.symbol, "size": 5},
    }


def _across(run: pd.DataFrame, across: str) -> np.ndarray:
    if across == "epoch":
        return epochs_of(run)
    return run["step" if across == "step" else "time_s"].to_numpy(np.float64)


def _dressed(figure: go.Figure, rows: int, quantities: Sequence[str], look: Look, runs: int) -> go.Figure:
    styled(figure, PANEL_PX * rows + 60)
    figure.update_annotations(font={"size": 13})
    figure.update_xaxes(type="log" if look.log_x else "linear", matches="x")
    figure.update_xaxes(title=ACROSS[look.across], row=rows)
    columns = 1 if len(quantities) == 1 else 2
    for number, quantity in enumerate(quantities):
        share = quantity.startswith(("validation_accuracy", "routing/own_rate"))
        axis = {"type": "log" if look.log_y else "linear", "tickformat": ".0%" if share and not look.log_y else None}
        figure.update_yaxes(**axis, row=number // columns + 1, col=number % columns + 1)
    return legend_below(figure, runs)
