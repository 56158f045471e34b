"""Causes and quality by clicking, by the command and in Python: the same numbers; what is not known is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fairlab import Lab
from fairlab.data.traits import names_beside
from fairlab.ui.frame.page import plain
from fairlab.workspace import Workspace
from tests.conftest import command, copied_home
from tests.ui.fairness.test_repairing import KD, opened


@pytest.mark.usefixtures("here")
def test_measured_explained_and_left_out(tiny: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = copied_home(tiny.home, tmp_path / "copy")
    table = Lab(home).models.table()
    model = str(table.loc[table["title"] == KD, "run_id"].iloc[0])
    for name in names_beside(Lab(home).data[Lab(home).runs[model].dataset].opened):
        Lab(home).data[Lab(home).runs[model].dataset].traits.remove(name)
    app = opened(monkeypatch, home, model)
    assert not app.exception
    assert any("have no traits yet" in item.value for item in app.caption)
    run = Lab(home).runs[model]
    data = Lab(home).data[run.dataset]
    data.traits.measure().wait()
    app = opened(monkeypatch, home, model)
    assert not app.exception
    assert not any("have no traits yet" in item.value for item in app.caption)
    said = [item.value for item in app.markdown]
    for sentence in (*run.causes(at_fmr=0.1).sentences, *run.quality(at_fmr=0.1).sentences):
        assert f"- {plain(sentence)}" in said
    app.multiselect(key="traits").set_value(["sharpness"]).run()
    app.selectbox(key="quality").set_value("-sharpness").run()
    app.selectbox(key="discard").set_value("each").run()
    assert not app.exception
    said = [item.value for item in app.markdown]
    wanted = (
        *run.causes(["sharpness"], at_fmr=0.1).sentences,
        *run.quality("-sharpness", rule="each", at_fmr=0.1).sentences,
    )
    assert all(f"- {plain(sentence)}" in said for sentence in wanted)
    told = command(
        home, "runs", "quality", model, "--trait", "sharpness", "--less", "--rule", "each", "--at-fmr", "0.1", "--json"
    )
    assert told.returncode == 0, told.stderr
    rows = json.loads(told.stdout)
    assert [row["area"] for row in rows] == pytest.approx(
        run.quality("-sharpness", rule="each", at_fmr=0.1).areas["area"].tolist()
    )
    told = command(
        home, "runs", "causes", model, "--traits", "sharpness", "--table", "effects", "--at-fmr", "0.1", "--json"
    )
    assert [row["of"] for row in json.loads(told.stdout)] == ["level", "difference"]
    told = command(home, "runs", "causes", model)
    assert "association" in told.stderr
    told = command(home, "runs", "quality", model, "--trait", "age")
    assert told.returncode != 0
    assert "has no trait 'age'" in told.stderr
    assert "sharpness" in told.stderr
