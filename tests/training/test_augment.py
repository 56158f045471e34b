"""RandAugment: what each operation does to pixels, and that nothing but seed, pass and sample decides."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from fairlab.training.augment import OPERATIONS, RandAugment
from fairlab.training.loader import ImageInputs

GREY = 128


def picture(px: int = 33) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (px, px, 3), dtype=np.uint8)


def done(name: str, pixels: np.ndarray, level: float, sign: int = 1) -> np.ndarray:
    return np.asarray(OPERATIONS[name](Image.fromarray(pixels), level, sign))


def test_the_list_is_the_published_one() -> None:
    """Fourteen operations (arXiv 1909.13719, section 3)."""
    assert len(OPERATIONS) == 14


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name not in ("auto_contrast", "equalize")])
def test_magnitude_zero_leaves_an_image_alone(name: str) -> None:
    for sign in (-1, 1):
        assert (done(name, picture(), 0.0, sign) == picture()).all()


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_but_one_does_something(name: str) -> None:
    tilted = picture() // 2
    assert (done(name, tilted, 0.6) != tilted).any() == (name != "identity")


def test_pixels_are_cut_and_turned_as_they_should_be() -> None:
    """By the definitions: at 15 of 30 posterize keeps 6 bits, solarize inverts from 128 on."""
    pixels = picture()
    assert (done("posterize", pixels, 0.5) == pixels & 0b11111100).all()
    assert (done("posterize", pixels, 1.0) == pixels & 0b11110000).all()
    assert (done("solarize", pixels, 0.5) == np.where(pixels < 128, pixels, 255 - pixels)).all()
    assert (done("solarize", pixels, 1.0) == 255 - pixels).all()


def test_strengths_of_colour_and_light() -> None:
    """Factors 1 +- 0.9: darkest is a tenth; no colour at all would be the luma; no contrast the mean luma."""
    pixels = np.full((8, 8, 3), (200, 100, 50), np.uint8)
    assert abs(done("brightness", pixels, 1.0, -1)[0, 0].astype(int) - (20, 10, 5)).max() <= 1
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    expected = luma + 0.1 * (np.array([200, 100, 50]) - luma)
    assert abs(done("colour", pixels, 1.0, -1)[0, 0] - expected).max() <= 1
    assert abs(done("contrast", pixels, 1.0, -1)[0, 0] - expected).max() <= 1  # one colour: its luma is the mean
    assert (done("sharpness", pixels, 1.0) == pixels).all()  # nothing to sharpen


def test_contrast_is_stretched_and_levels_are_spread() -> None:
    ramp = np.repeat(np.arange(64, 128, dtype=np.uint8)[None, :, None], 3, axis=2).repeat(64, axis=0)
    stretched = done("auto_contrast", ramp, 0.5)[0, :, 0].astype(int)
    assert abs(stretched - np.linspace(0, 255, 64)).max() <= 1
    spread = done("equalize", ramp, 0.5)[0, :, 0].astype(int)
    assert abs(spread - np.linspace(0, 255, 64)).max() <= 16  # Pillow rounds up on the way: all levels in use by then
    assert (np.diff(spread) >= 0).all()


def test_moves_are_in_pixels_and_grey_comes_in() -> None:
    """150 of 331 pixels at the top of the scale: 15 of 33; to either side."""
    pixels = picture(33)
    right, down = done("translate_x", pixels, 1.0, -1), done("translate_y", pixels, 1.0, -1)
    assert (right[:, 15:] == pixels[:, :18]).all()
    assert (right[:, :15] == GREY).all()
    assert (down[15:] == pixels[:18]).all()
    assert (done("translate_x", pixels, 1.0, 1)[:, :18] == pixels[:, 15:]).all()


def test_a_shear_moves_each_row_by_its_height_and_a_turn_is_a_turn() -> None:
    """0.3 pixels a row; a white cross turned by 30 degrees has its arms there."""
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:, 20] = 255
    sheared = done("shear_x", pixels, 1.0)
    for row in (0, 10, 30):
        assert abs(int(sheared[row, :, 0].argmax() if (sheared[row] == 255).any() else -99) - (20 - 0.3 * row)) <= 1
    turned = done("rotate", pixels, 1.0)
    (rows, columns) = np.nonzero((turned == 255).all(2))
    slope = np.polyfit(rows - 19.5, columns - 19.5, 1)[0]
    assert slope == pytest.approx(np.tan(np.radians(30)), abs=0.03)  # counter-clockwise


def test_operations_come_equally_often_with_either_sign() -> None:
    drawn = RandAugment(3, 0, 20_000, 4, 16)
    share = np.bincount(drawn.chosen.ravel(), minlength=14) / 80_000
    assert abs(share - 1 / 14).max() < 4 * np.sqrt(1 / 14 / 80_000)
    assert abs((drawn.signs == 1).mean() - 0.5) < 4 * 0.5 / np.sqrt(80_000)
    assert drawn.level == pytest.approx(16 / 30)


def test_the_same_image_is_changed_alike_in_any_batch_and_otherwise_in_another_pass() -> None:
    pixels = np.stack([picture()] * 6)
    source = ImageInputs(pixels, np.arange(6))
    none = np.zeros(6, bool)
    one, other = (source.changed(RandAugment(1, epoch, 6, 3, 16)) for epoch in (0, 1))
    whole = one.stored(np.arange(6), none)
    assert torch.equal(one.stored(np.array([4, 2]), none[:2]), whole[[4, 2]])
    assert not torch.equal(other.stored(np.arange(6), none), whole)
    assert len({image.numpy().tobytes() for image in whole}) > 3  # one picture, each sample its own change
    assert torch.equal(source.stored(np.arange(6), none), torch.from_numpy(pixels))  # what is embedded is unchanged
    assert one.depth == 2
