"""IJB end to end: added by the command, any model judged on its templates, the pages show the numbers as of any other set."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from fairlab.compare.models import list_models
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.errors import FairLabError
from fairlab.jobs.data import adding
from fairlab.jobs.evaluate.starts import Judging, evaluate
from fairlab.jobs.job import Job
from fairlab.jobs.models.starts import add_model
from fairlab.plan.plan import single
from fairlab.plan.records import cross_record
from fairlab.settings.study import Data, Evaluation, ModelFile, Run, Source
from fairlab.store.embeddings import open_embeddings
from fairlab.store.results import read_results, results_facts
from fairlab.store.runs import create_run, read_run
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import ROOT, copied_home, fairlab, wait_done
from tests.data.trees import IJB_TEMPLATES, ijb


def by_hand(raw: np.ndarray, data: Dataset) -> np.ndarray:
    """Scores (P,) of raw outputs (N, D) by the protocol's own words, in loops over the release's numbers."""
    number, vectors = 0, {}
    for template, medias in IJB_TEMPLATES.items():
        total = np.zeros(raw.shape[1])
        for images in medias:
            rows = range(number, number + images)
            total += np.mean([raw[row] * (0.5 + (row + 1) / 100) for row in rows], axis=0)
            number += images
        vectors[template] = total / np.linalg.norm(total)
    lines = (Path(data.info["images_from"]["path"]) / "meta" / "ijbb_template_pair_label.txt").read_text().splitlines()
    pairs = [[int(field) for field in line.split()[:2]] for line in lines]
    return np.array([vectors[a] @ vectors[b] for a, b in pairs])


def added(lab: Workspace, root: Path) -> Dataset:
    """Data set ijb, by what its job does."""
    config = Run(role="dataset", method="add", data=Data(dataset="ijb"), source=Source(path=str(root)))
    record = single(lab, "Data ijb", config, ())
    shutil.rmtree(record.folder, ignore_errors=True)
    create_run(lab, record)
    adding.add(Job(lab, record))
    return open_dataset(lab.dataset("ijb"), verify=True)


def test_a_dry_run_reports_a_release(lab: Workspace, tmp_path: Path) -> None:
    result = fairlab(lab.home, "data", "add", str(ijb(tmp_path / "IJBB")), "--dry-run", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["kind"], found["images"], found["identities"], list(found["parts"])) == ("ijb", 17, 4, ["test"])
    assert found["pairs"] == {"everyone": {"genuine": 4, "impostor": 12, "folds": found["pairs"]["everyone"]["folds"]}}
    assert (found["sizes"], found["aligned"]) == ({"60x60": 17}, "by landmarks")
    assert "ijbb: 8 templates of 17 images, compared 16 times" in found["notes"]
    assert not list(lab.datasets_folder.glob("*"))


def test_images_that_cannot_be_read_leave_their_templates(lab: Workspace, tmp_path: Path) -> None:
    """Template 7 goes on with its second and third image, 5 had only one and goes with its three pairs; both are said."""
    root = ijb(tmp_path / "IJBB")
    for name in ("1.jpg", "10.jpg"):
        (root / "loose_crop" / name).write_bytes(b"no image")
    data = added(lab, root)
    assert data.templates is not None
    rows = data.templates[data.templates["name"] == "7"]
    assert rows[["template", "image_id", "media"]].to_numpy().tolist() == [[0, 0, 700], [0, 1, 701]]
    assert "5" not in set(data.templates["name"])
    assert data.images["location"].tolist()[:2] == ["2.jpg", "3.jpg"]
    assert (len(data.images), len(data.pairs), len(data.templates)) == (15, 13, 15)
    pairs, who = data.pairs, data.images["identity"].to_numpy(dtype=object)
    assert set(pairs["image_a"]) | set(pairs["image_b"]) <= set(data.templates["template"])
    assert ((who[pairs["image_a"]] == who[pairs["image_b"]]) == pairs["genuine"]).all()
    lost = data.info["failures_to_enrol"]
    assert (lost["names"], lost["pairs"]) == (
        {"5": "none of its images has a face"},
        {"everyone": {"genuine": 1, "impostor": 2}},
    )
    (lab.dataset("ijb") / "templates.parquet").unlink()
    with pytest.raises(FairLabError, match=r"templates\.parquet does not exist"):
        _ = open_dataset(lab.dataset("ijb")).templates


def test_other_templates_are_other_data(lab: Workspace, tmp_path: Path) -> None:
    """A changed score of the detector changes no image and no pair, but the fingerprint."""
    root = ijb(tmp_path / "IJBB")
    one = added(lab, root)
    shutil.rmtree(one.folder)
    same = added(lab, root)
    shutil.rmtree(one.folder)
    points = root / "meta" / "ijbb_name_5pts_score.txt"
    points.write_text(points.read_text().replace(" 0.51\n", " 0.52\n"))
    assert one.fingerprint == same.fingerprint != added(lab, root).fingerprint


def test_embeddings_from_a_file_are_judged_on_templates(lab: Workspace, tmp_path: Path) -> None:
    """A model of which only vectors are known; the numbers are those of the protocol's words, done by hand."""
    data = added(lab, ijb(tmp_path / "IJBB"))
    raw = np.random.default_rng(0).normal(size=(17, 8))
    np.savez(tmp_path / "model.npz", vectors=raw, image=data.images["location"].astype(str).to_numpy().astype(str))
    (run_id,) = add_model(lab, ModelFile(path=str(tmp_path / "model.npz"), dataset="ijb"))
    wait_done(lab, [run_id])
    scores = read_results(lab.run(run_id), "ijb", "scores")
    assert scores["score"].to_numpy() == pytest.approx(by_hand(raw, data), abs=1e-6)
    metrics = read_results(lab.run(run_id), "ijb", "metrics")
    pairs = metrics[metrics["group"] == "everyone"][["genuine_pairs", "impostor_pairs"]]
    assert pairs.drop_duplicates().to_numpy().tolist() == [[4, 12]]


