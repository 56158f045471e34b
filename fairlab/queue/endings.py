"""How studies stand as their owner wants to be told: at its end, at a failure, or when it cannot go on by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from fairlab.errors import FairLabError
from fairlab.queue.launch import attempt_of
from fairlab.queue.turns import ACTIVE, ENDED_BADLY, look, stuck
from fairlab.store.database import statuses
from fairlab.store.records import StudyFile, study_of
from fairlab.store.runs import read_run, state
from fairlab.workspace import Workspace

Kind = Literal["", "done", "failed", "decision"]
MOST_NAMED = 20
"""Failed runs that are named; Ending.failed counts all."""
BROKEN = ("failed", "crashed")
STOPPED_BY_USER = ("stopped by the user", "stopped before it began")
"""Reasons of runs that need no word: who stopped them knows."""


@dataclass(frozen=True)
class Ending:
    """How a study stands. kind: "" while it works or was stopped by its user, "done", "failed" (a run has failed or crashed),
    "decision" (it waits for its user); going: runs that work or will start by themselves; broken: (run id, title, reason).
    """

    study_id: str
    title: str
    kind: Kind
    runs: int
    done: int
    going: int
    broken: tuple[tuple[str, str, str], ...] = ()
    failed: int = 0
    """How many runs have failed or crashed; broken names the first MOST_NAMED."""
    words: str = ""
    tries: int = 0
    """How often the runs that have ended badly were begun, together: after a resume the same end is told again."""

    @property
    def key(self) -> str:
        """Changes whenever there is something new to tell: what is told twice has the same."""
        failed = ",".join(name for name, _, _ in self.broken)
        return f"{self.kind}:{self.tries}:{'going' if self.going else 'ended'}:{failed}" if self.kind else ""

    @property
    def sentence(self) -> str:
        """What is told, in a sentence, e.g. that 18 of 18 runs are done."""
        share = f"{self.done} of {self.runs} runs done"
        if self.kind == "done":
            return f'Study "{self.title}" is done: {share}.'
        if self.kind == "failed":
            _, run, reason = self.broken[0]
            others = f" and {self.failed - 1} more {'runs' if self.failed > 2 else 'run'}" if self.failed > 1 else ""
            more = f"{self.going or 'no'} {'runs go' if self.going > 1 else 'run goes'} on"
            return f'Study "{self.title}": {run}{others} failed ({reason}); {share}, {more}.'
        if self.kind == "decision":
            return f'Study "{self.title}" waits for you: {self.words}; {share}.'
        return f'Study "{self.title}": {share}.'


def endings(workspace: Workspace, containing: str = "") -> dict[str, Ending]:
    """How the studies stand, by study id. containing: only those that have this run. Studies that cannot be read are left out."""
    found: list[StudyFile] = []
    for path in sorted(workspace.studies_folder.glob("*/study.json")):
        try:
            facts = study_of(path.parent)
        except FairLabError:
            continue
        if not containing or containing in facts.run_ids:
            found.append(facts)
    if not found:
        return {}
    stand = statuses(workspace)
    queue = look(workspace, stand)
    blocked = stuck(queue)
    going = {name for name, status in stand.items() if status in ACTIVE and name not in blocked}
    words = {item.record.run_id: item.words for item in queue.waiting if item.words}
    each = {}
    for facts in found:
        own = {name: stand[name] for name in facts.run_ids if name in stand}
        each[facts.study_id] = _ending(workspace, facts, own, going & own.keys(), words)
    return each


def _ending(
    workspace: Workspace, facts: StudyFile, own: dict[str, str], going: Iterable[str], words: dict[str, str]
) -> Ending:
    done = sum(status == "done" for status in own.values())
    goes_on = len(set(going))
    tries = sum(attempt_of(workspace.run(name)) for name, status in own.items() if status in ENDED_BADLY)
    about: dict[str, Any] = {"study_id": facts.study_id, "title": facts.title, "runs": len(own), "done": done}
    about |= {"going": goes_on, "tries": tries}
    if broken := [name for name, status in own.items() if status in BROKEN]:
        named = tuple((name, *_told(workspace, name)) for name in broken[:MOST_NAMED])
        return Ending(**about, kind="failed", broken=named, failed=len(broken))
    if goes_on or not own:
        return Ending(**about, kind="")
    if done == len(own):
        return Ending(**about, kind="done")
    reasons = [_told(workspace, name)[1] for name, status in own.items() if status == "stopped"]
    if reasons and all(reason in STOPPED_BY_USER for reason in reasons):
        return Ending(**about, kind="")
    waits = [words[name] for name in own if name in words]
    why = next((reason for reason in reasons if reason and reason not in STOPPED_BY_USER), "")
    return Ending(**about, kind="decision", words=why or (waits[0] if waits else "its runs have stopped"))


def _told(workspace: Workspace, run_id: str) -> tuple[str, str]:
    """(title, reason) of a run that has ended; what cannot be read is left out."""
    try:
        return read_run(workspace, run_id).title, state(workspace.run(run_id)).reason
    except FairLabError:
        return run_id, "its files cannot be read"
