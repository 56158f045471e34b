"""The job that measures what moved: its numbers against scikit-learn's neighbours, sampling, reuse, and spaces without any."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.neighbors import NearestNeighbors

from fairlab.data.dataset import open_dataset
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import FairLabError, Stopped
from fairlab.evaluation.neighbourhoods import extent
from fairlab.jobs import moved
from fairlab.jobs.job import Job
from fairlab.jobs.models.starts import measure_moved, moved_on
from fairlab.plan.plan import single
from fairlab.settings.study import Data, ModelFile, Moved, Run
from fairlab.store.embeddings import EmbeddingWriter
from fairlab.store.moved import NEAR, OVERLAP, StoredMove, find_moved, moved_folder, overlap_of
from fairlab.store.runs import RunRecord, create_run
from fairlab.tables import MOVED_IMAGES, MOVED_NUMBERS, PAIRS, matches
from fairlab.workspace import Workspace, open_workspace

COUNT, EACH = 240, 4
PEOPLE = np.arange(COUNT) // EACH


@pytest.fixture
def lab(tmp_path: Path) -> Workspace:
    lab = open_workspace(tmp_path / "home")
    images = pd.DataFrame({"image_id": np.arange(COUNT), "dataset": "d", "source": "real"})
    images = images.assign(
        split=np.where(PEOPLE % 3 == 0, "train", "test"),
        identity=PEOPLE.astype(str),
        group=np.where(PEOPLE % 2 == 0, "a", "b"),
        location=np.arange(COUNT).astype(str),
    )
    pairs = pd.DataFrame({name: [] for name in PAIRS})
    write_dataset(lab.dataset("d"), NewDataset(dataset_id="d", kind="folders", attribute="Group", groups=("a", "b"), images=images, pairs=pairs, pixels=None, recipe={}))  # fmt: skip
    return lab


def unit(seed: int, noise: float = 0.8) -> np.ndarray:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(COUNT // EACH, 12))[PEOPLE] + noise * random.normal(size=(COUNT, 12))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def model(lab: Workspace, title: str, vectors: np.ndarray, ids: np.ndarray | None = None, **facts: Any) -> RunRecord:
    config = Run(role="model", method="embeddings", data=Data(dataset="d"), model=ModelFile(path=f"/{title}"))
    record = single(lab, title, config, ())
    create_run(lab, record)
    with EmbeddingWriter(record.folder, "d", "plain", np.arange(COUNT) if ids is None else ids, facts) as sink:
        sink.add(vectors, np.ones(len(vectors)))
    return record


def measured(lab: Workspace, one: RunRecord, other: RunRecord, stops: int = 999, **settings: Any) -> StoredMove:
    chosen = Moved(**settings)
    config = Run(role="comparison", method="moved", data=Data(dataset="d"), moved=chosen)
    record = single(lab, "What moved", config, (one.run_id, other.run_id))
    asked = iter(range(1000))
    moved.measure(Job(lab, record, open_dataset(lab.dataset("d")), stop=lambda: next(asked) >= stops))
    found = find_moved(one, other, "d", chosen)
    assert found is not None
    return found


def value(found: StoredMove, measure: str, group: str = "all") -> pd.Series:
    rows = found.numbers
    return rows[(rows["measure"] == measure) & (rows["group"] == group)].iloc[0]


def by_sklearn(vectors: np.ndarray, k: int) -> np.ndarray:
    """The k nearest of every row by cosine, without itself."""
    return NearestNeighbors(n_neighbors=k, metric="cosine", algorithm="brute").fit(vectors).kneighbors(
        return_distance=False
    )  # fmt: skip


@pytest.mark.parametrize("searched", [1000, 50])
def test_neighbours_and_ranks_are_those_of_another_library(
    monkeypatch: pytest.MonkeyPatch, lab: Workspace, searched: int
) -> None:
    """Searched at once, or in five blocks that are merged."""
    monkeypatch.setattr(moved, "SEARCHED", searched)
    monkeypatch.setattr(moved, "ASKED", 64)
    before, after = unit(0), unit(1)
    found = measured(lab, model(lab, "One", before), model(lab, "Two", after), neighbours=7)
    assert matches(found.images, MOVED_IMAGES)
    assert matches(found.numbers, MOVED_NUMBERS)
    assert matches(found.near, NEAR)
    near = by_sklearn(before, COUNT - 1), by_sklearn(after, COUNT - 1)
    expected = [
        len(set(a) & set(b)) / len(set(a) | set(b)) for a, b in zip(near[0][:, :7], near[1][:, :7], strict=True)
    ]
    assert found.images["overlap"].tolist() == pytest.approx(expected)
    for side, places in zip(("before", "after"), near, strict=True):
        rank = (PEOPLE[places] == PEOPLE[:, None]).argmax(1) + 1
        assert found.images[f"rank_{side}"].tolist() == np.minimum(rank, 101).tolist()
        kept = found.near[found.near["space"] == side].pivot(index="image_id", columns="rank", values="neighbour")
        assert kept.to_numpy().tolist() == places[:, :7].tolist()
    assert value(found, "overlap")["value"] == pytest.approx(np.mean(expected))
    first = [(PEOPLE[places[:, 0]] == PEOPLE).mean() for places in near]
    assert [value(found, f"same_{side}")["value"] for side in ("before", "after")] == pytest.approx(first)
    assert value(found, "same_change")["value"] == pytest.approx(first[1] - first[0])
    in_a = PEOPLE % 2 == 0
    assert value(found, "overlap", "a")["value"] == pytest.approx(np.array(expected)[in_a].mean())
    assert found.facts["measured"] == found.facts["of"] == COUNT


def test_a_turned_space_has_not_moved(lab: Workspace) -> None:
    before = unit(0)
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(12, 12)))[0]
    found = measured(lab, model(lab, "One", before), model(lab, "Two", (before @ turn).astype(np.float32)))
    assert value(found, "overlap")["value"] == 1
    assert value(found, "same_change")["value"] == 0
    assert value(found, "cka")["value"] == pytest.approx(1, abs=1e-5)


def test_of_many_images_people_are_measured_whole_among_all(lab: Workspace) -> None:
    one, two = model(lab, "One", unit(0)), model(lab, "Two", unit(1))
    every, part = measured(lab, one, two), measured(lab, one, two, max_images=80)
    assert (part.facts["measured"], part.facts["of"], part.facts["people"]) == (80, COUNT, 20)
    assert part.images.groupby("identity").size().tolist() == [EACH] * 20
    same = every.images.set_index("image_id").loc[part.images["image_id"]]
    assert part.images["overlap"].tolist() == same["overlap"].tolist()
    assert part.images["rank_after"].tolist() == same["rank_after"].tolist()
    assert extent(part.facts).startswith(
        "Measured on 80 of 240 images of 20 people, drawn with all their images; 10 nearest"
    )
    assert extent({**part.facts, "cut": 2}).startswith(
        "Measured on 80 of 240 images of 20 people, drawn with all their images, but 2 in part;"
    )


def test_only_what_both_embedded_and_what_was_asked_for(lab: Workspace) -> None:
    one, two = model(lab, "One", unit(0)), model(lab, "Two", unit(1)[40:], np.arange(40, COUNT))
    assert measured(lab, one, two).facts["of"] == COUNT - 40
    test = measured(lab, one, two, splits=("test",))
    assert (PEOPLE[test.images["image_id"]] % 3 != 0).all()
    with pytest.raises(FairLabError, match="no part 'tset'; it has: train, test"):
        measured(lab, one, two, splits=("tset",))


def test_it_is_kept_until_a_space_changes_and_serves_both_ways(lab: Workspace) -> None:
    one, two = model(lab, "One", unit(0)), model(lab, "Two", unit(1))
    assert overlap_of(one, two, "d").empty
    found = measured(lab, one, two)
    assert measure_moved(lab, one.run_id, two.run_id) == ""
    shown = overlap_of(one, two, "d")
    assert matches(shown, OVERLAP)
    pd.testing.assert_frame_equal(shown, found.images[["image_id", "overlap"]])
    pd.testing.assert_frame_equal(overlap_of(two, one, "d"), shown)
    model(lab, "Two", unit(2))
    assert find_moved(one, two, "d") is None
    assert overlap_of(one, two, "d").empty


def test_a_damaged_measurement_is_none(lab: Workspace) -> None:
    one, two = model(lab, "One", unit(0)), model(lab, "Two", unit(1))
    measured(lab, one, two)
    for path in moved_folder(two.folder, "d").iterdir():
        whole = path.read_bytes()
        path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        assert find_moved(one, two, "d") is None, path.name
        path.write_bytes(whole)
        assert find_moved(one, two, "d") is not None


def test_a_stop_leaves_nothing(lab: Workspace) -> None:
    one, two = model(lab, "One", unit(0)), model(lab, "Two", unit(1))
    for stops in (0, 1, 2):
        with pytest.raises(Stopped):
            measured(lab, one, two, stops=stops)
    assert not moved_folder(two.folder, "d").exists()


def test_spaces_without_neighbours_say_why(lab: Workspace) -> None:
    one, flat = model(lab, "One", unit(0)), model(lab, "Flat", np.repeat(unit(0)[:1], COUNT, axis=0))
    found = measured(lab, one, flat)
    assert found.numbers["value"].isna().all()
    assert set(found.numbers["reason"]) == {"all vectors of the second space are equal"}
    assert found.images[["overlap", "rank_before", "rank_after"]].isna().all(axis=None)
    twice = np.repeat(unit(0)[::20], 20, axis=0)
    tied = measured(lab, one, model(lab, "Tied", twice))
    assert value(tied, "overlap")["reason"] == "each image has more neighbours at equal distance than are counted"
    assert tied.facts["tied"] == COUNT


def test_few_images_and_one_person_say_why(lab: Workspace) -> None:
    ids = np.arange(EACH)
    one, two = model(lab, "One", unit(0)[:EACH], ids), model(lab, "Two", unit(1)[:EACH], ids)
    found = measured(lab, one, two, neighbours=3)
    assert value(found, "overlap")["reason"] == "3 neighbours of 4 images are all others: choose at most 2"
    assert value(found, "same_after")["reason"] == "the images show one person only, so that every neighbour is right"
    assert list(found.numbers["group"].unique()) == ["all"]
    assert value(measured(lab, one, two, neighbours=2), "overlap")["reason"] == "no interval: one person"


def test_spaces_that_cannot_be_compared_are_refused(lab: Workspace) -> None:
    one = model(lab, "One", unit(0))
    with pytest.raises(FairLabError, match="compared with itself"):
        moved_on([one, one])
    low, high = model(lab, "Low", unit(0)[:9], np.arange(9)), model(lab, "High", unit(0)[9:], np.arange(9, COUNT))
    with pytest.raises(FairLabError, match="embedded 0 images of data set d in common"):
        measured(lab, low, high)
    with pytest.raises(FairLabError, match=r"Old embedded an earlier state of data set d: embed it again"):
        measured(lab, one, model(lab, "Old", unit(0), fingerprint="other"))
    bare = single(lab, "Bare", Run(role="model", method="embeddings", data=Data(dataset="d")), ())
    create_run(lab, bare)
    with pytest.raises(FairLabError, match="have embedded no data set in common"):
        moved_on([one, bare])
    with pytest.raises(FairLabError, match="has no embeddings of e: run `fairlab models embed"):
        moved_on([one, low], "e")