@pytest.mark.slow
def test_a_trained_model_is_judged_on_templates_and_the_pages_show_it(
    tiny: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both views of its own embeddings, groups from a table; also against another model's gallery."""
    copied_home(tiny.home, tmp_path / "copy")
    lab = open_workspace(tmp_path / "copy")
    students = list_models(lab).set_index("title")["run_id"]
    teacher = read_run(lab, str(students["Student without KD"]))
    px = open_dataset(lab.dataset(teacher.dataset)).image_px
    people = tmp_path / "people.csv"
    people.write_text("identity,skin\n3,light\n5,dark\n8,dark\n40,light\n")
    root = ijb(tmp_path / "IJBB")
    result = fairlab(
        lab.home,
        "data",
        "add",
        str(root),
        "--name",
        "ijb",
        "--set",
        f"image_px={px}",
        "--set",
        f"groups_table={people}",
    )
    assert result.returncode == 0, result.stdout + result.stderr
    result = fairlab(
        lab.home, "evaluate", teacher.run_id, "ijb", "--set", "bootstrap=100", "--set", "fmr_targets=[0.2]"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    data = open_dataset(lab.dataset("ijb"), verify=True)
    plain, flip = (open_embeddings(teacher.folder, "ijb", view) for view in ("plain", "flip"))
    raw = plain.vectors * plain.norms[:, None] + flip.vectors * flip.norms[:, None]
    scores = read_results(teacher.folder, "ijb", "scores")
    assert scores["score"].to_numpy() == pytest.approx(by_hand(raw, data), abs=1e-5)
    assert results_facts(teacher.folder, "ijb")["flip"] == "sum"
    metrics = read_results(teacher.folder, "ijb", "metrics")
    assert set(metrics["group"]) == {"dark", "light", "across groups", "all"}
    crossing = cross_record(lab, teacher, teacher, "ijb", Evaluation(bootstrap=100))
    wait_done(lab, [evaluate(lab, teacher.run_id, "ijb", Judging(Evaluation(bootstrap=100), teacher.run_id))])
    pd.testing.assert_series_equal(
        read_results(lab.run(crossing.run_id), "ijb", "scores")["score"], scores["score"], check_exact=False
    )
    monkeypatch.setenv("FAIRLAB_HOME", str(lab.home))
    for page in ("data", "verification", "fairness", "compare"):
        app = AppTest.from_file(str(ROOT / "fairlab" / "ui" / "frame" / "main.py"), default_timeout=60).run()
        app.query_params["set" if page == "data" else "on"] = "ijb"
        app.switch_page(f"../../../pages/{page}.py").run()
        assert not app.exception, (page, app.exception)
        label = "Data set" if page == "data" else "On the data set"
        assert [box.value for box in app.selectbox if box.label == label] == ["ijb"], page
