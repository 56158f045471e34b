"""The page Help: a chapter by its link, the search, links that lead somewhere, and each page's link to its chapter."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, expect
from streamlit.testing.v1 import AppTest

from fairlab.files import app_root
from fairlab.ui.frame.manual import CHAPTERS
from fairlab.ui.help.chapter import as_shown, parts, sections
from fairlab.ui.help.search import search
from fairlab.workspace import Workspace
from tests.conftest import ROOT
from tests.server import app_server, chromium, entered, settled
from tests.test_pages import PAGES, fine, opened

MANUAL = app_root() / "assets" / "docs"
SEARCH = "search the manual"
WANTED = {
    "data": "data", "models": "models", "launch": "methods", "runs": "operations", "spaces": "spaces",
    "verification": "results", "fairness": "evaluation", "compare": "results", "storage": "operations",
    "settings": "operations",
}  # fmt: skip
"""The chapter of each page."""


def shown(app: AppTest) -> str:
    """All Markdown of the page's main part."""
    return "\n".join(item.value for item in app.main.markdown)


def test_the_chapters_are_the_files_of_the_manual() -> None:
    assert sorted(CHAPTERS) == sorted(path.stem for path in MANUAL.glob("*.md"))


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_link_opens_its_chapter(monkeypatch: pytest.MonkeyPatch, lab: Workspace, name: str) -> None:
    """Its title, all its sections and all its tables; the link stays."""
    app = opened(monkeypatch, lab, "help", chapter=name)
    fine(app)
    assert app.selectbox(key="chapter").value == name
    text = CHAPTERS[name].text
    for section in sections(text):
        assert f"\n{'#' * (section.level + 1)} {section.title}\n" in f"\n{shown(app)}\n"
        assert section.level == 1 or f"](#{section.anchor})" in app.main.caption[-1].value
    assert [len(table.value) for table in app.table] == [len(t) for t in parts(text) if not isinstance(t, str)]
    assert app.query_params["chapter"] == name


def test_without_a_chapter_all_are_listed(monkeypatch: pytest.MonkeyPatch, lab: Workspace) -> None:
    app = opened(monkeypatch, lab, "help")
    fine(app)
    assert re.findall(r"\(\?chapter=(\w+)\)", shown(app)) == list(CHAPTERS)
    assert app.query_params["chapter"] == "contents"
    app.selectbox(key="chapter").set_value("Troubleshooting").run()
    fine(app)
    assert "## Troubleshooting" in shown(app)
    assert app.query_params["chapter"] == "troubleshooting"


def test_an_unknown_chapter_gives_a_sentence_and_the_list(monkeypatch: pytest.MonkeyPatch, lab: Workspace) -> None:
    """What the link says is shown as text: a picture in it is not loaded."""
    app = opened(monkeypatch, lab, "help", chapter="![x](http://example.invalid/y)")
    fine(app)
    assert [item.value.partition(r"\!")[0] for item in app.warning] == ["The manual has no chapter "]
    assert "![" not in app.warning[0].value
    assert re.findall(r"\(\?chapter=(\w+)\)", shown(app)) == list(CHAPTERS)
    app.selectbox(key="chapter").set_value("Your own data").run()
    assert not app.warning


def test_a_search_shows_chapter_section_and_line(monkeypatch: pytest.MonkeyPatch, lab: Workspace) -> None:
    """Whatever the case and over the ends of lines; choosing a chapter ends the search."""
    app = opened(monkeypatch, lab, "help", chapter="data")
    app.text_input(key=SEARCH).set_value("NOTHING IS COPIED").run()
    fine(app)
    assert "**[Your own data](?chapter=data)**" in shown(app)
    assert ":primary[**Nothing is copied**]" in shown(app)
    app.text_input(key=SEARCH).set_value("dyadic").run()
    assert "**[Evaluation · What varies](?chapter=evaluation#what-varies)**" in shown(app)
    app.selectbox(key="chapter").set_value("Troubleshooting").run()
    fine(app)
    assert app.text_input(key=SEARCH).value == ""
    assert "## Troubleshooting" in shown(app)


