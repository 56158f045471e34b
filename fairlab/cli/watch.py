"""The command `fairlab watch`: what works and waits now, seen from outside; leaving it leaves the runs alone."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import pandas as pd
from rich.console import Group, RenderableType
from rich.live import Live

from fairlab.api.console import PlainText as Text
from fairlab.api.console import console
from fairlab.api.watching import print_changes, progress_table
from fairlab.cli.show_queue import study_lines
from fairlab.errors import FairLabError
from fairlab.queue.launch import ACTIVE, dispatch_unless_busy
from fairlab.queue.turns import any_goes_on
from fairlab.store.database import list_runs
from fairlab.store.runs import Live as RunView
from fairlab.store.runs import read_run
from fairlab.store.studies import read_study
from fairlab.workspace import Workspace, now

FACTS = ("run_id", "title", "study", "role", "status", "reason", "stage", "progress", "rate", "unit", "eta_s")
"""Of a line of JSON, beside "time"; progress 0..1, eta_s: seconds left of the stage."""


def overview(
    workspace: Workspace, names: Sequence[str] = (), once: bool = False, as_json: bool = False, every_s: float = 1.0
) -> None:
    """Show these studies and runs until all have ended, or without names whatever is active until Ctrl-C.

    On a terminal a table that renews itself; elsewhere, and as JSON, a line for each change. once: as it stands, and
    nothing is started. Otherwise what waits is started when its turn comes, as by everybody who looks.
    """
    chosen = _chosen(workspace, names)
    seen: set[str] = set()
    last: dict[str, Any] = {}
    table = not as_json and (once or console.is_terminal)
    with Live(console=console, refresh_per_second=4) if table and not once else nullcontext() as screen:
        while True:
            if not once:
                dispatch_unless_busy(workspace)
            going = not chosen or any_goes_on(workspace, chosen)  # asked first: what ends in between is still shown
            everything = list_runs(workspace)
            active = everything["status"].isin(ACTIVE)
            seen |= set(everything.loc[active, "run_id"])  # what ends while one looks stays to be seen
            runs = everything[everything["run_id"].isin(chosen or seen)]
            if as_json:
                _print_json(runs, last)
            elif screen is not None:
                screen.update(_screen(workspace, everything, runs, leave=True))
            elif table:
                console.print(_screen(workspace, everything, runs, leave=False))
            else:
                print_changes(_titles(runs), _views(runs), last)
            if once or not going:
                return
            time.sleep(every_s)


def _chosen(workspace: Workspace, names: Sequence[str]) -> set[str]:
    """The runs that are meant, by their own ids or their study's. Raises FairLabError for a name that is neither."""
    chosen: set[str] = set()
    for name in names:
        if (workspace.study(name) / "study.json").exists():
            chosen |= set(read_study(workspace, name).run_ids)
        else:
            try:
                chosen.add(read_run(workspace, name).run_id)
            except FairLabError as error:
                raise FairLabError(f"there is no study {name!r}, and {error}") from error
    return chosen


def _titles(runs: pd.DataFrame) -> dict[str, str]:
    return dict(zip(runs["run_id"], runs["title"], strict=True))


def _views(runs: pd.DataFrame) -> dict[str, RunView]:
    known = runs[["status", "reason", "stage", "progress", "eta_s", "rate", "unit"]]
    rows = known.astype(object).where(known.notna(), None).to_dict("records")
    return {run_id: RunView(**row) for run_id, row in zip(runs["run_id"], rows, strict=True)}


def _screen(workspace: Workspace, everything: pd.DataFrame, runs: pd.DataFrame, leave: bool) -> Group:
    """What is active, and a line for each study; leave: say how one leaves."""
    going = runs[runs["status"] != "done"]
    shown: list[RenderableType] = [progress_table(_titles(going), _views(going))] if len(going) else []
    shown += [Text(line) for line in study_lines(workspace, everything, runs["study"])]
    if not shown:
        return Group(Text("nothing is queued or running", style="dim"))
    return Group(*shown, *([Text("Ctrl-C leaves them running", style="dim")] if leave else []))


def _print_json(runs: pd.DataFrame, last: dict[str, Any]) -> None:
    known = runs[list(FACTS)]
    for row in known.astype(object).where(known.notna(), None).to_dict("records"):
        if last.get(row["run_id"]) != row:
            last[row["run_id"]] = row
            print(json.dumps({"time": now(), **row}), flush=True)
