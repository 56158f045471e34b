"""What moved over a real study: measured by a real job, shown by command, Python and page, gone with a deleted person."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.api import Lab
from fairlab.data.dataset import open_dataset
from fairlab.errors import FairLabError
from fairlab.storage.people.forget import forget
from fairlab.store.database import list_runs
from fairlab.store.embeddings import open_embeddings
from fairlab.store.moved import moved_folder, overlap_of
from fairlab.store.runs import RunRecord, read_run
from fairlab.tables import ALL_GROUPS
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command, copied_home
from tests.test_pages import fine, opened


@pytest.fixture(scope="module")
def lab(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy in which a job has measured what moved."""
    copy = open_workspace(copied_home(tiny.home, tmp_path_factory.mktemp("moved") / "copy"))
    before, after = pair(copy)
    result = command(copy.home, "models", "moved", before.run_id, after.run_id, "--json")
    assert result.returncode == 0, result.stderr
    (copy.home / "said.json").write_text(result.stdout)
    return copy


def pair(lab: Workspace) -> tuple[RunRecord, RunRecord]:
    names = list_runs(lab)["run_id"]
    starts = ("teacher-group-a", "common-space")
    return tuple(read_run(lab, next(name for name in names if name.startswith(start))) for start in starts)  # type: ignore[return-value]


def test_the_numbers_are_those_of_plain_numpy(lab: Workspace) -> None:
    said = json.loads((lab.home / "said.json").read_text())
    near = []
    for run in pair(lab):
        vectors = np.asarray(open_embeddings(run.folder, run.dataset).vectors, dtype=np.float64)
        cosines = vectors @ vectors.T
        np.fill_diagonal(cosines, -2)
        near.append(np.argsort(-cosines, axis=1)[:, :10])
    expected = [len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in zip(*near, strict=True)]
    found = next(row for row in said["numbers"] if (row["group"], row["measure"]) == (ALL_GROUPS, "overlap"))
    assert found["value"] == pytest.approx(np.mean(expected))
    assert found["low"] < found["value"] < found["high"]
    assert said["facts"]["chance"] < 0.02
    assert [row["overlap"] for row in said["moved_most"]] == pytest.approx(sorted(expected)[:10])


def test_it_is_measured_once(lab: Workspace) -> None:
    before, after = pair(lab)
    runs = len(list_runs(lab))
    result = command(lab.home, "models", "moved", before.run_id, after.run_id, "--k", "10")
    assert result.returncode == 0
    assert "Measured on 328 of 328 images of 60 people; 10 nearest neighbours among all." in result.stdout
    assert "Group A" in result.stdout
    assert len(list_runs(lab)) == runs
    assert Lab(lab).models.measure_moved(before.run_id, after.run_id, neighbours=10) is None


def test_python_hands_out_its_tables(lab: Workspace) -> None:
    before, after = pair(lab)
    models = Lab(lab).models
    found = models.moved(models[before.run_id], after.run_id, neighbours=10)
    assert len(found.images) == 328
    pd.testing.assert_series_equal(overlap_of(after, before, before.dataset)["image_id"], found.images["image_id"])
    with pytest.raises(FairLabError, match=r"was not measured; `fairlab models moved"):
        models.moved(after.run_id, before.run_id)
    with pytest.raises(FairLabError, match="compared with itself"):
        models.measure_moved(before, before)


def test_the_page_shows_it_or_offers_it(monkeypatch: pytest.MonkeyPatch, lab: Workspace) -> None:
    before, after = pair(lab)
    app = opened(monkeypatch, lab, "spaces", left=before.run_id, right=after.run_id, **{"movers-of": "Group B"})
    fine(app)
    assert app.selectbox(key="movers").options[0].startswith("1 to 6 of")
    assert {"Neighbours in common", "CKA"} <= {metric.label for metric in app.metric}
    app = opened(monkeypatch, lab, "spaces", left=after.run_id, right=before.run_id, morph="True")
    assert app.toggle(key="morph").value is True
    assert any("images are in both maps" in item.value for item in app.caption)
    fine(app)
    assert app.button(key="measure moved").label == "Measure what moved"
    app = opened(monkeypatch, lab, "spaces", left=after.run_id, right=after.run_id)
    fine(app)
    assert any("Choose two different spaces" in item.value for item in app.caption)


def test_a_deleted_person_leaves_no_measurement(lab: Workspace, tmp_path: Path) -> None:
    copy = open_workspace(copied_home(lab.home, tmp_path / "copy"))
    before, after = pair(copy)
    data = open_dataset(copy.dataset(before.dataset))
    assert list(moved_folder(after.folder, data.dataset_id).iterdir())
    forget(copy, data.dataset_id, [str(data.images["identity"].iloc[0])])
    assert not moved_folder(after.folder, data.dataset_id).exists()
    assert overlap_of(before, after, data.dataset_id).empty
