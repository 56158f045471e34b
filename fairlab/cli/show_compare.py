"""A comparison on a terminal: the best of a column bold, a difference coloured where it is beyond chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.table import Table

from fairlab.api.console import PlainText as Text
from fairlab.api.console import console
from fairlab.cli.show import say_caveats
from fairlab.compare.compare import default_dataset
from fairlab.compare.exports import best_of, caption, measured
from fairlab.compare.front import Front
from fairlab.compare.next_steps import without_numbers
from fairlab.compare.over_sets import shown_sets
from fairlab.compare.varied import headings, shown
from fairlab.evaluation.intervals import p_words
from fairlab.formatting import duration
from fairlab.workspace import Workspace

ALONG = {"mean": "mean accuracy", "std": "STD", "ser": "SER", "worst": "worst group"}
"""Columns of the numbers along a setting, with their headings."""


def show_comparison(
    workspace: Workspace, table: pd.DataFrame, study_id: str, dataset_id: str = "", protocol: str = "test"
) -> None:
    """Print a comparison (compare.compare) in the papers' layout, with intervals; without a row, what is missing."""
    if table.empty:
        console.print(Text(without_numbers(workspace, study_id, dataset_id, protocol)), soft_wrap=True)
        return
    dataset_id = dataset_id or default_dataset(workspace, study_id)
    say_caveats(workspace, table["run_id"].tolist(), dataset_id)
    console.print(comparison_table(table, study_id or "models added from files"))
    console.print(Text(caption(table, dataset_id, protocol), style="dim"))
    for row in table[table["published"].notna()].to_dict("records") if "published" in table else ():
        console.print(Text(f"published: {row['model']}: {row['published']} ({row['published_source']})"))


def comparison_table(table: pd.DataFrame, title: str) -> Table:
    """A comparison for a terminal: the best of a column bold, a difference green or red where it is beyond chance."""
    best, columns = best_of(table), measured(table)
    view = Table(title=Text(title), box=None, pad_edge=False)
    varied = headings(table)
    for name in ("model", *varied.values(), "seeds", *(head for _, head, _ in columns), "against baseline", "p", "CPU"):
        view.add_column(Text(name), justify="left" if name == "model" else "right")
    for row in table.to_dict("records"):
        cells = [Text(row["model"]), *(Text(shown(row[name])) for name in varied)]
        cells += [Text(str(row["runs"]) if row["seeds"] else "-", style="dim")]
        for name, _, digits in columns:
            value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
            cell = Text(
                "" if pd.isna(value) and name == "cross" else "n/a" if pd.isna(value) else f"{value:.{digits}f}"
            )
            if value == best[name]:
                cell.stylize("bold")
            if name in ("mean", "cross") and pd.notna(low):
                cell.append(f" [{low:.1f}, {high:.1f}]", style="dim")
            cells.append(cell)
        cells += [_difference(row), Text(p_words(row["p"], row.get("p_draws", 0)))]
        view.add_row(*cells, Text(duration(row["cpu_s"])))
    return view


def show_along(table: pd.DataFrame, setting: str) -> None:
    """Print the numbers along a varied setting (compare.varied.along), with intervals."""
    view = _view(f"along {setting}", "model", setting.rpartition(".")[2], *ALONG.values())
    for row in table.to_dict("records"):
        cells = [_with_interval(row, name, 2 if name == "ser" else 1) for name in ALONG]
        view.add_row(Text(row["line"]), Text(shown(row["value"])), *cells)
    console.print(view)


def show_front(front: Front) -> None:
    """Print the front of accuracy against unfairness (compare.front), best accuracy first, and what it is worth."""
    view = _view("front of accuracy against unfairness", "model", "on the front", "error", front.title)
    for row in front.points.sort_values(["error", "unfairness"]).to_dict("records"):
        numbers = (_with_interval(row, name, 4) for name in ("error", "unfairness"))
        view.add_row(Text(row["model"]), Text("yes" if row["on_front"] else "-"), *numbers)
    console.print(view)
    for sentence in front.sentences():
        console.print(Text(sentence, style="dim"))


def show_sets(table: pd.DataFrame, study: str) -> None:
    """Print a study over several data sets (compare.over_sets), with intervals."""
    sets = shown_sets(table)
    if table.empty:
        console.print(Text(f"no model of {study} is evaluated on pairs yet"))
        return
    heads = [head for name in sets for head in (name, *(["STD"] if f"std:{name}" in table else []))]
    view = _view(study, "model", "seeds", *heads)
    for row in table.to_dict("records"):
        cells = []
        for name in sets:
            ends = {f"mean{end}": row[f"mean{end}:{name}"] for end in ("", "_low", "_high")}
            cells.append(_with_interval(ends, "mean", 1))
            if f"std:{name}" in table:
                spread = row[f"std:{name}"]
                cells.append(Text("n/a" if pd.isna(spread) else f"{spread:.1f}"))
        view.add_row(Text(row["model"]), Text(str(row["runs"])), *cells)
    console.print(view)
    words = "Mean accuracy over groups in %, ten folds, a threshold for each group, with 95 % intervals; STD in points."
    console.print(Text(words, style="dim"))


def _view(title: str, *heads: str) -> Table:
    view = Table(title=Text(title), box=None, pad_edge=False)
    for head in heads:
        view.add_column(Text(head), justify="left" if head == "model" else "right")
    return view


def _with_interval(row: Mapping[str, Any], name: str, digits: int) -> Text:
    if pd.isna(row[name]):
        return Text("n/a")
    cell = Text(f"{row[name]:.{digits}f}")
    if pd.notna(row[f"{name}_low"]) and pd.notna(row[f"{name}_high"]):
        cell.append(f" [{row[f'{name}_low']:.{digits}f}, {row[f'{name}_high']:.{digits}f}]", style="dim")
    return cell


def _difference(row: Mapping[str, Any]) -> Text:
    if row["run_id"] == row["baseline"]:
        return Text("baseline", style="dim")
    if pd.isna(row["difference"]):
        return Text("n/a", style="dim")
    beyond = row["p"] < 0.05
    shown = Text(f"{row['difference']:+.1f}", style=("green" if row["difference"] > 0 else "red") if beyond else "")
    shown.append(f" [{row['difference_low']:+.1f}, {row['difference_high']:+.1f}]", style="dim")
    return shown
