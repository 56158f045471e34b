"""Repair by clicking: start it, see what it changes, look at it as a model; a cohort that leaks is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from fairlab import Lab
from fairlab.files import app_root
from fairlab.store.database import list_runs
from fairlab.ui.frame.page import plain
from fairlab.workspace import Workspace
from tests.conftest import copied_home

KD = "Student EAF-KD (SL, specialised)"


def opened(monkeypatch: pytest.MonkeyPatch, home: Path, model: str) -> AppTest:
    monkeypatch.setenv("FAIRLAB_HOME", str(home))
    app = AppTest.from_file(str(app_root() / "fairlab" / "ui" / "frame" / "main.py"), default_timeout=60).run()
    app.query_params["model"] = model
    return app.switch_page(str(app_root() / "pages" / "fairness.py")).run()


@pytest.mark.usefixtures("here")
def test_a_repair_is_started_compared_and_looked_at(
    tiny: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = copied_home(tiny.home, tmp_path / "copy")
    table = Lab(home).models.table()
    model = str(table.loc[table["title"] == KD, "run_id"].iloc[0])
    app = opened(monkeypatch, home, model)
    assert "No repair of these scores yet." in [item.value for item in app.caption]
    app.multiselect(key="repair by").set_value(["m3"]).run()
    assert any("cannot change" in item.value for item in app.caption)  # said before it is started
    app.button(key="repair").click().run()
    assert not app.exception
    assert not app.error
    (repair,) = list_runs(Lab(home).workspace).query("method == 'repair'")["run_id"]
    shown = [item.value for item in app.table if "Repair" in item.value]
    assert shown[0]["Repair"].tolist() == [plain("M3: impostors of a group")]
    assert shown[0]["Mean accuracy, points"].iloc[0].startswith(plain("+0.00"))  # PP1: one rising curve for each group
    app = opened(monkeypatch, home, str(repair))
    assert not app.exception
    said = " ".join(item.value for item in app.markdown)
    assert f"Scores of **{plain(KD)}**, repaired by" in said
    checks = [item.value for item in app.table if "Compared with" in item.value]
    assert checks[0]["In both"].tolist() == ["0", "0"]
    count = len(list_runs(Lab(home).workspace))
    app = opened(monkeypatch, home, model)
    Lab(home).data.make("again", dataset=Lab(home).models[model].dataset, splits=("train",))
    app.run()
    app.selectbox(key="repair cohort").set_value("again")
    app.multiselect(key="repair by").set_value(["m1"]).run()
    app.button(key="repair").click().run()
    assert "choose a cohort of other people" in app.error[0].value
    assert len(list_runs(Lab(home).workspace)) == count + 1  # the recipe, and no repair
