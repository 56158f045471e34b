"""The user's way in a real Chromium, on a real server, with runs that really train."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, Page, Request, expect

from fairlab.data.dataset import open_dataset
from fairlab.evaluation import threshold_at_fmr
from fairlab.store.results import read_results
from fairlab.store.runs import read_run, state
from fairlab.store.studies import read_study, studies
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import wait_done
from tests.data.trees import grouped, rfw
from tests.fixtures import onnx_models
from tests.server import PAGES, app_server, chromium, entered, free_port, lasso, settled
from tests.thorough import several

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]
FORMATS = Path(__file__).parent / "fixtures" / "formats"
PATIENT = 90_000
expect.set_options(timeout=PATIENT)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


class Watched:
    """A page whose requests and console are watched."""

    def __init__(self, browser: Browser, address: str) -> None:
        self.page: Page = entered(browser, address, viewport={"width": 1400, "height": 1200})
        self.address, self.outside, self.errors = address, [], []  # type: ignore[var-annotated]
        self.page.on("request", self._request)
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.set_default_timeout(PATIENT)

    def _request(self, request: Request) -> None:
        parts = urlparse(request.url)
        if parts.scheme not in ("data", "blob") and parts.hostname not in ("127.0.0.1", "localhost"):
            self.outside.append(request.url)

    def open(self, where: str) -> Page:
        self.page.goto(f"{self.address}/{where}")
        self.page.wait_for_selector("[data-testid=stHeading]")
        return self.page

    def check(self) -> None:
        """Nothing left the machine, no error, every picture is there.

        Streamlit asks for its own health below a deep link first: a 404. And a picture that the page replaces while it is
        fetched, when the browser is slow, is said to be lost, though nobody misses it.
        """
        assert self.outside == []
        assert [text for text in self.errors if "404" not in text and "Image source error" not in text] == []
        assert (
            self.page.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)") == []
        )
        assert self.page.get_by_test_id("stException").count() == 0


def test_the_users_way(browser: Browser, tmp_path: Path) -> None:
    """Launch a tiny study by clicking, see it work, stop, resume; then select points, read neighbours, see Fairness."""
    home = tmp_path / "home"
    with app_server(home) as (address, _):
        watched = Watched(browser, address)
        page = watched.open("")
        expect(page.get_by_role("button", name="Run the demo study")).to_be_visible()
        page = watched.open("launch?preset=tiny")
        expect(page.get_by_text("The same in a terminal")).to_be_visible()
        expect(page.get_by_text("timing", exact=True)).to_have_count(0)  # the page is made anew when that ends
        page.get_by_role("button", name="Start", exact=True).click()
        page.wait_for_url("**/runs**")
        lab = open_workspace(home)
        stop = page.get_by_role("button", name="Stop", exact=True)
        expect(stop).to_be_enabled()
        stop.click()
        resume = page.get_by_role(
            "button", name="Resume", exact=True
        ).last  # while the page is made anew, there are two
        expect(resume).to_be_enabled()
        resume.click()
        expect(stop).to_be_enabled()  # it waits or works again
        expect(page.get_by_text(re.compile(r"\d+ running, \d+ waiting")).first).to_be_visible()
        names = [path.parent.name for path in lab.runs_folder.glob("*/run.json")]
        wait_done(lab, names)
        study = studies(lab)["study_id"].iloc[0]

        page = watched.open(f"spaces?study={study}")
        expect(page.get_by_text("A picture, not evidence")).to_be_visible()
        lasso(page)
        expect(page.get_by_text(re.compile(r"\d+ (of [\d,]+ )?images selected"))).to_be_visible()
        expect(page).to_have_url(re.compile("sel="))
        page.locator(".face").first.click()
        expect(page.get_by_text("Nearest neighbours")).to_be_visible()
        page.locator(".face.right, .face.wrong").first.wait_for()
        expect(page).to_have_url(re.compile("face="))
        watched.page.reload()
        expect(page.get_by_text("Nearest neighbours")).to_be_visible()

        page.get_by_role("link", name="Fairness").first.click()
        expect(page.get_by_text(re.compile("what a perfectly fair model would show by chance")).first).to_be_visible()
        watched.check()


def test_the_papers_table_is_sorted_filtered_and_opened(browser: Browser, tiny: Workspace) -> None:
    """A heading sorts by number, best first; a word leaves its rows; a name opens its run."""
    study = studies(tiny)["study_id"].iloc[0]
    with app_server(tiny.home) as (address, _):
        watched = Watched(browser, address)
        page = watched.open(f"compare?study={study}")
        rows = page.locator("tbody tr[data-run]")
        expect(rows).to_have_count(6)
        page.get_by_role("button", name="Mean", exact=True).click()
        expect(page.locator("th[aria-sort=descending]")).to_have_text("Mean")
        at = page.locator("th").all_inner_texts().index("Mean")
        shown = [float(row.locator("td").nth(at).locator(".value").inner_text()) for row in rows.all()]
        assert shown == sorted(shown, reverse=True)
        assert "best" in (rows.first.locator("td").nth(at).locator(".value").get_attribute("class") or "")
        words = page.get_by_role("textbox", name="Name contains")
        words.fill("without kd")
        words.press("Enter")
        expect(rows).to_have_count(1)
        run_id = rows.first.get_attribute("data-run")
        rows.first.get_by_role("button", name="Student without KD").click()
        page.wait_for_url(f"**/runs?*run={run_id}*")
        expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
        watched.check()


def test_the_operating_point_moves_through_every_number(browser: Browser, tiny: Workspace) -> None:
    """The slider is moved by keys on Verification; its table shows the counts of the scores on disk, there and on Fairness."""
    study = studies(tiny)["study_id"].iloc[0]
    run_id = next(name for name in read_study(tiny, study).run_ids if name.startswith("student-without"))
    record = read_run(tiny, run_id)
    data = open_dataset(tiny.dataset(record.dataset))
    pairs = data.pairs_of("test").merge(read_results(record.folder, record.dataset, "scores"), on="pair_id")
    impostors = pairs[~pairs["genuine"]]
    with app_server(tiny.home) as (address, _):
        watched = Watched(browser, address)
        page = watched.open(f"verification?study={study}&model={run_id}&point=fmr=0.1")
        for rate in (0.1, 0.2):
            if rate == 0.2:
                page.get_by_role("slider").focus()
                page.keyboard.press("ArrowRight")
                page.wait_for_url(re.compile(r"point=fmr(=|%3D)0\.2"))
            wanted = threshold_at_fmr(impostors["score"].to_numpy(), rate)
            counts = (impostors["score"] >= wanted).groupby(impostors["group"]).sum()
            for group, count in counts.items():
                row = (
                    page.get_by_role("row").filter(has_text=re.compile(r"^\s*" + str(group).replace(" ", r"\s"))).first
                )
                expect(row).to_contain_text(f"({count:,} pairs)")
                expect(row).to_contain_text(f"{wanted:.4f}")
        page.get_by_role("tab", name="DET").click()
        expect(page.get_by_text("false non-match rate (FNMR)").first).to_be_visible()
        page.get_by_role("link", name="Fairness").click()
        expect(page.get_by_role("heading", name="Fairness", exact=True)).to_be_visible()
        expect(page.get_by_text("set at an overall FMR of 20").first).to_be_visible()
        expect(page.get_by_text(f"{int(counts.sum()):,} of {len(impostors):,} pairs").first).to_be_visible()
        page.get_by_role("button", name="How is this computed?").click()
        expect(page.get_by_text("dyadic").first).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Save").first.click()
        with page.expect_download() as saved:
            page.get_by_role("button", name="Numbers as CSV").click()
        assert b"interval" not in (text := Path(saved.value.path()).read_bytes())
        assert text.startswith(b"group,metric")
        with page.expect_download() as saved:
            page.get_by_role("button", name="Chart as HTML").click()
        assert b"Plotly.newPlot" in Path(saved.value.path()).read_bytes()
        watched.check()


def test_a_run_outlives_the_killed_server_and_is_found_again(browser: Browser, tmp_path: Path) -> None:
    """kill -9 of the server in the middle of a study; a new server on the same workspace shows and finishes it."""
    home, port = tmp_path / "home", free_port()
    with app_server(home, port) as (address, server):
        watched = Watched(browser, address)
        page = watched.open("launch?preset=tiny")
        page.get_by_role("button", name="Start", exact=True).click()
        page.wait_for_url("**/runs**")
        link = page.url
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
    lab = open_workspace(home)
    working = [path.parent for path in lab.runs_folder.glob("*/run.json") if state(path.parent).status == "running"]
    assert working, "the run must not end with the server"
    with app_server(home, port) as (address, _):
        watched = Watched(browser, address)
        page = watched.open(link.removeprefix(f"{address}/"))
        expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
        for _ in range(240):  # the app itself must start what waits
            if all(state(path.parent).status == "done" for path in lab.runs_folder.glob("*/run.json")):
                break
            time.sleep(1)
        else:
            pytest.fail("the study did not finish under the new server")
        watched.check()


def test_every_page_opens_first_by_its_link_and_names_from_data_load_nothing(browser: Browser, tmp_path: Path) -> None:
    """The pages/ trap: the first request of a fresh server is a deep link; it must come in the right frame. Groups called
    like Markdown with a picture are shown as text, and nothing is asked for outside.
    """
    from fairlab.plan.grid import expand
    from fairlab.presets import load_preset
    from fairlab.queue import launch
    from fairlab.settings.study import changed

    lab = open_workspace(tmp_path / "home")
    hostile = "![x](http://example.invalid/leak.png)"
    dials = {
        "demo.groups": (hostile, "<img src=http://example.invalid/y>"),
        "arms": (), "students": (), "student.training.epochs": 1, "student.training.drop_epochs": (),
    }  # fmt: skip
    plan = expand(changed(load_preset("tiny"), dials), "tiny", lab)
    launch.start(lab, plan)
    wait_done(lab, [run.record.run_id for run in plan.runs])
    with app_server(lab.home) as (address, _):
        for name in several(("verification", "", "compare"), ("verification", *PAGES)):
            watched = Watched(browser, address)
            page = watched.open(
                f"{name}?study={plan.study_id}" if name not in ("", "data", "storage", "settings", "help") else name
            )
            expect(page.get_by_role("link", name="Settings").first).to_be_visible()
            title = "FairLab" if name == "" else name.capitalize()
            expect(page.get_by_role("heading", name=title, exact=True).first).to_be_visible()
            page.wait_for_timeout(1000)
            watched.check()
            watched.page.close()


def test_one_s_own_data_are_added_by_clicking(browser: Browser, tmp_path: Path) -> None:
    """A folder, an RFW tree, a .rec and a .bin: look, read the report, add, and see the faces."""
    grouped(tmp_path / "bupt")
    rfw(tmp_path / "rfw")
    shutil.copytree(FORMATS / "classic", tmp_path / "casia")
    shutil.copy(FORMATS / "py2_p2.bin", tmp_path / "lfw.bin")
    with app_server(tmp_path / "home") as (address, _):
        watched = Watched(browser, address)
        for name, kind, images in several(
            (("rfw", "rfw", 72), ("lfw.bin", "packs", 4)),
            (("bupt", "folders", 12), ("rfw", "rfw", 72), ("casia", "recordio", 6), ("lfw.bin", "packs", 4)),
        ):
            page = watched.open("data")
            settled(page)  # a rerun on its way would close what was opened
            page.get_by_text("Add your own data").click()
            path = page.get_by_role("textbox", name="File or folder on this machine")
            path.fill(str(tmp_path / name))
            path.press("Enter")
            page.get_by_role("button", name="Inspect").click()
            add = page.get_by_role("button", name="Add it")
            add.wait_for()
            report = page.get_by_test_id("stExpander").first
            expect(report).to_contain_text(kind)
            expect(report).to_contain_text(str(images))
            add.click()
            page.get_by_role("button", name="Show it").click()
            # The newest data set is the page's own choice, which no link needs to say.
            expect(page).to_have_url(re.compile(rf"set={name.removesuffix('.bin')}|/data(\?(?!.*set=).*)?$"))
            page.locator(".face").first.wait_for()
        _a_model_is_added_and_judged(watched, tmp_path / "zoo.onnx")
        watched.check()


def _a_model_is_added_and_judged(watched: Watched, path: Path) -> None:
    """A graph from a file: look, read what it is, add it, judge it on the pack, and see it on Verification."""
    path.write_bytes(onnx_models.network().SerializeToString())
    page = watched.open("models?set=lfw")
    box = page.get_by_role("textbox", name="File on this machine")
    box.fill(str(path))
    box.press("Enter")
    page.get_by_role("button", name="Inspect").click()
    add = page.get_by_role("button", name="Add it")
    add.wait_for()
    report = page.get_by_test_id("stExpander").first
    expect(report).to_contain_text("ONNX")
    expect(report).to_contain_text("the file does not give its channels")
    add.click()
    expect(report).to_contain_text("is now a model of this workspace")
    page.get_by_role("button", name="Evaluate").click()
    main = page.get_by_test_id("stMain")
    expect(main).to_contain_text("Done: zoo on lfw")
    main.get_by_role("link", name="Verification").click()
    expect(page).to_have_url(re.compile("/verification"))
    expect(main).to_contain_text("was trained elsewhere")
    expect(page.get_by_role("combobox", name="On the data set")).to_have_value("lfw")
