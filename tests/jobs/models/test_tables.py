"""Models of which only the output came: written by us, read back as somebody else's, the same numbers come out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.compare.models import list_models
from fairlab.data.dataset import open_dataset
from fairlab.errors import FairLabError
from fairlab.plan.grid import plan_preset
from fairlab.store.embeddings import open_embeddings
from fairlab.store.results import read_results
from fairlab.store.runs import read_run
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command, copied_home, fairlab

RATES = ["accuracy", "auc", "eer", "mean_accuracy", "std_points", "fmr", "fnmr"]


@pytest.fixture(scope="module")
def copy(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Each test adds its own to it."""
    home = tmp_path_factory.mktemp("tables") / "copy"
    copied_home(tiny.home, home)
    return open_workspace(home)


def models(lab: Workspace) -> dict[str, str]:
    table = list_models(lab)
    return dict(zip(table["title"], table["run_id"], strict=True))


def numbers(lab: Workspace, run_id: str, dataset_id: str) -> pd.DataFrame:
    table = read_results(lab.run(run_id), dataset_id, "metrics")
    return table[(table["protocol"] == "test") & table["metric"].isin(RATES)].drop(columns="run_id")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["bob", "bfw"])
@pytest.mark.usefixtures("here")
def test_scores_that_were_written_come_back_as_models_with_the_same_numbers(
    copy: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The same pairs and folds, so the very same rates; intervals differ, as people are drawn in another order."""
    titles = ["Student without KD", "Concatenation (specialised)"][: 1 if kind == "bob" else 2]
    run_ids = [models(copy)[title] for title in titles]
    (faces,) = {read_run(copy, run_id).dataset for run_id in run_ids}
    path = tmp_path / f"from_{kind}.csv"
    result = fairlab(copy.home, "models", "scores", *run_ids, "--format", kind, "--out", str(path))
    assert result.returncode == 0, result.stdout + result.stderr
    with open(path, newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == len(open_dataset(copy.dataset(faces)).pairs_of("test"))
    result = command(copy.home, "models", "add", str(path), "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    added = json.loads(result.stdout)
    assert len(added["runs"]) == len(titles)
    assert (added["genuine"], added["impostor"]) == (120, 120)
    for ours, theirs in zip(run_ids, added["runs"], strict=True):
        expected = numbers(copy, ours, faces)
        found = numbers(copy, theirs, read_run(copy, theirs).dataset)
        found, expected = (table.reset_index(drop=True) for table in (found, expected))
        found, expected = (table.drop(columns=["low", "high"]) for table in (found, expected))
        pd.testing.assert_frame_equal(found, expected, atol=1e-9)
    data = open_dataset(copy.dataset(f"from-{kind}"))
    assert not data.has_images
    with pytest.raises(FairLabError, match="it has no images"):
        _ = data.pixels
    with pytest.raises(FairLabError, match="it has no images to train on"):
        plan_preset(copy, "tiny", {"demo": None, "dataset": data.dataset_id})
    result = command(copy.home, "evaluate", added["runs"][0], "--set", "bootstrap=100", "--set", "fmr_targets=[0.2]")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "at an overall FMR of 20 %" in result.stdout
    result = command(copy.home, "data", "overlap", faces, data.dataset_id)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Images show nothing: {data.dataset_id} came as a table, without images." in " ".join(result.stdout.split())
    result = command(copy.home, "models", "embed", added["runs"][0], faces)
    assert "came as scores, without its network: it cannot embed" in " ".join(result.stderr.split())
    _shown(copy, added["runs"][0], data.dataset_id, monkeypatch)


def _shown(copy: Workspace, run_id: str, dataset_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.test_pages import fine, opened

    for page in ("data", "verification", "fairness", "compare"):
        app = opened(monkeypatch, copy, page, study="", on=dataset_id, model=run_id, set=dataset_id)
        fine(app)
    assert read_run(copy, run_id).title in app.selectbox(key="base").options


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_embeddings_from_a_file_are_judged_on_our_pairs(copy: Workspace, tmp_path: Path) -> None:
    """Shuffled, of any length, with a row too many: by name they find their images."""
    student = models(copy)["Student without KD"]
    faces = read_run(copy, student).dataset
    data, stored = open_dataset(copy.dataset(faces)), open_embeddings(copy.run(student), faces)
    order = np.random.default_rng(0).permutation(len(stored.ids))
    vectors = np.concatenate([3.5 * stored.vectors[order], np.ones((1, stored.vectors.shape[1]), np.float32)])
    names = [*data.images["location"].astype(str).to_numpy()[stored.ids[order]], "nobody"]
    np.savez(tmp_path / "vectors.npz", vectors=vectors.astype(np.float64), image=np.array(names))
    result = command(copy.home, "models", "add", str(tmp_path / "vectors.npz"), "--set", f"dataset={faces}", "--json")
    assert result.returncode == 0, result.stdout + result.stderr
    (run_id,) = json.loads(result.stdout)["runs"]
    found = open_embeddings(copy.run(run_id), faces)
    np.testing.assert_allclose(found.vectors, stored.vectors, atol=1e-6)
    np.testing.assert_allclose(found.norms, 3.5, atol=1e-5)
    pair = data.pairs_of("test").iloc[7]
    scores = read_results(copy.run(run_id), faces, "scores").set_index("pair_id")["score"]
    cosine = float(stored.vectors[pair["image_a"]] @ stored.vectors[pair["image_b"]])
    assert scores[pair["pair_id"]] == pytest.approx(cosine, abs=1e-6)


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_embeddings_may_bring_their_own_people_and_pairs(lab: Workspace, tmp_path: Path) -> None:
    """A table beside the file says who is who, a list which pairs to judge; without one there is only the space."""
    dice = np.random.default_rng(1)
    centres = dice.normal(size=(6, 8))
    vectors = np.repeat(centres, 3, axis=0) + 0.1 * dice.normal(size=(18, 8))
    np.save(tmp_path / "mine.npy", vectors.astype(np.float32))
    rows = [f"p{p}/p{p}_{n:04d}.jpg,p{p},{'left' if p < 3 else 'right'}" for p in range(6) for n in range(1, 4)]
    (tmp_path / "mine.csv").write_text("image,identity,group\n" + "\n".join(rows) + "\n")
    result = command(lab.home, "models", "add", str(tmp_path / "mine.npy"), "--name", "Mine")
    assert result.returncode == 0, result.stdout + result.stderr
    data = open_dataset(lab.dataset("mine"))
    assert (data.groups, data.images["identity"].nunique(), len(data.pairs)) == (("left", "right"), 6, 0)
    (run_id,) = models(lab).values()
    assert open_embeddings(lab.run(run_id), "mine").vectors.shape == (18, 8)
    (tmp_path / "mine.csv").write_text("image,identity,group\n" + "\n".join(rows[:-1]) + "\n")
    result = command(lab.home, "models", "add", str(tmp_path / "mine.npy"), "--name", "Again")
    assert result.returncode != 0
    assert "18 vectors" in " ".join(result.stderr.split())
    assert "17 rows" in " ".join(result.stderr.split())
    assert not lab.dataset("again").exists()
