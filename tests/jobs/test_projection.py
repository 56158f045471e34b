"""Maps: the same for the same seed, honest about themselves, and never from too few points."""

from __future__ import annotations

import numpy as np
import pytest

from fairlab.jobs.projection import (
    alike,
    procrustes,
    project,
    usable,
)
from fairlab.settings.study import Projection

SETTINGS = Projection(epochs=60, neighbours=8)


def clusters(people: int = 30, images: int = 8, dim: int = 16, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    raw = np.repeat(random.normal(size=(people, dim)), images, 0) + 0.2 * random.normal(size=(people * images, dim))
    return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)


def test_the_seed_decides_the_map() -> None:
    one, facts = project(clusters(), SETTINGS)
    two, _ = project(clusters(), SETTINGS)
    other, _ = project(clusters(), SETTINGS.model_copy(update={"seed": 1}))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert facts["method"] == "UMAP"
    assert facts["seed"] == 0


def test_people_stay_together_on_the_map() -> None:
    xy, facts = project(clusters(), SETTINGS)
    gaps = ((xy[:, None] - xy[None]) ** 2).sum(-1)
    np.fill_diagonal(gaps, np.inf)
    assert np.mean(gaps.argmin(1) // 8 == np.arange(240) // 8) > 0.95
    assert facts["trustworthiness"] > 0.8  # 0.5 is chance


@pytest.mark.parametrize("count", [1, 2, 3, 9, 12])
def test_few_points_make_no_trouble(count: int) -> None:
    xy, facts = project(clusters()[:count], SETTINGS)
    assert xy.shape == (count, 2)
    assert np.isfinite(xy).all()
    if count < 10:
        assert facts["method"].startswith("PCA")
        assert np.isnan(facts["trustworthiness"])


def test_procrustes_undoes_turn_mirror_scale_and_shift() -> None:
    points = np.random.default_rng(0).normal(size=(50, 2))
    turn = np.array([[np.cos(1), -np.sin(1)], [np.sin(1), np.cos(1)]]) @ np.diag([1, -1])
    assert procrustes(3 * points @ turn + 7, points) == pytest.approx(points, abs=1e-9)


def test_a_second_map_lies_near_the_first() -> None:
    """Started from it and turned to it: the same person is nearer than a stranger."""
    vectors = clusters()
    first, _ = project(vectors, SETTINGS)
    second, _ = project(np.ascontiguousarray(vectors[:, ::-1]), SETTINGS, init=first)
    own = np.linalg.norm(first - second, axis=1).mean()
    strangers = np.linalg.norm(first - np.roll(second, 120, axis=0), axis=1).mean()
    assert own < 0.5 * strangers


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


RANDOM = np.random.default_rng(3)
ONE, TWO = unit(RANDOM.normal(size=(2, 64)))
DEGENERATE = {
    "all the same": (np.repeat(ONE[None], 60, 0), "60 of 60 vectors are the same", 1),
    "the same but for rounding": (
        unit(np.repeat(ONE[None], 60, 0) + RANDOM.normal(0, 1e-7, (60, 64))),
        "60 of 60 vectors are the same",
        1,
    ),
    "two": (np.repeat([ONE, TWO], 30, 0), "60 of 60 vectors duplicate another one; 2 are distinct", 2),
    "one dimension": (
        unit(RANDOM.normal(size=(60, 1))),
        "60 of 60 vectors duplicate another one; 2 are distinct",
        2,
    ),
    "nine": (np.repeat(unit(RANDOM.normal(size=(9, 64))), 7, 0), "63 of 63 vectors duplicate", 9),
    "twenty": (np.repeat(unit(RANDOM.normal(size=(20, 64))), 4, 0), "80 of 80 vectors duplicate", 20),
    "half of them": (
        np.concatenate([np.repeat(ONE[None], 40, 0), unit(RANDOM.normal(size=(40, 64)))]),
        "40 of 80 vectors duplicate another one; 41 are distinct",
        41,
    ),
    "zeros": (np.zeros((60, 64), np.float32), "60 of 60 vectors are the same", 1),
    "nan": (np.full((60, 64), np.nan, np.float32), "60 of 60 vectors are not numbers", 0),
}


@pytest.mark.parametrize("name", list(DEGENERATE))
def test_degenerate_spaces_have_finite_maps_that_say_so(name: str) -> None:
    """Different vectors lie apart, equal ones in one small disc; a measure that needs 31 different ones is n/a."""
    vectors, note, different = DEGENERATE[name]
    xy, facts = project(vectors, SETTINGS, init=np.random.default_rng(0).normal(size=(len(vectors), 2)))
    assert np.isfinite(xy).all()
    assert (np.ptp(xy, axis=0) > 0).any()  # a picture, not a dot
    assert facts["notes"][0].startswith(note)
    assert facts["degenerate"] == (different < 10)
    assert facts["aligned"] == (different >= 10)
    if different <= 30:
        assert np.isnan(facts["trustworthiness"])
        assert facts["trust_reason"] == f"it needs 31 distinct vectors, but there are {different}"
    else:
        assert 0 < facts["trustworthiness"] <= 1
    if different == 2:
        same = (vectors == vectors[0]).all(axis=1)
        between = np.linalg.norm(xy[same].mean(0) - xy[~same].mean(0))
        assert all(np.linalg.norm(xy[part] - xy[part].mean(0), axis=1).max() < between / 5 for part in (same, ~same))


def test_a_line_has_a_map() -> None:
    """40 different vectors on one great circle, whose first two directions are all; and init on one axis is no start."""
    angle = np.linspace(0, 1, 40)
    vectors = np.column_stack([np.cos(angle), np.sin(angle)]).astype(np.float32)
    flat = np.column_stack([angle, np.zeros(40)])
    assert not usable(flat)
    xy, facts = project(vectors, SETTINGS, init=flat)
    assert np.isfinite(xy).all()
    assert not facts["aligned"]
    assert facts["notes"] == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_no_numbers_lie_apart(value: float) -> None:
    vectors = clusters()
    vectors[[3, 50], 2] = value
    xy, facts = project(vectors, SETTINGS)
    others = np.delete(xy, [3, 50], axis=0)
    assert np.isfinite(xy).all()
    assert (xy[[3, 50]] < others.min(axis=0)).all()
    assert facts["notes"][0].startswith("2 of 240 vectors are not numbers")
    assert facts["trustworthiness"] > 0.8


def test_equal_vectors_are_told_from_near_ones() -> None:
    """3,000 vectors: 1,000 twice to the last bit and once more within rounding; two photographs at cosine 0.9999 stay two."""
    first = unit(np.random.default_rng(1).normal(size=(1000, 512)))
    third = unit(first + np.random.default_rng(2).normal(0, 1e-8, first.shape))
    near = unit(first[:1] + 0.01414 * unit(np.random.default_rng(4).normal(size=(1, 512))))
    label = alike(np.concatenate([first, first, third, near]))
    assert label.max() + 1 == 1001
    assert (label[:1000] == label[1000:2000]).all()
    assert (label[:1000] == label[2000:3000]).all()


def test_a_map_starts_from_the_same_numbers_wherever_they_lie() -> None:
    """Read back from a table, positions lie column by column: the map is the same to the bit."""
    vectors, start = clusters(), np.random.default_rng(5).normal(size=(240, 2)).astype(np.float32)
    one, _ = project(vectors, SETTINGS, init=start)
    for other in (np.asfortranarray(start), np.repeat(start, 2, axis=1)[:, ::2]):
        assert project(vectors, SETTINGS, init=other)[0].tobytes() == one.tobytes()
