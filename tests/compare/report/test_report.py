"""A report says what the command says, opens without a network, and no name in it is markup."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab import Lab
from fairlab.compare.report.document import Chart, Commands, Faces, Grid, Report, Section, Sentences
from fairlab.errors import FairLabError, Refused
from fairlab.plots.fairness import rate_figure
from fairlab.tables import METRICS, texts
from fairlab.workspace import Workspace
from tests.conftest import command

KD, PLAIN = "Student EAF-KD (SL, specialised)", "Student without KD"
EVIL = "</script><script>window.evil = 1</script><img src=x onerror='window.evil=1'>|`*"


def runs(tiny: Workspace, *titles: str) -> list[str]:
    table = Lab(tiny.home).models.table().set_index("title")["run_id"]
    return [str(table[title]) for title in titles]


def test_the_numbers_are_those_of_the_fairness_command(tiny: Workspace, tmp_path: Path) -> None:
    one, other = runs(tiny, KD, PLAIN)
    out = tmp_path / "report.json"
    done = command(tiny.home, "report", one, other, "--out", str(out), "--at-fmr", "0.1")
    assert done.returncode == 0, done.stderr
    written = json.loads(out.read_text())
    alone = json.loads(command(tiny.home, "fairness", one, "--at-fmr", "0.1", "--json").stdout)
    assert written["runs"][one]["groups"] == alone["groups"]
    assert written["runs"][one]["metrics"] == alone["metrics"]
    apart = json.loads(command(tiny.home, "fairness", other, "--against", one, "--at-fmr", "0.1", "--json").stdout)
    (section,) = [part for part in written["sections"] if part["title"] == "Differences between models"]
    mine = {(row["group"], row["metric"]): row["difference"] for row in section["tables"][0]["rows"]}
    theirs = {(row["group"], row["metric"]): row["difference"] for row in apart["differences"]}
    assert mine.keys() == theirs.keys()
    assert mine["all", "accuracy"] == pytest.approx(theirs["all", "accuracy"], abs=1e-12)
    commands = written["sections"][-1]["commands"]
    again = commands[0].split()[1:]  # what the report tells to type gives the same numbers
    assert json.loads(command(tiny.home, *again, "--json").stdout)["groups"] == alone["groups"]


def test_three_forms_and_no_file_is_replaced(tiny: Workspace, tmp_path: Path) -> None:
    report = Lab(tiny.home).runs.report(runs(tiny, KD), at_fmr=0.1, faces=True)
    page = report.write(tmp_path / "r.html").read_text()
    assert not re.findall(
        r"""(?:src|href)\s*=\s*["'](?!data:)[a-z/]""", re.sub(r"<script>.*?</script>", "", page, flags=re.S)
    )
    assert page.count("data:image/png;base64,") >= 4  # pairs of faces
    assert all(
        f"<h2>{title}</h2>" in page for title in ("Systems", "Test data", "Error rates", "Limits", "To reproduce")
    )
    text = report.write(tmp_path / "r.md").read_text()
    assert text.startswith("# Student EAF-KD")
    with pytest.raises(Refused):
        report.write(tmp_path / "r.html")
    with pytest.raises(FairLabError, match=r"written as \.html, \.md or \.json"):
        report.write(tmp_path / "r.pdf")
    with pytest.raises(FairLabError, match="was not evaluated on the nobody pairs"):
        Lab(tiny.home).runs.report(runs(tiny, KD), pairs="nobody")
    with pytest.raises(FairLabError, match="at least one run"):
        Lab(tiny.home).runs.report([])


def hostile() -> Report:
    """Every place of a report has a name that would run if it were markup."""
    row = dict.fromkeys(METRICS, "") | {"group": EVIL, "metric": "fmr", "value": 0.1, "low": 0.05, "high": 0.2}
    numbers = METRICS.build([row | {"genuine_pairs": 1, "impostor_pairs": 10}])
    picture = base64.b64decode(
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
    )
    blocks = (
        Sentences((EVIL,)),
        Grid(texts([{EVIL: EVIL}]), EVIL, pd.DataFrame({"a": [np.nan]})),
        Chart(rate_figure(numbers, [EVIL], EVIL), EVIL),
        Commands((f"fairlab report {EVIL}",)),
        Faces(((picture, picture, EVIL),)),
    )
    return Report(EVIL, (Section(EVIL, blocks),))


def test_names_are_text_in_every_form() -> None:
    report = hostile()
    page = report.html().decode()
    outside = re.sub(r"<script>.*?</script>", "", page, count=1, flags=re.S)  # plotly's own script
    assert "<script>window.evil" not in outside
    assert "<img src=x" not in outside
    assert "<script>" not in report.markdown().replace("```bash\nfairlab report " + EVIL, "")
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))["sections"][0]["tables"][0]["rows"] == [
        {"a": None}
    ]


@pytest.mark.browser
@pytest.mark.slow
def test_it_opens_without_a_network_and_runs_nothing_of_a_name(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    from tests.install import find

    hostile().write(tmp_path / "evil.html")
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=find(), args=["--no-sandbox"])
        page = chromium.new_context(offline=True).new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"file://{tmp_path / 'evil.html'}")
        page.wait_for_selector("svg.main-svg")
        assert page.evaluate("window.evil") is None
        assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
        page.emulate_media(media="print")
        assert page.evaluate("document.body.scrollWidth <= document.body.clientWidth + 1")
        chromium.close()
