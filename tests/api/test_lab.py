"""`Lab`: the notebook of the README, walked for real on the tiny demo, and what every handle gives."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from fairlab import Lab
from fairlab.api import data, lab, model, models, run, runs, selections, shares, storage, studies
from fairlab.errors import FairLabError, Refused
from fairlab.settings.study import Source
from fairlab.store.runs import read_run, state
from fairlab.workspace import Workspace
from tests.conftest import ROOT, copied_home
from tests.data.trees import grouped
from tests.waiting import entered

CLASSES = (
    lab.Lab, data.DataSet, data.DataSets, model.Model, models.Models, run.Run, runs.Runs, storage.Storage,
    selections.SavedSelection, selections.SelectionsOfData, selections.Selections, shares.SoftShares, studies.Studies, studies.Study,
)  # fmt: skip


@pytest.fixture
def tiny_lab(tiny: Workspace, tmp_path: Path) -> Lab:
    """The finished tiny study, to be changed."""
    copied_home(tiny.home, tmp_path / "home")
    return Lab(tmp_path / "home")


def student_of(lab: Lab) -> model.Model:
    return next(item for item in lab.models if item.role == "student")


def test_the_readmes_notebook_runs(tiny_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own words, but for the folder, the preset and the browser that a figure opens."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = next(part for part in re.findall(r"```python\n(.*?)```", text, re.S) if "Lab(" in part)
    for old, new in (
        ('"~/fairlab-workspace"', repr(str(tiny_lab.folder))),
        ('"demo_mst_kd", {"seeds": (0, 1, 2)}', '"tiny"'),
    ):
        assert old in block
        block = block.replace(old, new)
    shown: list[go.Figure] = []
    monkeypatch.setattr(go.Figure, "show", lambda figure: shown.append(figure))
    names: dict[str, object] = {}
    exec(block, names)
    assert len(names["study"].compare()) >= 3  # type: ignore[attr-defined]
    assert len(shown[0].data) >= 2


def test_a_study_from_start_to_table(tmp_path: Path, here: None) -> None:
    """Nothing is there; the tiny study is trained in this process, and its handle says how far it is."""
    own = Lab(tmp_path / "new")
    assert repr(own) == f"Lab({str(tmp_path / 'new')!r}, 0 runs, 0 studies)"
    changes = {"students": ("eaf_kd",), "grid.maps": "none"}
    study = own.studies.start("tiny", changes).wait(show=False)
    assert study.progress().share == 1.0
    assert (study.runs()["status"] == "done").all()
    assert list(study.runs()["run_id"]) == list(study.info.run_ids)
    table = study.compare()
    assert {"model", "mean", "std", "ser", "difference", "p"} <= set(table)
    assert repr(study) == f"<Study {study.study_id}: {len(study.runs())} of {len(study.runs())} done>"
    assert repr(own) == f"Lab({str(tmp_path / 'new')!r}, {len(own.runs)} runs, 1 study)"
    again = own.studies.start(study, {"title": "Once more"})
    assert again.study_id != study.study_id
    assert set(again.info.run_ids) == set(study.info.run_ids)


def test_what_a_model_shows(tiny_lab: Lab) -> None:
    student = student_of(tiny_lab)
    assert tiny_lab.runs[student.run_id] == student
    assert isinstance(tiny_lab.runs[student.run_id], model.Model)
    groups = tiny_lab.data[student.dataset].groups
    table = student.fairness(at_fmr=0.1)
    assert list(table) == list(model.FAIRNESS)
    rates = table[table["metric"] == "fnmr"].set_index("group")
    assert list(rates.index) == list(groups)
    assert np.allclose(rates["value"], (rates["errors"] / rates["genuine_pairs"]).astype(float))
    assert ((rates["low"] <= rates["value"]) & (rates["value"] <= rates["high"])).all()
    assert {"werm", "gini_fnmr"} & set(table["metric"])
    vectors, ids = student.embeddings()
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert len(ids) == len(vectors)
    assert student.scores()["score"].between(-1, 1).all()
    assert set(student.metrics(pairs="test")["protocol"]) == {"test"}
    for figure in (student.roc(), student.det(), student.map(colour_by="identity"), student.curves()):
        assert isinstance(figure, go.Figure)
        assert len(figure.data) > 0
    with pytest.raises(FairLabError, match="cannot be coloured by 'mood'"):
        student.map(colour_by="mood")
    assert len(student.events()) > 0
    assert student.log


def test_data_from_a_folder_to_rates(tmp_path: Path, tiny_lab: Lab, here: None) -> None:
    job = tiny_lab.data.add(grouped(tmp_path / "faces", people=6, each=4), name="own", image_px=32).wait(show=False)
    assert set(job.report["groups"]) == set(tiny_lab.data["own"].groups)
    faces = tiny_lab.data["own"]
    assert faces.counts()["images"].sum() == len(faces.images)
    assert "own" in tiny_lab.data.table()["dataset"].tolist()
    assert "own" in tiny_lab.data
    assert len(faces.preview_pairs(genuine=5).pairs) > 0
    faces.draw_pairs(genuine=5).wait(show=False)
    assert tiny_lab.data["own"].pair_counts()["pairs"].sum() > 0
    with pytest.raises(FairLabError, match="these settings: there is no setting 'genuin'"):
        faces.draw_pairs(genuin=5)
    student = student_of(tiny_lab)
    assert student.evaluate("own").wait(show=False).status == "done"
    assert "own" in student.evaluated
    tiny_lab.data.overlap("own", student.dataset).wait(show=False)
    assert not tiny_lab.data.verdict("own", student.dataset).found  # type: ignore[union-attr]
    assert "No overlap" in tiny_lab.data.verdict_sentence("own", student.dataset)
    faces.keep(30)
    assert [limit.dataset for limit in tiny_lab.storage.limits()] == ["own"]
    assert "own" in faces.what_goes().datasets
    with pytest.raises(Refused):
        faces.delete()
    faces.delete(force=True)
    assert "own" not in tiny_lab.data


def test_names_that_there_are_not(tiny_lab: Lab) -> None:
    for get in (tiny_lab.data, tiny_lab.models, tiny_lab.runs, tiny_lab.studies):
        with pytest.raises(FairLabError, match="there is no"):
            get["nothing"]
    data_run = tiny_lab.runs.table().query("role == 'dataset'")["run_id"].iloc[0]
    with pytest.raises(FairLabError, match="is not a model"):
        tiny_lab.models[data_run]
    with pytest.raises(FairLabError, match="'tinny'"):
        tiny_lab.studies.start("tinny")


def test_a_damaged_run_can_be_deleted(tiny_lab: Lab) -> None:
    maps = tiny_lab.runs.table().query("role == 'projection'")["run_id"].iloc[0]
    (tiny_lab.folder / "runs" / maps / "run.json").write_text("{")
    tiny_lab.runs[maps].delete(force=True)
    assert maps not in tiny_lab.runs.table()["run_id"].tolist()


def test_waiting_ends_with_the_reason(lab: Workspace, told: list[str]) -> None:
    """For the run that failed and for one behind it, which cannot start."""
    failed = entered(lab, "Failed", status="failed")
    with pytest.raises(FairLabError, match=rf"Failed \({failed.run_id}\) failed"):
        Lab(lab).runs[failed.run_id].wait(show=False)
    child = entered(lab, "Child", parents=(failed.run_id,))
    with pytest.raises(FairLabError, match="resume it first"):
        Lab(lab).wait([child.run_id], show=False)


def test_an_interrupted_wait_leaves_the_run_alone(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = entered(lab, "Works", status="running")

    def interrupted(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fairlab.queue.waiting.time.sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Lab(lab).runs[waits.run_id].wait(show=False)
    assert state(waits.folder).status == "running"


def test_a_notebook_gets_one_table_that_changes(lab: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """IPython's display handle is updated; rich's own live view needs ipywidgets, or shows nothing."""
    updates: list[object] = []

    class Handle:
        update = updates.append

    notebook = type(sys)("IPython.display")
    notebook.display = lambda _shown, display_id: Handle()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", type(sys)("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", notebook)
    monkeypatch.setattr("fairlab.api.watching.console.is_jupyter", True)
    done = entered(lab, "Ends", status="done")
    Lab(lab).runs[done.run_id].wait()
    assert len(updates) == 1


def test_the_queue_from_python(lab: Workspace, told: list[str]) -> None:
    one, two = entered(lab, "One"), entered(lab, "Two")
    own = Lab(lab)
    own.runs.hold([one.run_id])
    assert list(own.runs.queue()["title"]) == ["Two", "One"]
    assert told == ["Two"]
    with pytest.raises(Refused, match="it is running"):
        own.runs.first([own.runs[two.run_id]])
    assert own.runs.outlook().startswith("0 of 2 done, 1 held")
    own.runs.place([one.run_id], {"devices": 2})
    own.runs[one.run_id].stop()
    assert own.runs[one.run_id].status == "stopped"
    assert own.runs[one.run_id].resume().status == "queued"
    own.runs.release([one.run_id])
    assert own.runs.queue().set_index("title").loc["One", "devices"] == 2


def test_storage_from_python(tiny_lab: Lab, tmp_path: Path) -> None:
    study = next(iter(tiny_lab.studies))
    assert tiny_lab.storage.usage("study")["bytes"].sum() == tiny_lab.storage.usage()["bytes"].sum()
    assert (tiny_lab.storage.prune(keep=0)["bytes"] > 0).all()
    assert tiny_lab.storage.prunable(keep=0).empty
    listing = tiny_lab.storage.archive(study, tmp_path / "study.tar")
    assert set(listing["runs"]) <= set(study.info.run_ids)
    other = Lab(tmp_path / "other")
    assert set(other.storage.bring_in(tmp_path / "study.tar")["runs"]) == set(listing["runs"])
    assert other.studies[study.study_id].title == study.title
    assert tiny_lab.doctor()["problems"] == []


def test_settings_as_an_object_or_as_words_are_the_same_run(tmp_path: Path, here: None) -> None:
    tree = grouped(tmp_path / "faces")
    own = Lab(tmp_path / "home")
    first = own.data.add(str(tree), "faces", image_px=32)
    assert own.data.add(Source(path=str(tree), image_px=32), "faces") == first
    assert read_run(own._workspace, first.run_id).config.source.image_px == 32  # type: ignore[union-attr]


def public() -> Iterator[tuple[str, object]]:
    for kind in CLASSES:
        for name, item in vars(kind).items():
            if not name.startswith("_"):
                yield f"{kind.__name__}.{name}", item


@pytest.mark.parametrize(("name", "item"), list(public()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_public_name_says_what_it_is(name: str, item: object) -> None:
    """A method with an example, and what it returns or raises where it does."""
    text = inspect.getdoc(item) or ""
    assert text, name
    if inspect.isfunction(item):
        assert ">>>" in text, name
        returns = inspect.signature(item).return_annotation
        assert returns == "None" or re.search(r"\b[Rr]eturns\b", text), name


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_has_an_example_and_every_listing_completes(kind: type) -> None:
    assert ">>>" in (inspect.getdoc(kind) or "")
    if hasattr(kind, "__getitem__"):
        assert hasattr(kind, "_ipython_key_completions_")


def test_lab_is_found_by_completion() -> None:
    code = "import fairlab; print('Lab' in dir(fairlab), fairlab.Lab.__name__, [n for n in dir(fairlab.Lab) if n[0] != '_'])"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, env={**os.environ})
    assert told.stdout.strip() == (
        "True Lab ['data', 'doctor', 'folder', 'models', 'placement', 'runs', 'storage', 'studies', 'wait', "
        "'workspace']"
    )
