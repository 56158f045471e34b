"""Traits that need no model: how bright, contrasty, sharp and evenly lit an aligned face is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fairlab.data.dataset import Dataset

AT_ONCE = 256
"""Images in memory at a time."""
LUMA = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue (ITU-R BT.601), as Pillow's grey has them."""
MEANINGS = {
    "brightness": "mean luma of the image, 0 black to 1 white",
    "contrast": "standard deviation of the luma, 0 to 0.5",
    "sharpness": "log10 of the variance of the luma's Laplacian; 0.3 more is twice the variance",
    "skin brightness": "mean luma of cheeks and nose: the middle half of the columns, half to three quarters down; skin tone and light",
    "uneven light": "difference of the mean luma of left and right half, 0 to 1",
}
FLOOR = 1e-8
"""Added to the Laplacian's variance: a blank image has none."""


def measured(images: np.ndarray) -> dict[str, np.ndarray]:
    """Values (B,) of each of MEANINGS, of aligned faces (B, H, W, 3) uint8.

    Sharpness: variance of the Laplacian (Pech-Pacheco et al., ICPR 2000), at the size in which the images are; it also sees
    noise. Contrast: root mean square contrast (Peli, JOSA A 1990).
    """
    luma = images.astype(np.float64) @ LUMA / 255
    height, width = luma.shape[1:]
    inner = luma[:, 1:-1, 1:-1]
    beside = luma[:, :-2, 1:-1] + luma[:, 2:, 1:-1] + luma[:, 1:-1, :-2] + luma[:, 1:-1, 2:]
    skin = luma[:, height // 2 : height * 3 // 4, width // 4 : width * 3 // 4]
    left, right = luma[:, :, : width // 2], luma[:, :, (width + 1) // 2 :]
    over = (1, 2)
    return {
        "brightness": luma.mean(over),
        "contrast": luma.std(over),
        "sharpness": np.log10((beside - 4 * inner).var(over) + FLOOR),
        "skin brightness": skin.mean(over),
        "uneven light": np.abs(left.mean(over) - right.mean(over)),
    }


def measure(data: Dataset, progress: Callable[[int, int], None] = lambda _done, _total: None) -> dict[str, np.ndarray]:
    """The same of all N images of a data set, (N,) each. Raises FairLabError where it has no images, or one cannot be read."""
    pixels, count = data.pixels, len(data.images)
    found = {name: np.empty(count) for name in MEANINGS}
    for start in range(0, count, AT_ONCE):
        for name, values in measured(np.asarray(pixels[start : start + AT_ONCE])).items():
            found[name][start : start + AT_ONCE] = values
        progress(min(start + AT_ONCE, count), count)
    return found
