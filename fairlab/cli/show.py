"""What the command line shows: tables, and a live view with progress and time left on a terminal."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from fairlab.cli.streams import PlainText as Text
from fairlab.cli.streams import console_for_people, counter, is_terminal
from fairlab.files import there
from fairlab.formatting import amount, duration
from fairlab.plan.plan import Plan, data_of
from fairlab.queue.capacity import ROOM
from fairlab.queue.launch import dispatch_unless_busy
from fairlab.queue.turns import HELD, any_goes_on
from fairlab.store.locks import CUT_SHORT
from fairlab.store.runs import CHOICE, read_run, read_status, state
from fairlab.store.runs import Live as RunView
from fairlab.tables import METRICS, rows_as_json
from fairlab.workspace import Workspace

console = console_for_people()
COLOURS = {
    "done": "green",
    "running": "cyan",
    "queued": "dim",
    "stopped": "yellow",
    "failed": "red",
    "crashed": "red",
    "new": "",
}


def say(text: str) -> None:
    """A line for a person, on stderr, so that stdout stays clean for tables."""
    print(f"fairlab: {text}", file=sys.stderr, flush=True)


def _status(status: str) -> Text:
    return Text(status, style=COLOURS.get(status, ""))


def watch(workspace: Workspace, run_ids: Sequence[str], every_s: float = 1.0) -> bool:
    """Show these runs until all have ended; True when all are done. Ctrl-C leaves them running."""
    titles = {run_id: read_run(workspace, run_id).title for run_id in run_ids}
    live_terminal = console.is_terminal
    last: dict[str, str] = {}
    with Live(console=console, refresh_per_second=4, transient=False) if live_terminal else _Silent() as screen:
        while True:
            dispatch_unless_busy(workspace)
            going = any_goes_on(workspace, run_ids)  # asked first: what ends in between is seen to be done
            views = {run_id: state(workspace.run(run_id)) for run_id in run_ids}
            if live_terminal:
                screen.update(_with_sum(titles, views))
            else:
                print_changes(titles, views, last)
            if all(view.status == "done" for view in views.values()):
                return True
            if not going:
                break
            time.sleep(every_s)
    for run_id, view in views.items():
        if view.status not in ("done", "queued") or view.reason in (HELD, CUT_SHORT):
            say(f"{titles[run_id]} ({run_id}) {view.status}: {view.reason or 'see `fairlab runs log ' + run_id + '`'}")
    return False


class _Silent:
    """Stands in for the live screen where output is not a terminal."""

    def __enter__(self) -> _Silent:
        return self

    def __exit__(self, *_: object) -> None: ...

    def update(self, _table: object) -> None: ...


def print_changes(titles: Mapping[str, str], views: Mapping[str, RunView], last: dict[str, str]) -> None:
    """A line for each run whose status is not what `last` says; it is changed."""
    for run_id, view in views.items():
        shown = f"{view.status:8} {titles[run_id]}  {view.reason}".rstrip()
        told = shown if view.reason.startswith(ROOM) else view.status  # what it lacks is worth a line too
        if last.get(run_id) != told:
            last[run_id] = told
            if view.status != "queued" or told == shown:
                console.print(shown)


def progress_table(titles: Mapping[str, str], views: Mapping[str, RunView]) -> Table:
    """How runs stand: status, progress of the run, what they do, how fast, and time left of that."""
    table = Table(box=None, pad_edge=False)
    for name in ("run", "status", "progress", "", "stage", "speed", "left"):
        table.add_column(name)
    for run_id, view in views.items():
        share = 1.0 if view.status == "done" else view.progress or 0.0
        running = view.status == "running"
        table.add_row(
            titles[run_id],
            _status(view.status),
            ProgressBar(1.0, share, width=24),
            f"{share:4.0%}",
            view.reason or (view.stage or "" if running else ""),
            f"{view.rate:,.0f} {view.unit}/s" if running and view.rate else "",
            duration(view.eta_s) if running else "",
        )
    return table


def _with_sum(titles: Mapping[str, str], views: Mapping[str, RunView]) -> Group:
    done = sum(view.status == "done" for view in views.values())
    said = Text(f"{done} of {len(views)} done · Ctrl-C leaves them running", style="dim")
    return Group(progress_table(titles, views), said)


def show_plan(workspace: Workspace, plan: Plan) -> None:
    """Print the runs of a plan, with time and disk where this machine has been measured."""
    from fairlab.plan.estimate import SUSTAINED_FLOPS, disk_bytes, estimate

    cost = estimate(workspace, plan)
    seconds = dict(zip(cost.runs["run_id"], cost.runs["cpu_s"], strict=True)) if cost else {}
    table = Table(title=plan.study.title, box=None, pad_edge=False)
    for name in ("run", "role", "status", "steps", "time", "builds on"):
        table.add_column(name, justify="right" if name in ("steps", "time") else "left")
    titles = {run.record.run_id: run.record.title for run in plan.runs}
    for run in plan.runs:
        parents = [titles.get(parent, parent) for parent in run.record.parents]
        shown = ", ".join(parents[:2]) + (f" and {len(parents) - 2} more" if len(parents) > 2 else "")
        cpu = duration(seconds.get(run.record.run_id)) if cost else ""
        table.add_row(run.record.title, run.record.role, _status(run.status), str(run.steps or ""), cpu, shown)
    console.print(table)
    made = "generated for this study" if plan.study.demo else "as it is in the workspace"
    console.print(f"data set: {data_of(plan)}, {made}", markup=False)
    for note in plan.notes:
        console.print(note, markup=False)
    if cost and cost.seconds is None:
        console.print("not timed: without a GPU a few steps of these networks take minutes")
    elif cost:
        console.print(
            f"about {duration(cost.seconds)} with {workspace.slots} runs at a time ({duration(cost.cpu_seconds)} of processor), "
            "measured by a short probe on this machine; evaluation and maps not included"
        )
    if cost:
        console.print(
            f"{amount(cost.flops)} of arithmetic, counted from the layers: {duration(cost.gpu_seconds)} of a GPU that sustains "
            f"{SUSTAINED_FLOPS / 1e12:.0f} TFLOP/s"
        )
    sure = (
        "about" if cost is not None or not plan.new else "at most"
    )  # unmeasured networks count as for the papers' images
    console.print(f"{sure} {disk_bytes(workspace, plan) / 1e6:,.0f} MB of disk in {workspace.home}")


def show_runs(workspace: Workspace, as_json: bool) -> None:
    """Print all runs of the workspace."""
    from fairlab.store.database import list_runs

    table = list_runs(workspace)
    if as_json:
        print(rows_as_json(table.drop(columns=["config"])))
        return
    if table.empty:
        console.print(f"no runs yet in {workspace.home}; start with `fairlab demo`")
        return
    view = Table(box=None, pad_edge=False)
    for name in ("run", "title", "role", "status", "progress", "left", "CPU", "reason"):
        view.add_column(name, overflow="fold")
    for row in table.sort_values("created_at").itertuples():
        share = row.progress if pd.notna(row.progress) else None
        running = row.status == "running"
        view.add_row(
            row.run_id,
            row.title,
            row.role,
            _status(row.status),
            f"{share:.0%}" if running and share is not None else "",
            duration(row.eta_s) if running else "",
            duration(row.train_s),
            row.reason or "",
        )
    console.print(view)


def show_run(workspace: Workspace, run_id: str, log: bool) -> None:
    """Print one run: its settings and state, or its log."""
    record = read_run(workspace, run_id)
    if log:
        path = record.folder / "log.txt"
        print(path.read_text(encoding="utf-8", errors="replace") if there(path) else "no log yet")
        return
    from fairlab.jobs.evaluate.caveats import of_runs

    view, said = state(record.folder), read_status(record.folder)
    facts = {
        "run_id": record.run_id,
        "title": record.title,
        "status": view.status,
        "reason": view.reason,
        "role": record.role,
        "method": record.method,
        "parents": list(record.parents),
        "dataset": record.dataset,
        "folder": str(record.folder),
        "created_at": record.created_at,
        **{name: said[name] for name in CHOICE if name in said},
        **({"notes": notes} if (notes := of_runs(workspace, [run_id], record.dataset)) else {}),
        "config": record.config.model_dump(mode="json", exclude_none=True),
    }
    print(json.dumps(facts, indent=1))


def show_metrics(
    workspace: Workspace, run_id: str, dataset_id: str, as_json: bool = False, protocols: Sequence[str] = ()
) -> None:
    """Print the stored numbers of a run on a data set, with intervals and counts; with `protocols` only theirs."""
    from fairlab.store.database import metrics

    table = metrics(workspace, [run_id], dataset_id)[list(METRICS[1:])]
    table = table[table["protocol"].isin(protocols)] if protocols else table
    say_caveats(workspace, [run_id], dataset_id)
    print(rows_as_json(table) if as_json else table.to_string(index=False))


def say_caveats(workspace: Workspace, run_ids: Sequence[str], dataset_id: str) -> None:
    """What must be said beside numbers on a data set, on stderr: stdout holds the numbers."""
    from fairlab.jobs.evaluate.caveats import of_runs

    for text in of_runs(workspace, run_ids, dataset_id):
        say(f"note: {text}")


@contextlib.contextmanager
def results_only(quiet: bool) -> Iterator[None]:
    """While `quiet`, what is shown of the work goes to stderr, so that stdout holds the result alone."""
    before = console.file
    if quiet:
        console.file = sys.stderr
    try:
        yield
    finally:
        console.file = before


def progress_line(unit: str = "images") -> Callable[[int, int], None]:
    """A counter on a terminal's last line, on stderr; silent where output is not a terminal."""
    if not is_terminal(sys.stderr):
        return lambda _done, _total: None
    return lambda done, total: counter(f"{done:,}{f' of {total:,}' if total else ''} {unit} ")


