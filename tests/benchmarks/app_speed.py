"""`python -m tests.benchmarks.app_speed HOME`: how fast the app is on the workspace HOME, in a real Chromium.

Prints: server start to first usable page (cold and with warm caches), switching pages, a rerun from a widget, and a
lasso over two maps. Wall seconds: read them beside the machine's load.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

from playwright.sync_api import Page

from tests.server import app_server, chromium

NAMES = ("Data", "Launch", "Runs", "Spaces", "Verification", "Fairness", "Compare", "Settings")


def settled(page: Page, title: str) -> None:
    """The page's heading is there and the script has ended."""
    page.get_by_role("heading", name=title, exact=True).first.wait_for()
    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget]')")


def main() -> int:
    home = Path(sys.argv[1])
    print(f"load average {os.getloadavg()[0]:.1f}")
    with chromium() as browser:
        for label in ("first start", "second start"):
            began = time.monotonic()
            with app_server(home) as (address, _):
                healthy = time.monotonic() - began
                page = browser.new_page()
                page.goto(address)
                settled(page, "FairLab")
                print(
                    f"{label}: server answers after {healthy:.2f} s, first page usable after {time.monotonic() - began:.2f} s"
                )
                if label == "first start":
                    page.close()
                    continue
                for turn in ("first visit", "again"):
                    for name in NAMES:
                        began = time.monotonic()
                        page.get_by_role("link", name=name, exact=True).first.click()
                        settled(page, name)
                        print(f"switch to {name:13} ({turn}): {time.monotonic() - began:.2f} s")
                times = []
                page.get_by_role("link", name="Fairness", exact=True).first.click()
                settled(page, "Fairness")
                for target in ("FMR 1 %", "FMR 10 %", "FMR 1 %"):
                    page.get_by_label("Operating point").click()
                    began = time.monotonic()
                    page.get_by_role("option", name=target, exact=True).click()
                    page.wait_for_timeout(50)
                    page.wait_for_function("!document.querySelector('[data-testid=stStatusWidget]')")
                    times.append(time.monotonic() - began)
                print(f"rerun from a widget (median of {len(times)}): {statistics.median(times):.2f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
