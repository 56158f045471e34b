"""Measured traits, against Pillow, scipy and closed forms."""

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, laplace

from fairlab.data.pixel_traits import measured


def test_they_are_what_other_libraries_measure() -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 40, 32, 3), dtype=np.uint8)
    found = measured(images)
    for number, image in enumerate(images):
        grey = np.asarray(Image.fromarray(image).convert("L"), float) / 255  # rounded to whole steps
        assert found["brightness"][number] == pytest.approx(grey.mean(), abs=1 / 255)
        assert found["contrast"][number] == pytest.approx(grey.std(), abs=1 / 255)
        exact = image @ np.array([299, 587, 114]) / 255_000
        assert found["sharpness"][number] == pytest.approx(np.log10(laplace(exact)[1:-1, 1:-1].var() + 1e-8), abs=1e-9)
        assert found["skin brightness"][number] == pytest.approx(exact[20:30, 8:24].mean())
        assert found["uneven light"][number] == pytest.approx(abs(exact[:, :16].mean() - exact[:, 16:].mean()))


def test_known_pictures() -> None:
    """Half black, half white: brightness and contrast one half, light as uneven as it can be; a blank image has no contrast."""
    half = np.zeros((1, 10, 10, 3), np.uint8)
    half[:, :, 5:] = 255
    blank = np.full((1, 10, 10, 3), 51, np.uint8)
    found = {name: values.tolist() for name, values in measured(np.concatenate([half, blank])).items()}
    assert found["brightness"] == pytest.approx([0.5, 0.2])
    assert found["contrast"] == pytest.approx([0.5, 0.0], abs=1e-12)
    assert found["uneven light"] == pytest.approx([1.0, 0.0], abs=1e-12)
    assert found["sharpness"][1] == pytest.approx(-8)


def test_a_blurred_face_is_less_sharp() -> None:
    image = np.random.default_rng(1).integers(0, 256, (48, 48, 3)).astype(np.uint8)
    soft = gaussian_filter(image.astype(float), (1, 1, 0)).astype(np.uint8)
    sharp, blurred = measured(np.stack([image, soft]))["sharpness"]
    assert blurred < sharp - 0.5
