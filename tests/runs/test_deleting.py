"""What goes along when something is deleted, and what needs it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fairlab.errors import FairLabError, Refused
from fairlab.files import read_json, write_json
from fairlab.runs.compare import studies
from fairlab.runs.deleting import delete_dataset, delete_study, what_goes
from fairlab.runs.disk import bytes_below
from fairlab.workspace import Workspace, open_workspace


@pytest.fixture
def copy(tiny: Workspace, tmp_path: Path) -> Workspace:
    return open_workspace(shutil.copytree(tiny.home, tmp_path / "copy"))


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
