"""Processes to be killed: forked from a server that has loaded everything, real ones, that need no seconds to start.

The server has no threads and never works itself: no child knows what another did, none inherits a lock that a thread
of the test's process held (a plain fork does, once torch has computed anything).
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import types
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerProcess
from typing import Any

import pytest

from fairlab.jobs.roles import JOBS
from fairlab.workspace import Workspace

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(  # torch.optim asks for the last
    [
        "pytest",
        "tests.training.test_checkpoint",
        "fairlab.cli.main",
        "fairlab.jobs.worker",
        *sorted({place.partition(":")[0] for place in JOBS.values()}),
        "fairlab.jobs.evaluate.assess",
        "torch._dynamo",
        "tests.store.test_index",
    ]
)


def fork(target: Callable[..., None], *arguments: Any) -> ForkServerProcess:
    """A started process that carries out `target` and does not outlive the test's."""
    child = FORK.Process(target=target, args=arguments, daemon=True)
    with pytest.MonkeyPatch.context() as mine:
        # A child runs the main module again; a page that a test of the pages left there is not for it.
        mine.setitem(sys.modules, "__main__", types.ModuleType("__main__"))
        child.start()
    return child


def fork_worker(lab: Workspace, run_id: str, environment: Mapping[str, str] | None = None) -> ForkServerProcess:
    """`fairlab work RUN_ID` in a process and session of its own, its words thrown away."""
    return fork(_work, str(lab.home), run_id, dict(environment or {}))


def worlds_of(size: int) -> list[dict[str, str]]:
    """The environments of processes that share a run, as srun or torchrun would make them."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    same = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [{**same, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(size)]


def _work(home: str, run_id: str, environment: dict[str, str]) -> None:
    from fairlab.cli.main import main

    os.environ.update(environment)
    os.setsid()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)
    sys.exit(main(["--home", home, "work", run_id]))
