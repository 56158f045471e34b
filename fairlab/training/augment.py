"""RandAugment (arXiv 1909.13719): every image changed by a few operations of its published list, all equally strong.

What happens to an image depends on nothing but (seed, pass, sample), so a resumed run sees the same images.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from fairlab.training.loader import AUGMENT, stream

STRONGEST = 30
"""The top of the scale of magnitudes, on which MST-KD's code has 16; the paper's own scale ends at 10 for the same."""
GREY = (128, 128, 128)
"""What comes in from outside the image, as in AutoAugment's code: nearly zero for the network."""


def _moved(image: Image.Image, across: tuple[float, float, float], down: tuple[float, float, float]) -> Image.Image:
    """The pixel at (x, y) is taken from (across . (x, y, 1), down . (x, y, 1))."""
    return image.transform(image.size, Image.Transform.AFFINE, (*across, *down), fillcolor=GREY)


def _posterized(image: Image.Image, level: float) -> Image.Image:
    return ImageOps.posterize(image, 8 - round(4 * level))


OPERATIONS: dict[str, Callable[[Image.Image, float, int], Image.Image]] = {
    "identity": lambda image, level, sign: image,
    "auto_contrast": lambda image, level, sign: ImageOps.autocontrast(image),
    "equalize": lambda image, level, sign: ImageOps.equalize(image),
    "rotate": lambda image, level, sign: image.rotate(sign * 30 * level, fillcolor=GREY),
    "solarize": lambda image, level, sign: ImageOps.solarize(image, round(256 * (1 - level))),
    "colour": lambda image, level, sign: ImageEnhance.Color(image).enhance(1 + sign * 0.9 * level),
    "posterize": lambda image, level, sign: _posterized(image, level),
    "contrast": lambda image, level, sign: ImageEnhance.Contrast(image).enhance(1 + sign * 0.9 * level),
    "brightness": lambda image, level, sign: ImageEnhance.Brightness(image).enhance(1 + sign * 0.9 * level),
    "sharpness": lambda image, level, sign: ImageEnhance.Sharpness(image).enhance(1 + sign * 0.9 * level),
    "shear_x": lambda image, level, sign: _moved(image, (1, sign * 0.3 * level, 0), (0, 1, 0)),
    "shear_y": lambda image, level, sign: _moved(image, (1, 0, 0), (sign * 0.3 * level, 1, 0)),
    "translate_x": lambda image, level, sign: _moved(
        image, (1, 0, round(sign * 150 / 331 * image.width * level)), (0, 1, 0)
    ),
    "translate_y": lambda image, level, sign: _moved(
        image, (1, 0, 0), (0, 1, round(sign * 150 / 331 * image.height * level))
    ),
}
"""operation(image, level 0..1, sign): the list and ranges of AutoAugment (arXiv 1805.09501, table 6)."""
_LIST = tuple(OPERATIONS.values())


class RandAugment:
    """What pass `epoch` does to its `count` samples: each gets `operations` draws with replacement, in their order."""

    def __init__(self, seed: int, epoch: int, count: int, operations: int, magnitude: int) -> None:
        draws = stream(seed, AUGMENT, epoch)
        self.chosen = draws.integers(0, len(_LIST), (count, operations), dtype=np.uint8)
        self.signs = draws.integers(0, 2, (count, operations), dtype=np.int8) * 2 - 1
        self.level = magnitude / STRONGEST

    def __call__(self, images: np.ndarray, positions: np.ndarray) -> None:
        """Change images (B, H, W, 3) uint8 RGB, those of the samples at `positions` (B,), in their place."""
        for place, position in enumerate(positions.tolist()):
            image = Image.fromarray(images[place])
            for number, sign in zip(self.chosen[position].tolist(), self.signs[position].tolist(), strict=True):
                image = _LIST[number](image, self.level, sign)
            images[place] = np.asarray(image)
