"""CKA against the formula with N x N matrices, against a population where it is known, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from fairlab.evaluation.cka import LEAST_PEOPLE, linear_cka


def gram_hsic(one: np.ndarray, other: np.ndarray) -> float:
    """HSIC_1 of Song et al. 2012 from the kernels (n, n), as it is printed."""
    n = len(one)
    first, second = one - np.diag(np.diag(one)), other - np.diag(np.diag(other))
    ones = np.ones(n)
    trace = np.trace(first @ second)
    both = (ones @ first @ ones) * (ones @ second @ ones) / ((n - 1) * (n - 2))
    return float((trace + both - 2 / (n - 2) * (ones @ first @ second @ ones)) / (n * (n - 3)))


def spaces(count: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    before = random.normal(size=(count, 8)) + 3
    return before, before @ random.normal(size=(8, 5)) + 2 * random.normal(size=(count, 5))


def test_it_is_the_formula_with_kernels() -> None:
    before, after = spaces()
    one, other = before @ before.T, after @ after.T
    expected = gram_hsic(one, other) / np.sqrt(gram_hsic(one, one) * gram_hsic(other, other))
    found = linear_cka(before.astype(np.float32), after.astype(np.float32), np.arange(60))
    assert found.value == pytest.approx(expected, abs=1e-6)
    assert found.low < found.value < found.high


def test_turning_moving_and_scaling_change_nothing() -> None:
    before, after = spaces()
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(8, 8)))[0]
    people = np.arange(60) // 2
    same = linear_cka(before, 3 * before @ turn + 7, people)
    assert (same.value, same.low, same.high) == pytest.approx((1, 1, 1), abs=1e-9)
    assert linear_cka(2 * before @ turn - 5, after, people).value == pytest.approx(
        linear_cka(before, after, people).value
    )
    assert linear_cka(after, before, people).value == pytest.approx(linear_cka(before, after, people).value)


def test_unrelated_spaces_of_many_dimensions_are_not_alike() -> None:
    """The biased CKA of 40 images in 200 dimensions is about .8 by chance."""
    random = np.random.default_rng(0)
    found = [linear_cka(*random.normal(size=(2, 40, 200)), np.zeros(40)).value for _ in range(40)]
    assert abs(np.mean(found)) < 0.02


def test_the_interval_covers_the_population_s_value() -> None:
    """Two noisy views of Gaussian latents: HSIC of the population is |cov|^2. People are clusters of two images."""
    random = np.random.default_rng(0)
    first, second = random.normal(size=(5, 6)), random.normal(size=(5, 4))
    covariances = first.T @ second, first.T @ first + np.eye(6), second.T @ second + np.eye(4)
    cross, own, other = ((matrix**2).sum() for matrix in covariances)
    truth = cross / np.sqrt(own * other)
    covered, values = 0, []
    for seed in range(60):
        draw = np.random.default_rng(seed)
        shared = np.repeat(draw.normal(size=(80, 5)), 2, axis=0)
        latent = np.sqrt(0.5) * shared + np.sqrt(0.5) * draw.normal(size=(160, 5))
        views = latent @ first + draw.normal(size=(160, 6)), latent @ second + draw.normal(size=(160, 4))
        found = linear_cka(*views, np.repeat(np.arange(80), 2), seed)
        covered += found.low <= truth <= found.high
        values.append(found.value)
    assert 0.88 <= covered / 60 <= 1.0
    assert np.mean(values) == pytest.approx(truth, abs=0.02)


def test_where_there_is_none_it_says_why() -> None:
    before, after = spaces()
    equal = np.repeat(before[:1], 60, axis=0)
    assert linear_cka(equal, after, np.arange(60)).reason == "all vectors of the first space are equal"
    assert linear_cka(before, equal, np.arange(60)).reason == "all vectors of the second space are equal"
    few = linear_cka(before[:3], after[:3], np.arange(3))
    assert np.isnan(few.value)
    assert few.reason == "it needs 4 images, and there are 3"
    one = linear_cka(before, after, np.zeros(60))
    assert np.isfinite(one.value)
    assert np.isnan(one.low)
    assert one.reason == f"no interval: 1 people, and it needs {LEAST_PEOPLE}"
    with pytest.raises(ValueError, match="60 and 59 embeddings"):
        linear_cka(before, after[:59], np.arange(60))
