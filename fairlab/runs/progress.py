"""How far a study is, and when it will be done: from what its finished runs took, laid out over the slots.

Nothing is guessed: where no run of a kind has been measured, and no probe either, the time left is not known yet.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import mean
from typing import Any

import pandas as pd

from fairlab.errors import FairLabError
from fairlab.runs.compare import read_study
from fairlab.runs.engines.base import ENGINES
from fairlab.runs.estimate import estimate
from fairlab.runs.grid import expand
from fairlab.runs.turns import ACTIVE, ENDED_BADLY, Queue
from fairlab.store.queue import Turn
from fairlab.store.runs import read_status
from fairlab.words import duration
from fairlab.workspace import Workspace


@dataclass(frozen=True)
class Task:
    """A run that works or will: seconds it still needs on `devices` slots of its engine, after its parents."""

    run_id: str
    seconds: float
    parents: tuple[str, ...] = ()
    engine: str = "local"
    devices: int = 1
    begun: bool = False


def ends(tasks: Sequence[Task], slots: Mapping[str, int]) -> dict[str, float]:
    """Seconds from now at which each task ends, given in starting order; nobody overtakes the next one of its engine.

    A task of a parent that is neither here nor has ended is the caller's to leave out.
    """
    ended: dict[str, float] = {}
    free = dict(slots)
    working: list[tuple[float, str, str, int]] = []
    waiting = list(tasks)
    now = 0.0
    names = {task.run_id for task in tasks}
    while waiting or working:
        full: set[str] = set()
        for task in list(waiting):
            idle = free[task.engine] == slots[task.engine]  # one that needs more than there is works alone
            fits = task.begun or (task.engine not in full and (idle or task.devices <= free[task.engine]))
            if not task.begun and any(name in names and ended.get(name, now + 1) > now for name in task.parents):
                continue
            if not fits:
                full.add(task.engine)
                continue
            free[task.engine] -= task.devices
            heapq.heappush(working, (now + task.seconds, task.run_id, task.engine, task.devices))
            waiting.remove(task)
        if not working:
            return ended  # what is left waits for something that never ends
        now = working[0][0]
        while working and working[0][0] <= now:
            _, run_id, engine, devices = heapq.heappop(working)
            ended[run_id] = now
            free[engine] += devices
    return ended


@dataclass(frozen=True)
class Progress:
    """counts: runs by how they stand, "held" and "blocked" apart from "queued"; share 0..1 of them is done, running ones
    by their part; left_s: seconds until all that can end has ended, None where it is not known; source: from what.
    """

    counts: dict[str, int]
    share: float
    left_s: float | None
    source: str

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def active(self) -> bool:
        return bool(self.counts.get("running", 0) + self.counts.get("queued", 0))


def study_progress(
    workspace: Workspace,
    everything: pd.DataFrame,
    queue: Queue,
    run_ids: Sequence[str] | None = None,
    study_id: str = "",
) -> Progress:
    """How far these runs are (default: all). everything: list_runs; queue: of the whole workspace; study_id: whose probe
    helps where no run has ended.

    Runs of others that work now keep their slots as long as they are known to; others' waiting ones are left out.
    """
    runs = everything if run_ids is None else everything[everything["run_id"].isin(run_ids)]
    kinds = {item.record.run_id: item.kind for item in queue.waiting}
    counts: dict[str, int] = {}
    for row in runs.itertuples():
        kind = kinds.get(row.run_id, "")
        stands = {"held": "held", "bad parent": "blocked"}.get(kind, row.status)
        counts[stands] = counts.get(stands, 0) + 1
    counts = _blocked_behind(queue, runs, counts)
    running = runs.loc[runs["status"] == "running", "progress"].fillna(0.0).clip(0.0, 1.0).sum()
    share = (counts.get("done", 0) + float(running)) / max(len(runs), 1)
    if not counts.get("running", 0) + counts.get("queued", 0):
        return Progress(counts, share, None if set(counts) - {"done"} else 0.0, "")
    active = runs.loc[runs["status"].isin(ACTIVE), "study"]
    basis = runs if run_ids is not None else runs[runs["study"].isin(active)]  # thousands of older runs say nothing
    left, source = _left(workspace, everything, basis, queue, study_id)
    return Progress(counts, share, left, source)


def stuck(queue: Queue) -> set[str]:
    """Ids of waiting runs that cannot start before somebody does something, with all that build on them."""
    found = {item.record.run_id for item in queue.waiting if item.kind in ("held", "bad parent", "engine")}
    while True:
        more = {item.record.run_id for item in queue.waiting if set(item.record.parents) & found} - found
        if not more:
            return found
        found |= more


def _blocked_behind(queue: Queue, runs: pd.DataFrame, counts: dict[str, int]) -> dict[str, int]:
    """Move the runs behind a stuck one from "queued" to "blocked"."""
    kinds = {item.record.run_id: item.kind for item in queue.waiting}
    behind = {name for name in stuck(queue) if kinds[name] not in ("held", "bad parent")} & set(runs["run_id"])
    moved = {
        **counts,
        "queued": counts.get("queued", 0) - len(behind),
        "blocked": counts.get("blocked", 0) + len(behind),
    }
    return {name: count for name, count in moved.items() if count}


def _left(
    workspace: Workspace, runs: pd.DataFrame, basis: pd.DataFrame, queue: Queue, study_id: str
) -> tuple[float | None, str]:
    own = set(basis["run_id"])
    mine = runs["run_id"].isin(own)
    tasks, used = _begun(workspace, runs[mine], queue, unknown_s=None)
    others, _ = _begun(workspace, runs[~mine], queue, unknown_s=0.0)
    took, known = measured(workspace, runs[mine]), runs[mine].set_index("run_id")
    probe: dict[str, float] | None = None
    without = stuck(queue)
    for item in queue.waiting:
        record, placement = item.record, item.turn.placement
        if record.run_id not in own or record.run_id in without:
            continue
        usual = _usual(took, known.loc[record.run_id])
        if usual is None:
            probe = probed(workspace, study_id) if probe is None else probe
            usual = probe.get(record.run_id)
        used.add("done" if probe is None or record.run_id not in probe else "probe")
        tasks.append((Task(record.run_id, usual or 0.0, record.parents, placement.engine, placement.devices), usual))
    if any(seconds is None for _, seconds in tasks):
        return None, ""
    line = [task for task, _ in [*others, *tasks]]
    slots = {name: ENGINES[name]().slots(workspace) for name in {task.engine for task in line}}
    ended = ends(line, slots)
    return max((ended[name] for name in own if name in ended), default=0.0), _source(
        used, int((runs[mine]["status"] == "done").sum())
    )


def _begun(
    workspace: Workspace, runs: pd.DataFrame, queue: Queue, unknown_s: float | None
) -> tuple[list[tuple[Task, float | None]], set[str]]:
    """Those of these runs that work, with the seconds they still need, and what told them.

    By their own pace; before they have one, by what such runs took; else `unknown_s`.
    """
    tasks: list[tuple[Task, float | None]] = []
    used: set[str] = set()
    working = runs[runs["status"] == "running"]
    took = measured(workspace, runs[runs["study"].isin(working["study"])])
    for _, row in working.iterrows():
        part = 0.0 if pd.isna(row["progress"]) else min(max(float(row["progress"]), 0.0), 1.0)
        usual, seconds = _usual(took, row), unknown_s
        if usual is not None:
            seconds = usual * (1 - part)
            used.add("done")
        elif not pd.isna(row["eta_s"]):
            seconds = float(row["eta_s"])
            used.add("running")
        turn = queue.at_work.get(row["run_id"], Turn())
        task = Task(row["run_id"], seconds or 0.0, (), turn.placement.engine, turn.placement.devices, begun=True)
        tasks.append((task, seconds))
    return tasks, used


def _source(used: set[str], done: int) -> str:
    said = {
        "done": f"the {done} done" if done != 1 else "the one done",
        "running": "the pace of those that work",
        "probe": "a short probe of this machine",
    }
    return "from " + " and ".join(text for name, text in said.items() if name in used) if used else ""


def measured(workspace: Workspace, runs: pd.DataFrame) -> dict[tuple[str, ...], float]:
    """Mean wall seconds of the finished ones of these runs: by role and method, and by these with network and training."""
    found: dict[tuple[str, ...], list[float]] = {}
    for _, row in runs[runs["status"] == "done"].iterrows():
        try:
            seconds = _wall_s(read_status(workspace.run(row["run_id"])))
        except FairLabError:
            continue
        if seconds is not None:
            for kind in _kinds(row):
                found.setdefault(kind, []).append(seconds)
    return {kind: mean(seconds) for kind, seconds in found.items()}


def _kinds(row: pd.Series) -> list[tuple[str, ...]]:
    """What runs are compared by, the closest first."""
    config = json.loads(row["config"])
    shape = [config.get(name) for name in ("backbone", "adaptor", "training")]
    return [(row["role"], row["method"], json.dumps(shape, sort_keys=True)), (row["role"], row["method"])]


def _usual(took: Mapping[tuple[str, ...], float], row: pd.Series) -> float | None:
    return next((took[kind] for kind in _kinds(row) if kind in took), None)


def _wall_s(said: Mapping[str, Any]) -> float | None:
    """How long a run took by the clock; of one that was resumed its processor time, which counts all attempts."""
    if said.get("attempt") == 1 and "started_at" in said and "finished_at" in said:
        span = datetime.fromisoformat(said["finished_at"]) - datetime.fromisoformat(said["started_at"])
        return span.total_seconds()
    return said.get("train_s")


def probed(workspace: Workspace, study_id: str) -> dict[str, float]:
    """Seconds of each run of a study by the launch page's probe of this machine; {} where there was none."""
    if not study_id:
        return {}
    try:
        study = read_study(workspace, study_id)
        cost = estimate(workspace, expand(study.config, study.preset, workspace))
    except FairLabError:
        return {}
    if cost is None or cost.seconds is None:
        return {}
    return dict(zip(cost.runs["run_id"], cost.runs["cpu_s"], strict=True))


def sentence(progress: Progress) -> str:
    """E.g. "12 of 50 done, about 3 h 05 min left (from the 12 done)"."""
    counts = progress.counts
    said = [f"{counts.get('done', 0)} of {progress.total} done"]
    bad = sum(counts.get(name, 0) for name in ENDED_BADLY)
    said += [f"{bad} ended badly"] if bad else []
    said += [f"{counts[name]} {name}" for name in ("held", "blocked") if counts.get(name)]
    if progress.active:
        left = f"about {duration(progress.left_s)} left ({progress.source})"
        said.append("time left not known yet" if progress.left_s is None else left)
    return ", ".join(said)
