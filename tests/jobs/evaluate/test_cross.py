"""Gallery by one model, probe by another: the same space gives the model's own numbers, a turned one gives chance."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.compare.compare import compare, default_dataset
from fairlab.compare.galleries import crossed
from fairlab.compare.models import list_models
from fairlab.data.dataset import open_dataset
from fairlab.errors import FairLabError
from fairlab.evaluation import cross_scores, pair_scores
from fairlab.jobs import roles
from fairlab.jobs.evaluate.starts import Judging, evaluate
from fairlab.jobs.job import Job
from fairlab.plan.plan import single
from fairlab.plan.records import check_lengths, cross_record
from fairlab.settings.study import Data, Evaluation, ModelFile, Run
from fairlab.store.embeddings import open_embeddings
from fairlab.store.results import read_results
from fairlab.store.runs import RunRecord, create_run, read_run, write_status
from fairlab.store.studies import studies
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command, copied_home

PLAIN, KD = "Student without KD", "Student EAF-KD (SL, specialised)"


@pytest.fixture(scope="module")
def copy(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Each test adds its own to it."""
    home = tmp_path_factory.mktemp("cross") / "copy"
    copied_home(tiny.home, home)
    return open_workspace(home)


def titled(lab: Workspace) -> dict[str, RunRecord]:
    table = list_models(lab)
    return {title: read_run(lab, run_id) for title, run_id in zip(table["title"], table["run_id"], strict=True)}


def carried_out(lab: Workspace, record: RunRecord) -> RunRecord:
    """The run done in this process, by the very code that a worker runs."""
    create_run(lab, record)
    facts = roles.carry_out(Job(lab, record))
    write_status(record.folder, "done", reason="", **facts)
    return record


def numbers(record: RunRecord, dataset_id: str) -> pd.DataFrame:
    return read_results(record.folder, dataset_id, "metrics").drop(columns="run_id")


def from_vectors(lab: Workspace, path: Path, faces: str, vectors: np.ndarray) -> RunRecord:
    """A model of which only embeddings came, of every image of the data set."""
    names = open_dataset(lab.dataset(faces)).images["location"].astype(str).to_numpy()
    np.savez(path, vectors=vectors.astype(np.float32), image=np.array(list(names)))
    source = ModelFile(path=str(path), dataset=faces)
    config = Run(role="model", method="embeddings", data=Data(dataset=faces), model=source)
    return carried_out(lab, single(lab, path.stem, config, ()))


