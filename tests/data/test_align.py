from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.transform import SimilarityTransform, warp

from fairlab.data.align import TEMPLATE_112, crop, from_crop, similarity, template
from fairlab.data.demo.head import load_head

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


def turned(yaw: float, pitch: float = 0.0, roll: float = 0.0, scale: float = 60.0) -> np.ndarray:
    """Five points (5, 2) of the demo's head turned by these degrees, seen from afar; its middle at (0, 0)."""
    head = load_head()
    points = np.array([head.mean[which].mean(0) for which in head.landmarks], float)
    y, p, r = np.radians([yaw, pitch, roll])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about_z = np.array([[np.cos(r), -np.sin(r)], [np.sin(r), np.cos(r)]])
    flat = ((points - points.mean(0)) @ (about_x @ about_y).T)[:, :2] * [scale, -scale]
    return flat @ about_z.T


def picture(px: int = 260) -> np.ndarray:
    """Smooth coloured noise, (px, px, 3) uint8."""
    noise = gaussian_filter(np.random.default_rng(2).normal(size=(px, px, 3)), (3, 3, 0))
    return np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("px", [112, 128, 256])
@pytest.mark.parametrize("yaw", [0, 20, -40, 60, -75, 90])
def test_a_crop_is_norm_crop_in_every_pose(yaw: float, px: int) -> None:
    """insightface's definition, by scikit-image: estimate(landmarks, template), inverted, warped with border 0.

    The last face reaches over the picture's border.
    """
    for roll, middle in ((0, (130, 130)), (35, (130, 130)), (-15, (20, 240))):
        landmarks = turned(yaw, 10, roll) + middle
        form = SimilarityTransform.from_estimate(landmarks, template(px))
        theirs = warp(picture(), form.inverse, output_shape=(px, px), order=1, preserve_range=True)
        assert np.abs(crop(picture(), landmarks, px) - theirs).max() <= 0.51
        assert np.allclose(from_crop(landmarks, px), np.linalg.inv(form.params)[:2], atol=1e-6)


def test_a_turned_face_has_the_size_computed_by_hand() -> None:
    """The points' middle is (97, 100), so they lie at (-7, -20), (13, -20), (-12, 0), (-5, 20), (11, 20): squares 2108.

    Their products with the template's points about its middle (56.02616, 71.90078) sum up to 2213.27 along and -9.83
    across: the scale is 2213.29 / 2108 = 1.04995. Fitted from the template to the landmarks it would be 1.2208.
    """
    landmarks = np.array([[90.0, 80], [110, 80], [85, 100], [92, 120], [108, 120]])
    x_axis = from_crop(landmarks, 112)[:, 0]
    assert 1 / np.hypot(*x_axis) == pytest.approx(1.04995, abs=2e-5)


def test_sizes_of_128_shift_the_face_as_published() -> None:
    """x + 8 at 128 px, x 2 and + 16 at 256 px."""
    assert np.allclose(template(128), TEMPLATE_112 + np.array([8, 0]))
    assert np.allclose(template(256), 2 * TEMPLATE_112 + np.array([16, 0]))
    assert np.allclose(template(224), 2 * TEMPLATE_112)
