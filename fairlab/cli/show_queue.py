"""The queue in the terminal: how far each study is, what works, and what waits for what."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd
from rich.table import Table

from fairlab.api.console import console
from fairlab.queue.edit import look_at, queue_table
from fairlab.queue.progress import sentence, study_progress
from fairlab.queue.turns import ACTIVE
from fairlab.store.database import list_runs
from fairlab.store.studies import read_study
from fairlab.tables import rows_as_json
from fairlab.workspace import Workspace


def show_queue(workspace: Workspace, as_json: bool) -> None:
    """Print the queue in starting order; before it a line for each study that has anything in it."""
    runs = list_runs(workspace)
    table = queue_table(workspace, runs)
    if as_json:
        print(rows_as_json(table))
        return
    if table.empty:
        console.print("nothing works and nothing waits; `fairlab launch` starts a study")
        return
    for line in study_lines(workspace, runs, runs.loc[runs["status"].isin(ACTIVE), "study"]):
        console.print(line, markup=False)
    view = Table(box=None, pad_edge=False)
    for name in ("turn", "run", "title", "waits for", "where"):
        view.add_column(name, overflow="fold", justify="right" if name == "turn" else "left")
    for row in table.itertuples():
        where = row.engine if row.devices == 1 else f"{row.engine}, {row.devices:.0f} processes"
        works = "works" if row.status == "running" else row.waits_for.removeprefix("waits for ")
        view.add_row(str(row.place or ""), row.run_id, row.title, works, where if isinstance(where, str) else "")
    console.print(view)
    slots = workspace.slots
    console.print(f"{slots} run{'s' if slots > 1 else ''} at a time on this machine (Settings)", style="dim")


def study_lines(workspace: Workspace, runs: pd.DataFrame, studies: Iterable[str]) -> list[str]:
    """How far each of these studies is, e.g. "tiny-x: 7 of 8 done, about 2 min left (from the 7 done)"; runs: list_runs."""
    queue, lines = look_at(workspace, runs), []
    for study in dict.fromkeys(studies):
        if study and (workspace.study(study) / "study.json").exists():
            names = list(read_study(workspace, study).run_ids)
            lines.append(f"{study}: {sentence(study_progress(workspace, runs, queue, names, study))}")
    return lines
