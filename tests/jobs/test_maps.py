"""The job that draws maps: what it starts from, what it keeps, and what it says of spaces that have collapsed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import FairLabError, Stopped
from fairlab.jobs import maps
from fairlab.jobs.job import Job
from fairlab.plan.plan import single
from fairlab.settings.study import Data, ModelFile, Projection, Run
from fairlab.store.embeddings import EmbeddingWriter
from fairlab.store.projections import how_made, list_projections, write_projection
from fairlab.store.runs import RunRecord, create_run
from fairlab.tables import PAIRS
from fairlab.workspace import Workspace, open_workspace
from tests.jobs.test_projection import clusters

COUNT = 240
COLLAPSED = np.repeat(clusters()[:1], COUNT, 0)


@pytest.fixture
def lab(tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path / "home")


@pytest.fixture
def faces(lab: Workspace) -> Dataset:
    images = pd.DataFrame({"image_id": np.arange(COUNT), "dataset": "d", "split": "test", "source": "real"})
    images = images.assign(
        identity=(np.arange(COUNT) // 8).astype(str), group="g", location=np.arange(COUNT).astype(str)
    )
    pairs = pd.DataFrame({name: [] for name in PAIRS})
    write_dataset(lab.dataset("d"), NewDataset(dataset_id="d", kind="folders", attribute="Group", groups=("g",), images=images, pairs=pairs, pixels=None, recipe={}))  # fmt: skip
    return open_dataset(lab.dataset("d"))


def model(lab: Workspace, title: str, vectors: np.ndarray, ids: np.ndarray | None = None) -> RunRecord:
    record = single(
        lab, title, Run(role="model", method="embeddings", data=Data(dataset="d"), model=ModelFile(path="/x")), ()
    )
    create_run(lab, record)
    with EmbeddingWriter(record.folder, "d", "plain", np.arange(COUNT) if ids is None else ids, {}) as sink:
        sink.add(vectors, np.ones(len(vectors)))
    return record


def draw(lab: Workspace, faces: Dataset, models: list[RunRecord], stops: int = 99, **changes: int) -> dict[str, object]:
    """The job over these models' spaces; stopped when it asks for the `stops`th time, once before each map."""
    settings = Projection(epochs=30, neighbours=8, **changes)
    config = Run(role="projection", method="umap", data=Data(dataset="d"), projection=settings)
    record = single(lab, "Maps", config, tuple(item.run_id for item in models))
    asked = iter(range(99))
    return maps.draw(Job(lab, record, faces, stop=lambda: next(asked) >= stops))


def positions(record: RunRecord) -> np.ndarray:
    return np.asarray(list_projections(record.folder)[0].points[["x", "y"]].to_numpy())


def test_a_kill_between_maps_changes_no_bit(lab: Workspace, faces: Dataset) -> None:
    """The second map starts from the first: as it was made, or as it was read back."""
    vectors = clusters()
    models = [model(lab, "One", vectors), model(lab, "Two", np.ascontiguousarray(vectors[:, ::-1]))]
    assert draw(lab, faces, models)["made"] == 2
    at_once = [positions(item).tobytes() for item in models]
    for path in (models[1].folder / "projections").iterdir():
        path.unlink()
    assert draw(lab, faces, models)["made"] == 1
    assert [positions(item).tobytes() for item in models] == at_once
    for item in models:
        for path in (item.folder / "projections").iterdir():
            path.unlink()
    with pytest.raises(Stopped):
        draw(lab, faces, models, stops=1)
    assert draw(lab, faces, models)["made"] == 1
    assert [positions(item).tobytes() for item in models] == at_once


