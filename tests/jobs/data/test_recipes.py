"""Recipe data sets in a workspace: made by a job, trained on as any other, and their parents kept from being deleted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from fairlab.data.dataset import open_dataset
from fairlab.errors import FairLabError, Refused
from fairlab.jobs.data.starts import make_data
from fairlab.plan.grid import plan_preset
from fairlab.queue.launch import delete, start_one
from fairlab.queue.waiting import wait
from fairlab.settings.study import Recipe
from fairlab.store.database import list_runs
from fairlab.store.embeddings import open_embeddings
from fairlab.store.runs import read_status, state
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import ROOT, copied_home, fairlab, wait_done


@pytest.fixture
def copy(tiny: Workspace, tmp_path: Path) -> Workspace:
    copied_home(tiny.home, tmp_path / "copy")
    return open_workspace(tmp_path / "copy")


def demo_of(lab: Workspace) -> str:
    return next(path.name for path in lab.datasets_folder.glob("demo-*"))


@pytest.mark.usefixtures("here")
def test_a_mixture_is_made_trained_on_and_keeps_its_parent(copy: Workspace) -> None:
    """Real and synthetic people, 10 and 2 in each group: by the command, through a real training run, to its numbers."""
    demo = demo_of(copy)
    changes = ("equal=true", "count=12", f"mix={demo}", 'mix_splits=["synthetic"]', "share=0.1667")
    options = [part for change in (f"dataset={demo}", *changes) for part in ("--set", change)]
    result = fairlab(copy.home, "data", "make", "Mixed", *options)
    assert result.returncode == 0, result.stderr
    data = open_dataset(copy.dataset("mixed"), verify=True)
    train = data.images[data.images["split"] == "train"]
    assert train.groupby(["group", "source"], observed=True)["identity"].nunique().to_dict() == {
        (f"Group {name}", kind): count for name in "AB" for kind, count in (("real", 10), ("synthetic", 2))
    }
    study = {"demo": None, "dataset": "mixed", "arms": [], "students": [], "student.training.epochs": 1}
    plan = plan_preset(copy, "tiny", study)
    student = next(run.record for run in plan.runs if run.record.role == "student")
    start_one(copy, student)
    wait_done(copy, [student.run_id])
    assert read_status(student.folder)["classes"] == 24
    assert (student.folder / "results" / "mixed" / "manifest.json").exists()
    vectors = open_embeddings(student.folder, "mixed", "plain").vectors
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    runs = list_runs(copy)
    maker = runs.loc[(runs["role"] == "dataset") & (runs["dataset"] == demo), "run_id"].iloc[0]
    with pytest.raises(Refused):
        delete(copy, maker)
    assert copy.dataset(demo).is_dir()


@pytest.mark.usefixtures("here")
def test_only_the_recipe_keeps_the_parent(copy: Workspace) -> None:
    """No run builds on the data's run any more, but a data set borrows its images."""
    demo = demo_of(copy)
    wait_done(copy, [make_data(copy, Recipe(dataset=demo, equal=True), "equal")])
    runs = list_runs(copy)
    maker = runs.loc[runs["dataset"] == demo].query("role == 'dataset'")["run_id"].iloc[0]
    for run_id in runs.loc[runs["role"] != "dataset", "run_id"]:
        delete(copy, run_id, force=True)
    with pytest.raises(Refused, match=f"data set equal borrows its images from {demo}; delete it first, or use force"):
        delete(copy, maker)
    assert (copy.run(maker) / "run.json").exists()
    runs = list_runs(copy)
    delete(copy, runs.loc[runs["dataset"] == "equal", "run_id"].iloc[0])
    assert not copy.dataset("equal").exists()
    delete(copy, maker)
    assert not copy.dataset(demo).exists()


@pytest.mark.usefixtures("here")
def test_what_cannot_be_made_fails_with_the_numbers_and_leaves_nothing(copy: Workspace) -> None:
    demo = demo_of(copy)
    run_id = make_data(copy, Recipe(dataset=demo, equal=True, count=13), "large")
    assert not wait(copy, [run_id], every_s=0.2)
    assert "group 'Group A' has 12" in state(copy.run(run_id)).reason
    assert [path.name for path in copy.datasets_folder.iterdir()] == [demo]
    with pytest.raises(Refused, match=f"there is already a data set '{demo}'"):
        make_data(copy, Recipe(dataset=demo), demo)
    with pytest.raises(FairLabError, match="name the data set to make"):
        make_data(copy, Recipe(dataset=demo), " ")


@pytest.mark.usefixtures("here")
def test_the_page_s_form_makes_one(copy: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """All settings are there, with their sentences; a click makes the data set."""
    monkeypatch.setenv("FAIRLAB_HOME", str(copy.home))
    app = AppTest.from_file(str(ROOT / "fairlab" / "ui" / "frame" / "main.py"), default_timeout=60).run()
    app.switch_page(str(ROOT / "pages" / "data.py")).run()
    keys = {item.key for kind in (app.text_input, app.number_input, app.checkbox, app.selectbox) for item in kind}
    assert {f"make:{name}" for name in Recipe.model_fields if name not in ("dataset", "mix")} <= keys
    app.text_input(key="make_name").set_value("fair").run()
    app.checkbox(key="make:equal").check().run()
    app.number_input(key="make:count").set_value(4).run()
    app.button(key="make").click().run()
    assert not app.exception
    run_id = next(path.name for path in copy.runs_folder.glob("data-fair-*"))
    wait_done(copy, [run_id])
    assert read_status(copy.run(run_id))["status"] == "done"
    images = open_dataset(copy.dataset("fair")).images
    train = images[images["split"] == "train"]
    assert train.groupby("group", observed=True)["identity"].nunique().tolist() == [4, 4]
