"""Trustworthiness: as scikit-learn and Venna and Kaski's equation have it, and of large maps by some of their images."""

from __future__ import annotations

import numpy as np
import pytest

from fairlab.jobs.projection import principal_plane
from fairlab.jobs.trust import trustworthiness
from tests.jobs.test_projection import clusters


def test_trustworthiness_is_scikit_learns() -> None:
    """To 1e-6, and to what Venna and Kaski's equation gives when it is written out."""
    from sklearn.manifold import trustworthiness as known

    vectors = clusters()
    for xy in (principal_plane(vectors), np.random.default_rng(0).normal(size=(240, 2))):
        trust = trustworthiness(vectors, xy)
        assert trust.value == pytest.approx(known(vectors, xy, n_neighbors=10, metric="cosine"), abs=1e-6)
        assert trust.value == pytest.approx(written_out(vectors, xy, 10), abs=1e-6)
        assert (trust.low, trust.high, trust.asked) == (trust.value, trust.value, 240)


def written_out(vectors: np.ndarray, xy: np.ndarray, k: int) -> float:
    """1 - 2 / (N k (2N - 3k - 1)) * the sum of (rank in the space - k) over neighbours on the map that are none there."""
    count, penalty = len(vectors), 0
    for point in range(count):
        others = [other for other in range(count) if other != point]
        in_space = sorted(others, key=lambda other: -float(vectors[point] @ vectors[other]))
        on_map = sorted(others, key=lambda other: float(((xy[point] - xy[other]) ** 2).sum()))
        penalty += sum(max(0, in_space.index(other) + 1 - k) for other in on_map[:k])
    return 1 - 2 * penalty / (count * k * (2 * count - 3 * k - 1))


def test_some_images_asked_stand_for_all() -> None:
    """300 of 1,200: the interval has the value of all in about 95 of 100 maps; here in 18 of 20 at least."""
    vectors = clusters(people=150)
    inside = 0
    for seed in range(20):
        random = np.random.default_rng(seed)
        xy = principal_plane(vectors) + random.normal(0, 0.1, (1200, 2))
        order = random.permutation(1200)
        trust = trustworthiness(vectors[order], xy[order], asked=300)
        assert trust.asked == 300
        assert trust.high - trust.low < 0.05
        inside += trust.low <= trustworthiness(vectors, xy, asked=1200).value <= trust.high
    assert inside >= 18


def test_too_few_images_have_none() -> None:
    trust = trustworthiness(clusters()[:30], np.zeros((30, 2)))
    assert np.isnan(trust.value)
    assert trust.reason == "it needs 31 distinct vectors, but there are 30"


def test_points_on_one_spot_are_ranked_too() -> None:
    """A map that says nothing, all on one spot: about chance, and never NaN."""
    trust = trustworthiness(clusters(), np.zeros((240, 2)))
    assert 0.3 < trust.value < 0.7
