"""Runs while they work, as a table with progress and time left: in a terminal, in a notebook, or as lines in a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from fairlab.api.console import PlainText, console
from fairlab.errors import FairLabError
from fairlab.formatting import duration
from fairlab.queue import waiting
from fairlab.queue.capacity import ROOM
from fairlab.queue.turns import HELD
from fairlab.store.locks import CUT_SHORT
from fairlab.store.runs import Live as RunView
from fairlab.store.runs import read_run
from fairlab.workspace import Workspace

COLOURS = {
    "done": "green",
    "running": "cyan",
    "queued": "dim",
    "stopped": "yellow",
    "failed": "red",
    "crashed": "red",
    "new": "",
}


class Screen(Protocol):
    """Something that shows a table and can replace it."""

    def update(self, shown: Any) -> Any: ...


def follow(workspace: Workspace, run_ids: Sequence[str], show: bool = True, every_s: float = 1.0) -> list[str]:
    """Show these runs until all have ended; a sentence for each that ended without being done, none for success.

    An interruption leaves the runs alone.
    """
    titles = {run_id: read_run(workspace, run_id).title for run_id in run_ids}
    views: Mapping[str, RunView] = {}
    last: dict[str, str] = {}
    with _screen() if show and (console.is_terminal or console.is_jupyter) else _lines() as screen:

        def look(now: Mapping[str, RunView]) -> None:
            nonlocal views
            views = now
            if screen is not None:
                screen.update(_with_sum(titles, views))
            elif show:
                print_changes(titles, views, last)

        if waiting.wait(workspace, run_ids, look, every_s):
            return []
    ended = {name: view for name, view in views.items() if view.status not in ("done", "queued")}
    ended |= {name: view for name, view in views.items() if view.reason in (HELD, CUT_SHORT)}
    stuck = ended or {name: view for name, view in views.items() if view.status == "queued"}
    return [
        f"{titles[run_id]} ({run_id}) {view.status}: {view.reason or f'see `fairlab runs log {run_id}`'}"
        for run_id, view in stuck.items()
    ]


def watch(workspace: Workspace, run_ids: Sequence[str], show: bool = True) -> None:
    """Wait until these runs are done. Raises FairLabError, with the reasons, when they end otherwise."""
    faults = follow(workspace, run_ids, show)
    if faults:
        raise FairLabError("; ".join(faults))


@contextmanager
def _screen() -> Iterator[Screen]:
    if console.is_jupyter:
        from IPython.display import display

        yield display(PlainText("…"), display_id=True)
        return
    with Live(console=console, refresh_per_second=4, transient=False) as screen:
        yield screen


@contextmanager
def _lines() -> Iterator[None]:
    """Output that is not a terminal gets a line for each change."""
    yield None


def print_changes(titles: Mapping[str, str], views: Mapping[str, RunView], last: dict[str, str]) -> None:
    """Print a line for each run whose status is not what `last` says, and change `last`."""
    for run_id, view in views.items():
        line = f"{view.status:8} {titles[run_id]}  {view.reason}".rstrip()
        news = line if view.reason.startswith(ROOM) else view.status  # what it lacks is worth a line too
        if last.get(run_id) != news:
            last[run_id] = news
            if view.status != "queued" or news == line:
                console.print(line)


def progress_table(titles: Mapping[str, str], views: Mapping[str, RunView]) -> Table:
    """How runs stand: status, progress, stage, speed, and time left of the stage."""
    table = Table(box=None, pad_edge=False)
    for name in ("run", "status", "progress", "", "stage", "speed", "left"):
        table.add_column(name)
    for run_id, view in views.items():
        share = 1.0 if view.status == "done" else view.progress or 0.0
        running = view.status == "running"
        table.add_row(
            PlainText(titles[run_id]),
            coloured(view.status),
            ProgressBar(1.0, share, width=24),
            f"{share:4.0%}",
            PlainText(view.reason or (view.stage or "" if running else "")),
            f"{view.rate:,.0f} {view.unit}/s" if running and view.rate else "",
            duration(view.eta_s) if running else "",
        )
    return table


def coloured(status: str) -> PlainText:
    """A status in its colour."""
    return PlainText(status, style=COLOURS.get(status, ""))


def _with_sum(titles: Mapping[str, str], views: Mapping[str, RunView]) -> Group:
    done = sum(view.status == "done" for view in views.values())
    total = PlainText(f"{done} of {len(views)} done · Ctrl-C leaves them running", style="dim")
    return Group(progress_table(titles, views), total)
