"""The app's HTTP side, asked as a browser would, without a server."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from fairlab import __version__
from fairlab.workspace import Workspace
from tests.ui.asked import ask


@pytest.fixture
def faces(tiny: Workspace, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a data set in the app's workspace."""
    monkeypatch.setenv("FAIRLAB_HOME", str(tiny.home))
    return next(tiny.datasets_folder.glob("demo-*")).name


def test_a_thumbnail_is_a_picture_of_the_size_asked_for(faces: str) -> None:
    """PNG, as wide as asked, never kept by others than this browser."""
    status, headers, body = ask(f"/api/thumb/{faces}/3?px=64")
    assert (status, headers["content-type"]) == (200, "image/png")
    assert Image.open(io.BytesIO(body)).size == (64, 64)
    assert "private" in headers["cache-control"]


@pytest.mark.parametrize(("asked", "given"), [("1", 16), ("100000", 512)])
def test_absurd_sizes_are_cut_to_sane_ones(faces: str, asked: str, given: int) -> None:
    """No request makes the server draw a poster."""
    assert Image.open(io.BytesIO(ask(f"/api/thumb/{faces}/0?px={asked}")[2])).size == (given, given)


@pytest.mark.parametrize("path", ["99999999", "0?px=big", "1" * 4301, "0?px=" + "9" * 4301, "-1", "١", "1e3", "x"])
def test_what_is_not_there_is_not_found(faces: str, path: str) -> None:
    """404 with a sentence, not a traceback."""
    status, _, body = ask(f"/api/thumb/{faces}/{path}")
    assert status == 404
    assert b"Traceback" not in body


@pytest.mark.parametrize("name", ["..", "%2e%2e", "no-such-set", "~", "a\x00b", ".hidden", "x" * 300])
def test_no_name_leads_out_of_the_workspace(faces: str, name: str) -> None:
    """Only names of data sets are answered."""
    assert ask(f"/api/thumb/{name}/0")[0] == 404


def test_the_app_says_its_version() -> None:
    status, _, body = ask("/api/health")
    assert (status, __version__.encode() in body) == (200, True)


def test_what_the_app_writes_is_its_users_alone() -> None:
    """The launcher itself sees to it, before anything is written."""
    import os
    import runpy

    from fairlab.files import app_root

    before = os.umask(0o022)
    try:
        runpy.run_path(str(app_root() / "app.py"))
        assert os.umask(0o022) == 0o077
    finally:
        os.umask(before)


def test_the_shipped_configuration_is_safe() -> None:
    """Loopback only, no statistics, XSRF protection, no error details in the browser."""
    import tomllib

    from fairlab.files import app_root

    found = tomllib.loads((Path(app_root()) / ".streamlit" / "config.toml").read_text())
    assert found["server"]["address"] == "127.0.0.1"
    assert found["server"]["allowedHosts"] == ["localhost", "127.0.0.1"]
    assert found["server"]["enableXsrfProtection"]
    assert not found["server"]["enableStaticServing"]
    assert not found["browser"]["gatherUsageStats"]
    assert found["client"]["showErrorDetails"] == "none"
