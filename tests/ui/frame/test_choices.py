"""Choices that belong in the link: what the link brings, what holds, what is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fairlab.files import app_root
from fairlab.store.database import list_runs
from fairlab.store.index import index_over, neighbours
from fairlab.store.studies import studies
from fairlab.ui.frame import choices
from fairlab.ui.frame.pickers import _study_of_link
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import copied_home
from tests.test_pages import fine, opened
from tests.zoo import built


def _student(lab: Workspace) -> str:
    return next(path.name for path in lab.runs_folder.iterdir() if path.name.startswith("student-without"))


def test_no_page_stops_without_writing_its_link() -> None:
    """page.stop() writes it; st.stop() alone would lose what was chosen."""
    files = [*(app_root() / "pages").glob("*.py"), *(app_root() / "fairlab" / "ui").rglob("*.py")]
    assert [path.name for path in files if "st.stop()" in path.read_text() and path.name != "page.py"] == []


def test_looking_at_models_changes_nothing_on_verification(monkeypatch: pytest.MonkeyPatch, tiny: Workspace) -> None:
    """The model of the form is a choice of its own (A1 of the findings)."""
    student = _student(tiny)
    app = opened(monkeypatch, tiny, "verification", model=student)
    app.query_params = {}
    app.switch_page(str(app_root() / "pages" / "models.py")).run()
    form = app.selectbox(key="evaluate")
    other = next(name for name in form.options if student not in name and "Concatenation" in name)
    form.set_value(other).run()
    fine(app)
    app.query_params = {}
    app.switch_page(str(app_root() / "pages" / "verification.py")).run()
    assert app.selectbox(key="model").value == student
    assert app.query_params["model"] == student


def test_models_from_files_have_a_link(monkeypatch: pytest.MonkeyPatch, tiny: Workspace) -> None:
    """A10: a reload shows them again."""
    lab = built("scores_only", tiny)
    app = opened(monkeypatch, lab, "compare")
    fine(app)
    assert app.query_params["study"] == "added"
    app = opened(monkeypatch, lab, "runs", study="added")  # where a row of the table leads to
    fine(app)
    assert not app.warning
    assert app.selectbox(key="study").value == "added"


def test_a_link_to_a_model_shows_its_study(monkeypatch: pytest.MonkeyPatch, tiny: Workspace) -> None:
    """The newest study has no distilled student: a link that names it alone, as one that was shortened, leads to the other."""
    lab = built("two_studies", tiny)
    newest_first = list(studies(lab)["study_id"])
    (older,) = studies(lab).set_index("title")["study_id"].drop("Without any student")
    (distilled,) = (path.name for path in lab.runs_folder.iterdir() if path.name.startswith("student-eaf-kd"))
    asked = {"model": [distilled]}
    monkeypatch.setattr(choices, "asked", lambda key, of="": asked.get(key, []))
    assert newest_first[_study_of_link(lab, newest_first)] == older != newest_first[0]
    asked["model"] = ["nobody"]
    assert _study_of_link(lab, newest_first) == 0


def test_a_selection_that_cannot_be_read_is_said(monkeypatch: pytest.MonkeyPatch, tiny: Workspace) -> None:
    """A19: as all other wrong ids are."""
    app = opened(monkeypatch, tiny, "spaces", sel="garbage")
    fine(app)
    assert any("selection in this link is damaged" in item.value for item in app.warning)
    assert "sel" not in app.query_params


def test_after_a_deletion_nothing_asks_for_what_is_gone(
    monkeypatch: pytest.MonkeyPatch, tiny: Workspace, tmp_path: Path
) -> None:
    """A17 and A11: no warning about a link that nobody followed; Home counts what is there."""
    lab = open_workspace(copied_home(tiny.home, tmp_path / "copy"))
    run_id = _student(lab)
    app = opened(monkeypatch, lab, "runs", study=studies(lab)["study_id"].iloc[0], run=run_id)
    app.checkbox(key=f"sure:{run_id}").check().run()
    app.button(key="delete").click().run()
    fine(app)
    assert not app.warning
    assert run_id not in list_runs(lab)["run_id"].tolist()
    app.query_params = {}
    app.switch_page(str(app_root() / "pages" / "home.py")).run()
    said = " ".join(item.value for item in app.caption)
    assert "1 more was deleted" in said


def test_neighbours_are_among_the_parts_that_were_chosen(monkeypatch: pytest.MonkeyPatch, tiny: Workspace) -> None:
    """A15: with "test" chosen, only images of the test part are neighbours, and the share is theirs."""
    app = opened(monkeypatch, tiny, "spaces", colour="nearest", parts="test", face="3")
    fine(app)
    maps = next(item for item in app.get("bidi_component") if item.proto.component_name.endswith("fairlab_maps"))
    notes = [panel["note"] for panel in json.loads(maps.proto.json)["panels"]]
    assert [note.count("within test)") for note in notes] == [1, 1]
    assert any("Among test only" in item.value.replace("\\", "") for item in app.caption)


def test_the_nearest_among_some_by_hand() -> None:
    """Four vectors at 0, 10, 20 and 90 degrees; without the second the third is next."""
    angles = np.deg2rad([0, 10, 20, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)

    class Stored:
        ids = np.arange(4)

        def __init__(self) -> None:
            self.vectors = vectors

        def rows_of(self, ids: np.ndarray) -> np.ndarray:
            return ids

    kept = np.array([0, 2, 3])
    found = neighbours(index_over(kept, vectors[kept]), Stored(), 0, 2)  # type: ignore[arg-type]
    assert found["image_id"].tolist() == [2, 3]
    assert found["score"].tolist() == pytest.approx([np.cos(angles[2]), 0], abs=1e-6)
