"""Measured traits against scikit-image, scipy and closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, laplace
from skimage.color import rgb2xyz

from fairlab.data.align import TEMPLATE_112
from fairlab.data.dataset import open_dataset
from fairlab.data.measured import FROM_PIXELS, as_traits, luminance, measure, skin_squares
from fairlab.data.points import LANDMARKS_FILE
from tests.data.shared_sets import data_of

SHARPNESS, BRIGHTNESS, CONTRAST, SKIN = range(4)


@pytest.fixture
def pixels() -> np.ndarray:
    """Six random pictures, from smooth to rough."""
    rng = np.random.default_rng(3)
    rough = rng.uniform(0, 255, (6, 40, 40, 3))
    smooth = [gaussian_filter(one, (sigma, sigma, 0)) for one, sigma in zip(rough, (6, 4, 2, 1, 0.5, 0), strict=True)]
    return np.round(smooth).astype(np.uint8)


def test_luminance_is_that_of_scikit_image(pixels: np.ndarray) -> None:
    """Y of CIE XYZ; scikit-image has 0.212671, 0.715160 and 0.072169 for the weights of Rec. 709."""
    wanted = np.stack([rgb2xyz(one)[..., 1] for one in pixels])
    assert luminance(pixels) == pytest.approx(wanted, abs=1e-4)
    found = measure(pixels)
    assert found[:, BRIGHTNESS] == pytest.approx(wanted.mean((1, 2)), abs=1e-4)
    assert found[:, CONTRAST] == pytest.approx(wanted.std((1, 2)), abs=1e-4)


def test_sharpness_is_the_variance_of_scipys_laplacian(pixels: np.ndarray) -> None:
    """Inside, where scipy's edges do not reach; it rises from the smoothest picture to the roughest."""
    luma = pixels.astype(np.float64) @ [0.299, 0.587, 0.114]
    wanted = [laplace(one)[1:-1, 1:-1].var() for one in luma]
    found = measure(pixels)[:, SHARPNESS]
    assert found == pytest.approx(wanted, rel=1e-4)
    assert (np.diff(found) > 0).all()


def test_even_pictures_in_closed_form() -> None:
    """Grey 188 is linear 0.5029; white above black has half the light and a deviation of a half; no Laplacian on a ramp."""
    grey = np.full((1, 112, 112, 3), 188, np.uint8)
    assert measure(grey)[0] == pytest.approx([0, 0.50289, 0, 0.50289], abs=1e-5)
    halves = np.zeros((1, 112, 112, 3), np.uint8)
    halves[:, :56] = 255
    assert measure(halves)[0, [BRIGHTNESS, CONTRAST]] == pytest.approx([0.5, 0.5], abs=1e-6)
    ramp = np.broadcast_to(np.arange(112, dtype=np.uint8)[None, None, :, None], (1, 112, 112, 3))
    assert measure(ramp)[0, SHARPNESS] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("px", [24, 48, 112, 128, 224])
def test_skin_is_the_two_cheeks_alone(px: int) -> None:
    """White squares below the eyes at the height of the nose count, what is elsewhere does not; a spot in one is no matter."""
    for square, eye in zip(skin_squares(112), (0, 1), strict=True):
        middle = (square.left + square.right - 1) / 2, (square.top + square.bottom - 1) / 2
        assert middle == pytest.approx((TEMPLATE_112[eye, 0], TEMPLATE_112[2, 1]), abs=0.6)
        assert square.right - square.left == pytest.approx(0.3 * 35.24, abs=1)
    picture = np.zeros((1, px, px, 3), np.uint8)
    for square in skin_squares(px):
        picture[:, square.top : square.bottom, square.left : square.right] = 255
    assert measure(picture)[0, SKIN] == pytest.approx(1)
    square = skin_squares(px)[0]
    if square.bottom - square.top > 2:
        picture[:, square.top, square.left] = 0
    assert measure(picture)[0, SKIN] == pytest.approx(1)
    assert measure(255 - picture)[0, SKIN] == pytest.approx(0)


def test_size_is_the_distance_between_the_eyes_where_landmarks_say(tmp_path: Path) -> None:
    data = data_of(tmp_path / "faces", {"a": ("X", 2), "b": ("Y", 1)})
    values = measure(np.asarray(data.pixels))
    assert [trait.name for trait in as_traits(data, values)] == list(FROM_PIXELS)
    landmarks = np.full((3, 5, 2), np.nan, np.float32)
    landmarks[0, :2], landmarks[1, :2] = [[10, 10], [13, 14]], [[0, 0], [0, 60]]
    np.save(data.folder / LANDMARKS_FILE, landmarks)
    *_, size = as_traits(open_dataset(data.folder), values)
    assert (size.name, size.source) == ("size", "measured")
    assert np.array_equal(size.values, [5, 60, np.nan], equal_nan=True)
