"""Maps: the same for the same seed, honest about themselves, and never from too few points."""

from __future__ import annotations

import numpy as np
import pytest

from fairlab.config import Projection
from fairlab.projection import principal_plane, procrustes, project, stratified_sample, trustworthiness

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


def test_trustworthiness_is_scikit_learns() -> None:
    """To 1e-6."""
    from sklearn.manifold import trustworthiness as known

    vectors = clusters()
    for xy in (principal_plane(vectors), np.random.default_rng(0).normal(size=(240, 2))):
        assert trustworthiness(vectors, xy) == pytest.approx(
            known(vectors, xy, n_neighbors=10, metric="cosine"), abs=1e-6
        )


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


def test_the_sample_keeps_every_groups_share() -> None:
    groups = np.array(["a"] * 900 + ["b"] * 90 + ["c"] * 10)
    rows = stratified_sample(groups, 100, 0)
    assert {name: int((groups[rows] == name).sum()) for name in "abc"} == {"a": 90, "b": 9, "c": 1}
    assert np.array_equal(rows, stratified_sample(groups, 100, 0))
    assert np.array_equal(stratified_sample(groups, 5000, 0), np.arange(1000))
