from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.transform import SimilarityTransform, warp

from fairlab.data.align import TEMPLATE_112, crop, similarity, template

NUMBER = st.floats(-3.0, 3.0)


@given(st.floats(0.2, 4.0), st.floats(-3.1, 3.1), NUMBER, NUMBER)
def test_a_known_similarity_is_found(scale: float, angle: float, x: float, y: float) -> None:
    """Points that were turned, scaled and shifted are brought back exactly."""
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = TEMPLATE_112 @ turn.T + [x, y]
    found = similarity(TEMPLATE_112, moved)
    assert np.allclose(found, np.column_stack([turn, [x, y]]), atol=1e-8)


def test_the_error_is_the_least() -> None:
    """With noise no other similarity near it fits better (the definition of least squares)."""
    rng = np.random.default_rng(0)
    targets = TEMPLATE_112 + rng.normal(0, 3, (5, 2))
    best = similarity(TEMPLATE_112, targets)

    def error(p: float, q: float, x: float, y: float) -> float:
        return float(((TEMPLATE_112 @ np.array([[p, -q], [q, p]]).T + [x, y] - targets) ** 2).sum())

    at = np.array([best[0, 0], best[1, 0], best[0, 2], best[1, 2]])
    for step in 1e-3 * np.vstack([np.eye(4), -np.eye(4)]):
        assert error(*at) <= error(*(at + step))


def test_a_mirrored_face_is_not_unmirrored() -> None:
    """A similarity has no mirror: left and right eye stay apart."""
    found = similarity(TEMPLATE_112 * [-1, 1], TEMPLATE_112)
    assert np.linalg.det(found[:, :2]) > 0


def test_another_library_finds_the_same_similarity() -> None:
    """scikit-image's estimate (Umeyama 1991, equations 40 to 42), 300 noisy faces, to 1e-4 px at the five points."""
    rng = np.random.default_rng(1)
    for _ in range(300):
        landmarks = (TEMPLATE_112 + rng.normal(0, 6, (5, 2))) * rng.uniform(0.3, 4) + rng.uniform(-50, 200, 2)
        theirs = SimilarityTransform.from_estimate(landmarks, TEMPLATE_112)
        ours = similarity(landmarks, TEMPLATE_112)
        assert np.abs(landmarks @ ours[:, :2].T + ours[:, 2] - theirs(landmarks)).max() < 1e-4


@pytest.mark.parametrize("px", [112, 56, 224, 128])
def test_a_cropped_face_has_its_points_on_the_template(px: int) -> None:
    """Bright dots at the landmarks of a large turned picture come to lie on the template's points."""
    turn = 3.1 * np.array([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    landmarks = (TEMPLATE_112 - 56) @ turn.T + 250
    ys, xs = np.mgrid[:500, :500]
    near = [np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * 5.0**2)) for x, y in landmarks]
    face = crop((255 * np.repeat(np.sum(near, 0)[:, :, None], 3, 2)).clip(0, 255).astype(np.uint8), landmarks, px)
    assert face.shape == (px, px, 3)
    ys, xs = np.mgrid[:px, :px]
    for x, y in template(px):
        weight = face[:, :, 0] * (np.hypot(xs - x, ys - y) < 8 * px / 112)
        centre = np.array([(xs * weight).sum(), (ys * weight).sum()]) / weight.sum()
        assert np.abs(centre - [x, y]).max() < 0.3


def test_a_crop_is_what_another_library_warps() -> None:
    """scikit-image's bilinear warp of the same picture: the same grey levels up to rounding, away from the border."""
    rng = np.random.default_rng(2)
    picture = rng.integers(0, 256, (30, 30, 3)).astype(np.uint8).repeat(10, 0).repeat(10, 1)
    landmarks = (TEMPLATE_112 - 56) * 1.7 + 150 + rng.normal(0, 3, (5, 2))
    theirs = warp(
        picture,
        SimilarityTransform.from_estimate(template(112), landmarks),
        output_shape=(112, 112),
        order=1,
        preserve_range=True,
    )
    assert np.abs(crop(picture, landmarks, 112)[2:-2, 2:-2] - theirs[2:-2, 2:-2]).max() <= 1.5


def test_sizes_of_128_shift_the_face_as_published() -> None:
    """x + 8 at 128 px, x 2 and + 16 at 256 px."""
    assert np.allclose(template(128), TEMPLATE_112 + np.array([8, 0]))
    assert np.allclose(template(256), 2 * TEMPLATE_112 + np.array([16, 0]))
    assert np.allclose(template(224), 2 * TEMPLATE_112)
