"""From an empty workspace, a folder of images and a checkpoint to a map, fairness, a comparison and a figure, by clicking."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from fairlab.data.demo.build import build_demo
from fairlab.models.base import BACKBONES
from fairlab.settings.study import Backbone, DemoData
from tests.server import app_server, chromium, entered, settled
from tests.thorough import THOROUGH

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not THOROUGH, reason="minutes; nightly, with FAIRLAB_THOROUGH=1"),
]
PATIENT = 90_000
PICTURES = os.environ.get("FAIRLAB_WALK_PICTURES", "")
"""A folder that gets a picture of every step, for whoever wants to see the walk."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def faces(root: Path) -> Path:
    """<group>/<person>/<image>.png: two groups of four people with four images each, as the demo draws them."""
    few = DemoData(
        groups=("North", "South"), image_px=112, train_identities=2, train_images=2, validation_identities=4,
        test_identities=4, test_images=4, synthetic_identities=0, test_pairs=10, validation_pairs=10,
    )  # fmt: skip
    data = build_demo(few, root / "generated", "generated", lambda _done, _total: None, lambda: False)
    images = data.images[data.images["split"] == "test"]
    pixels = data.pixels_at(112)
    for row in images.itertuples():
        path = root / "faces" / str(row.group) / str(row.identity) / f"{row.image_id:04d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.asarray(pixels[row.image_id])).save(path)
    assert len(images) == 32
    return root / "faces"


class Walk:
    """Presses what is shown; after each step there is neither an exception nor a red box."""

    def __init__(self, page: Page) -> None:
        self.page, self.steps = page, 0
        page.set_default_timeout(PATIENT)

    def press(self, name: str) -> None:
        self.page.get_by_test_id("stMain").get_by_role("button", name=name, exact=True).first.click()

    def fill(self, label: str, text: str) -> None:
        box = self.page.get_by_role("textbox", name=label)
        box.fill(text)
        box.press("Enter")

    def to(self, page: str) -> None:
        self.page.get_by_test_id("stSidebar").get_by_role("link", name=page, exact=True).click()
        expect(self.page.get_by_role("heading", name=page, exact=True)).to_be_visible(timeout=PATIENT)

    def sees(self, text: str | re.Pattern[str]) -> None:
        expect(self.page.get_by_test_id("stMain").get_by_text(text).first).to_be_visible(timeout=PATIENT)
        self.page.wait_for_function("!document.querySelector('[data-test-script-state=running]')")
        for what in ("stException", "stAlertContentError"):
            assert self.page.get_by_test_id(what).count() == 0, self.page.get_by_test_id(what).all_inner_texts()
        self.steps += 1
        if PICTURES:
            self.page.screenshot(path=f"{PICTURES}/{self.steps:02d}.png", full_page=True)


def test_a_folder_and_a_checkpoint_end_in_a_figure(browser: Browser, tmp_path: Path) -> None:
    folder, network = faces(tmp_path), tmp_path / "my_net.pth"
    torch.manual_seed(1)
    torch.save(BACKBONES["mbf"](Backbone(name="mbf"), 112).state_dict(), network)
    with app_server(tmp_path / "home") as (address, _):
        page = entered(browser, address, viewport={"width": 1400, "height": 1200})
        walk = Walk(page)
        walk.sees("What the demo study does")
        walk.to("Data")
        settled(page)
        page.get_by_text("Add your own data").click()
        walk.fill("File or folder on this machine", str(folder))
        walk.press("Inspect")
        walk.sees(re.compile("Adding it will"))
        walk.press("Add it")
        walk.sees(re.compile("is now a data set of this workspace"))
        walk.press("Show it")
        walk.sees("Mean face of each group")
        walk.press("Draw pairs")
        walk.sees("Two people")
        walk.sees("Images by part and group")
        walk.to("Models")
        walk.fill("File on this machine", str(network))
        walk.press("Inspect")
        walk.sees("Network")
        walk.press("Add it")
        walk.sees(re.compile("is now a model of this workspace"))
        walk.press("Evaluate")
        walk.sees(re.compile("^Done: "))
        walk.to("Spaces")
        walk.sees(re.compile("my_net|my net"))
        walk.press("Create this map")
        walk.sees("A picture, not evidence")
        walk.to("Fairness")
        walk.sees("Fairness measures")
        walk.to("Compare")
        walk.sees("At a glance")
        with page.expect_download() as saved:
            page.get_by_test_id("stMain").locator(".modebar-btn[data-title*=Download]").first.click(force=True)
        assert saved.value.suggested_filename.endswith(".svg")
        assert b"<svg" in Path(saved.value.path()).read_bytes()[:500]
        walk.to("Verification")
        walk.sees("At the operating point")
