"""Told when a study ends: what is new since the last look, and what a real browser shows of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.sync_api import expect

from fairlab.files import make_folder, write_json
from fairlab.plan.grid import plan_preset
from fairlab.queue.endings import Ending
from fairlab.queue.launch import enqueue
from fairlab.store.queue import Turn
from fairlab.store.runs import create_run, write_status
from fairlab.ui.frame.told import new_since
from fairlab.workspace import Workspace
from tests.server import app_server, chromium, entered

DONE = Ending("s", "S", "done", runs=2, done=2, going=0)
WORKS = replace(DONE, kind="", done=1, going=1)
STAND_IN = """
window.shown = [];
window.asked = "default";
window.Notification = class {
  static get permission() { return window.asked; }
  static requestPermission() { window.asked = "granted"; return Promise.resolve("granted"); }
  constructor(title, options) { window.shown.push(options.body); }
  close() {}
};
Object.defineProperty(document, "hidden", { get: () => !window.looks });
"""
"""A headless browser has no notifications; and it is as if the user looked at another tab."""


def test_only_what_is_new_since_the_last_look_is_told() -> None:
    assert new_since(None, {"s": DONE}) == []  # old, as this session sees it for the first time
    assert new_since({"s": WORKS.key}, {"s": DONE}) == [DONE]
    assert new_since({"s": DONE.key}, {"s": DONE}) == []
    assert new_since({"s": DONE.key}, {"s": WORKS}) == []
    assert new_since({}, {"s": DONE}) == [DONE]  # begun and ended between two looks
    failed = replace(WORKS, kind="failed", broken=(("a", "A", "why"),))
    assert new_since({"s": failed.key}, {"s": replace(failed, going=0)}) != []
    assert new_since({"s": failed.key}, {"s": replace(failed, tries=2)}) != []


@pytest.mark.browser
def test_a_browser_is_asked_told_and_its_tab_marked_until_somebody_looks(lab: Workspace) -> None:
    plan = plan_preset(lab, "tiny")
    record = plan.runs[0].record
    create_run(lab, record)
    enqueue(record.folder, Turn(held=True))
    title = "<b>S</b> [x](y)"
    facts = {"study_id": "s", "title": title, "preset": "tiny", "created_at": "", "run_ids": [record.run_id]}
    make_folder(lab.study("s"))
    write_json(lab.study("s") / "study.json", {**facts, "config": plan.study.model_dump(mode="json")})
    with app_server(lab.home) as (address, _), chromium() as browser:
        page = entered(browser, address)
        page.set_default_timeout(90_000)
        page.add_init_script(STAND_IN)
        page.goto(f"{address}/help")
        page.get_by_role("button", name="Notify me when a study ends").click()
        expect(page.get_by_text("This browser tells you")).to_be_visible(timeout=90_000)
        write_status(record.folder, "done", "")
        page.wait_for_function("window.shown.length > 0")
        assert page.evaluate("window.shown") == [f'Study "{title}" is done: 1 of 1 runs done.']
        expect(page.get_by_test_id("stToast")).to_contain_text(f'Study "{title}" is done')
        expect(page).to_have_title(f"✓ {title} · Help · FairLab")
        page.evaluate("window.looks = true; document.hasFocus = () => true; window.dispatchEvent(new Event('focus'))")
        expect(page).to_have_title("Help · FairLab")
