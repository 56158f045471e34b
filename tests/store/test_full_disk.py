"""A disk that is full to the last byte: what is there is shown; looking writes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fairlab.store import database
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command
from tests.test_pages import opened
from tests.waiting import entered

MB = 8


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={MB}m", "tmpfs", str(place)]
    if os.name == "nt" or not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def full(small_disk: Path) -> Workspace:
    lab = open_workspace(small_disk / "home")
    entered(lab, "seen before", status="done")
    assert len(database.list_runs(lab)) == 1
    entered(lab, "never seen", status="failed")
    with suppress(OSError), open(small_disk / "ballast", "wb", buffering=0) as ballast:
        while True:
            ballast.write(b"x" * 4096)
    assert shutil.disk_usage(small_disk).free == 0
    return lab


def test_every_list_shows_what_is_there(full: Workspace) -> None:
    before = {path: path.stat().st_mtime_ns for path in full.home.rglob("*")}
    assert set(database.list_runs(full)["title"]) == {"seen before", "never seen"}
    for words in (["runs", "list"], ["models", "list"], ["compare"], ["doctor"], ["storage", "disk"]):
        said = command(full.home, *words)
        assert "Traceback" not in said.stderr
        assert "catalogue" not in said.stderr
    assert "never seen" in command(full.home, "runs", "list").stdout
    assert set(before) == set(full.home.rglob("*")), "looking made or removed a file"


@pytest.mark.parametrize("page", ["home", "runs", "compare", "storage"])
def test_pages_open(full: Workspace, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = opened(monkeypatch, full, page)
    assert not app.exception
    assert not app.error
