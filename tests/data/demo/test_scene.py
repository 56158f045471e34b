from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fairlab.data.align import TEMPLATE_112
from fairlab.data.demo.build import Studio, sculpt
from fairlab.data.demo.people import Person, draw_people, generator
from fairlab.data.demo.scene import SAMPLES, Canvas, Shot, draw_shot, spoil, take


@pytest.fixture(scope="module")
def person(studio: Studio) -> Person:
    return draw_people(studio.factors, 0, ("G",), "train", 0, 1)[0]


def shots(studio: Studio, count: int, **settings: float) -> list[Shot]:
    return [draw_shot(generator(5, i), studio.head, **{"level": 0.6, **settings}) for i in range(count)]


def test_level_nought_is_a_passport_picture(studio: Studio) -> None:
    """No turn, expression, blur, noise or patch; only the background differs."""
    for shot in shots(studio, 5, level=0.0):
        assert np.allclose(shot.rotation, np.eye(3))
        assert np.abs(shot.weights).max() == 0.0
        assert (shot.noise, shot.gamma, shot.patch) == (0.0, 1.0, None)
        assert np.allclose(shot.crop, 0.0)


def test_the_synthetic_style_varies_less(studio: Studio) -> None:
    """Pose by 0.45 and noise by 0.4, for the same draws."""
    real, synthetic = shots(studio, 50), shots(studio, 50, pose=0.45, post=0.4)

    def yaw(shot: Shot) -> float:
        return float(np.arcsin(shot.rotation[0, 2]))

    assert [yaw(shot) for shot in synthetic] == pytest.approx([0.45 * yaw(shot) for shot in real], rel=0.05)
    assert np.std([s.noise for s in synthetic]) < 0.7 * np.std([s.noise for s in real])
    assert sum(s.patch is not None for s in synthetic) <= sum(s.patch is not None for s in real)


def test_faces_are_aligned_by_construction(studio: Studio, person: Person) -> None:
    """The five landmarks of a face, posed and projected, lie near the template; their centre exactly on it."""
    shape, skin = sculpt(studio, person)
    for shot in shots(studio, 10):
        canvas = Canvas(112, len(shape))
        take(canvas, studio.head, shape, skin, dataclasses.replace(shot, crop=np.zeros(3)), studio.kernels)
        found = np.array([canvas.points[which, :2].mean(0) for which in studio.head.landmarks]) / SAMPLES
        assert np.allclose(found.mean(0), TEMPLATE_112.mean(0), atol=0.01)
        assert np.sqrt(((found - TEMPLATE_112) ** 2).sum(1).mean()) < 11.0
    frontal = draw_shot(generator(1), studio.head, 0.0)
    take(canvas, studio.head, shape, skin, frontal, studio.kernels)
    found = np.array([canvas.points[which, :2].mean(0) for which in studio.head.landmarks]) / SAMPLES
    assert np.abs(found[:2] - TEMPLATE_112[:2]).max() < 6.0


@pytest.mark.parametrize("px", [24, 48, 112])
def test_a_picture_shows_a_face_in_front_of_a_background(studio: Studio, person: Person, px: int) -> None:
    """Skin in the middle, background in the upper corners or hair; no pixel is out of range."""
    shape, skin = sculpt(studio, person)
    canvas = Canvas(px, len(shape))
    image = take(canvas, studio.head, shape, skin, draw_shot(generator(3), studio.head, 0.0), studio.kernels)
    assert image.shape == (px, px, 3)
    assert 0.0 <= image.min() <= image.max() <= 1.0
    assert 0.45 < (canvas.face >= 0).mean() < 0.95
    assert (canvas.face[px // 2 : px + px // 2, px] >= 0).all()


def test_spoiling_does_what_the_shot_says(studio: Studio) -> None:
    """A patch is laid over, noise has its strength, and without them the picture only turns to bytes."""
    image = np.full((48, 48, 3), 0.5, np.float32)
    calm = dataclasses.replace(draw_shot(generator(1), studio.head, 0.0), blur=0.0, patch=None)
    assert (spoil(image, calm, generator(2)) == 128).all()
    noisy = spoil(image, dataclasses.replace(calm, noise=0.05), generator(2)).astype(float)
    assert noisy.std() == pytest.approx(0.05 * 255, rel=0.05)
    covered = spoil(image, dataclasses.replace(calm, patch=np.array([0.25, 0.5, 0.25, 0.25, 1, 0, 0])), generator(2))
    assert (covered[24:36, 12:24] == [255, 0, 0]).all()
    assert (covered[:24] == 128).all()
    blurred = np.zeros((48, 48, 3), np.float32)
    blurred[24, 24] = 1.0
    assert (spoil(blurred, dataclasses.replace(calm, blur=0.03), generator(2)) > 0).sum() > 3
