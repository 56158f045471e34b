"""Runs side by side on the page: from its link, from ticked rows, and what is said of a run that is gone."""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import expect

from fairlab import Lab
from fairlab.workspace import Workspace
from tests.server import app_server, chromium, entered, settled
from tests.test_pages import fine, opened


def students(tiny: Workspace) -> list[str]:
    return [run.run_id for run in Lab(tiny).runs if run.role == "student"]


def test_a_link_shows_its_runs_and_says_which_are_gone(monkeypatch: pytest.MonkeyPatch, tiny: Workspace) -> None:
    """What differs between the two students is their distillation, not what both have; a deleted run is a kind sentence."""
    names = students(tiny)
    app = opened(monkeypatch, tiny, "runs", runs=",".join([*names, "deleted-[x](y)-1234"]), beside="settings")
    fine(app)
    assert app.multiselect(key="runs").value == names
    assert app.query_params["runs"] in (",".join(names), [",".join(names)])
    warnings = [item.value for item in app.warning]
    assert any("deleted\\-\\[x\\]\\(y\\)\\-1234" in text and "other runs are shown" in text for text in warnings)
    table = next(item.value for item in app.dataframe if "Setting" in item.value)
    assert {"method", "distillation"} <= set(table["Setting"])
    assert "training.epochs" not in set(table["Setting"])
    app.selectbox(key="beside").set_value("numbers").run()
    app.selectbox(key="baseline").set_value(names[0]).run()
    fine(app)
    assert any("the same resampled people" in item.value for item in app.caption)
    assert any("Genuine and impostor pairs" in item.value for item in app.caption)


def test_a_link_with_one_run_or_none_asks_for_more(monkeypatch: pytest.MonkeyPatch, tiny: Workspace) -> None:
    app = opened(monkeypatch, tiny, "runs", runs=students(tiny)[0])
    fine(app)
    assert any("Choose one more run" in item.value for item in app.caption)


@pytest.mark.browser
def test_ticked_rows_are_side_by_side_and_in_the_link(tiny: Workspace, tmp_path: Path) -> None:
    """Tick two rows of the table: their curves are drawn over each other, the link names them, and opens the same again."""
    shutil.copytree(tiny.home, tmp_path / "home")
    with app_server(tmp_path / "home") as (address, _), chromium() as browser:
        page = entered(browser, address, viewport={"width": 1400, "height": 1400})
        page.set_default_timeout(90_000)
        page.goto(f"{address}/runs?study=all")
        grid = page.get_by_test_id("stDataFrame").first
        grid.wait_for()
        settled(page)
        box = grid.bounding_box()
        assert box is not None
        for row in (6, 7):  # the two students, below the heading
            page.mouse.click(box["x"] + 16, box["y"] + 35 * row + 17)
            settled(page)
        expect(page.locator(".js-plotly-plot").first.locator(".legendtext")).to_have_count(2, timeout=90_000)
        chosen = parse_qs(urlparse(page.url).query)["runs"][0].split(",")
        assert set(chosen) == set(students(tiny))
        page.reload()
        expect(page.locator(".js-plotly-plot").first.locator(".legendtext")).to_have_count(2, timeout=90_000)
