"""A workspace from somebody else with a deletion in it that was cut short: finishing it deletes nothing outside."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairlab.errors import Damaged
from fairlab.files import read_json, write_json
from fairlab.storage.people import forget as forgetting
from fairlab.storage.people.forget import finish, forget
from fairlab.storage.people.forget_plan import write_plan, write_ready
from fairlab.storage.people.forget_survey import Asked
from fairlab.storage.retention import forget_expired
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command
from tests.storage.people.test_forget_safety import photos, somebody
from tests.test_pages import fine, opened

__all__ = ["photos"]  # a fixture

NOTHING: dict[str, Any] = {"new": [], "deleted": [], "folders": {}, "sources": [], "unended": []}


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    path = tmp_path / "home of the user" / "taxes.png"
    path.parent.mkdir()
    path.write_text("mine")
    return path


def forged(lab: Workspace, files: bool = True, **ready: Any) -> None:
    """As somebody else would write it, with a seal that is made up."""
    plan = {"dataset": "d", "people": ["p"], "heads": False, "files": files, "marker": "", "all": False}
    write_json(lab.home / "forgetting" / "plan.json", {**plan, "seal": "0" * 64})
    write_json(lab.home / "forgetting" / "ready.json", {**NOTHING, **ready, "seal": "0" * 64})


WAYS: dict[str, Callable[[Workspace], object]] = {
    "finish": finish,
    "forget": lambda lab: command(lab.home, "storage", "forget"),
    "forget the same with files": lambda lab: command(lab.home, "storage", "forget", "d", "p", "--files"),
    "doctor": lambda lab: command(lab.home, "doctor"),
    "expired": lambda lab: forget_expired(lab),
    "runs": lambda lab: command(lab.home, "runs", "list"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_forged_plan_deletes_nothing_outside(lab: Workspace, canary: Path, way: str) -> None:
    forged(lab, sources=[str(canary)])
    WAYS[way](lab)
    assert canary.read_text() == "mine"


def test_what_stays_is_named(lab: Workspace, canary: Path) -> None:
    forged(lab, sources=[str(canary)])
    found = finish(lab)
    assert found is not None
    ready = lab.home / "forgetting" / "ready.json"
    assert f"{canary} stays: {ready} asks to delete it, but you did not ask for that on this machine" in found.notes
    assert not ready.exists()


def test_the_page_that_finishes_it_leaves_the_canary(
    lab: Workspace, canary: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert photos.exists()
    forged(lab, sources=[str(canary)])
    page = opened(monkeypatch, lab, "storage")
    assert canary.exists()
    page.button(key="finish").click().run()
    fine(page)
    assert canary.read_text() == "mine"


@pytest.mark.parametrize("ready", [{"deleted": ["runs/out/taxes.png"]}, {"new": ["runs/out/taxes.png"]}])
def test_a_link_leads_nowhere(lab: Workspace, canary: Path, ready: dict[str, Any]) -> None:
    (lab.runs_folder / "out").symlink_to(canary.parent)
    staged = lab.home / "forgetting" / "new" / "runs" / "out"
    staged.mkdir(parents=True)
    (staged / "taxes.png").write_text("theirs")
    forged(lab, **ready)
    with pytest.raises(Damaged, match="a link leads out of it"):
        finish(lab)
    assert canary.read_text() == "mine"


def test_what_is_new_is_not_taken_from_elsewhere(lab: Workspace, canary: Path) -> None:
    forged(lab, new=["datasets/taxes.png"])
    (lab.home / "forgetting" / "new").mkdir()
    (lab.home / "forgetting" / "new" / "datasets").symlink_to(canary.parent)
    with pytest.raises(Damaged, match="is a link out of"):
        finish(lab)
    (lab.home / "forgetting" / "new" / "datasets").unlink()
    (lab.home / "forgetting" / "new").rmdir()
    (lab.home / "forgetting" / "new").symlink_to(canary.parent)
    with pytest.raises(Damaged, match="is a link"):
        finish(lab)
    assert canary.read_text() == "mine"


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("plan.json", []), ("plan.json", {"people": "p"}), ("plan.json", {"dataset": 3, "people": ["p"]}),
        ("ready.json", {"deleted": [3]}), ("ready.json", {"sources": "/etc"}), ("ready.json", {"folders": ["x"]}),
        ("ready.json", {"more": 1}), ("ready.json", []),
    ],
)  # fmt: skip
def test_another_form_is_refused_with_its_name(lab: Workspace, file: str, content: Any) -> None:
    forged(lab)
    (lab.home / "forgetting" / file).write_text(json.dumps(content))
    with pytest.raises(Damaged, match=file):
        finish(lab)


def test_the_users_own_deletion_goes_on_outside_only_where_data_lie(
    lab: Workspace, canary: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut short, and finished by the user who asked for it: the person's files go. Another line in the list breaks the seal."""
    person, own = somebody(lab, photos)

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as mine:
        mine.setattr(forgetting, "_put_in_place", cut)
        with pytest.raises(KeyboardInterrupt):
            forget(lab, "faces", person, files=True)
    other = open_workspace(shutil.copytree(lab.home, tmp_of(canary) / "copy"))
    ready = other.home / "forgetting" / "ready.json"
    write_json(ready, {**read_json(ready), "sources": [str(canary), str(own[0])]})
    found = finish(other)
    assert found is not None
    assert len([note for note in found.notes if "on this machine" in note]) == 2
    assert canary.exists()
    assert all(path.exists() for path in own)
    assert finish(lab) is not None
    assert not any(path.exists() for path in own)
    assert any(path.is_file() for path in photos.rglob("*"))


def test_a_sealed_list_reaches_no_file_beside_the_data(lab: Workspace, canary: Path) -> None:
    """The seal alone is not enough: a data set of the workspace must name the place as its source."""
    asked = Asked("d", ("p",), files=True)
    write_plan(lab, asked)
    write_ready(lab, {**NOTHING, "sources": [str(canary)]}, asked)
    found = finish(lab)
    assert found is not None
    assert any(str(canary) in note and "no data set of this workspace" in note for note in found.notes)
    assert canary.exists()


def tmp_of(canary: Path) -> Path:
    return canary.parent.parent
