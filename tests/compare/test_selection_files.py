"""A selection as files: read back by pandas and json, with what the model stored, in the forms that the other tools document."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fairlab import Lab
from fairlab.api.selections import SavedSelection
from fairlab.compare import selection_files
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import FairLabError, Refused
from fairlab.store.embeddings import open_embeddings
from fairlab.store.projections import write_projection
from fairlab.store.runs import RunRecord
from fairlab.workspace import Workspace
from tests.data.shared_sets import data_of
from tests.jobs.protocols.test_protocols import embedded, made_model

IDS = [1, 3, 4, 8]


@pytest.fixture
def data(lab: Workspace) -> Dataset:
    return data_of(lab.dataset("faces"), {"a": ("X", 3), "=cmd()": ("Y", 3), "c": ("X", 3)})


@pytest.fixture
def saved(lab: Workspace, data: Dataset) -> SavedSelection:
    assert data.dataset_id == "faces"
    return Lab(lab.home).data["faces"].selections.save("some", ids=IDS)


def mapped(lab: Workspace, data: Dataset) -> tuple[RunRecord, np.ndarray]:
    """A model whose map lacks image 4."""
    model = made_model(lab, data, "Model 1.5")
    ids = np.array([0, 1, 2, 3, 5, 6, 7, 8])
    xy = np.random.default_rng(0).normal(size=(8, 2)).astype(np.float32)
    write_projection(model.folder, "k", model.run_id, ids, xy, {"dataset": "faces"})
    return model, xy


def test_parquet_has_vectors_and_positions_by_image(
    lab: Workspace, data: Dataset, saved: SavedSelection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written in two parts: lists of float32 as the embeddings' file has them; no position where the map has none."""
    monkeypatch.setattr(selection_files, "CHUNK", 3)
    model, xy = mapped(lab, data)
    path = saved.export(tmp_path / "some.parquet", "parquet", [model.run_id])
    table = pd.read_parquet(path)
    name = model.run_id.replace("-", "_")
    assert table["image_id"].tolist() == IDS
    assert table["identity"].tolist() == ["a", "=cmd()", "=cmd()", "c"]
    stored = open_embeddings(model.folder, "faces")
    assert np.array_equal(np.stack(table[f"vector_{name}"].to_list()), np.asarray(stored.vectors)[IDS])
    assert table[f"vector_{name}"].iloc[0].dtype == np.float32
    assert table[[f"x_{name}", f"y_{name}"]].to_numpy()[[0, 1, 3]] == pytest.approx(xy[[1, 3, 7]])
    assert table[f"x_{name}"].isna().tolist() == [False, False, True, False]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_image_without_a_vector_has_none(
    lab: Workspace, data: Dataset, saved: SavedSelection, tmp_path: Path
) -> None:
    """A model that embedded the first four images alone."""
    model, _ = mapped(lab, data)
    stored = open_embeddings(model.folder, "faces")
    first = np.array(stored.vectors[:4])
    (model.folder / "embeddings" / "faces" / "plain").rename(model.folder / "aside")
    embedded(model, data, first)
    table = pd.read_parquet(saved.export(tmp_path / "some.parquet", "parquet", [model.run_id]))
    vectors = table[f"vector_{model.run_id.replace('-', '_')}"]
    assert vectors.isna().tolist() == [False, False, True, True]
    assert vectors.iloc[1] == pytest.approx(first[3])


def test_csv_runs_nothing_in_a_spreadsheet(saved: SavedSelection, tmp_path: Path) -> None:
    table = pd.read_csv(saved.export(tmp_path / "some.csv"))
    assert table["image_id"].tolist() == IDS
    assert table["identity"].tolist() == ["a", "'=cmd()", "'=cmd()", "c"]
    with pytest.raises(Refused, match="already exists"):
        saved.export(tmp_path / "some.csv")
    assert saved.export(tmp_path / "some.csv", overwrite=True).exists()


def test_fiftyone_finds_pictures_and_classes_where_its_guide_says(
    data: Dataset, saved: SavedSelection, tmp_path: Path
) -> None:
    """data/<uuid>.png, and labels.json of class numbers with attributes; the pictures are the data set's pixels."""
    folder = saved.export(tmp_path / "some", "fiftyone")
    told = json.loads((folder / "labels.json").read_text())
    assert sorted(told) == ["classes", "labels"]
    assert sorted(told["labels"]) == sorted(path.stem for path in (folder / "data").iterdir())
    for uuid, label in told["labels"].items():
        image_id = int(uuid)
        row = data.images.iloc[image_id]
        assert told["classes"][label["label"]] == row["group"]
        assert label["attributes"]["identity"] == row["identity"]
        with Image.open(folder / "data" / f"{uuid}.png") as picture:
            assert np.array_equal(np.asarray(picture), data.pixels[image_id])
    with pytest.raises(Refused, match="already exists: name a new folder for FiftyOne"):
        saved.export(folder, "fiftyone", overwrite=True)


def test_what_cannot_be_written(lab: Workspace, data: Dataset, saved: SavedSelection, tmp_path: Path) -> None:
    model = made_model(lab, data)
    for path, kind, spaces, says in (
        ("a.csv", "csv", [model.run_id], "vectors and map positions go into parquet, not into csv"),
        ("a.xlsx", "xlsx", [], "a selection is written as csv, parquet, fiftyone, not as 'xlsx'"),
        ("a.parquet", "parquet", ["nobody"], "nobody"),
    ):
        with pytest.raises(FairLabError, match=says):
            saved.export(tmp_path / path, kind, spaces)  # type: ignore[arg-type]
        assert not (tmp_path / path).exists()
    table = data.images.assign(dataset="table")
    write_dataset(lab.dataset("table"), NewDataset(dataset_id="table", kind="table", attribute="Ethnicity", groups=("X", "Y"), images=table, pairs=data.pairs, pixels=None, recipe={}))  # fmt: skip
    assert not open_dataset(lab.dataset("table")).has_images
    with pytest.raises(FairLabError, match="came as a table and has no images; write csv or parquet instead"):
        Lab(lab.home).data["table"].selections.save("s", ids=[0]).export(tmp_path / "new", "fiftyone")
    assert not (tmp_path / "new").exists()