@pytest.mark.parametrize(
    "text", ["no such words", "x", "![x](http://example.invalid/y)", "`", "(?chapter=", "a" * 5000]
)
def test_a_search_without_result_says_so(monkeypatch: pytest.MonkeyPatch, lab: Workspace, text: str) -> None:
    app = opened(monkeypatch, lab, "help")
    app.text_input(key=SEARCH).set_value(text).run()
    fine(app)
    assert len(app.info) == 1
    assert len(app.info[0].value) < 200
    assert "![" not in app.info[0].value


def test_a_search_finds_what_lines_of_the_file_cut_and_what_tables_and_titles_say() -> None:
    wrapped = re.search(r"(\w+)\n(\w+)", CHAPTERS["data"].text)
    assert wrapped is not None
    assert next(result.chapter for result in search(f"{wrapped[1]} {wrapped[2]}")) == "data"
    for name, chapter in CHAPTERS.items():
        for section in sections(chapter.text):
            assert (name, section) in [(result.chapter, result.section) for result in search(section.title)]
    row = next(result for result in search("MXNet") if result.chapter == "data")
    assert row.lines[0].before.startswith("recordio · ")


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_link_of_a_chapter_leads_somewhere(name: str) -> None:
    """To a chapter that exists, a section that exists, or the web; what is left of a file's link is text."""
    anchors = {chapter: [part.anchor for part in sections(item.text)] for chapter, item in CHAPTERS.items()}
    assert len(set(anchors[name])) == len(anchors[name])
    bare = re.sub(r"```.*?```|`[^`]*`", "", as_shown(CHAPTERS[name].text), flags=re.S)
    for target in re.findall(r"\]\(([^)]*)\)", bare):
        link = urlsplit(target)
        if link.scheme:
            assert link.scheme == "https"
        else:
            chapter = parse_qs(link.query)["chapter"][0] if link.query else name
            assert not link.path
            assert not link.fragment or link.fragment in anchors[chapter]
    assert "![" not in bare


def test_links_pictures_and_headings_as_the_page_shows_them() -> None:
    text = (
        "# T\n[a](data.md) [kind `ijb`](data.md#x) [b](../../fairlab/api.py) [`fairlab/api.py`](../../fairlab/api.py)\n"
        "![A picture](x.png)![](y.png) `[c](data.md)` [d](https://example.org/) [e](#t)\n```\n# no heading\n[f](data.md)\n```\n## S"
    )
    assert as_shown(text) == (
        "## T\n[a](?chapter=data) [kind `ijb`](?chapter=data#x) b (`fairlab/api.py`) `fairlab/api.py`\n"
        "*A picture* `[c](data.md)` [d](https://example.org/) [e](#t)\n```\n# no heading\n[f](data.md)\n```\n### S"
    )
    assert [part.title for part in sections(text)] == ["T", "S"]


def test_tables_are_apart_with_the_bars_of_their_cells() -> None:
    before, table, after = parts("text\n| a | b |\n|---|---|\n| `x` | one \\| two |\nmore\n```\n| no | table |\n```")
    assert (before, after) == ("text", "more\n```\n| no | table |\n```")
    assert not isinstance(table, str)
    assert table.to_dict("list") == {"a": ["`x`"], "b": ["one | two"]}


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_one_link_to_its_chapter(monkeypatch: pytest.MonkeyPatch, lab: Workspace, page: str) -> None:
    """Home and Help have none: the menu is there."""
    app = opened(monkeypatch, lab, page)
    links: list[Any] = [item.proto for item in app.main.get("page_link") if item.proto.label == "Help"]
    assert [link.query_string for link in links] == [f"chapter={name}" for name in [WANTED.get(page)] if name]


