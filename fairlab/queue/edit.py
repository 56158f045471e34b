"""What a person does to waiting runs: move, hold, release, clone, send them elsewhere; stop or retry a whole study.

Places in the queue change under the lock of launch.dispatch, so two tabs or two apps never mix them up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from fairlab.errors import Refused
from fairlab.files import read_json, write_json
from fairlab.plan.plan import run_name, single
from fairlab.queue import launch
from fairlab.queue.turns import ENDED_BADLY, HELD, Queue, Waiting, look, submitted
from fairlab.settings.study import changed
from fairlab.store.database import list_runs
from fairlab.store.locks import no_starts
from fairlab.store.queue import Turn, read_turn, write_turn
from fairlab.store.runs import read_run, state, write_status
from fairlab.store.studies import read_study
from fairlab.tables import TEXT, WHOLE, Table
from fairlab.workspace import Workspace

QUEUE = Table(
    place=WHOLE,
    run_id=TEXT,
    title=TEXT,
    study=TEXT,
    seed=WHOLE,
    status=TEXT,
    waits_for=TEXT,
    engine=TEXT,
    devices=WHOLE,
)
"""A row is a run that works or waits. place: 1 starts next, 0 works or is in another machine's queue."""
CLONED = ("teacher", "adaptor", "baseline", "student", "evaluation", "projection")
"""Roles of runs that can be cloned; data and models from files have a name of their own that a clone would share."""


def look_at(workspace: Workspace, runs: pd.DataFrame | None = None) -> Queue:
    """The queue now; runs: what list_runs gave, where the caller has it already."""
    runs = list_runs(workspace) if runs is None else runs
    return look(workspace, dict(zip(runs["run_id"], runs["status"], strict=True)))


def queue_table(workspace: Workspace, runs: pd.DataFrame | None = None) -> pd.DataFrame:
    """What works and what waits, in starting order, as QUEUE."""
    runs = list_runs(workspace) if runs is None else runs
    found, known = look_at(workspace, runs), runs.set_index("run_id")
    titles = known["title"].to_dict()
    rows: list[dict[str, Any]] = []
    for name, turn in found.at_work.items():
        row = {"place": 0, "run_id": name, "waits_for": found.elsewhere.get(name, "")}
        rows.append({**row, "engine": turn.placement.engine, "devices": turn.placement.devices})
    for number, item in enumerate(found.waiting, 1):
        words = _with_titles(item, titles)
        row = {"place": number, "run_id": item.record.run_id, "waits_for": words or "starts in a moment"}
        rows.append({**row, "engine": item.turn.placement.engine, "devices": item.turn.placement.devices})
    unknown = {"place": 0, "engine": "", "devices": 1}
    rows += [
        {**unknown, "run_id": name, "waits_for": f"cannot be read: {why}"} for name, why in found.unreadable.items()
    ]
    unlisted = {
        "title": "",
        "study": "",
        "seed": 0,
        "status": "",
    }  # the catalogue lags behind, or cannot read its record
    told = known[list(unlisted)].to_dict("index")
    return QUEUE.build({**row, **told.get(row["run_id"], unlisted)} for row in rows)


def _with_titles(item: Waiting, titles: Mapping[str, str]) -> str:
    """Whom a run waits for by title: ids are for the log."""
    return next(
        (item.words.replace(name, titles.get(name, name)) for name in item.record.parents if name in item.words),
        item.words,
    )


def first(workspace: Workspace, run_ids: Sequence[str]) -> None:
    """Let these runs, and the waiting runs that they build on, start before all others. Raises Refused for others."""

    def move(order: list[Waiting]) -> list[Waiting]:
        wanted = _with_parents(order, run_ids)
        return [
            *(item for item in order if item.record.run_id in wanted),
            *(item for item in order if item.record.run_id not in wanted),
        ]

    _reorder(workspace, run_ids, move)


