"""When each of the runs in the queue will have ended, by the rules that launch.dispatch starts them by (runs.turns)."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


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
