"""Choices, Back, reload and links in a real Chromium, and every page of a part of the zoo."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from fairlab.data.dataset import open_dataset
from fairlab.store.database import list_runs
from fairlab.store.projections import list_projections
from fairlab.store.studies import studies
from fairlab.ui.spaces.points import centred
from fairlab.workspace import Workspace
from tests.server import MAP, app_server, chromium, entered, settled
from tests.thorough import THOROUGH, several
from tests.walker import PAGES
from tests.zoo import ZOO, animal

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
SEEN = several(("odd_names",), tuple(ZOO))
STEPS = several(60, 1000)
LOOKING = ("verification", "fairness", "compare", "spaces")
BOXES = {"study": "Study", "on": "On the data set", "model": "Model", "pairs": "Pairs"}
expect.set_options(timeout=300_000)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def visited(browser: Browser, address: str) -> Page:
    """A new page, patient: the machines of CI are busy."""
    page = entered(browser, address, viewport={"width": 1400, "height": 1200})
    page.set_default_timeout(300_000)
    return page


def menu(page: Page, name: str) -> None:
    title = "FairLab" if name == "home" else name.capitalize()
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name.capitalize(), exact=True).click()
    expect(page.get_by_role("heading", name=title, exact=True).first).to_be_visible()
    expect(page).to_have_title(title if name == "home" else f"{title} · FairLab")
    settled(page)


def link(page: Page) -> dict[str, str]:
    return {key: values[-1] for key, values in parse_qs(urlparse(page.url).query).items()}


def box(page: Page, label: str) -> str | None:
    """What a select box shows; None where the page has none."""
    found = page.get_by_role("combobox", name=re.compile(f"(^|Selected .*){re.escape(label)}$"))
    return found.first.input_value() if found.count() else None


def shown(page: Page, lab: Workspace) -> dict[str, str]:
    """The choices on the page, by their ids; models by title."""
    titles = dict(zip(list_runs(lab)["run_id"], list_runs(lab)["title"], strict=True))
    found = {key: text for key, label in BOXES.items() if (text := box(page, label)) is not None}
    asked = link(page)
    for key, text in found.items():
        wanted = titles.get(asked.get(key, ""), asked.get(key, "")) if key == "model" else asked.get(key, "")
        plain = {"test": "test pairs", "validation": "validation pairs", "added": "models added"}.get(wanted, wanted)
        assert wanted, f"{key} shows {text!r}, and the link {page.url} says nothing of it"
        assert plain in text, f"{key} shows {text!r}, and the link {page.url} asks for {wanted!r}"
    return {key: asked[key] for key in found} | ({"point": asked["point"]} if "point" in asked else {})


def test_choices_hold_on_other_pages_on_back_and_after_reload(
    browser: Browser, tiny: Workspace, tmp_path: Path
) -> None:
    """A1 of the findings: model and operating point of Fairness are those of Verification; one press of Back is enough."""
    lab = animal("two_studies", tiny, tmp_path)
    first = studies(lab)["study_id"].iloc[-1]
    teacher = next(path.name for path in lab.runs_folder.iterdir() if path.name.startswith("teacher-group-b"))
    with app_server(lab.home) as (address, _):
        page = visited(browser, address)
        page.goto(f"{address}/fairness?study={first}&model={teacher}&point=fmr=0.2")
        settled(page)
        full = link(page)
        assert (full["study"], full["model"], full["point"]) == (first, teacher, "fmr=0.2")
        menu(page, "verification")
        assert {key: link(page)[key] for key in ("study", "model", "point")} == {
            key: full[key] for key in ("study", "model", "point")
        }
        assert shown(page, lab)["model"] == teacher
        settled(page)
        both = full.keys() & link(page).keys()  # causes, quality and repair have choices that Fairness alone shows
        assert len(both) > 5
        for name in ("models", "compare", "spaces", "home", "verification"):
            menu(page, name)
        assert (link(page)["study"], link(page)["model"], link(page)["point"]) == (first, teacher, "fmr=0.2")
        menu(page, "fairness")
        page.get_by_role("slider").focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_url(re.compile(r"point=fmr(=|%3D)0\.5"))
        settled(page)
        page.go_back()
        settled(page)
        assert link(page)["point"] == "fmr=0.2"
        expect(page.get_by_role("slider")).to_have_attribute("aria-valuetext", re.compile("20 %"))
        page.go_back()
        settled(page)
        assert urlparse(page.url).path == "/verification", "one press of Back leads to the page before"
        page.reload()
        settled(page)
        seen = shown(page, lab)
        assert {"study", "on", "model", "point"} <= seen.keys()
        assert {key: seen[key] for key in seen if key in full} == {key: full[key] for key in seen if key in full}
        assert {key: link(page)[key] for key in both} == {key: full[key] for key in both}


def test_a_point_is_hovered_clicked_added_and_hidden(browser: Browser, tiny: Workspace) -> None:
    """A4 of the findings: a click selects in lasso mode; the face under the pointer is said; Shift adds; a legend hides."""
    run_id, stored = next(
        (path.name, list_projections(path)[0])
        for path in tiny.runs_folder.iterdir()
        if path.name.startswith("common-space")
    )
    data = open_dataset(tiny.dataset(stored.facts["dataset"]))
    ids, places = stored.points["image_id"].to_numpy(), centred(stored.points[["x", "y"]].to_numpy(np.float32))
    most_alone = np.argsort(-np.sort(np.linalg.norm(places[:, None] - places, axis=2), axis=1)[:, 1])[:2]
    with app_server(tiny.home) as (address, _):
        page = visited(browser, address)
        page.goto(f"{address}/spaces?left={run_id}")
        page.locator(MAP).nth(1).wait_for()
        settled(page)
        area = page.locator(MAP).first
        area.scroll_into_view_if_needed()
        box = area.bounding_box()
        assert box is not None
        for count, row in enumerate(most_alone, 1):
            x = box["x"] + box["width"] / 2 + float(places[row, 0]) * box["height"] / 2
            y = box["y"] + box["height"] / 2 - float(places[row, 1]) * box["height"] / 2
            page.mouse.move(x - 2, y)
            page.mouse.move(x, y, steps=4)
            expect(page.locator(".tip")).to_contain_text(str(data.images["identity"].iloc[ids[row]]))
            expect(page.locator(".tip")).to_contain_text("score to own centroid")
            page.mouse.move(x, y)
            if count == 2:
                page.keyboard.down("Shift")
            page.mouse.down()
            page.mouse.up()
            page.keyboard.up("Shift")
            expect(page.get_by_text(re.compile(rf"^{count} of [\d,]+ images selected"))).to_be_visible()
        expect(page).to_have_url(re.compile("sel="))
        expect(page.get_by_text("Nearest neighbours")).to_be_visible()
        page.locator(".legend button").first.focus()
        page.keyboard.press("Enter")
        expect(page).to_have_url(re.compile("hide="))
        expect(page.locator(".legend button").first).to_have_attribute("aria-pressed", "false")


@pytest.mark.parametrize("name", SEEN)
def test_every_page_opens_in_chromium(browser: Browser, tiny: Workspace, tmp_path: Path, name: str) -> None:
    """By its menu; the link says what is shown, and nothing is raised."""
    lab = animal(name, tiny, tmp_path)
    with app_server(lab.home) as (address, _):
        page = visited(browser, address)
        page.goto(address)
        settled(page)
        for title in PAGES:
            menu(page, title)
            if title in LOOKING:
                shown(page, lab)


@pytest.mark.skipif(not THOROUGH, reason="minutes; nightly, with FAIRLAB_THOROUGH=1")
def test_random_walk_in_chromium(browser: Browser, tiny: Workspace, tmp_path: Path) -> None:
    """Menu, choices, Back, Forward and reload: the link is what is shown, and what was chosen holds."""
    lab = animal("two_studies", tiny, tmp_path)
    dice, steps = random.Random(7), []
    with app_server(lab.home) as (address, _):
        page = visited(browser, address)
        page.goto(f"{address}/verification")
        settled(page)
        made: dict[str, str] = {}
        for _ in range(STEPS):
            kind = dice.choices(["menu", "choose", "back", "reload"], [4, 4, 2, 1])[0]
            keys = [key for key, label in BOXES.items() if box(page, label) is not None]
            key = dice.choice(keys) if keys else ""
            steps.append((kind, key if kind == "choose" else "", page.url.partition(address)[2]))
            if kind == "choose" and key:
                field = page.get_by_role("combobox", name=re.compile(f"(^|Selected .*){re.escape(BOXES[key])}$")).first
                field.click()
                for _ in range(dice.randint(1, 2)):
                    page.keyboard.press("ArrowDown")
                page.keyboard.press("Enter")
            elif kind == "back":
                page.go_back()
            elif kind == "reload":
                page.reload()
            else:
                menu(page, dice.choice(LOOKING))
            if urlparse(page.url).scheme != "http" or urlparse(page.url).path.lstrip("/") not in LOOKING:
                page.goto(f"{address}/verification")
            settled(page)
            now = shown(page, lab)
            told = "\n".join(map(repr, steps[-8:]))
            if kind == "menu":
                lost = {name: (made[name], value) for name, value in now.items() if made.get(name, value) != value}
                assert not lost, f"chosen before and lost: {lost}\n{told}"
            made = now if kind in ("back", "reload") else {**made, **now}
