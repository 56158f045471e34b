"""Landmarks in the crop that a network sees, against scikit-image's similarity and closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skimage.transform import SimilarityTransform

from fairlab.data.align import TEMPLATE_112
from fairlab.data.dataset import Dataset
from fairlab.data.forgetting import write_without
from fairlab.data.points import aligned, has_points, in_the_middle, mirrored, of_template, points_of
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.settings.study import DemoData
from fairlab.tables import PAIRS


def faces(count: int) -> np.ndarray:
    """Points of turned faces somewhere in large pictures."""
    rng = np.random.default_rng(5)
    angles = rng.uniform(-0.6, 0.6, count)
    turns = np.stack([[np.cos(angles), -np.sin(angles)], [np.sin(angles), np.cos(angles)]]).transpose(2, 0, 1)
    wobbled = TEMPLATE_112 - 56 + rng.normal(0, 3, (count, 5, 2))
    return wobbled @ turns.transpose(0, 2, 1) * rng.uniform(0.5, 4, (count, 1, 1)) + rng.uniform(
        200, 400, (count, 1, 2)
    )


@pytest.mark.parametrize("px", [112, 224])
def test_aligned_landmarks_are_where_the_similarity_brings_them(px: int) -> None:
    """insightface's estimate(landmarks, template) by scikit-image, as shares of the crop; NaN stays NaN."""
    landmarks = faces(40)
    shares = aligned(np.concatenate([landmarks, np.full((1, 5, 2), np.nan)]), px)
    for number, points in enumerate(landmarks):
        form = SimilarityTransform.from_estimate(points, TEMPLATE_112 * px / 112)
        assert np.allclose(shares[number], form(points) / px, atol=1e-5)
    assert np.isnan(shares[40]).all()
    assert np.allclose(aligned(TEMPLATE_112[None] * 3 + 7, px)[0], TEMPLATE_112 / 112, atol=1e-6)
    assert np.allclose(of_template(px), TEMPLATE_112 / 112, atol=1e-6)


def test_points_of_a_picture_that_is_cut_in_the_middle() -> None:
    """A picture of 301 x 200 loses 50 pixels at the left; the middle of pixel x of 200 comes to (x + .5) * .56 - .5 of 112."""
    points = np.array([[110.0, 60], [180, 60], [145, 100], [120, 140], [170, 140]])
    expected = np.stack([(points[:, 0] - 50 + 0.5) * 0.56 - 0.5, (points[:, 1] + 0.5) * 0.56 - 0.5], 1) / 112
    shares = in_the_middle(np.stack([points, points[::-1]]), np.array([[301, 200], [301, 200]]), 112)
    assert np.allclose(shares[0], expected, atol=1e-6)
    assert np.isnan(shares[1]).all(), "the mouth above the eyes: no face"
    as_it_is = in_the_middle(TEMPLATE_112[None], np.array([[112, 112]]), 112)
    assert np.allclose(as_it_is[0], TEMPLATE_112 / 112, atol=1e-6)


def test_in_the_mirror_left_is_right() -> None:
    points = np.array([[[0.3, 0.4], [0.7, 0.41], [0.52, 0.6], [0.35, 0.8], [0.66, 0.79]]], np.float32)
    expected = [[0.3, 0.41], [0.7, 0.4], [0.48, 0.6], [0.34, 0.79], [0.65, 0.8]]
    assert np.allclose(mirrored(points)[0], expected)
    assert np.allclose(mirrored(mirrored(points)), points)


def test_generated_faces_know_where_their_eyes_are(tiny: Dataset) -> None:
    """They are placed by their landmarks, up to the shift and scale of their shot; see test_scene for the exact ones."""
    points = points_of(tiny, 112)
    assert points is not None
    assert points.shape == (len(tiny.images), 5, 2)
    assert np.abs(points.mean(0) - TEMPLATE_112 / 112).max() < 0.03
    assert 0.005 < points.std(0).mean() < 0.1


def test_points_go_with_their_images(tiny: Dataset, tmp_path: Path) -> None:
    """Of a data set without some of its images, and another fingerprint for other points."""
    points = points_of(tiny, 112)
    assert points is not None
    rows = np.array([0, 5])
    write_without(tiny, rows, tmp_path / "less", {}, {}, "")
    left = Dataset(tmp_path / "less", tiny.info)
    assert np.array_equal(points_of(left, 112), np.delete(points, rows, axis=0))
    images = tiny.images.assign(dataset="x")
    more = {"kind": "demo", "attribute": "Group", "groups": tiny.groups, "images": images, "pairs": PAIRS.build()}
    pixels, recipe = np.asarray(tiny.pixels), DemoData().model_dump(mode="json")
    made = [
        write_dataset(
            tmp_path / f"{number}", NewDataset(dataset_id="x", pixels=pixels, recipe=recipe, points=given, **more)
        )
        for number, given in enumerate((points, points + 0.01, None, np.full_like(points, np.nan)))
    ]
    assert len({data.fingerprint for data in made}) == 3
    assert [has_points(data) for data in made] == [True, True, False, False]
