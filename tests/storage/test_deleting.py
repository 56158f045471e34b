"""What goes along when something is deleted, and what needs it."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from fairlab import files
from fairlab.errors import FairLabError, Refused
from fairlab.files import read_json, remove_folder, write_json
from fairlab.storage.deleting import delete_dataset, delete_study, of_study, what_goes
from fairlab.storage.disk import bytes_below
from fairlab.store import runs
from fairlab.store.studies import studies
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import copied_home
from tests.forks import fork
from tests.waiting import STUDY, entered


@pytest.fixture
def copy(tiny: Workspace, tmp_path: Path) -> Workspace:
    return open_workspace(copied_home(tiny.home, tmp_path / "copy"))


def named(lab: Workspace, start: str) -> str:
    return next(path.name for path in sorted(lab.runs_folder.iterdir()) if path.name.startswith(start))


def test_a_run_says_who_builds_on_it_and_what_room_it_takes(copy: Workspace) -> None:
    teacher = named(copy, "teacher-group-a")
    found = what_goes(copy, run=teacher)
    assert found.runs == (teacher,)
    assert found.bytes == bytes_below(copy.run(teacher)) > 100_000
    assert set(found.needed_by) == {named(copy, "common-space"), named(copy, "concatenation"), named(copy, "maps")}
    with pytest.raises(FairLabError, match="no run 'x'"):
        what_goes(copy, run="x")


def test_a_data_set_goes_with_the_run_that_made_it_and_only_by_force(copy: Workspace) -> None:
    """What was trained on it stays, and is named before."""
    dataset = next(copy.datasets_folder.iterdir()).name
    found = what_goes(copy, dataset=dataset)
    assert found.runs == (named(copy, "demo-faces"),)
    assert len(found.needed_by) == 7
    with pytest.raises(Refused, match="and 6 more need it"):
        delete_dataset(copy, dataset)
    assert copy.dataset(dataset).is_dir()
    delete_dataset(copy, dataset, force=True)
    assert not copy.dataset(dataset).exists()
    assert not copy.run(found.runs[0]).exists()
    assert len(list(copy.runs_folder.iterdir())) == 7


def test_a_study_leaves_what_another_study_needs(copy: Workspace) -> None:
    """A teacher that stands in two studies stays, and so does what it was made with."""
    study = studies(copy)["study_id"].iloc[0]
    teacher = named(copy, "teacher-group-a")
    raw = read_json(copy.study(study) / "study.json")
    write_json(copy.study("second") / "study.json", {**raw, "study_id": "second", "run_ids": [teacher]})
    found = what_goes(copy, study=study)
    assert found.kept == {teacher: "is in study second too", named(copy, "demo-faces"): f"{teacher} builds on it"}
    assert len(found.runs) == 6
    assert found.datasets == ()
    delete_study(copy, study)
    assert {path.name for path in copy.runs_folder.iterdir()} == set(found.kept)
    assert [path.name for path in copy.studies_folder.iterdir()] == ["second"]
    assert len(list(copy.datasets_folder.iterdir())) == 1


def test_every_record_is_read_once_for_a_look_and_never_for_each_other_run(
    lab: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chain of 30 runs: with a look at all for each it would be 900 reads; and the last of the chain goes first."""
    names: list[str] = []
    for number in range(30):
        names.append(entered(lab, f"R{number}", tuple(names[-1:]), status="stopped").run_id)
    read: list[str] = []

    def counted(path: Path) -> Any:
        if path.name == "run.json":
            read.append(path.parent.name)
        return read_json(path)

    monkeypatch.setattr(runs, "read_json", counted)
    assert of_study(lab, STUDY).runs == tuple(names)
    assert len(read) == 30
    gone: list[str] = []

    def noted(folder: Path, home: Path) -> None:
        gone.append(folder.name)
        remove_folder(folder, home)

    monkeypatch.setattr(runs, "remove_folder", noted)
    delete_study(lab, STUDY)
    assert gone == names[::-1]
    assert len(read) <= 5 * 30
    assert not list(lab.runs_folder.iterdir())


def _killed_while_deleting(home: str, dataset_id: str) -> None:
    def some(folder: Path, **_options: object) -> None:
        next(path for path in Path(folder).rglob("*") if path.is_file()).unlink()
        os.kill(os.getpid(), signal.SIGKILL)

    files.shutil.rmtree = some  # type: ignore[attr-defined]
    delete_dataset(Workspace(Path(home)), dataset_id, force=True)


def test_a_data_set_is_whole_or_gone_whenever_its_deletion_is_killed(lab: Workspace) -> None:
    """The next deletion removes what is left of it."""
    for name in ("one", "two"):
        (lab.dataset(name) / "deep").mkdir(parents=True)
        for file in ("manifest.json", "deep/pixels.npy"):
            (lab.dataset(name) / file).write_bytes(b"{}")
    child = fork(_killed_while_deleting, str(lab.home), "one")
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert [path.name for path in lab.datasets_folder.iterdir()] == ["two"]
    assert len(list(lab.home.glob("*.tmp.*"))) == 1
    delete_dataset(lab, "two")
    assert list(lab.home.glob("*.tmp.*")) == list(lab.datasets_folder.iterdir()) == []


def test_what_cannot_be_removed_is_said(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a data set, and of a run; and where it cannot even be set aside it stays whole."""
    lab.dataset("one").mkdir(parents=True)
    run_id = entered(lab, "A", status="stopped").run_id

    def refused(*_: object, **options: object) -> None:
        if not options.get("ignore_errors"):
            raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as mine:
        mine.setattr(files.shutil, "rmtree", refused)
        with pytest.raises(FairLabError, match=r"one is deleted, but its files still take space in .*Operation not"):
            delete_dataset(lab, "one")
        with pytest.raises(FairLabError, match=r"is deleted, but its files still take space in .*Operation not"):
            runs.delete_run(lab, run_id)
    lab.dataset("two").mkdir()
    with monkeypatch.context() as mine:
        mine.setattr(files.os, "replace", refused)
        with pytest.raises(FairLabError, match=r"no permission to write .*two"):
            delete_dataset(lab, "two")
    assert lab.dataset("two").is_dir()
