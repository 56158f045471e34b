"""Waiting until runs have ended. Whoever waits also starts what may start, as there is no scheduler process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from fairlab.queue.launch import dispatch_unless_busy
from fairlab.queue.turns import any_goes_on
from fairlab.store.runs import Live, state
from fairlab.workspace import Workspace


def wait(
    workspace: Workspace,
    run_ids: Sequence[str],
    look: Callable[[Mapping[str, Live]], None] = lambda _views: None,
    every_s: float = 1.0,
) -> bool:
    """Wait until these runs have ended; True when all are done.

    look: called every `every_s` seconds with the state of every run, by run id. Ends early when nothing can go on any
    more, because a run failed or was stopped. An interruption leaves the runs alone.
    """
    while True:
        dispatch_unless_busy(workspace)
        going = any_goes_on(workspace, run_ids)  # asked first: what ends in between is seen to be done
        views = {name: state(workspace.run(name)) for name in run_ids}
        look(views)
        if all(view.status == "done" for view in views.values()):
            return True
        if not going:
            return False
        time.sleep(every_s)
