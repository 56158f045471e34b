"""Soft group shares from end to end: by the command, the page and Python, to a balanced set and to margins of a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from fairlab import Lab
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.errors import FairLabError
from fairlab.files import read_manifest
from fairlab.plan.grid import plan_preset
from fairlab.plan.plan import single
from fairlab.queue.launch import start_one
from fairlab.settings.loss import AngleLoss, loss_settings
from fairlab.settings.study import Backbone, Data, Run, Training
from fairlab.store.runs import RunRecord, state
from fairlab.training import checkpoint
from fairlab.workspace import Workspace
from tests.conftest import ROOT, command, wait_done
from tests.data.shared_sets import data_of, table

PEOPLE = {**{f"x{n}": ("X", 2) for n in range(6)}, **{f"y{n}": ("Y", 2) for n in range(5)}}
OF_X = [0.9 - 0.05 * (n // 2) for n in range(12)] + [0.1] * 10
"""x0 .9, x1 .85 ... x5 .65, twice each: X's own mass is 9.3, Y's 9.0; of all: X 10.3, Y 11.7."""


@pytest.fixture
def faces(lab: Workspace) -> Dataset:
    return data_of(lab.dataset("faces"), PEOPLE, px=32)


@pytest.fixture
def shared(lab: Workspace, faces: Dataset, tmp_path: Path) -> Dataset:
    Lab(lab.home).data["faces"].shares.add(table(tmp_path / "shares.csv", faces, OF_X))
    return open_dataset(faces.folder)


def a_run(lab: Workspace, loss: str = "arcface", **changes: str) -> RunRecord:
    config = Run(
        role="teacher",
        method="classifier",
        data=Data(dataset="faces"),
        backbone=Backbone(name="tiny", embedding_dim=8, widths=(8, 12)),
        loss=loss_settings(loss, scale=16.0, margin_rad=0.3, **changes),
        training=Training(epochs=2, batch_size=6, base_lr=0.5, drop_epochs=(1,)),
    )
    return single(lab, f"Teacher {loss} {len(changes)}", config, ())


@pytest.mark.usefixtures("here")
def test_by_the_command_to_a_balanced_set(lab: Workspace, faces: Dataset, tmp_path: Path) -> None:
    """Checked, imported, balanced, and shown with what changed; the gap is 9.3 / 9 - 1 = 3.3 %, without x5 8 / 9."""
    file = str(table(tmp_path / "shares.csv", faces, OF_X))
    told = command(lab.home, "data", "shares", "faces", file, "--dry-run")
    assert (told.returncode, told.stderr) == (0, "")
    assert "shares of X, Y for 22 images; 0 images have none; nothing is written yet" in told.stdout
    assert "shares" not in open_dataset(faces.folder).info
    assert command(lab.home, "data", "shares", "faces", file).returncode == 0
    shown = json.loads(command(lab.home, "data", "show", "faces", "--json").stdout)
    assert [row["mass"] for row in shown["shares"]["masses"]] == pytest.approx([10.3, 11.7], abs=1e-9)
    assert shown["fingerprint"] == faces.fingerprint != shown["shares"]["fingerprint"]
    options = ("--set", "dataset=faces", "--set", "balance=mass", "--set", "remove=1")
    told = command(lab.home, "data", "make", "even", *options)
    assert told.returncode == 0, told.stderr
    assert "rule group_mass (e in the published code): 1 identities removed" in told.stdout
    change = Lab(lab.home).data["even"].shares.change().set_index("group")
    assert change["mass_before"].tolist() == pytest.approx([10.3, 11.7], abs=1e-9)
    assert change["mass_after"].tolist() == pytest.approx([9.0, 11.0], abs=1e-9)
    assert change[["identities_before", "identities_after"]].to_numpy().tolist() == [[6, 5], [5, 5]]
    assert "x5" not in set(Lab(lab.home).data["even"].images["identity"])


def test_a_wrong_table_changes_nothing(lab: Workspace, shared: Dataset, tmp_path: Path) -> None:
    """One sentence at the command, and every file as it was."""
    before = read_manifest(shared.folder)
    wrong = table(tmp_path / "wrong.csv", shared, OF_X)
    wrong.write_text(wrong.read_text().replace("X/x1/0.png,0.85,0.15", "X/x1/0.png,0.85,0.05"))
    told = command(lab.home, "data", "shares", "faces", str(wrong))
    assert told.returncode != 0
    assert "wrong.csv, line 4: share/X + share/Y is 0.9, expected 1 (within 0.005)" in told.stderr
    assert len(told.stderr.strip().splitlines()) == 1
    assert read_manifest(shared.folder) == before
    assert sorted(path.name for path in shared.folder.iterdir()) == sorted([*before["files"], "manifest.json"])


@pytest.mark.usefixtures("here")
def test_the_page_imports_shows_and_balances(
    lab: Workspace, faces: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = table(tmp_path / "shares.csv", faces, OF_X)
    monkeypatch.setenv("FAIRLAB_HOME", str(lab.home))
    app = AppTest.from_file(str(ROOT / "fairlab" / "ui" / "frame" / "main.py"), default_timeout=120).run()
    app.switch_page(str(ROOT / "pages" / "data.py")).run()
    app.text_input(key="shares of:faces").set_value(str(tmp_path / "none.csv")).run()
    app.button(key="import shares").click().run()
    assert any("there is no file" in error.value for error in app.error)
    app.text_input(key="shares of:faces").set_value(str(file)).run()
    app.button(key="import shares").click().run()
    assert not app.exception
    columns = [list(frame.value.columns) for frame in app.dataframe]
    assert ["split", "group", "mass", "mass_share", "images", "identities"] in columns
    app.text_input(key="make_name").set_value("even").run()
    app.selectbox(key="make:balance").select("mass").run()
    app.number_input(key="make:remove").set_value(1).run()
    app.button(key="make").click().run()
    assert not app.exception
    wait_done(lab, [next(path.name for path in lab.runs_folder.glob("data-even-*"))])
    assert open_dataset(lab.dataset("even")).info["mass_balance"]["removed"] == {"X": 1, "Y": 0}
    app.run()
    app.button(key="show made").click().run()
    assert not app.exception
    assert any("not fairness by itself" in info.value for info in app.info)


@pytest.mark.usefixtures("here")
def test_margins_follow_the_shares(lab: Workspace, shared: Dataset) -> None:
    """A run with factors learns otherwise than one without, and its checkpoints name the shares."""
    runs = [a_run(lab), a_run(lab, margin_factor="shares")]
    for record in runs:
        start_one(lab, record)
        assert state(record.folder).status == "done", state(record.folder).reason
    files = [(record.folder / "weights" / "learner.safetensors").read_bytes() for record in runs]
    assert files[0] != files[1]
    facts = [
        json.loads((checkpoint.whole(run.folder / "checkpoints")[-1] / "manifest.json").read_text()) for run in runs
    ]
    named = [json.dumps(fact) for fact in facts]
    assert "shares" not in named[0]
    assert shared.info["shares"]["fingerprint"] in named[1]


@pytest.mark.usefixtures("here")
def test_margins_without_shares_are_refused(lab: Workspace, faces: Dataset, tmp_path: Path) -> None:
    """No table; a table that leaves an identity out."""
    record = a_run(lab, margin_factor="shares")
    start_one(lab, record)
    assert state(record.folder).status == "failed"
    reason = state(record.folder).reason
    assert reason.startswith("loss.margin_factor = shares needs soft group shares, and data set faces has none")
    Lab(lab.home).data["faces"].shares.add(table(tmp_path / "shares.csv", faces, OF_X[:12]))
    start_one(lab, record)
    assert "5 identities to train on have no image with soft group shares, e.g. 'y0'" in state(record.folder).reason


def test_a_study_is_refused_before_anything_starts(lab: Workspace, faces: Dataset, tmp_path: Path) -> None:
    """Data without shares, and generated faces; with shares it is planned."""
    dial = {"student.loss.margin_factor": "shares"}
    changes = {
        **dial,
        "demo": None,
        "dataset": "faces",
        "student.training.batch_size": 4,
        "teacher.training.batch_size": 4,
    }
    with pytest.raises(FairLabError, match=r"student.loss.margin_factor needs soft .* data set faces has none"):
        plan_preset(lab, "tiny", changes)
    with pytest.raises(FairLabError, match=r"student.loss.margin_factor needs soft .* generated faces come without"):
        plan_preset(lab, "tiny", dial)
    Lab(lab.home).data["faces"].shares.add(table(tmp_path / "shares.csv", faces, OF_X))
    losses = [run.record.config.loss for run in plan_preset(lab, "tiny", changes).runs if run.record.role == "student"]
    assert {loss.margin_factor for loss in losses if isinstance(loss, AngleLoss)} == {"shares"}
    with pytest.raises(FairLabError, match="margin_factor"):
        plan_preset(lab, "tiny", {**changes, "student.loss.name": "cosface"})


def test_python_gives_the_same_tables(lab: Workspace, shared: Dataset) -> None:
    shares = Lab(lab.home).data["faces"].shares
    assert shares.groups == ("X", "Y")
    assert shares.table()["X"].to_numpy() == pytest.approx(np.array(OF_X), abs=1e-12)
    assert shares.balance().set_index("split").loc["train", "without_shares"] == 0
    assert (shares.change().empty, shares.sentence()) == (True, "")
    data_of(lab.dataset("bare"), {"a": ("X", 1), "b": ("Y", 1)})
    bare = Lab(lab.home).data["bare"].shares
    assert (bool(bare), bare.groups, bare.fingerprint, bare.masses().empty, bare.balance().empty) == (
        False,
        (),
        "",
        True,
        True,
    )
    with pytest.raises(FairLabError, match="data set bare has none"):
        bare.table()
