"""What many tests share: an empty workspace, and one with the tiny study finished."""

from __future__ import annotations

import atexit
import io
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import streamlit.components.v2.manifest_scanner as installed
from filelock import FileLock
from hypothesis import HealthCheck, settings
from streamlit.testing.v1 import local_script_runner

from fairlab.queue.engines.local import LocalEngine
from fairlab.settings.placement import Placement
from fairlab.store.runs import RunRecord, record_process, state, write_status
from fairlab.workspace import Workspace, open_workspace
from tests.slow import slow_tests

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # as workers have it; several tests run beside each other

os.environ["FAIRLAB_CONFIG"] = tempfile.mkdtemp(prefix="fairlab-config-")  # never the user's
atexit.register(shutil.rmtree, os.environ["FAIRLAB_CONFIG"], ignore_errors=True)
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes start: none compiles what another has compiled

installed.scan_component_manifests = cache(installed.scan_component_manifests)
"""Streamlit reads about every installed package for each AppTest: half a second, of which there are a thousand."""


def _page_done(runner: local_script_runner.LocalScriptRunner, timeout: float = 3) -> None:
    """Wait until a page has run. AppTest asks a thousand times a second, which took a fifth of the processor."""
    thread = runner._script_thread
    assert thread is not None
    thread.join(timeout)
    if thread.is_alive():
        runner.request_stop()
        runner.join()
        raise RuntimeError(f"the page took over {timeout} s")


local_script_runner.require_widgets_deltas = _page_done

settings.register_profile("fairlab", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fairlab")
"""An example may take as long as it likes: other tests and other people work on the same machine."""

ROOT = Path(__file__).resolve().parent.parent


def fairlab(home: Path, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the real command line on a workspace."""
    command = [sys.executable, "-m", "fairlab", "--home", str(home), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT)


def command(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line in this process: the same words and code, without the seconds that a process takes to start."""
    from fairlab.api import console as shown
    from fairlab.cli.main import main

    out, said = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as mine, redirect_stdout(out), redirect_stderr(said):
        mine.setenv("FAIRLAB_HOME", str(home))  # the command sets it for itself; afterwards it is as before
        mine.setattr(shown.console, "width", shown.PIPED_COLUMNS)
        mine.setattr(shown.console, "_file", None)  # a console that is told to write elsewhere keeps the file
        try:
            code = main(["--home", str(home), *arguments])
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), said.getvalue())


def wait_done(lab: Workspace, names: Sequence[str], timeout_s: float = 300) -> None:
    """Wait until these runs are done."""
    from fairlab.queue.waiting import wait

    end = time.monotonic() + timeout_s

    def look(_views: object) -> None:
        assert time.monotonic() < end, {name: state(lab.run(name)) for name in names}

    assert wait(lab, names, look, every_s=0.1), {name: state(lab.run(name)) for name in names}


def copied_home(home: Path, to: Path) -> Path:
    """A workspace to change, a copy of one that other tests look at.

    Without its catalogue, which is made again from the run folders: another process may be closing it just now, and
    SQLite then removes a file while it is copied.
    """
    return Path(shutil.copytree(home, to, ignore=shutil.ignore_patterns("catalogue*")))


@pytest.fixture
def lab(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    return open_workspace(tmp_path / "home")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that a test starts are carried out in this process, for tests of what they do."""
    from tests.in_process import work_here

    work_here(monkeypatch)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Titles of the runs that the local engine was told to start; they work then, as this very process."""
    found: list[str] = []

    def submit(_engine: LocalEngine, _workspace: Workspace, record: RunRecord, _placement: Placement) -> None:
        record_process(record.folder)
        write_status(record.folder, "running", reason="")
        found.append(record.title)

    monkeypatch.setattr(LocalEngine, "submit", submit)
    return found


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with the preset `tiny` finished by real worker processes. Do not change it: copy it."""
    return open_workspace(_finished_tiny(tmp_path_factory.getbasetemp()))


def _finished_tiny(base: Path) -> Path:
    several = "PYTEST_XDIST_WORKER" in os.environ  # then the parent is the session's, shared by all its processes
    shared = (base.parent if several else base) / "fairlab-tiny"
    with FileLock(str(shared) + ".lock"):
        if not (shared / "finished").exists():
            result = fairlab(shared, "launch", "tiny", timeout=600)
            assert result.returncode == 0, result.stdout + result.stderr
            (shared / "finished").touch()
    return shared


def _uses_tiny(item: pytest.Item) -> bool:
    return "tiny" in getattr(item, "fixturenames", ())


def pytest_collection_finish(session: pytest.Session) -> None:
    """The study `tiny` takes a minute: the first of several processes starts it now, and tests over it come last."""
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw0" and any(map(_uses_tiny, session.items)):
        base = session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        threading.Thread(target=_finished_tiny, args=(base,), daemon=True).start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow, see tests/slow.py; and put last what waits for the study `tiny`."""
    listed = slow_tests()
    for item in items:
        if item.nodeid.partition("[")[0] in listed:
            item.add_marker(pytest.mark.slow)
    over_tiny = {item.path for item in items if _uses_tiny(item)}
    items.sort(key=lambda item: item.path in over_tiny)  # whole files, so that none makes its own fixtures twice


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Whoever has nothing left to do takes over half of what waits elsewhere: long tests keep nobody idle at the end."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log) if config.getvalue("dist") == "load" else None