def test_a_collapsed_space_is_no_reference_and_says_so(lab: Workspace, faces: Dataset) -> None:
    """Drawn first, or with NaN in a map of before: the healthy maps after it are turned to each other, not to it."""
    vectors = clusters()
    sick, one, two = model(lab, "Sick", COLLAPSED), model(lab, "One", vectors), model(lab, "Two", vectors)
    told = draw(lab, faces, [sick, one, two])
    assert told["notes"] == [
        "Sick: 240 of 240 vectors are the same: this model sees one face everywhere",
        "Sick: trustworthiness n/a: it needs 31 distinct vectors, but there are 1",
    ]
    facts = [list_projections(item.folder)[0].facts for item in (sick, one, two)]
    assert [about["aligned_to"] for about in facts] == ["", "", one.run_id]
    assert all(np.isfinite(positions(item)).all() for item in (sick, one, two))
    stored = list_projections(sick.folder)[0]
    write_projection(sick.folder, stored.key, sick.run_id, np.arange(COUNT), np.full((COUNT, 2), np.nan), stored.facts)
    assert not list_projections(sick.folder)[0].whole
    assert draw(lab, faces, [sick, one, two])["made"] == 1
    assert list_projections(sick.folder)[0].whole


def test_spaces_that_lack_images_are_drawn_over_those_that_all_have(lab: Workspace, faces: Dataset) -> None:
    vectors, half = clusters(), np.arange(1, COUNT, 2)
    whole, part = model(lab, "Whole", vectors), model(lab, "Part", vectors[half], half)
    draw(lab, faces, [whole, part])
    for item in (whole, part):
        stored = list_projections(item.folder)[0]
        assert stored.points["image_id"].tolist() == half.tolist()
        assert (stored.facts["shown"], stored.facts["of"]) == (120, COUNT)
    other = model(lab, "Other", vectors[half - 1], half - 1)
    with pytest.raises(FairLabError, match="no image of data set d is embedded by all of these models: Part, Other"):
        draw(lab, faces, [part, other])


def test_a_sample_has_people_whole_and_says_how_many(lab: Workspace, faces: Dataset) -> None:
    """100 of 240 images: 12 of 30 people with 8 images each. All images again: another map, and both are kept."""
    one = model(lab, "One", clusters())
    draw(lab, faces, [one], max_points=100)
    stored = list_projections(one.folder)[0]
    assert set(np.bincount(stored.points["image_id"] // 8)) == {0, 8}
    assert [stored.facts[name] for name in ("shown", "of", "people", "people_of", "people_cut")] == [96, 240, 12, 30, 0]
    assert how_made(stored.facts) == ["12 of 30 people, all images of each, drawn per group by seed"]
    assert draw(lab, faces, [one], max_points=100)["made"] == 0
    draw(lab, faces, [one])
    assert [len(item.points) for item in list_projections(one.folder)] == [240, 96]
    assert how_made(list_projections(one.folder)[0].facts) == []


def test_landmarks_are_people_whole_told_and_stopped(lab: Workspace, faces: Dataset) -> None:
    """Over twice 100 images: 12 people are landmarks, in both spaces alike. A stop in the second map keeps the first."""
    vectors = clusters()
    models = [model(lab, "One", vectors), model(lab, "Two", np.ascontiguousarray(vectors[:, ::-1]))]
    with pytest.raises(Stopped):
        draw(lab, faces, models, stops=20, landmarks=100, passes=10)
    assert [len(list_projections(item.folder)) for item in models] == [1, 0]
    assert draw(lab, faces, models, landmarks=100, passes=10)["made"] == 1
    facts = [list_projections(item.folder)[0].facts for item in models]
    for about, placed in zip(facts, ("were placed beside them", "started where the first map has them"), strict=True):
        assert (about["landmarks"], about["placed"]) == (96, 144)
        assert how_made(about)[0].startswith(
            f"UMAP laid out 96 images as landmarks (people drawn whole per group by seed); 144 {placed} and moved"
        )
    assert facts[1]["aligned_to"] == models[0].run_id
    assert draw(lab, faces, models, landmarks=100, passes=20)["made"] == 2


@pytest.mark.parametrize("count", [1, 2])
def test_one_and_two_images_have_a_map(lab: Workspace, faces: Dataset, count: int) -> None:
    few = model(lab, "Few", clusters()[:count], np.arange(count))
    draw(lab, faces, [few])
    assert np.isfinite(positions(few)).all()
    assert np.isnan(list_projections(few.folder)[0].facts["trustworthiness"])
