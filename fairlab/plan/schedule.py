"""When each of the runs in the queue will have ended, by the rules that launch.dispatch starts them by (queue.turns)."""

from __future__ import annotations

import heapq
from collections import defaultdict
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
    names = {task.run_id for task in tasks}
    children: dict[str, list[int]] = defaultdict(list)
    left: dict[int, int] = {}  # parents that have not ended
    ready: dict[str, list[int]] = {task.engine: [] for task in tasks}  # numbers of tasks, the lowest starts first

    def begin(task: Task, now: float) -> None:
        free[task.engine] -= task.devices
        heapq.heappush(working, (now + task.seconds, task.run_id, task.engine, task.devices))

    for number, task in enumerate(tasks):
        parents = names.intersection(task.parents)
        if task.begun:
            begin(task, 0.0)
        elif parents:
            left[number] = len(parents)
            for name in parents:
                children[name].append(number)
        else:
            heapq.heappush(ready[task.engine], number)
    now = 0.0
    while True:
        for engine, line in ready.items():
            # One that needs more than there is works alone.
            while line and (free[engine] == slots[engine] or tasks[line[0]].devices <= free[engine]):
                begin(tasks[heapq.heappop(line)], now)
        if not working:
            return ended  # what is left waits for something that never ends
        now = working[0][0]
        while working and working[0][0] <= now:
            _, run_id, engine, devices = heapq.heappop(working)
            ended[run_id] = now
            free[engine] += devices
            for number in children[run_id]:
                left[number] -= 1
                if not left[number]:
                    heapq.heappush(ready[tasks[number].engine], number)
