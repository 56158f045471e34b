"""Pictures that show what alignment does: the points are where the data say, the faces where the template says."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
from PIL import Image

from fairlab.data.align import template
from fairlab.data.inspect.previews import TILE, alignment_strips, with_points
from fairlab.data.pixels import EncodedPixels

TURN = 1.9 * np.array([[np.cos(0.35), -np.sin(0.35)], [np.sin(0.35), np.cos(0.35)]])
LANDMARKS = (template(112) - 56) @ TURN.T + [210, 160]
"""Of a face that stands turned by 20 degrees and off the middle in a picture of 400 x 300."""


def dotted(landmarks: np.ndarray, height: int = 300, width: int = 400) -> bytes:
    """A dark picture with a soft bright dot at every landmark."""
    ys, xs = np.mgrid[:height, :width]
    dots = sum(np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * 4.0**2)) for x, y in landmarks)
    picture = np.repeat((255 * dots)[:, :, None], 3, 2).clip(0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


def centre(weight: np.ndarray, near: np.ndarray, within: float) -> np.ndarray:
    """(x, y) of the mean of `weight` (H, W) around a place."""
    ys, xs = np.mgrid[: weight.shape[0], : weight.shape[1]]
    weight = weight * (np.hypot(xs - near[0], ys - near[1]) < within)
    return np.array([(xs * weight).sum(), (ys * weight).sum()]) / weight.sum()


def test_a_face_with_known_landmarks_lands_on_the_template() -> None:
    """Of two images the second has no landmarks, so the strip is one face wide: above the picture, below the face."""
    files = [dotted(LANDMARKS), dotted(LANDMARKS)]
    landmarks = np.stack([LANDMARKS, np.full((5, 2), np.nan)])
    pixels = EncodedPixels(files.__getitem__, str, 2, 112, landmarks)
    (strip,) = alignment_strips(pixels, pd.DataFrame({"group": ["A", "A"]}))
    assert strip.shape == (2 * TILE, TILE, 3)
    before, after = strip[:TILE].astype(float), strip[TILE:].astype(float)
    for place in (template(112) + 0.5) * TILE / 112 - 0.5:
        assert np.abs(centre(after[:, :, 0], place, 14) - place).max() < 1
    coloured = before[:, :, 1] - before[:, :, 2]  # green and yellow hold no blue, the dots below and the grey do
    for place in (LANDMARKS + 0.5) * TILE / 400 - 0.5:
        assert np.abs(centre(coloured.clip(0), place, 6) - place).max() < 1
    assert (before[int(300 * TILE / 400) + 1 :] == 128).all()


def test_the_eye_on_the_picture_s_left_is_green() -> None:
    """Only the first of the five: left and right that were taken for each other are seen."""
    picture = with_points(
        np.zeros((TILE, TILE, 3), np.uint8), np.array([[50, 60], [150, 60], [100, 100], [60, 150], [140, 150]])
    )
    assert picture[60, 50].tolist() == [0, 230, 0]
    assert picture[60, 150].tolist() == picture[150, 60].tolist() == [255, 230, 0]


def test_a_group_without_a_readable_face_with_landmarks_is_grey() -> None:
    """One group's landmarks are unknown, the other's file is damaged: nothing is made up."""
    files = [dotted(LANDMARKS), b"no image"]
    pixels = EncodedPixels(files.__getitem__, str, 2, 112, np.stack([np.full((5, 2), np.nan), LANDMARKS]))
    strips = list(alignment_strips(pixels, pd.DataFrame({"group": ["A", "B"]})))
    assert [strip.shape for strip in strips] == [(2 * TILE, TILE, 3)] * 2
    assert all((strip == 128).all() for strip in strips)