def test_the_choices_of_the_session_survive_the_way_to_help(monkeypatch: pytest.MonkeyPatch, lab: Workspace) -> None:
    """As the Help link goes: the other page, with nothing but the chapter in its link; then back by the menu."""
    monkeypatch.setattr("fairlab.ui.launch.plans.request_probe", lambda *_: None)
    app = opened(monkeypatch, lab, "launch", preset="tiny")
    for page, link in (("help", {"chapter": "methods"}), ("launch", {})):
        app.query_params = link
        app.switch_page(str(app_root() / "pages" / f"{page}.py")).run()
        fine(app)
    assert app.selectbox(key="preset").value == "tiny"
    app.query_params = {}
    app.switch_page(str(app_root() / "pages" / "help.py")).run()
    assert app.selectbox(key="chapter").value == "methods"


def test_the_wheel_carries_the_manual(tmp_path: Path) -> None:
    """Laid out as pyproject.toml says: the package, and what is put into it. The page reads its chapters there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["fairlab"]
    site = tmp_path / "fairlab"
    site.mkdir()
    for path in (ROOT / "fairlab").iterdir():
        if path.name != "files.py":  # it finds the rest from where it lies, links followed
            (site / path.name).symlink_to(path)
    (site / "files.py").write_bytes((ROOT / "fairlab" / "files.py").read_bytes())
    for source, target in wheel["force-include"].items():
        (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / target).symlink_to(ROOT / source)
    code = "from fairlab.ui.frame.manual import CHAPTERS; from fairlab.files import app_root; print(app_root(), sum(len(c.text) for c in CHAPTERS.values()))"
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    length = sum(len(path.read_text(encoding="utf-8")) for path in MANUAL.glob("*.md"))
    assert result.stdout.split() == [str(site / "_app"), str(length)], result.stderr


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened_browser:
        yield opened_browser


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_links_in_chromium_stay_in_the_tab_and_reach_their_section(browser: Browser, tmp_path: Path) -> None:
    """From a page to its chapter, from a chapter to another, from a search to a section, and back; a pasted link too."""
    with app_server(tmp_path / "home") as (address, _):
        page = entered(browser, address, viewport={"width": 1280, "height": 900})
        page.set_default_timeout(90_000)
        page.goto(f"{address}/data")
        page.get_by_test_id("stMain").get_by_role("link", name="Help").click()
        expect(page.locator("h2#your-own-data")).to_be_visible(timeout=90_000)
        page.goto(f"{address}/help?chapter=evaluation#fair-bands-and-p")
        heading = page.locator("#fair-bands-and-p")
        expect(heading).to_be_in_viewport(timeout=90_000)
        expect(page.get_by_test_id("stSkeleton")).to_have_count(0, timeout=90_000)  # the tables are drawn last
        page.wait_for_timeout(1500)
        expect(heading).to_be_in_viewport(timeout=90_000)
        ids = page.locator("[data-testid=stMain] [data-testid=stMarkdown] :is(h2, h3, h4, h5)")
        assert ids.evaluate_all("all => all.map(h => h.id)") == [
            part.anchor for part in sections(CHAPTERS["evaluation"].text)
        ]
        page.goto(f"{address}/help?chapter=troubleshooting")
        settled(page)  # a table that is drawn again takes a click along
        page.locator("td").get_by_role("link", name="models", exact=True).click()
        expect(page.locator("h2#your-own-models")).to_be_visible(timeout=90_000)
        page.get_by_label("Search all chapters").fill("dyadic")
        page.keyboard.press("Enter")
        page.get_by_role("link", name="Evaluation · What varies").click()
        expect(page.locator("#what-varies")).to_be_in_viewport(timeout=90_000)
        settled(page)
        page.set_viewport_size({"width": 390, "height": 844})
        page.wait_for_timeout(500)
        assert page.evaluate("document.querySelector('[data-testid=stMain]').scrollWidth") <= 390  # tables scroll alone
        page.go_back()
        expect(page.locator("h2#your-own-models")).to_be_visible(timeout=90_000)
        assert len(page.context.pages) == 1