def test_two_sides_are_scored_by_hand() -> None:
    """Pair (a, b): the gallery's vector of a times the probe's vector of b."""
    gallery, probe = np.eye(3), np.array([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    pairs = pd.DataFrame({"pair_id": [0, 1, 2], "image_a": [7, 8, 9], "image_b": [5, 5, 6]})
    found = cross_scores(gallery, np.array([7, 8, 9]), probe, np.array([5, 6]), pairs)
    assert found.tolist() == [0.6, 0.8, 1.0]
    with pytest.raises(FairLabError, match="pair 0 names image 7, which has no embedding"):
        pair_scores(probe, np.array([5, 6]), pairs)
    with pytest.raises(FairLabError, match="embeddings of 3 and of 2 numbers have no cosine"):
        cross_scores(gallery, np.array([7, 8, 9]), probe[:, :2], np.array([5, 6]), pairs)


def test_a_gallery_by_the_model_itself_gives_its_own_numbers_to_the_bit(copy: Workspace) -> None:
    """Both views fused, all metrics and intervals; in a folder of its own, and the model's stay."""
    plain = titled(copy)[PLAIN]
    before = numbers(plain, plain.dataset)
    peers = before["metric"].str.contains("/")  # what other tools print of a model; they know no gallery of another's
    assert peers.any()
    settings = plain.config.evaluation or Evaluation()
    record = carried_out(copy, cross_record(copy, plain, plain, plain.dataset, settings))
    pd.testing.assert_frame_equal(
        numbers(record, plain.dataset), before[~peers].reset_index(drop=True), check_exact=True
    )
    pd.testing.assert_frame_equal(numbers(plain, plain.dataset), before, check_exact=True)
    assert record.title == f"{PLAIN} against a gallery by {PLAIN}"
    assert record.parents == (plain.run_id, plain.run_id)


def test_a_turned_space_is_near_chance_and_turned_back_it_is_not(copy: Workspace, tmp_path: Path) -> None:
    """The same distances among themselves, another space: each alone as good as before, together useless."""
    plain = titled(copy)[PLAIN]
    faces = plain.dataset
    vectors = np.asarray(open_embeddings(plain.folder, faces).vectors, dtype=np.float64)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(vectors.shape[1],) * 2))[0]
    straight, turned, back = (
        from_vectors(copy, tmp_path / f"{name}.npz", faces, values)
        for name, values in (("straight", vectors), ("turned", vectors @ turn), ("back", vectors @ turn @ turn.T))
    )
    settings = Evaluation(bootstrap=100)

    def auc(record: RunRecord) -> float:
        table = numbers(record, faces)
        return float(table[(table["metric"] == "auc") & (table["protocol"] == "test")]["value"].mean())

    def against(gallery: RunRecord, probe: RunRecord) -> float:
        return auc(carried_out(copy, cross_record(copy, gallery, probe, faces, settings)))

    assert auc(straight) == pytest.approx(auc(turned), abs=1e-6)
    assert auc(straight) > 0.6
    assert against(straight, turned) == pytest.approx(0.5, abs=0.1)
    assert against(straight, back) == pytest.approx(auc(straight), abs=1e-6)
    assert [run.parents[1] for run in crossed(copy, [turned])] == [turned.run_id]


def test_spaces_of_different_length_are_refused_in_one_sentence(copy: Workspace) -> None:
    models = titled(copy)
    wide = models["Concatenation (specialised)"]
    with pytest.raises(FairLabError, match=r"Concatenation \(specialised\) has embeddings of \d+ numbers and Student"):
        check_lengths(wide, models[PLAIN])
    with pytest.raises(FairLabError, match="gallery and probe must have equal length"):
        evaluate(copy, models[PLAIN].run_id, how=Judging(gallery=wide.run_id))
    projection = next(path.name for path in copy.runs_folder.glob("maps*"))
    with pytest.raises(FairLabError, match="is not a model: its role is projection"):
        evaluate(copy, models[PLAIN].run_id, how=Judging(gallery=projection))


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_a_student_asks_its_teachers_gallery_from_the_command_line(
    copy: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The numbers are printed, stand on the pages under the pair's name, and beside the student in the comparison."""
    from tests.test_pages import fine, opened

    models = titled(copy)
    student = models[KD]
    gallery = read_run(copy, student.parents[0])
    result = command(copy.home, "evaluate", student.run_id, "--gallery", gallery.run_id, "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    printed = pd.DataFrame(json.loads(result.stdout))
    (record,) = crossed(copy, [student])
    mean = numbers(record, student.dataset).set_index(["protocol", "metric"]).loc[("test", "mean_accuracy"), "value"]
    assert printed.set_index(["protocol", "metric"]).loc[("test", "mean_accuracy"), "value"] == pytest.approx(mean)

    study = str(studies(copy)["study_id"].iloc[0])
    table = compare(copy, study).set_index("model")
    assert default_dataset(copy, study) == student.dataset
    assert table.loc[KD, "cross"] == pytest.approx(100 * mean)
    assert table.loc[KD, "cross_low"] <= table.loc[KD, "cross"] <= table.loc[KD, "cross_high"]
    assert table.loc[KD, "cross_gallery"] == gallery.title
    assert table.loc[KD, "cross_seeds"] == 1
    assert np.isnan(table.loc["Teacher Group A", "cross"])
    assert record.run_id not in set(table["run_id"])

    for page in ("verification", "fairness"):
        app = opened(monkeypatch, copy, page, study=study, model=record.run_id)
        fine(app)
        assert app.selectbox(key="model").value == record.run_id
    fine(opened(monkeypatch, copy, "compare", study=study))
