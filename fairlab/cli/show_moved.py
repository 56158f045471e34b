"""What the command line shows of two spaces of the same images: a row per group, and the images that moved most."""

from __future__ import annotations

import json

import pandas as pd
from rich.table import Table

from fairlab.api.console import PlainText as Text
from fairlab.api.console import console
from fairlab.evaluation.neighbourhoods import MEASURES, extent, most_moved, rank_text
from fairlab.store.moved import StoredMove
from fairlab.store.runs import read_run
from fairlab.tables import json_values
from fairlab.workspace import Workspace

MOST = 10
"""Images that are listed."""


def show_moved(workspace: Workspace, found: StoredMove, as_json: bool) -> None:
    """Print the numbers of every group, then the images with the smallest overlap."""
    most = most_moved(found.images)
    if as_json:
        content = {
            "facts": found.facts,
            "numbers": found.numbers.to_dict("records"),
            "moved_most": most.head(MOST).to_dict("records"),
        }
        print(json.dumps(json_values(content), indent=1, allow_nan=False))
        return
    titles = [read_run(workspace, found.facts[side]).title for side in ("before", "after")]
    console.print(Text(f"From {titles[0]} to {titles[1]} on {found.facts['dataset']}", style="bold"))
    console.print(Text(extent(found.facts), style="dim"))
    _show_numbers(found.numbers)
    if len(most):
        console.print(Text(f"The {min(MOST, len(most))} images that moved most:", style="bold"))
        _show_images(most.head(MOST), int(found.facts["depth"]))


def _show_numbers(numbers: pd.DataFrame) -> None:
    view = Table(box=None, pad_edge=False)
    for name in ("group", *MEASURES.values(), "images", "people"):
        view.add_column(name, justify="left" if name == "group" else "right")
    for group, rows in numbers.groupby("group", sort=False):
        by = rows.set_index("measure")
        cells = [_cell(by.loc[name], name) for name in MEASURES]
        view.add_row(Text(str(group)), *cells, f"{by.loc['cka', 'images']:,}", f"{by.loc['cka', 'people']:,}")
    console.print(view)
    for reason, rows in numbers[numbers["reason"] != ""].groupby("reason", sort=False):
        said = ", ".join(f"{MEASURES[row.measure]} ({row.group})" for row in rows.itertuples())
        console.print(Text(f"{reason}: {said}"))


def _cell(row: pd.Series, measure: str) -> str:
    if pd.isna(row["value"]):
        return "n/a"
    sign = "+" if measure == "same_change" else ""
    between = f" [{row['low']:{sign}.3f}, {row['high']:{sign}.3f}]" if pd.notna(row["low"]) else ""
    return f"{row['value']:{sign}.3f}{between}"


def _show_images(most: pd.DataFrame, depth: int) -> None:
    view = Table(box=None, pad_edge=False)
    for name in ("image", "person", "group", "overlap", "rank before", "rank after"):
        view.add_column(name, justify="left" if name in ("person", "group") else "right")
    for row in most.itertuples():
        ranks = [rank_text(value, depth) for value in (row.rank_before, row.rank_after)]
        view.add_row(str(row.image_id), Text(row.identity), Text(row.group), f"{row.overlap:.3f}", *ranks)
    console.print(view)
