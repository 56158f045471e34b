"""`python -m tests.benchmarks.app_speed HOME`: how fast the app is on the workspace HOME, in a real Chromium.

Prints: server start to first usable page, switching pages, a rerun from a widget, and a lasso over two maps. Wall
seconds, median and worst of several rounds: read them beside the machine's load. Chromium draws with the processor
here, on the same cores as the server.
"""

from __future__ import annotations

import os
import re
import statistics
import sys
import time
from collections import defaultdict
from pathlib import Path

from playwright.sync_api import Page

from tests.server import MAP, app_server, chromium, entered, lasso

NAMES = ("Data", "Launch", "Runs", "Spaces", "Verification", "Fairness", "Compare", "Settings")
ROUNDS = 5
LOOKING_MS = 700  # a person looks at a page before leaving it


def ready(page: Page) -> None:
    """The script has ended."""
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget]')")


def settled(page: Page, title: str) -> None:
    """The page's heading is there and the script has ended."""
    page.get_by_role("heading", name=title, exact=True).first.wait_for()
    ready(page)


def said(what: str, seconds: list[float]) -> None:
    """One line."""
    print(
        f"{what:28} median {statistics.median(seconds):.2f} s, worst {max(seconds):.2f} s of {len(seconds)}", flush=True
    )


def starts(home: Path) -> None:
    """From the command to the first page, server and browser page both new."""
    times = []
    with chromium() as browser:
        for _ in range(3):
            began = time.monotonic()
            with app_server(home) as (address, _):
                page = entered(browser, address)
                settled(page, "FairLab")
                times.append(time.monotonic() - began)
                page.close()
    said("command to first page", times)


def switches(page: Page) -> None:
    """Page to page by the menu; the first visits are told apart."""
    first, again = [], defaultdict(list)
    for turn in range(1 + ROUNDS):
        for name in NAMES:
            page.wait_for_timeout(LOOKING_MS)
            began = time.monotonic()
            page.get_by_role("link", name=name, exact=True).first.click()
            settled(page, name)
            (again[name] if turn else first).append(time.monotonic() - began)
    said("switch, first visit", first)
    for name, times in again.items():
        said(f"switch to {name}", times)


def reruns(page: Page) -> None:
    """The operating point is moved until the page Fairness has been computed anew."""
    times = []
    page.get_by_role("link", name="Fairness", exact=True).first.click()
    settled(page, "Fairness")
    for key in ("ArrowRight", "ArrowLeft") * ROUNDS:
        page.wait_for_timeout(LOOKING_MS)
        page.get_by_role("slider").focus()
        began = time.monotonic()
        page.keyboard.press(key)
        page.wait_for_timeout(50)
        ready(page)
        times.append(time.monotonic() - began - 0.05)
    said("rerun from the slider", times)


def lassos(page: Page, address: str) -> None:
    """A lasso in one map until both maps and the faces of the selection are there."""
    page.goto(f"{address}/spaces")
    page.get_by_text("A picture, not evidence").first.wait_for()
    page.locator(MAP).nth(1).wait_for()
    points = re.findall(r"([\d,]+) of [\d,]+ images", " ".join(page.locator(".panel p").all_inner_texts()))
    times = []
    for _ in range(ROUNDS):
        page.goto(f"{address}/spaces")
        lasso(page)
        began = time.monotonic()
        page.get_by_text(re.compile(r"[\d,]+ (of [\d,]+ )?images selected")).first.wait_for()
        page.locator(".face").first.wait_for()
        ready(page)
        times.append(time.monotonic() - began)
    said(f"lasso, {' + '.join(points[:2])} points", times)


def main() -> int:
    home = Path(sys.argv[1])
    print(f"load average {os.getloadavg()[0]:.1f}")
    starts(home)
    with chromium() as browser, app_server(home) as (address, _):
        page = entered(browser, address)
        settled(page, "FairLab")
        switches(page)
        reruns(page)
        lassos(page, address)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
