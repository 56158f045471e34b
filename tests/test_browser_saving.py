"""A chart's camera in a real Chromium: what it saves is for paper, whichever theme the page has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from fairlab.plots.colours import OKABE_ITO
from fairlab.workspace import Workspace
from tests.server import MAP, app_server, chromium, entered, settled

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]
expect.set_options(timeout=90_000)
MEASURED = """(wider) => {
  const svg = document.querySelector("svg"), all = svg.getBoundingClientRect(), painted = svg.querySelector("rect");
  if (wider) for (const one of svg.querySelectorAll("text")) one.style.letterSpacing = "0.08em";
  const light = (text) => {
    const parts = text.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
    const [r, g, b] = parts.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = light(getComputedStyle(painted).fill), under = painted.getBoundingClientRect();
  const words = [...svg.querySelectorAll("text")].filter((one) => one.textContent.trim() && one.getBoundingClientRect().width);
  return {
    ground, covers: [under.left <= all.left, under.top <= all.top, under.right >= all.right, under.bottom >= all.bottom],
    words: words.map((one) => one.textContent),
    cut: words.filter((one) => {
      const box = one.getBoundingClientRect();
      return box.left < all.left || box.top < all.top || box.right > all.right || box.bottom > all.bottom;
    }).map((one) => one.textContent),
    contrast: Math.min(...words.map((one) => (ground + 0.05) / (light(getComputedStyle(one).fill) + 0.05))),
    fonts: [...new Set(words.map((one) => getComputedStyle(one).fontFamily))],
  };
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def saved(page: Page, number: int) -> Path:
    """What the camera of a chart saves."""
    plot = page.locator(".js-plotly-plot").nth(number)
    plot.hover()  # scrolls to it too, and looks again where a rerun has drawn it anew
    with page.expect_download(timeout=300_000) as download:
        plot.locator(".modebar-btn[data-title^='Download plot']").click()
    return download.value.path()


def measured(browser: Browser, picture: Path, wider: bool = False) -> Any:
    """An SVG on a page of its own: its words, how they contrast with its ground, and which of them cross its edge.

    wider: as a viewer without the font shows it.
    """
    page = browser.new_page()
    try:
        page.set_content(f"<body style='background:black;margin:200px'>{picture.read_text()}</body>")
        return page.evaluate(MEASURED, wider)
    finally:
        page.close()


def maps_are_for_paper(page: Page, address: str) -> None:
    """From a dark page: white to the edges, with points of every group in both maps."""
    page.goto(f"{address}/spaces")
    page.locator(MAP).nth(1).wait_for()
    settled(page)
    with page.expect_download() as made:
        page.get_by_role("button", name="Save as PNG").click()
    pixels = np.asarray(Image.open(Path(made.value.path())).convert("RGB"), dtype=int)
    for edge in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
        assert (edge == 255).all()
    for half in np.array_split(pixels[120:], 2, axis=1):
        for colour in OKABE_ITO[:2]:
            wanted = [int(colour[at : at + 2], 16) for at in (1, 3, 5)]
            assert (np.abs(half - wanted).max(axis=2) < 60).sum() > 200


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_saved_chart_is_for_paper(browser: Browser, tiny: Workspace, scheme: Any) -> None:
    """A9 of the findings: from a dark page it was pale words on no ground, and long labels were cut elsewhere."""
    with app_server(tiny.home) as (address, _):
        page = entered(browser, address, viewport={"width": 1400, "height": 1200}, color_scheme=scheme)
        page.set_default_timeout(300_000)
        if scheme == "dark":
            maps_are_for_paper(page, address)
        page.goto(f"{address}/fairness")
        page.wait_for_function("document.querySelectorAll('.js-plotly-plot .nsewdrag').length >= 2")
        page.wait_for_timeout(1500)
        for number in range(2):
            picture = saved(page, number)
            found = measured(browser, picture)
            assert (found["ground"], found["covers"]) == (1, [True] * 4), "white, to every edge"
            assert len(found["words"]) >= 2
            assert found["contrast"] >= 4.5, found
            assert found["cut"] == [], found
            assert found["fonts"] == ["Arial, Helvetica, sans-serif"]
            assert measured(browser, picture, wider=True)["cut"] == []
        page.get_by_test_id("stSidebar").get_by_text("PNG", exact=True).click()
        for _ in range(20):  # the page is made anew, which takes as long as the machine likes
            page.wait_for_timeout(1500)
            content = saved(page, 0).read_bytes()
            if content.startswith(b"\x89PNG"):
                break
        assert content.startswith(b"\x89PNG")
        assert len(content) > 20_000
        page.close()
