"""A real server and a real Chromium, for the browser tests and for the screenshots."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from fairlab.store.links import links
from tests.install import find

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("", *sorted(path.stem for path in ROOT.glob("pages/*.py") if path.stem != "home"))
"""What stands behind the address of each page; Home is the address itself."""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def app_server(
    home: Path, port: int | None = None, starter: Sequence[str] = ("-m", "streamlit"), **environment: str
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`streamlit run app.py` on a workspace; yields (address, process) once it answers.

    starter: Python's own words for streamlit; environment: variables besides those of the tests.
    """
    port = port or free_port()
    log = open(home.parent / f"server-{port}.log", "ab")  # noqa: SIM115 - the server's for as long as it lives
    process = subprocess.Popen(
        [
            sys.executable,
            *starter,
            "run",
            str(ROOT / "app.py"),
            "--server.port",
            str(port),
        ],
        cwd=ROOT,
        env={**os.environ, "FAIRLAB_HOME": str(home), "STREAMLIT_SERVER_HEADLESS": "true", **environment},
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
                    break
            except OSError:
                if process.poll() is not None:
                    raise RuntimeError(f"the server ended with {process.returncode}; see {log.name}") from None
                time.sleep(0.1)
        yield address, process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()


def link_of(address: str) -> str:
    """The link of the server that runs at `address`, as `fairlab link` prints it."""
    return next(link for link, _ in links() if link.startswith(f"{address}/"))


def entered(browser: Browser, address: str, **options: Any) -> Page:
    """A new page of a browser, which has opened the app's link as a user does first."""
    page = browser.new_page(**options)
    page.goto(link_of(address))
    page.wait_for_url(f"{address}/")
    return page


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium. Raises RuntimeError, saying how to get one, when there is none."""
    path = find()
    if path is None:
        raise RuntimeError("no Chromium on this machine: run `python -m tests.install`")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        yield browser
        browser.close()


MAP = "canvas[data-ready]"
"""A map of the page Spaces whose points are drawn."""


def lasso(page: Page) -> None:
    """Draw around the middle of the first of two maps, slowly enough for a busy machine."""
    page.locator(MAP).nth(1).wait_for()
    area = page.locator(MAP).first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    assert box is not None
    left, top, width, height = box["x"], box["y"], box["width"], box["height"]
    path = [(0.1, 0.1), (0.9, 0.1), (0.9, 0.9), (0.1, 0.9), (0.1, 0.12)]
    page.mouse.move(left + path[0][0] * width, top + path[0][1] * height)
    page.mouse.down()
    for x, y in path[1:]:
        page.mouse.move(left + x * width, top + y * height, steps=12)
    page.mouse.up()


def settled(page: Page) -> None:
    """The page's run has ended and its link is written: both hold for half a second, as a rerun may be on its way."""
    calm, before = 0, ""
    while calm < 5:
        page.wait_for_timeout(100)
        page.wait_for_selector(".stApp[data-test-script-state=notRunning]", timeout=300_000)
        calm = calm + 1 if page.url == before else 0
        before = page.url
    assert page.get_by_test_id("stException").count() == 0
