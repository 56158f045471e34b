"""What the command line shows: tables, and a live view with progress and time left on a terminal."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.table import Table

from fairlab.api.console import PlainText as Text
from fairlab.api.console import console, is_terminal
from fairlab.api.watching import coloured, follow
from fairlab.cli.streams import counter
from fairlab.formatting import amount, duration
from fairlab.plan.plan import Plan, data_of
from fairlab.store.labels import Labels, labels_of
from fairlab.store.runs import CHOICE, read_run, read_status, state
from fairlab.tables import rows_as_json
from fairlab.workspace import Workspace

if TYPE_CHECKING:
    from fairlab.storage.deleting import Goes


def say(text: str) -> None:
    """A line for a person, on stderr, so that stdout stays clean for tables."""
    print(f"fairlab: {text}", file=sys.stderr, flush=True)


def watch(workspace: Workspace, run_ids: Sequence[str]) -> bool:
    """Show these runs until all have ended; True when all are done, otherwise the reasons are on stderr."""
    faults = follow(workspace, run_ids)
    for fault in faults:
        say(fault)
    return not faults


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
        table.add_row(run.record.title, run.record.role, coloured(run.status), str(run.steps or ""), cpu, shown)
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


def show_table(table: pd.DataFrame, as_json: bool, empty: str) -> None:
    """Print a table, or a sentence where it has no rows."""
    if as_json:
        print(rows_as_json(table))
    elif table.empty:
        print(empty)
    else:
        print(table.astype(object).where(table.notna(), "").to_string(index=False))  # "" fits into no column of numbers


def show_goes(items: Sequence[Goes], as_json: bool) -> None:
    """Print what goes, or went, with runs, data sets or studies."""
    from fairlab.storage.deletion_words import goes

    if as_json:
        print(json.dumps([asdict(item) for item in items], indent=1))
        return
    for item in items:
        print("\n".join(goes(item)))


def show_runs(table: pd.DataFrame, as_json: bool, empty: str) -> None:
    """Print these runs, as lab.runs.table() has them, or the sentence `empty` where there is none."""
    if as_json:
        print(rows_as_json(table.drop(columns=["config"])))
        return
    if table.empty:
        console.print(empty)
        return
    view = Table(box=None, pad_edge=False)
    labelled = ["tags"] if (table["tags"] != "").any() or table["star"].any() else []
    for name in ("run", "title", *labelled, "role", "status", "progress", "left", "CPU", "reason"):
        view.add_column(name, overflow="fold")
    for row in table.sort_values("created_at").itertuples():
        share = row.progress if pd.notna(row.progress) else None
        running = row.status == "running"
        view.add_row(
            row.run_id,
            row.title,
            *([" ".join(filter(None, ("★" if row.star else "", row.tags)))] if labelled else []),
            row.role,
            coloured(row.status),
            f"{share:.0%}" if running and share is not None else "",
            duration(row.eta_s) if running else "",
            duration(row.train_s),
            row.reason or "",
        )
    console.print(view)


def show_run(workspace: Workspace, run_id: str) -> None:
    """Print one run: its settings and state."""
    record = read_run(workspace, run_id)
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
        **({"labels": asdict(labels)} if (labels := labels_of(record.folder)) != Labels() else {}),
        **({"notes": notes} if (notes := of_runs(workspace, [run_id], record.dataset)) else {}),
        "config": record.config.model_dump(mode="json", exclude_none=True),
    }
    print(json.dumps(facts, indent=1))


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