def earlier(workspace: Workspace, run_ids: Sequence[str]) -> None:
    """Let each of these runs start one place earlier. Raises Refused for a run that does not wait."""

    def move(order: list[Waiting]) -> list[Waiting]:
        order = list(order)
        for at in range(1, len(order)):
            if order[at].record.run_id in run_ids and order[at - 1].record.run_id not in run_ids:
                order[at - 1], order[at] = order[at], order[at - 1]
        return order

    _reorder(workspace, run_ids, move)


def later(workspace: Workspace, run_ids: Sequence[str]) -> None:
    """Let each of these runs start one place later. Raises Refused for a run that does not wait."""

    def move(order: list[Waiting]) -> list[Waiting]:
        order = list(order)
        for at in range(len(order) - 2, -1, -1):
            if order[at].record.run_id in run_ids and order[at + 1].record.run_id not in run_ids:
                order[at], order[at + 1] = order[at + 1], order[at]
        return order

    _reorder(workspace, run_ids, move)


def _with_parents(order: Sequence[Waiting], run_ids: Sequence[str]) -> set[str]:
    parents = {item.record.run_id: item.record.parents for item in order}
    found, todo = set(run_ids), list(run_ids)
    while todo:
        new = [name for name in parents.get(todo.pop(), ()) if name in parents and name not in found]
        found.update(new)
        todo += new
    return found


def _reorder(workspace: Workspace, run_ids: Sequence[str], move: Callable[[list[Waiting]], list[Waiting]]) -> None:
    with no_starts(workspace):
        order = look_at(workspace).waiting
        _check_waiting(workspace, run_ids, order)
        behind: Waiting | None = None
        for item in reversed(move(order)):  # from the last on: a run queued from now on still comes after all of them
            if behind is not None and item.place >= behind.place:
                item = replace(item, turn=replace(item.turn, position=behind.turn.position - 1))
                write_turn(item.record.folder, item.turn)
            behind = item
    launch.dispatch(workspace)


def _check_waiting(workspace: Workspace, run_ids: Sequence[str], order: Sequence[Waiting]) -> None:
    waiting = {item.record.run_id for item in order}
    for name in run_ids:
        if name not in waiting:
            view = state(read_run(workspace, name).folder)
            there = submitted(workspace, name)
            why = (
                f"it waits in the queue of {there.engine}"
                if there and view.status == "queued"
                else f"it is {view.status}"
            )
            raise Refused(f"{name} does not wait in this queue: {why}")


def hold(workspace: Workspace, run_ids: Sequence[str]) -> None:
    """Keep waiting runs from starting until they are released. Raises Refused for a run that does not wait."""
    _set_held(workspace, run_ids, True)


def release(workspace: Workspace, run_ids: Sequence[str]) -> None:
    """Let held runs start when it is their turn. Raises Refused for a run that does not wait."""
    _set_held(workspace, run_ids, False)


def _set_held(workspace: Workspace, run_ids: Sequence[str], held: bool) -> None:
    with no_starts(workspace):
        order = look_at(workspace).waiting
        _check_waiting(workspace, run_ids, order)
        for item in order:
            if item.record.run_id in run_ids and item.turn.held != held:
                write_turn(item.record.folder, replace(item.turn, held=held))
                write_status(item.record.folder, "queued", reason=HELD if held else "")
    launch.dispatch(workspace)


def where(workspace: Workspace, run_ids: Sequence[str], dials: Mapping[str, Any]) -> None:
    """Change where runs are to work that wait, or have ended and can be resumed: dotted settings of their Placement.

    What a run is does not change: trained so far by two processes, it goes on as one. Raises Refused for a run that works,
    is done, or is in another machine's queue; FairLabError for an engine or setting that there is not.
    """
    with no_starts(workspace):
        changes = []
        for run_id in run_ids:
            folder = read_run(workspace, run_id).folder
            status = state(folder).status
            if status not in ("queued", *ENDED_BADLY) or submitted(workspace, run_id):
                if status == "done":
                    raise Refused(f"{run_id} is already done; where it runs can no longer be changed")
                there = "in another machine's queue" if status == "queued" else status
                raise Refused(f"{run_id} is {there}: stop it first, then choose where it continues")
            turn = read_turn(folder)
            placement = changed(turn.placement, dials)
            launch.check_engine(placement)
            changes.append((folder, replace(turn, placement=placement, gpus=())))
        for folder, turn in changes:
            write_turn(folder, turn)
    launch.dispatch(workspace)


