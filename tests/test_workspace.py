"""The workspace: private, refused when it is from the future, and never a way out of itself."""

from __future__ import annotations

import multiprocessing
import os
import stat
from pathlib import Path

import pytest

from fairlab.errors import FairLabError, Refused
from fairlab.files import read_json, write_json
from fairlab.store.results import judged_on
from fairlab.workspace import Workspace, default_home, open_workspace, set_slots


def test_a_new_one_is_made_and_belongs_to_its_user_alone(tmp_path: Path) -> None:
    lab = open_workspace(tmp_path / "home")
    assert stat.S_IMODE(lab.home.stat().st_mode) & 0o077 == 0
    assert lab.slots == 2


@pytest.mark.parametrize("content", ['{"version": 3}', '{"version": 0}', '{"version": "x"}', "{}"])
def test_one_of_another_version_is_refused_and_left_as_it_is(tmp_path: Path, content: str) -> None:
    lab = open_workspace(tmp_path / "home")
    lab.settings_file.write_text(content)
    with pytest.raises(Refused, match="this FairLab reads up to 2"):
        open_workspace(tmp_path / "home")
    assert lab.settings_file.read_text() == content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1]", "expected an object with names, not list; delete the file"),
        ("{", "not readable JSON"),
        ('{"version": 2, "slots": 0}', "slots must be a whole number"),
        ('{"version": 2, "slots": "many"}', "slots must be a whole number"),
        ('{"version": 2, "slots": true}', "slots must be a whole number"),
    ],
)
def test_settings_that_are_none_are_named(tmp_path: Path, content: str, said: str) -> None:
    lab = open_workspace(tmp_path / "home")
    lab.settings_file.write_text(content)
    with pytest.raises(FairLabError, match=f"workspace.json.*{said}"):
        _ = open_workspace(tmp_path / "home").slots


@pytest.mark.parametrize("cut_short", [False, True])
def test_one_of_version_1_is_brought_up_to_date(tmp_path: Path, cut_short: bool) -> None:
    """The numbers of a run move to the folder of its data set, also when an earlier move was cut short."""
    lab = open_workspace(tmp_path / "home")
    run = lab.run("a-run")
    old = run / ("results of version 1" if cut_short else "results")
    old.mkdir(parents=True)
    (run / "run.json").write_text('{"run_id": "a-run", "dataset": "faces"}')
    (run / "manifest.json").write_text("{}")
    for name in ("manifest.json", "metrics.parquet"):
        (old / name).write_text(name)
    lab.run("nothing-yet").mkdir()
    (lab.run("nothing-yet") / "run.json").write_text('{"run_id": "nothing-yet", "dataset": "faces"}')
    write_json(lab.settings_file, {"version": 1, "slots": 3})
    assert open_workspace(lab.home).slots == 3
    assert read_json(lab.settings_file)["version"] == 2
    assert judged_on(run) == ["faces"]
    assert (run / "results" / "faces" / "metrics.parquet").read_text() == "metrics.parquet"
    assert not (run / "manifest.json").exists()
    assert judged_on(lab.run("nothing-yet")) == []


def test_a_file_in_its_place_is_said(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(FairLabError, match="could not write"):
        open_workspace(tmp_path / "home")


def _open(home: Path, failures: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    try:
        open_workspace(home)
    except Exception as error:
        failures.put(repr(error))


def test_many_may_make_it_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    failures = context.Queue()
    children = [context.Process(target=_open, args=(tmp_path / "home", failures)) for _ in range(8)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert failures.empty()


def _set_many(home: Path, failures: multiprocessing.Queue) -> None:  # type: ignore[type-arg]
    lab = open_workspace(home)
    for number in range(25):
        try:
            lab.set(f"{os.getpid()}-{number}", number)
        except Exception as error:
            failures.put(repr(error))


def test_settings_kept_at_the_same_moment_are_all_kept(tmp_path: Path) -> None:
    """8 processes, 25 settings each: 200 of 200."""
    lab, context = open_workspace(tmp_path / "home"), multiprocessing.get_context("fork")
    failures = context.Queue()
    children = [context.Process(target=_set_many, args=(lab.home, failures)) for _ in range(8)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert failures.empty()
    assert len([name for name in read_json(lab.settings_file) if "-" in name]) == 200


def test_everything_in_a_used_workspace_is_its_owners_alone(tiny: Workspace) -> None:
    """After a whole study by the real command and its workers: files 0600, folders 0700, logs and locks too."""
    seen = 0
    for path in [tiny.home, *tiny.home.rglob("*")]:
        if path.name == "finished":  # the fixture's own mark
            continue
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:  # SQLite removes its own files when another test's process closes the catalogue
            assert path.name.startswith("catalogue.sqlite-"), path
            continue
        assert stat.S_IMODE(mode) == (0o700 if stat.S_ISDIR(mode) else 0o600), path
        seen += 1
    print(f"{seen} files and folders")
    assert seen > 100


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FAIRLAB_HOME", str(tmp_path))
    assert default_home() == tmp_path
    monkeypatch.delenv("FAIRLAB_HOME")
    assert default_home() == Path.home() / "fairlab-workspace"


def test_at_least_one_run_at_a_time(tmp_path: Path) -> None:
    lab = open_workspace(tmp_path / "home")
    set_slots(lab, 3)
    assert lab.slots == 3
    with pytest.raises(FairLabError, match="from 1 to 10,000 runs"):
        set_slots(lab, 0)


def test_what_python_writes_is_its_users_alone_too(tmp_path: Path) -> None:
    """A program with the usual umask, in a folder that others may enter: no file is readable by them."""
    import os

    from fairlab.store.database import list_runs

    before = os.umask(0o022)
    try:
        (tmp_path / "home").mkdir(mode=0o755)
        lab = open_workspace(tmp_path / "home")
        lab.set("slots", 3)
        list_runs(lab)
        found = {
            path.name: path.stat().st_mode & 0o077 for path in lab.home.iterdir() if not path.name.endswith(".lock")
        }
    finally:
        os.umask(before)
    assert {"workspace.json", "catalogue.sqlite", "runs"} <= set(found)
    assert set(found.values()) == {0}
