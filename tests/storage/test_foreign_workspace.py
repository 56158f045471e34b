"""A workspace from somebody else starts no program, sends nothing anywhere, and no page or command overwrites a file unasked."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from fairlab.errors import FairLabError, Refused
from fairlab.files import not_there
from fairlab.jobs.loggers.base import settings_of
from fairlab.plan.grid import expand
from fairlab.presets import load_preset
from fairlab.queue import launch
from fairlab.settings.loggers import Loggers
from fairlab.settings.placement import Placement
from fairlab.settings.user import config_file, may_write, set_user_settings, user_settings
from fairlab.storage import doctor
from fairlab.storage.archive import archive
from fairlab.store.queue import read_turn
from fairlab.store.runs import RunRecord, create_run, live_process, read_status, state, write_status
from fairlab.workspace import Workspace
from tests.conftest import command
from tests.slurm_cluster import until


@pytest.fixture(autouse=True)
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has configured nothing."""
    monkeypatch.setenv("FAIRLAB_CONFIG", str(tmp_path / "config"))


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program that leaves a trace."""
    path = tmp_path / "program"
    path.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/ran\n')
    path.chmod(0o755)
    return path


def queued(lab: Workspace) -> RunRecord:
    """A run that waits."""
    some = expand(load_preset("tiny"), "tiny", lab).runs[0].record
    record = replace(some, run_id="a-run", folder=lab.run("a-run"), parents=())
    create_run(lab, record)
    write_status(record.folder, "queued", reason="")
    return record


def test_programs_that_a_workspace_names_are_ignored_in_one_sentence(
    lab: Workspace, tmp_path: Path, program: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In workspace.json and in the place of a run in the queue; looking, starting, asking and stopping start none of them."""
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))  # no Slurm here
    named = {"commands": [str(program)], "python": str(program), "options": [f"--export=ALL,BASH_ENV={program}"]}
    where = {"engine": "slurm", "devices": 1, "slurm": {**named, "partition": "gpu"}}
    record = queued(lab)
    lab.set("placement", where)
    (record.folder / "queue.json").write_text(json.dumps({"position": 0.0, "held": False, "placement": where}))
    with caplog.at_level(logging.WARNING):
        assert launch.default_placement(lab).slurm.partition == "gpu"
        assert read_turn(record.folder).placement == launch.default_placement(lab)
        launch.dispatch(lab)
    assert "there is no sbatch on this machine" in state(record.folder).reason
    launch.resume(lab, record.run_id)
    launch.stop_all(lab, [record.run_id], force=True)
    problems = doctor.examine(lab, devices=False)["problems"]
    told = [problem for problem in problems if "a workspace may name no program" in problem]
    assert len(told) == 1
    assert told[0].startswith(f"{lab.settings_file}: slurm.commands, slurm.python, slurm.options are ignored")
    assert "fairlab settings config --set slurm.commands=" in told[0]
    assert sum(str(record.folder) in message for message in caplog.messages) == 1
    assert not (tmp_path / "ran").exists()


def test_no_option_of_a_launch_names_a_program(lab: Workspace, program: Path) -> None:
    result = command(lab.home, "launch", "tiny", "--engine", "slurm", "--on", f"slurm.python={program}")
    assert result.returncode == 2
    assert (
        "slurm.python is kept in your own configuration: `fairlab settings config --set slurm.python=...`"
        in result.stderr
    )
    assert not hasattr(Placement().slurm, "python")


def test_a_server_that_a_workspace_names_is_told_nothing(lab: Workspace) -> None:
    lab.set("loggers", {"mlflow": True, "mlflow_uri": "http://evil.example"})
    assert settings_of(lab) == Loggers(mlflow=True)
    assert any("mlflow_uri is ignored" in problem for problem in doctor.examine(lab, devices=False)["problems"])


@pytest.mark.slow
def test_a_worker_imports_nothing_from_its_runs_folder(lab: Workspace, tmp_path: Path) -> None:
    """It stands in that folder, and Python would look there first."""
    record = queued(lab)
    for name in ("fairlab/__init__.py", "fairlab/__main__.py", "json.py", "torch.py", "psutil.py", "sitecustomize.py"):
        path = record.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"open({str(tmp_path / 'ran')!r}, 'a').write({name!r})\n")
    launch.dispatch(lab)
    until(lambda: read_status(record.folder).get("status") != "queued" or live_process(record.folder) is None, 120)
    launch.stop_all(lab, [record.run_id], force=True)
    assert not (tmp_path / "ran").exists()


