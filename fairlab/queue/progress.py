"""How far a study is, and when it will be done: from what its finished runs took, laid out over the slots.

Nothing is guessed: where no run of a kind has been measured, and no probe either, the time left is not known yet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from statistics import mean
from typing import Any

import pandas as pd

from fairlab.errors import FairLabError
from fairlab.formatting import duration
from fairlab.plan.estimate import estimate
from fairlab.plan.grid import expand
from fairlab.plan.schedule import Task, ends
from fairlab.queue.edit import look_at
from fairlab.queue.engines.base import ENGINES
from fairlab.queue.turns import ACTIVE, ENDED_BADLY, Queue, stuck
from fairlab.reading.structured import parse_json
from fairlab.store.database import list_runs
from fairlab.store.queue import Turn
from fairlab.store.runs import read_status
from fairlab.store.studies import read_study
from fairlab.workspace import Workspace


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


def progress(workspace: Workspace, study_id: str = "") -> Progress:
    """How far a study is, or all runs of the workspace. Raises FairLabError for a study that does not exist."""
    runs = list_runs(workspace)
    run_ids = read_study(workspace, study_id).run_ids if study_id else None
    return study_progress(workspace, runs, look_at(workspace, runs), run_ids, study_id)


def _blocked_behind(queue: Queue, runs: pd.DataFrame, counts: dict[str, int]) -> dict[str, int]:
    """Move the runs behind a stuck one from "queued" to "blocked"."""
    kinds = {item.record.run_id: item.kind for item in queue.waiting}
    behind = {name for name in stuck(queue) if kinds.get(name) not in ("held", "bad parent")} & set(runs["run_id"])
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
    others = runs[(runs["status"] == "running") & ~runs["run_id"].isin(own)]
    theirs = Rates(workspace, runs[runs["study"].isin(others["study"])])
    line = [_task(name, theirs.left(row) or 0.0, queue.at_work.get(name)) for name, row in _by_id(others)]
    rates, known, without = Rates(workspace, basis, study_id), dict(_by_id(basis)), stuck(queue)
    mine: list[tuple[str, pd.Series, Turn | None, tuple[str, ...]]] = [
        (name, row, queue.at_work.get(name), ()) for name, row in known.items() if row["status"] == "running"
    ]
    mine += [
        (item.record.run_id, known[item.record.run_id], item.turn, item.record.parents)
        for item in queue.waiting
        if item.record.run_id in own and item.record.run_id not in without
    ]
    for name, row, turn, parents in mine:
        seconds = rates.left(row)
        if seconds is None:
            return None, ""
        line.append(_task(name, seconds, turn, parents, begun=row["status"] == "running"))
    ended = ends(line, {task.engine: _slots(workspace, task.engine) for task in line})
    left = max((ended[name] for name in own if name in ended), default=0.0)
    return left, _source(rates.used, int((basis["status"] == "done").sum()))


def _by_id(runs: pd.DataFrame) -> list[tuple[str, pd.Series]]:
    return [(str(row["run_id"]), row) for _, row in runs.iterrows()]


def _task(name: str, seconds: float, turn: Turn | None, parents: tuple[str, ...] = (), begun: bool = True) -> Task:
    where = (turn or Turn()).placement
    return Task(name, seconds, parents, where.engine, where.devices, begun)


def _slots(workspace: Workspace, engine: str) -> int:
    try:
        return ENGINES[engine]().slots(workspace)
    except FairLabError:
        return 1  # it is not installed here: nobody here can tell


class Rates:
    """What runs of a kind take: as the finished ones took, else at the pace of the current runs, else by the probe."""

    def __init__(self, workspace: Workspace, runs: pd.DataFrame, study_id: str = "") -> None:
        self.workspace, self.study_id = workspace, study_id
        self.took = measured(workspace, runs)
        self.paces: dict[tuple[str, ...], list[float]] = {}
        self.probe: dict[str, float] | None = None
        self.used: set[str] = set()
        for _, row in _by_id(runs[(runs["status"] == "running") & runs["eta_s"].notna()]):
            for kind in _kinds(row):
                self.paces.setdefault(kind, []).append(float(row["eta_s"]) / max(1 - _part(row), 0.01))

    def left(self, row: pd.Series) -> float | None:
        """Seconds that a run, a row of list_runs, still needs; None where nobody knows."""
        whole = self._whole(row)
        return None if whole is None else whole * (1 - _part(row))

    def _whole(self, row: pd.Series) -> float | None:
        for name, known in (("done", self.took), ("running", {kind: mean(all_) for kind, all_ in self.paces.items()})):
            for kind in _kinds(row):
                if kind in known:
                    self.used.add(name)
                    return known[kind]
        if self.probe is None:
            self.probe = probed(self.workspace, self.study_id)
        if row["run_id"] in self.probe:
            self.used.add("probe")
        return self.probe.get(row["run_id"])


def _part(row: pd.Series) -> float:
    """Share of a run that is done."""
    working = row["status"] == "running" and not pd.isna(row["progress"])
    return min(max(float(row["progress"]), 0.0), 1.0) if working else 0.0


def _source(used: set[str], done: int) -> str:
    said = {
        "done": f"the {done} done" if done != 1 else "the one done",
        "running": "the pace of the current runs",
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
    config = parse_json(row["config"], "the catalogue")
    shape = [config.get(name) for name in ("backbone", "adaptor", "training")]
    return [(row["role"], row["method"], json.dumps(shape, sort_keys=True)), (row["role"], row["method"])]


def _wall_s(said: Mapping[str, Any]) -> float | None:
    """How long a run took by the clock; of one that was resumed its processor time, which counts all attempts."""
    if said.get("attempt") == 1 and "started_at" in said and "finished_at" in said:
        span = datetime.fromisoformat(said["finished_at"]) - datetime.fromisoformat(said["started_at"])
        return span.total_seconds()
    return said.get("train_s")


def probed(workspace: Workspace, study_id: str) -> dict[str, float]:
    """Seconds of each run of a study by the launch page's probe of this machine; {} where there was none."""
    folder = workspace.home / "probes"
    if not study_id or not folder.is_dir():
        return {}
    return _probed(workspace, study_id, folder.stat().st_mtime_ns)


@lru_cache(maxsize=32)
def _probed(workspace: Workspace, study_id: str, _version: int) -> dict[str, float]:
    """Unfolding a study takes a moment and a page asks every two seconds: kept until there is another probe."""
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
    said += [f"{counts[name]} {name}" for name in (*ENDED_BADLY, "held", "blocked") if counts.get(name)]
    if progress.active:
        left = f"about {duration(progress.left_s)} left ({progress.source})"
        said.append("time left not known yet" if progress.left_s is None else left)
    return ", ".join(said)
