"""What many tests share: an empty workspace, and one with the tiny study finished."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from filelock import FileLock

from fairlab.workspace import Workspace, open_workspace

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # as workers have it; several tests run beside each other

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes start: none compiles what another has compiled

ROOT = Path(__file__).resolve().parent.parent


def fairlab(home: Path, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the real command line on a workspace."""
    command = [sys.executable, "-m", "fairlab", "--home", str(home), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=ROOT)


def wait_done(lab: Workspace, names: Sequence[str], timeout_s: float = 300) -> None:
    """Wait until these runs are done, by the command a user has."""
    result = fairlab(lab.home, "runs", "wait", *names, timeout=timeout_s)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def lab(tmp_path: Path) -> Workspace:
    """An empty workspace."""
    return open_workspace(tmp_path / "home")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace with the preset `tiny` finished by real worker processes. Do not change it: copy it."""
    base = tmp_path_factory.getbasetemp()
    several = "PYTEST_XDIST_WORKER" in os.environ  # then the parent is the session's, shared by all its processes
    shared = (base.parent if several else base) / "fairlab-tiny"
    with FileLock(str(shared) + ".lock"):
        if not (shared / "finished").exists():
            result = fairlab(shared, "launch", "tiny", timeout=600)
            assert result.returncode == 0, result.stdout + result.stderr
            (shared / "finished").touch()
    return open_workspace(shared)
