"""The command line as a user types it: right calls, and wrong ones that end in one sentence."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from fairlab.data.dataset import open_dataset
from fairlab.plan.grid import plan_preset
from fairlab.queue.launch import start_one
from fairlab.store.embeddings import has_embeddings
from fairlab.store.runs import read_run
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command, copied_home, fairlab


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["lanuch"], "there is no command 'lanuch'; did you mean 'launch'?"),
        (["fly"], "there is no command 'fly'; see `fairlab --help`"),
        ([], "required: COMMAND"),
        (["data", "lst"], "there is no command 'lst'; did you mean 'list'?"),
        (["data", "list", "--jsn"], "there is no option '--jsn'; did you mean '--json'?"),
        (["storage", "disk", "--by", "studdy"], "there is no choice for --by: 'studdy'; did you mean 'study'?"),
        (["launch"], "name a preset"),
        (
            ["launch", "nothing"],
            "there is no preset 'nothing'; choose one of: adadistill_casia, adadistill_ms1mv2, all_methods_demo",
        ),
        (["launch", "tiny", "--set", "student.training.epochs"], "write SETTING=VALUE"),
        (["launch", "tiny", "--set", "student.trainin.epochs=3"], "there is no group of settings 'student.trainin'"),
        (
            ["launch", "tiny", "--set", "student.training.epochs=0"],
            "student.training.epochs: Input should be greater than or equal to 1",
        ),
        (["launch", "tiny", "--clone", "x"], "name a preset"),
        (["launch", "--clone", "nobody"], "there is no study 'nobody'"),
        (["runs", "stop"], "the following arguments are required: runs"),
        (["runs", "stop", "nobody"], "there is no run 'nobody'"),
        (["runs", "show", "../../etc"], "is not the name of a run"),
        (["work", "nobody"], "there is no run 'nobody'"),
        (["data", "show", "nothing"], "there is no data set 'nothing'; there are: none yet"),
        (["compare"], "there is no study yet; start one with `fairlab demo`"),
        (["compare", "--added"], "--added needs --data: the data set to compare the added models on"),
        (["evaluate", "nobody"], "there is no run 'nobody'"),
        (["models", "project", "nobody"], "there is no run 'nobody'"),
        (["models", "embed", "nobody", "nothing"], "there is no run 'nobody'"),
    ],
)
def test_wrong_calls_end_with_one_sentence(lab: Workspace, arguments: list[str], said: str) -> None:
    result = command(lab.home, *arguments)
    assert result.returncode == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr + result.stdout


def test_a_workspace_of_a_newer_version_is_refused(lab: Workspace) -> None:
    lab.settings_file.write_text('{"version": 7}')
    result = command(lab.home, "runs", "list")
    assert result.returncode == 2
    assert "has version 7, this FairLab reads up to 2" in result.stderr


def test_a_workspace_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """Root may write everywhere, so the folder is one that nobody can make: below a file."""
    (tmp_path / "file").write_text("")
    result = command(tmp_path / "file" / "home", "runs", "list")
    assert result.returncode == 2
    assert result.stderr.startswith("fairlab: could not write")
    if os.geteuid() != 0:
        (tmp_path / "locked").mkdir(mode=0o500)
        result = command(tmp_path / "locked" / "home", "runs", "list")
        assert "no permission to write" in result.stderr


def test_a_wrong_call_of_the_real_command_ends_with_code_2_and_one_sentence(lab: Workspace) -> None:
    """The calls above are made in this process; what the shell sees is the same."""
    result = fairlab(lab.home, "runs", "stop", "nobody")
    assert (result.returncode, result.stdout) == (2, "")
    assert "there is no run 'nobody'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_help_shows_the_settings_own_sentences(lab: Workspace) -> None:
    from fairlab.settings.loss import ArcFaceSettings

    text = command(lab.home, "settings", "show", "launch").stdout
    assert "student.loss.margin_rad  [0.5]" in text
    assert ArcFaceSettings.model_fields["margin_rad"].description in text
    rows = json.loads(command(lab.home, "settings", "show", "launch", "--json").stdout)
    assert {"setting", "default", "meaning"} == set(rows[0])


def test_a_port_in_use_is_said(lab: Workspace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = fairlab(lab.home, "app", "--no-browser", "--port", str(taken.getsockname()[1]))
    assert result.returncode == 2
    assert "is in use" in result.stderr


def test_the_dry_run_measures_and_starts_nothing(lab: Workspace) -> None:
    result = command(lab.home, "launch", "tiny", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "measured by a short probe on this machine" in " ".join(result.stdout.split())
    assert list(lab.runs_folder.iterdir()) == []


@pytest.fixture
def copy(tiny: Workspace, tmp_path: Path) -> Workspace:
    copied_home(tiny.home, tmp_path / "copy")
    return open_workspace(tmp_path / "copy")


def test_what_a_finished_study_tells(copy: Workspace) -> None:
    runs = json.loads(command(copy.home, "runs", "list", "--json").stdout)
    assert {run["status"] for run in runs} == {"done"}
    data = json.loads(command(copy.home, "data", "list", "--json").stdout)
    assert (data[0]["groups"], data[0]["images"]) == (2, 2 * (12 * 6 + 6 * 5 + 10 * 5 + 2 * 6))
    table = json.loads(command(copy.home, "compare", "--json").stdout)
    assert len(table) == 6
    for row in table:
        groups = [row[f"accuracy:Group {name}"] for name in "AB"]
        assert row["mean"] == pytest.approx(sum(groups) / 2)
        assert row["mean_low"] <= row["mean"] <= row["mean_high"]
        assert (row["genuine_pairs"], row["impostor_pairs"]) == (120, 120)
    (other,) = {
        row["genuine_pairs"]
        for row in json.loads(command(copy.home, "compare", "--pairs", "validation", "--json").stdout)
    }
    pairs = open_dataset(copy.dataset(data[0]["dataset"])).pairs_of("validation")
    assert other == pairs["genuine"].sum() != 120
    assert "Student without KD" in command(copy.home, "compare").stdout.replace("\n", " ")
    told = command(copy.home, "compare", "--pairs", "nonsense").stdout
    assert "has the pair lists validation, test" in told or "has the pair lists test, validation" in told
    assert "no model was added from a file yet" in command(copy.home, "compare", "--added", "--data", "x").stdout
    doctor = json.loads(command(copy.home, "doctor", "--rebuild", "--verify", "--json").stdout)
    assert doctor["problems"] == []
    assert doctor["runs"] == {"done": len(runs)}


def test_doctor_names_a_damaged_file(copy: Workspace) -> None:
    victim = next(copy.runs_folder.glob("teacher-*/weights/learner.safetensors"))
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    result = command(copy.home, "doctor", "--verify")
    assert result.returncode == 1
    assert f"{victim} is damaged" in result.stdout


@pytest.mark.usefixtures("here")
def test_evaluate_and_project_again_with_other_settings(copy: Workspace) -> None:
    student = next(path.name for path in copy.runs_folder.iterdir() if path.name.startswith("student-without"))
    result = command(copy.home, "evaluate", student, "--set", "fmr_targets=[0.2]", "--set", "bootstrap=150")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "at an overall FMR of 20 %" in result.stdout
    for text in ("group", "genuine", "accuracy %", "FNMR %", "by chance up to", "--all prints them"):
        assert text in result.stdout
    assert len(result.stdout.splitlines()) < 60
    whole = command(copy.home, "evaluate", student, "--set", "fmr_targets=[0.2]", "--set", "bootstrap=150", "--all")
    assert "max_mean_fnmr_fair_p95" in whole.stdout
    assert "fmr=0.2" in whole.stdout
    everybody = command(copy.home, "evaluate", student, "--protocol", "all_pairs")
    assert everybody.returncode == 0, everybody.stderr
    assert everybody.stdout.count("all_pairs on") == 1
    assert "fair_p95" not in everybody.stdout
    assert len(everybody.stdout.splitlines()) < 30
    before = len(list((copy.run(student) / "projections").glob("*.json")))
    result = command(copy.home, "models", "project", student, "--set", "epochs=30", "--images", "80")
    assert result.returncode == 0, result.stdout + result.stderr
    assert " people, all images of each, drawn per group by seed" in result.stdout
    assert len(list((copy.run(student) / "projections").glob("*.json"))) == before + 1


@pytest.mark.usefixtures("here")
def test_embed_a_set_that_the_run_never_saw(copy: Workspace) -> None:
    """Another demo set is made; the student embeds it; so does the adaptor, and its teachers before it."""
    names = {path.name for path in copy.datasets_folder.iterdir()}
    dials = {
        "demo.seed": 5,
        "arms": (),
        "students": (),
        "student.training.epochs": 1,
        "student.training.drop_epochs": (),
    }
    start_one(copy, plan_preset(copy, "tiny", dials).runs[0].record)
    other = next(
        path.name for path in copy.datasets_folder.iterdir() if path.name not in names and ".tmp" not in path.name
    )
    runs = {path.name.rsplit("-s0-", 1)[0]: path.name for path in copy.runs_folder.iterdir()}
    result = command(copy.home, "models", "embed", runs["student-eaf-kd-sl-specialised"], other)
    assert result.returncode == 0, result.stdout + result.stderr
    assert (copy.run(runs["student-eaf-kd-sl-specialised"]) / "embeddings" / other / "plain" / "index.faiss").exists()
    result = command(copy.home, "models", "embed", runs["common-space-sl-specialised"], other)
    assert result.returncode == 0, result.stdout + result.stderr
    for run_id in [runs["common-space-sl-specialised"], *read_run(copy, runs["common-space-sl-specialised"]).parents]:
        assert has_embeddings(copy.run(run_id), other, "flip")
