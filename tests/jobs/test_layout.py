"""Maps of more points than UMAP is fit for: landmarks, the others beside them, all moved to their neighbours."""

from __future__ import annotations

import os

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from fairlab.errors import Stopped
from fairlab.jobs.projection import project
from fairlab.settings.study import Projection
from tests.jobs.test_projection import clusters

MANY = Projection(landmarks=100, epochs=60, neighbours=8, passes=60)
PEOPLE, IMAGES = 100, 8


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return clusters(PEOPLE, IMAGES)


def landmarks() -> np.ndarray:
    """All images of every eighth person."""
    return np.flatnonzero(np.arange(PEOPLE * IMAGES) // IMAGES % 8 == 0)


def test_as_trustworthy_as_umap_alone(vectors: np.ndarray) -> None:
    """800 images, of which UMAP lays out 104; the facts tell so, and people stay together though most had no landmark."""
    xy, facts = project(vectors, MANY, landmarks=landmarks())
    alone, known = project(vectors, MANY.model_copy(update={"landmarks": 400}))
    assert (facts["landmarks"], facts["placed"]) == (104, 696)
    assert facts["method"] == "UMAP of landmarks, the others placed beside them"
    assert facts["neighbours_found"] > 0.95
    assert known["method"] == "UMAP"
    assert facts["trustworthiness"] == pytest.approx(
        trustworthiness(vectors, xy, n_neighbors=10, metric="cosine"), abs=1e-6
    )
    assert facts["trustworthiness"] > known["trustworthiness"] - 0.02
    for places in (xy, alone):
        gaps = ((places[:, None] - places[None]) ** 2).sum(-1)
        np.fill_diagonal(gaps, np.inf)
        assert np.mean(gaps.argmin(1) // IMAGES == np.arange(len(vectors)) // IMAGES) > 0.95


def test_the_same_for_any_number_of_threads(vectors: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    one, _ = project(vectors, MANY, landmarks=landmarks())
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert project(vectors, MANY, landmarks=landmarks())[0].tobytes() == one.tobytes()
    other, _ = project(vectors, MANY.model_copy(update={"seed": 1}), landmarks=landmarks())
    assert other.tobytes() != one.tobytes()


def test_a_second_map_lies_near_the_first(vectors: np.ndarray) -> None:
    """All images start from it, those that are no landmarks too: beside their landmarks they would be two to three times as far."""
    first, _ = project(vectors, MANY, landmarks=landmarks())
    second, facts = project(np.ascontiguousarray(vectors[:, ::-1]), MANY, init=first, landmarks=landmarks())
    assert facts["aligned"]
    assert facts["method"] == "UMAP of landmarks, the others placed as on the first map"
    own = np.linalg.norm(first - second, axis=1).mean()
    assert own < 0.25 * np.linalg.norm(first - np.roll(second, 400, axis=0), axis=1).mean()


def test_what_is_no_number_lies_apart_and_equal_vectors_have_places(vectors: np.ndarray) -> None:
    odd = vectors.copy()
    odd[[0, 300], 1] = np.nan
    odd[400:700] = odd[400]
    xy, facts = project(odd, MANY, landmarks=landmarks())
    others = np.delete(xy, [0, 300], axis=0)
    assert np.isfinite(xy).all()
    assert (xy[[0, 300]] < others.min(axis=0)).all()
    assert (np.ptp(xy[400:700], axis=0) > 0).all()
    assert [note[:20] for note in facts["notes"]] == ["2 of 800 vectors are", "300 of 798 vectors d"]


def test_a_space_of_equal_vectors_has_a_picture_and_no_measure(vectors: np.ndarray) -> None:
    xy, facts = project(np.repeat(vectors[:1], 800, 0), MANY, landmarks=landmarks())
    assert np.isfinite(xy).all()
    assert np.isnan(facts["trustworthiness"])
    assert facts["trust_reason"] == "it needs 31 distinct vectors, but there are 1"
    assert "landmarks" not in facts
    assert facts["degenerate"]


def test_every_stage_is_told_and_can_end_the_work(vectors: np.ndarray) -> None:
    stages: list[str] = []

    def tell(stage: str, done: int, of: int) -> None:
        assert 0 <= done < of
        stages.append(stage)

    project(vectors, MANY, landmarks=landmarks(), tell=tell)
    assert list(dict.fromkeys(stages)) == [
        "laying out landmarks",
        "placing images",
        "finding neighbours",
        "moving images to their neighbours",
        "measuring trustworthiness",
    ]
    assert stages.count("moving images to their neighbours") == MANY.passes

    def stop(stage: str, done: int, of: int) -> None:
        if stage == "finding neighbours":
            raise Stopped

    with pytest.raises(Stopped):
        project(vectors, MANY, landmarks=landmarks(), tell=stop)