def stop_study(workspace: Workspace, study_id: str, force: bool = False) -> list[str]:
    """Stop all runs of a study that wait or work; returns their ids. Runs that it shares with other studies too."""
    return launch.stop_all(workspace, runs_of(workspace, study_id), force)


def resume_study(workspace: Workspace, study_id: str, dials: Mapping[str, Any] | None = None) -> list[str]:
    """Queue all runs of a study again that stopped, failed or crashed; returns their ids. dials: and where, as in where()."""
    names = runs_of(workspace, study_id)
    if dials:
        where(workspace, [name for name in names if state(workspace.run(name)).status in ENDED_BADLY], dials)
    return launch.resume_all(workspace, names)


def runs_of(workspace: Workspace, study_id: str) -> list[str]:
    """Ids of a study's runs that are there. Raises FairLabError when there is no such study."""
    return [name for name in read_study(workspace, study_id).run_ids if (workspace.run(name) / "run.json").exists()]


def clone(
    workspace: Workspace, run_id: str, dials: Mapping[str, Any], where: Mapping[str, Any] | None = None
) -> tuple[str, bool]:
    """Queue a run like `run_id` with dotted settings changed, e.g. {"training.epochs": 5}: same parents, same study.

    where: dotted settings of its Placement that differ. Returns its id, and whether it is new: the same settings are the same run, and nothing is started. Raises
    FairLabError for a setting that there is not, Refused for a run that has a name of its own (data, a model's file).
    """
    source = read_run(workspace, run_id)
    if source.role not in CLONED or source.elsewhere:
        origin = f"its role is {source.role}" if source.role not in CLONED else "it came from a file"
        raise Refused(f"{run_id} cannot be cloned: {origin}; add data or models under another name")
    for name in ("role", "method", "data"):
        if any(dial.partition(".")[0] == name for dial in dials):
            raise Refused(f"a clone keeps {name} of its original; launch a study for another")
    config = changed(source.config, dials)
    title = ", ".join([source.title, *(_said(name, value) for name, value in sorted(dials.items()) if name != "seed")])
    if config == source.config:
        return run_id, False
    content = run_name("", config, source.parents).rpartition("-")[2]
    same = [path.parent.name for path in workspace.runs_folder.glob(f"*-s{config.seed}-{content}/run.json")]
    if same:  # whatever it is called there
        return same[0], False
    record = single(workspace, title, config, source.parents, source.preset, source.study)
    placement = changed(read_turn(source.folder).placement, where or {})
    launch.check_engine(placement)
    with no_starts(workspace):
        if (record.folder / "run.json").exists():  # the other tab was quicker
            return record.run_id, False
        launch.enter(workspace, record, Turn(placement=placement))
        _enter(workspace, record.study, record.run_id)
    launch.dispatch(workspace)
    return record.run_id, True


def _said(name: str, value: Any) -> str:
    return f"{name.rpartition('.')[2].replace('_', ' ')} {value}"


def _enter(workspace: Workspace, study_id: str, run_id: str) -> None:
    """Show a clone with its study, also after the study is launched again."""
    path = workspace.study(study_id) / "study.json" if study_id else None
    if path is None or not path.exists():
        return
    study = read_json(path)
    lists = {name: [*study.get(name, []), run_id] for name in ("run_ids", "clones")}
    write_json(path, {**study, **lists})


def ended_badly(runs: pd.DataFrame) -> list[str]:
    """Ids of those of these runs (list_runs) that can be resumed."""
    return [str(name) for name in runs.loc[runs["status"].isin(ENDED_BADLY), "run_id"]]
