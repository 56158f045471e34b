"""Where a face's five points belong in an aligned crop, and the similarity that brings them there."""

from __future__ import annotations

import numpy as np
from PIL import Image

RULE = "landmarks to template"
"""How faces are brought to the template; part of the fingerprint of data whose faces are (see data.base)."""

TEMPLATE_112 = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""x, y in a 112 x 112 crop of: the eyes (the one on the picture's left first), nose tip, mouth corners
(ditto).

The template that ArcFace and its followers align with (Deng et al., arXiv 1801.07698, as in insightface).
"""


def similarity(points: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The (2, 3) map x -> A x + b (rotation, one scale, shift) with the least squared error from points to
    targets.

    Both (N, 2), N >= 2, with the same handedness; a mirrored cloud is not unmirrored. Closed form: with
    complex numbers the map is z -> p z + q, and p is the regression of the centred targets on the centred
    points.
    """
    source = points[:, 0] + 1j * points[:, 1]
    target = targets[:, 0] + 1j * targets[:, 1]
    centred = source - source.mean()
    turn = (np.conj(centred) @ (target - target.mean())) / (np.abs(centred) ** 2).sum()
    shift = target.mean() - turn * source.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def template(px: int) -> np.ndarray:
    """The five points (5, 2) in a crop of `px` pixels.

    A multiple of 128 has the 112-px face shifted by 8/128 of the width to the right, as insightface's crops do.
    """
    if px % 112 and px % 128 == 0:
        scale = px / 128
        return TEMPLATE_112 * scale + np.array([8.0 * scale, 0.0])
    return TEMPLATE_112 * (px / 112)


def from_crop(landmarks: np.ndarray, px: int) -> np.ndarray:
    """The (2, 3) map from a crop of `px` pixels to the image in which a face has its five `landmarks` (5, 2).

    The similarity is fitted from the landmarks to the template, and then inverted: the errors are least in the crop, as
    in insightface's norm_crop. Fitted the other way round, a turned face comes out too large.
    """
    forward = similarity(landmarks, template(px))
    back = np.linalg.inv(forward[:, :2])
    return np.column_stack([back, -back @ forward[:, 2]])


def crop(image: np.ndarray, landmarks: np.ndarray, px: int) -> np.ndarray:
    """The face of `image` (H, W, 3) uint8 with its five `landmarks` (5, 2) brought to the template: (px, px, 3).

    Bilinear and rounded; what lies outside the image is black, and its border pixels fade into that, as in OpenCV's
    warpAffine. Pixel (0, 0) is the centre of the first pixel, as landmarks of this field count (Pillow's own affine map
    counts from the corner: hence the halves). `landmarks` must be those of a face (see fairlab.data.landmarks).
    """
    there = from_crop(landmarks, px)
    corners = np.array([[0, 0, 1], [px - 1, 0, 1], [0, px - 1, 1], [px - 1, px - 1, 1]]) @ there.T
    limit = np.array([image.shape[1], image.shape[0]])
    first = np.clip(np.floor(corners.min(0)).astype(int), -1, limit)  # one black pixel around the image
    last = np.clip(np.floor(corners.max(0)).astype(int) + 2, first + 1, limit + 1)
    inside = slice(max(first[1], 0), max(last[1], 0)), slice(max(first[0], 0), max(last[0], 0))
    part = image[inside]
    block = np.zeros((3, *(last - first)[::-1]), np.float32)  # Pillow cuts whole numbers off instead of rounding
    top, left = np.maximum(-first[::-1], 0)
    block[:, top : top + part.shape[0], left : left + part.shape[1]] = part.transpose(2, 0, 1)
    (a, b, c), (d, e, f) = there
    c, f = c - first[0], f - first[1]
    halves = tuple(float(x) for x in (a, b, c + 0.5 - 0.5 * (a + b), d, e, f + 0.5 - 0.5 * (d + e)))
    warped = [
        Image.fromarray(channel).transform((px, px), Image.Transform.AFFINE, halves, Image.Resampling.BILINEAR)
        for channel in block
    ]
    return np.rint(np.stack([np.asarray(channel) for channel in warped], axis=2)).astype(np.uint8)