def show_report(found: Mapping[str, Any], as_json: bool) -> None:
    """Print what was understood of somebody's data (data.report)."""
    if as_json:
        print(json.dumps(found, indent=1))
        return
    each = found["images_per_identity"]
    console.print(f"{found['path']}: {found['kind']} ({found['why']})", markup=False)
    console.print(
        f"{found['images']:,} images of {found['identities']:,} identities "
        f"({each['least']} to {each['most']} each, median {each['median']:g})"
    )
    view = Table(box=None, pad_edge=False)
    for name in (found["attribute"], "images", "identities", "genuine pairs", "impostor pairs", "folds"):
        view.add_column(name, justify="left" if name == found["attribute"] else "right")
    for group in dict.fromkeys([*found["groups"], *found["pairs"]]):
        counts, pairs = found["groups"].get(group, {}), found["pairs"].get(group, {})
        cells = [
            *(counts.get(name) for name in ("images", "identities")),
            *(pairs.get(name) for name in ("genuine", "impostor", "folds")),
        ]
        view.add_row(Text(group), *("" if cell is None else f"{cell:,}" for cell in cells))
    console.print(view)
    console.print(
        f"looked at {found['looked_at']:,} images: {found['unreadable']:,} unreadable, {found['duplicates']:,} duplicates; "
        f"sizes {_counted(found['sizes'])}; colours {_counted(found['modes'])}"
    )
    if found["names"]:
        console.print(f"names: {found['names']}", markup=False)
    for text in found["notes"]:
        console.print(f"note: {text}", markup=False)
    for text in found["problems"]:
        console.print(Text(f"problem: {text}", style="yellow"))
    console.print("adding it would: " + "; ".join(found["will_do"]), markup=False)


def say_pictures(folder: Path, names: Sequence[str], groups: Sequence[str]) -> None:
    """Which picture shows which group, a line each; stdout is the report's."""
    for number, group in enumerate(groups):
        of_group = [name for name in names if name.endswith(f"-{number}.png")]
        if of_group:
            say(f"{group}: {', '.join(of_group)} in {folder}")


def _counted(counts: Mapping[str, int], most: int = 4) -> str:
    shown = ", ".join(f"{name} ({count:,})" for name, count in list(counts.items())[:most])
    return shown + (", ..." if len(counts) > most else "") or "none"
