"""Whose turn it is: which runs start next, and what each of the others waits for.

Only looks. launch.dispatch() starts what may start; pages and command line show the same answer in words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from fairlab.errors import FairLabError
from fairlab.queue.capacity import ROOM, Room
from fairlab.queue.engines.base import ENGINES
from fairlab.settings.placement import Placement
from fairlab.store import remote
from fairlab.store.database import statuses
from fairlab.store.locks import CUT_SHORT, cut_short
from fairlab.store.queue import Turn, read_turn
from fairlab.store.runs import RunRecord, read_run, read_status
from fairlab.workspace import Workspace

ENDED_BADLY = ("failed", "stopped", "crashed")
ACTIVE = ("queued", "running")
STUCK = ("held", "bad parent", "engine", "deletion")
"""Kinds of waiting that last until somebody does something."""
LOCAL = "local"
HELD = "held: release it to let it start"


@dataclass(frozen=True)
class Waiting:
    """A run that has not begun. kind: what it waits for; "" when it may start now; words: the same for people."""

    record: RunRecord
    turn: Turn
    kind: str = ""
    words: str = ""

    @property
    def noted(self) -> str:
        """What its status is to say: only what is not over by itself once others have ended."""
        return self.words if self.kind in ("held", "bad parent", "disk", "memory", "engine", "deletion") else ""

    @property
    def place(self) -> tuple[float, str, str]:
        """Sorts the waiting runs as they start."""
        return (self.turn.position, self.record.created_at, self.record.run_id)


@dataclass(frozen=True)
class Queue:
    """at_work: turns of the runs that work, here or elsewhere; elsewhere: those of them that wait in another queue;
    waiting: in starting order; unreadable: what is wrong with a run that cannot be read, by its id.
    """

    at_work: dict[str, Turn] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)


def look(workspace: Workspace, stand: Mapping[str, str]) -> Queue:
    """The queue of a workspace. stand: how every run stands, by its id (store.runs.state)."""
    queue = Queue()
    for name, status in stand.items():
        if status not in ACTIVE:
            continue
        folder = workspace.run(name)
        try:
            there = submitted(workspace, name)
            if status == "running" or there:
                queue.at_work[name] = _turn(workspace, name)
                if there and there.stand == remote.WAITING:
                    queue.elsewhere[name] = there.reason or f"waits in the queue of {there.engine}"
            else:
                queue.waiting.append(Waiting(read_run(workspace, name), read_turn(folder)))
        except FairLabError as error:
            queue.unreadable[name] = str(error)
    queue.waiting.sort(key=lambda item: item.place)
    _decide(workspace, queue, stand)
    return queue


def submitted(workspace: Workspace, run_id: str) -> remote.Job | None:
    """The job by which a run waits or works in another machine's queue, or None."""
    folder = workspace.run(run_id)
    job = remote.read_job(folder)
    there = job is not None and job.stand != remote.ENDED and read_status(folder).get("status") in ACTIVE
    return job if there else None


def stuck(queue: Queue) -> set[str]:
    """Ids of waiting runs that cannot start before somebody does something, with all that build on them."""
    found = {item.record.run_id for item in queue.waiting if item.kind in STUCK}
    found |= set(queue.unreadable)
    while True:
        more = {item.record.run_id for item in queue.waiting if set(item.record.parents) & found} - found
        if not more:
            return found
        found |= more


def any_goes_on(workspace: Workspace, run_ids: Iterable[str]) -> bool:
    """Will one of these runs still end by itself? None that ended, is held, or waits, however far behind, for such a one."""
    queue = look(workspace, statuses(workspace))
    dead = stuck(queue)
    going = set(queue.at_work) | {item.record.run_id for item in queue.waiting if item.record.run_id not in dead}
    return not going.isdisjoint(run_ids)


def _turn(workspace: Workspace, run_id: str) -> Turn:
    try:
        return read_turn(workspace.run(run_id))
    except FairLabError:
        return Turn()  # it works already: its place no longer matters


def _decide(workspace: Workspace, queue: Queue, stand: Mapping[str, str]) -> None:
    """Say of every waiting run whether it may start now and, if not, what it waits for."""
    taken: Counter[str] = Counter()
    for turn in queue.at_work.values():
        taken[turn.placement.engine] += turn.placement.devices
    slots: dict[str, int] = {}
    behind: dict[str, str] = {}  # engines whose next run waits: nobody overtakes it, or a large one never started
    room = Room(workspace, [name for name, turn in queue.at_work.items() if turn.placement.engine == LOCAL])
    between = cut_short(workspace)
    for index, item in enumerate(queue.waiting):
        engine, devices = item.turn.placement.engine, item.turn.placement.devices
        kind, words = _parents(workspace, item, stand)
        if item.turn.held and kind != "bad parent":
            kind, words = "held", HELD
        if between:
            kind, words = "deletion", CUT_SHORT
        if not kind and engine not in slots:
            try:
                slots[engine] = ENGINES[engine]().slots(workspace)
            except FairLabError as error:
                kind, words = "engine", f"cannot start: {error}"
        if not kind and engine in behind:
            kind, words = "slot", behind[engine]
        if not kind and taken[engine] and taken[engine] + devices > slots[engine]:
            more = "a free slot" if devices == 1 else f"{devices} free slots"
            kind, words = "slot", f"waits for {more} ({taken[engine]} of {slots[engine]} taken)"
            behind[engine] = words
        if not kind and (words := room.lacks_disk(item.record)):
            kind = "disk"
        if not kind and engine == LOCAL and (words := room.lacks_memory(item.record, item.turn.placement)):
            if room.at_work:
                kind, behind[engine] = "memory", "waits for its turn: the run before it waits for memory"
            else:  # nothing that ends could make room: better to try than to wait for ever
                words = words.replace(ROOM, "it needs") + "; it starts anyway, because no other run is active here"
        if not kind:
            taken[engine] += devices
            if engine == LOCAL:
                room.take(item.record, item.turn.placement)
        queue.waiting[index] = Waiting(item.record, item.turn, kind, words)


def _parents(workspace: Workspace, item: Waiting, stand: Mapping[str, str]) -> tuple[str, str]:
    parents = {name: stand.get(name, "missing") for name in item.record.parents}
    bad = [name for name, status in parents.items() if status not in ("done", *ACTIVE)]
    if bad:
        gone = parents[bad[0]] == "missing"
        todo = (
            "whose folder is missing: launch its study again"
            if gone
            else f"which is {parents[bad[0]]}: resume it first"
        )
        return "bad parent", f"waits for {bad[0]}, {todo}"
    missing = [name for name, status in parents.items() if status != "done"]
    if missing and not all(_known_there(workspace, name, item.turn.placement) for name in missing):
        others = f" and {len(missing) - 1} more" if missing[1:] else ""
        return "parents", f"waits for {missing[0]}{others}"
    return "", ""


def _known_there(workspace: Workspace, run_id: str, placement: Placement) -> bool:
    """Does a run wait or work where `placement` would put another, in a queue that holds that back until it is done?"""
    job = submitted(workspace, run_id)
    return job is not None and job.engine == placement.engine and ENGINES[placement.engine].chains
