"""`fairlab runs compare`: what differs between runs, their last readings, their numbers."""

from __future__ import annotations

import json

import pandas as pd
from rich.table import Table

from fairlab.api.beside import SideBySide
from fairlab.api.console import PlainText as Text
from fairlab.api.console import console
from fairlab.evaluation.intervals import p_words
from fairlab.tables import ALL_GROUPS, json_values

RATES = ("accuracy", "fmr", "fnmr")


def as_json(both: SideBySide, differences: pd.DataFrame) -> str:
    """Everything of the runs as one JSON object: titles, settings, last readings, numbers, differences."""
    found = {
        "titles": both.titles,
        "settings": both.settings.to_dict("records"),
        "last": last_readings(both).to_dict("records"),
        "numbers": both.numbers().to_dict("records") if both.lists else [],
        "differences": differences.to_dict("records"),
    }
    return json.dumps(json_values(found), indent=1, allow_nan=False)


def last_readings(both: SideBySide) -> pd.DataFrame:
    """The last reading of every name of each run: tables.EVENTS."""
    return both.readings().sort_values("step").groupby(["run_id", "name"], sort=False).tail(1)


def show_beside(both: SideBySide, differences: pd.DataFrame) -> None:
    """Print what differs, a column per run; then the mean accuracy and the paired differences of each."""
    titles = both.titles
    if both.settings.empty:
        console.print("the same settings, data, code and parents")
    else:
        view = Table(box=None, pad_edge=False)
        for name in ("setting", *titles.values()):
            view.add_column(Text(name), overflow="fold")
        for row in both.settings.to_dict("records"):
            view.add_row(Text(row["setting"]), *(Text(row[name]) for name in titles))
        console.print(view)
    if not both.lists:
        console.print("no numbers yet: evaluate the runs to compare them")
        return
    dataset, pairs = both.lists[0]
    console.print()
    console.print(
        f"accuracy in %, {pairs} pairs of {dataset}; differences in points, 95 % intervals over people", markup=False
    )
    numbers, view = both.numbers(), Table(box=None, pad_edge=False)
    for name in ("run", "mean accuracy", "of", "difference", "p"):
        view.add_column(name, justify="left" if name in ("run", "of") else "right", overflow="fold")
    for run_id, title in titles.items():
        own = numbers[(numbers["run_id"] == run_id) & (numbers["metric"] == "mean_accuracy")]
        mean = _points(own.iloc[0]["value"], own.iloc[0]["low"], own.iloc[0]["high"]) if len(own) else "n/a"
        rows = differences[(differences["run_id"] == run_id) & differences["metric"].isin(RATES)].to_dict("records")
        if not rows:
            view.add_row(Text(title), mean, "", "baseline", "")
        for number, row in enumerate(rows):
            of = f"{row['metric']}, {'mean' if row['group'] == ALL_GROUPS else row['group']}"
            known = row["difference"] == row["difference"]
            said = _points(row["difference"], row["low"], row["high"], "+") if known else f"n/a: {row['why']}"
            first = (Text(title), mean) if number == 0 else ("", "")
            view.add_row(*first, Text(of), Text(said), p_words(row["p"], row["draws"]) or "")
    console.print(view)


def _points(value: float, low: float, high: float, sign: str = "") -> str:
    if value != value:
        return "n/a"
    between = f" [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]" if low == low else ""
    return f"{100 * value:{sign}.2f}{between}"
