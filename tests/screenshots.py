"""Pictures of every page, light and dark: `python -m tests.screenshots OUT_DIR [--home WORKSPACE]`.

Without --home the workspace is FAIRLAB_HOME or the default one. Look at them after every change of the pages.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from fairlab.workspace import default_home
from tests.server import PAGES, app_server, chromium, entered

THEMES = ("light", "dark")
WIDTH, HEIGHT = 1440, 900
BUSY = """() => !document.querySelector('[data-testid=stMain] h1')
    || document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'running'
    || !!document.querySelector('[data-testid=stSkeleton], [data-testid=stSpinner]')"""


def settle(page: Any, quiet_s: float = 1.0, wait_s: float = 60.0) -> None:
    """Wait until the page's script has been through for `quiet_s`, with nothing left to load."""
    deadline, quiet_since = time.monotonic() + wait_s, None
    while time.monotonic() < deadline:
        now = time.monotonic()
        quiet_since = None if page.evaluate(BUSY) else quiet_since or now
        if quiet_since is not None and now - quiet_since > quiet_s:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{page.url} did not come to rest within {wait_s} s")


def whole(page: Any, path: Path) -> Path:
    """A picture of the page at its full length: the app scrolls inside, so the window is made as tall as the page."""
    length = page.evaluate("document.querySelector('[data-testid=stMainBlockContainer]').scrollHeight")
    page.set_viewport_size({"width": WIDTH, "height": max(HEIGHT, int(length) + 20)})
    settle(page)
    page.screenshot(path=str(path))
    return path


def pictures(
    address: str, folder: Path, pages: tuple[str, ...] = PAGES, themes: tuple[str, ...] = THEMES
) -> list[Path]:
    """Write <page>-<theme>.png of every page into `folder`; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with chromium() as opened:
        for theme in themes:
            page = entered(opened, address, viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=theme)
            for name in pages:
                page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
                page.goto(f"{address}/{name}")
                settle(page)
                written.append(whole(page, folder / f"{name.partition('?')[0] or 'home'}-{theme}.png"))
            page.close()
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--home", type=Path, default=default_home(), help="the workspace to show")
    parser.add_argument("--page", action="append", help="only this page; a query may follow: runs?run=x")
    parser.add_argument("--theme", action="append", choices=THEMES)
    options = parser.parse_args()
    with app_server(options.home) as (address, _process):
        pages, themes = tuple(options.page or PAGES), tuple(options.theme or THEMES)
        for path in pictures(address, options.folder, pages, themes):
            print(path)


if __name__ == "__main__":
    main()
