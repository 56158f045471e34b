"""Saved selections on Spaces: what the link selects is saved, shown again, and deleted, also with a damaged file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fairlab.data.selections import names, read_selection
from fairlab.ui.spaces.selection import decode, encode
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import copied_home
from tests.test_pages import fine, opened


def test_a_selection_is_saved_shown_and_deleted(
    tiny: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = open_workspace(copied_home(tiny.home, tmp_path / "copy"))
    demo = next(lab.datasets_folder.glob("demo-*")).name
    app = opened(monkeypatch, lab, "spaces", sel=encode(np.array([3, 9, 200])))
    fine(app)
    app.text_input(key="save name").set_value("<b>x</b>").run()
    app.button(key="save selection").click().run()
    assert "cannot be the name of a selection" in app.error[0].value.replace("\\", "")
    app.text_input(key="save name").set_value("hard").run()
    app.text_input(key="save note").set_value("seen").run()
    app.button(key="save selection").click().run()
    fine(app)
    assert read_selection(lab, demo, "hard").ids.tolist() == [3, 9, 200]
    app.button(key="clear").click().run()
    app.button(key="show saved").click().run()
    fine(app)
    link = app.query_params["sel"]
    found = decode(link if isinstance(link, str) else link[-1])
    assert found is not None
    assert found.tolist() == [3, 9, 200]
    (lab.selections(demo) / "hard.json").write_text("{")
    app.run()
    assert any("cannot be used" in item.value for item in app.warning)
    app.button(key="delete selection").click().run()
    fine(app)
    assert names(lab, demo) == []