def test_a_run_that_is_ended_while_it_starts_was_stopped(lab: Workspace) -> None:
    """Not "crashed": the user ended it."""
    record = queued(lab)
    launch.dispatch(lab)
    assert live_process(record.folder) is not None
    launch.stop(lab, record.run_id, force=True)
    view = state(record.folder)
    assert (view.status, view.reason) == (
        "stopped",
        "ended at once by the user; its last checkpoint, if it had one, stays",
    )
    assert live_process(record.folder) is None


def test_a_page_writes_below_the_workspace_or_where_the_user_allows(lab: Workspace, tmp_path: Path) -> None:
    """Whatever the path looks like, and through links."""
    (lab.home / "out").symlink_to(tmp_path)
    outside = [
        tmp_path / "a.tar",
        lab.home / ".." / "a.tar",
        lab.home / "out" / "a.tar",
        Path("/etc/passwd"),
        Path("~/.profile"),
    ]
    for path in outside:
        with pytest.raises(FairLabError, match="a page writes only below the workspace"):
            may_write(path, lab.home)
    assert may_write(lab.home / "archives" / "a.tar", lab.home) == lab.home / "archives" / "a.tar"
    (tmp_path / "allowed").mkdir()
    set_user_settings({"files.write_to": [str(tmp_path / "allowed")]})
    assert may_write(tmp_path / "allowed" / "a.tar", lab.home) == tmp_path / "allowed" / "a.tar"
    with pytest.raises(FairLabError, match="a page writes only"):
        may_write(tmp_path / "allowed-not" / "a.tar", lab.home)


def test_nothing_is_overwritten_unasked(lab: Workspace, tmp_path: Path) -> None:
    """archive --out, scores --out, --pictures: all by this one check, also for a link that leads nowhere."""
    there = tmp_path / "there.tar"
    there.write_text("precious")
    record = queued(lab)
    write_status(record.folder, "stopped", reason="")
    with pytest.raises(Refused, match="already exists"):
        archive(lab, record.run_id, there)
    result = command(lab.home, "storage", "archive", record.run_id, "--out", str(there))
    assert (result.returncode, there.read_text()) == (2, "precious")
    assert "--overwrite" in result.stderr
    result = command(lab.home, "models", "scores", record.run_id, "--out", str(there))
    assert (result.returncode, there.read_text()) == (2, "precious")
    assert command(lab.home, "storage", "archive", record.run_id, "--out", str(there), "--overwrite").returncode == 0
    assert there.read_bytes().startswith(b"archive.json")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(Refused):
        not_there(tmp_path / "link")


@pytest.mark.parametrize(("mode", "part"), [(0o666, "file"), (0o660, "file"), (0o777, "folder")])
def test_a_configuration_that_others_can_change_is_not_believed(mode: int, part: str) -> None:
    """It names programs: a file or folder that other accounts write is refused in one sentence."""
    set_user_settings({"slurm.commands": ["ssh", "login1"]})
    assert user_settings().slurm.commands == ("ssh", "login1")
    assert config_file().stat().st_mode & 0o777 == 0o600
    (config_file() if part == "file" else config_file().parent).chmod(mode)
    with pytest.raises(FairLabError, match="can be changed by other accounts: run `chmod go-w"):
        user_settings()


def test_the_configuration_is_read_back_as_it_was_set(lab: Workspace) -> None:
    """Quotes, backslashes and letters of all kinds; through the command; what is wrong is one sentence."""
    odd = ["a b", "it's", 'say "x"', "\\n", "ü€𝄞", "#", "[x]"]
    assert command(lab.home, "settings", "config", "--set", f"slurm.commands={json.dumps(odd)}").returncode == 0
    assert user_settings().slurm.commands == tuple(odd)
    assert "files.write_to = []" in command(lab.home, "settings", "config").stdout
    for wrong in ('slurm.commands=["a\\nb"]', "slurm.nodes=2", 'app.addresses=["localhost:8501"]', "app.remote=maybe"):
        result = command(lab.home, "settings", "config", "--set", wrong)
        assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert user_settings().slurm.commands == tuple(odd)
