"""A deletion says what it could not reach, and reaches nothing outside the workspace that it is asked in."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fairlab.data.dataset import open_dataset
from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.files import read_json, write_json
from fairlab.storage.people import forget as forgetting
from fairlab.storage.people.forget import finish, forget, survey
from fairlab.store.database import list_runs
from fairlab.store.faults import left_out
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import copied_home


@contextmanager
def somebody_else(home: Path) -> Iterator[None]:
    """As a user without privileges, who owns the folder: permissions mean nothing to root."""
    if os.geteuid() != 0:
        yield
        return
    for path in (home, *home.rglob("*")):
        os.chown(path, 65534, 65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A folder that anybody may reach."""
    folder = Path(tempfile.mkdtemp(prefix="fairlab-test-"))
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        if path.is_dir():
            path.chmod(0o700)
    shutil.rmtree(folder)


@pytest.fixture
def small(tiny: Workspace, open_place: Path) -> Workspace:
    return open_workspace(copied_home(tiny.home, open_place / "home"))


def whom(lab: Workspace) -> tuple[str, str]:
    data = open_dataset(next(path for path in lab.datasets_folder.iterdir()))
    return data.dataset_id, str(data.images["identity"].iloc[0])


CLOSED: list[Callable[[Path], Path]] = [
    lambda run: run,
    lambda run: run / "embeddings",
    lambda run: next((run / "embeddings").iterdir()) / "plain",
    lambda run: run / "run.json",
    lambda run: next((run / "results").iterdir()) / "scores.parquet",
]


@pytest.mark.parametrize("closed", CLOSED)
def test_what_cannot_be_read_now_is_refused_and_named(small: Workspace, closed: Callable[[Path], Path]) -> None:
    """Today it vanished from the lists and was skipped in silence: the person was still there."""
    dataset, person = whom(small)
    run = next(path for path in sorted(small.runs_folder.iterdir()) if path.name.startswith("student"))
    place = closed(run)
    with somebody_else(small.home):
        place.chmod(0)
        try:
            for ask in (survey, forget):
                with pytest.raises(Refused, match=r"cannot be read now.*nothing was deleted.*chmod") as error:
                    ask(small, dataset, person)
                assert str(place) in str(error.value)
            assert not (small.home / "forgetting").exists()
            assert person in set(open_dataset(small.dataset(dataset)).images["identity"])
            if place in (run, run / "run.json"):
                assert str(place) in left_out(small)[run.name]
                assert run.name not in set(list_runs(small)["run_id"])
        finally:
            place.chmod(0o700)
    forget(small, dataset, person)
    assert person not in set(open_dataset(small.dataset(dataset)).images["identity"])


def test_a_deletion_finished_in_a_copy_touches_the_copy_alone(
    small: Workspace, open_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut short after all was prepared, then the workspace is copied: the list names places in it, wherever it lies."""
    dataset, person = whom(small)

    def cut(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as mine:
        mine.setattr(forgetting, "_put_in_place", cut)
        with pytest.raises(KeyboardInterrupt):
            forget(small, dataset, person)
    ready = read_json(small.home / "forgetting" / "ready.json")
    assert ready["deleted"]
    assert not [name for name in (*ready["deleted"], *ready["new"], *ready["folders"]) if Path(name).is_absolute()]
    other = open_workspace(shutil.copytree(small.home, open_place / "copy"))
    before = {path: path.stat().st_mtime_ns for path in small.home.rglob("*")}
    assert finish(other) is not None
    assert {path: path.stat().st_mtime_ns for path in small.home.rglob("*")} == before
    assert person not in set(open_dataset(other.dataset(dataset)).images["identity"])
    assert not [name for name in ready["deleted"] if (other.home / name).exists()]


@pytest.mark.parametrize("name", ["/etc/hostname", "../outside", "runs/../../outside", "", "."])
def test_a_list_that_leads_out_of_the_workspace_is_refused(lab: Workspace, name: str) -> None:
    write_json(lab.home / "forgetting" / "ready.json", {"deleted": [name]})
    write_json(lab.home / "forgetting" / "plan.json", {"dataset": "d", "people": ["p"]})
    outside = lab.home.parent / "outside"
    outside.write_text("mine")
    with pytest.raises((Damaged, FairLabError), match="not a place in this workspace"):
        finish(lab)
    assert outside.exists()
    assert lab.settings_file.exists()
