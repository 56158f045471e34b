from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from fairlab.data.demo.head import load_head
from fairlab.data.demo.raster import HAIR, SKIN, kernels
from fairlab.data.demo.scene import _rotation


def drawn(
    points: list[list[float]], triangles: list[list[int]], parts: list[int], size: int = 16
) -> tuple[np.ndarray, np.ndarray]:
    """The raster of a few triangles: (face, corner)."""
    depth, face = np.empty((size, size), np.float32), np.empty((size, size), np.int32)
    corner = np.zeros((size, size, 2), np.float32)
    kernels().raster(
        np.array(points, np.float32), np.array(triangles, np.int32), np.array(parts, np.int8), depth, face, corner
    )
    return face, corner


SQUARE = [[2.0, 2.0, 0.0], [2.0, 12.0, 0.0], [12.0, 12.0, 0.0], [12.0, 2.0, 0.0]]  # x right, y down
TOWARDS = [[0, 1, 2], [0, 2, 3]]


def test_a_square_covers_its_pixels_once() -> None:
    """10 x 10 pixels whose middles lie inside, no gap along the diagonal."""
    face, _ = drawn(SQUARE, TOWARDS, [SKIN, SKIN])
    assert (face >= 0).sum() == 100
    assert (face[2:12, 2:12] >= 0).all()


def test_the_weights_rebuild_the_place() -> None:
    """The corners, weighted, give back the middle of the pixel."""
    face, corner = drawn(SQUARE, TOWARDS, [SKIN, SKIN])
    places = np.array(SQUARE)
    for row, column in ((3, 9), (9, 3), (11, 11)):
        a, b = corner[row, column]
        found = np.array([a, b, 1 - a - b]) @ places[TOWARDS[face[row, column]]]
        assert found[:2] == pytest.approx([column + 0.5, row + 0.5], abs=1e-5)


def test_the_nearest_triangle_is_seen() -> None:
    """Whatever the order in which they are drawn: larger z is nearer."""
    near = [[x, y, 5.0] for x, y, _ in SQUARE]
    for shift, order in ((4, SQUARE + near), (0, near + SQUARE)):
        triangles = [[i + part for i in t] for part in (0, 4) for t in TOWARDS]
        face, _ = drawn(order, triangles, [SKIN] * 4)
        assert set(np.unique(face[2:12, 2:12]) // 2 * 4) == {shift}


def test_backs_are_left_out_except_hair() -> None:
    """A triangle seen from behind is not drawn, unless it is hair, which is a thin sheet."""
    away = [t[::-1] for t in TOWARDS]
    assert (drawn(SQUARE, away, [SKIN, SKIN])[0] == -1).all()
    assert (drawn(SQUARE, away, [HAIR, HAIR])[0] >= 0).sum() == 100


def test_triangles_outside_the_picture_do_no_harm() -> None:
    """Partly or wholly outside: clipped, nothing is written beyond the arrays."""
    face, _ = drawn([[-9.0, -9.0, 0.0], [-9.0, 99.0, 0.0], [99.0, -9.0, 0.0]], [[0, 1, 2]], [SKIN])
    assert (face == 0).all()
    assert (drawn([[50.0, 50.0, 0.0], [50.0, 60.0, 0.0], [60.0, 50.0, 0.0]], [[0, 1, 2]], [SKIN])[0] == -1).all()


def test_pose_is_rotation_and_perspective() -> None:
    """The same numbers as numpy: R (shape + sum of weighted units), divided by the distance; normals turn
    along.
    """
    head = load_head()
    rotation = _rotation(0.3, -0.2, 0.1)
    chosen, weights = np.array([24, 43]), np.array([0.5, 0.25], np.float32) * head.unit_scale[[24, 43]]
    points, normals = np.empty_like(head.mean), np.empty_like(head.mean)
    solid = head.triangles[head.part != HAIR]
    kernels().pose(head.mean, head.units, chosen, weights, rotation, solid, 14.0, points, normals)
    expected = (head.mean + np.einsum("k,kvc->vc", weights, head.units[chosen])) @ rotation.T
    scale = 14.0 / (14.0 - expected[:, 2:])
    assert np.allclose(points[:, :2], expected[:, :2] * scale, atol=1e-4)
    assert np.allclose(points[:, 2], expected[:, 2], atol=1e-4)
    kernels().pose(head.mean, head.units, chosen[:0], weights[:0], rotation, solid, 14.0, points, normals)
    assert np.allclose(normals, head.normals @ rotation.T, atol=2e-3)


def shaded(lights: np.ndarray, gloss: float = 0.0) -> np.ndarray:
    """The colour (3,) of a grey square of skin that faces the viewer, without gamma and roll-off undone."""
    texture = np.full((4, 4, 4), 0.5, np.float32)
    texture[..., 3] = 0.0
    face, corner = drawn(SQUARE, TOWARDS, [SKIN, SKIN])
    image = np.empty((8, 8, 3), np.float32)
    normals, masks = np.tile(np.float32([0, 0, 1]), (4, 1)), np.tile(np.float32([1, 0, 0]), (4, 1))
    look = np.array([0, gloss, 0.2, 0, 0, 0], np.float32)
    backdrop, colours, uv = np.zeros((3, 3), np.float32), np.zeros((4, 3), np.float32), np.full((4, 2), 0.5, np.float32)
    kernels().shade(
        face, corner, np.array(TOWARDS, np.int32), np.zeros(2, np.int8), normals, uv, masks, texture, colours, look, lights, backdrop, image
    )  # fmt: skip
    assert (image[0] == 0).all()  # the backdrop is black
    assert np.ptp(image[2:5, 2:5], axis=(0, 1)).max() < 1e-6
    return image[3, 3]


def displayed(light: float) -> float:
    return float((light / (1 + 0.18 * light**2)) ** (1 / 2.2))


def test_lambert_in_closed_form() -> None:
    """A key light at 60 degrees gives half the light to blue (no soft edge: (cos + w) / (1 + w) with w =
    0.135).
    """
    lights = np.zeros((6, 3), np.float32)
    lights[0], lights[1] = [np.sin(np.pi / 3), 0, 0.5], 1.0
    red, green, blue = shaded(lights)
    assert red == pytest.approx(displayed(0.5 * (0.5 + 0.3) / 1.3), abs=1e-5)
    assert green == blue == pytest.approx(displayed(0.5 * (0.5 + 0.135) / 1.135), abs=1e-5)


def test_light_from_all_around_in_closed_form() -> None:
    """A surface that faces the viewer gets half of the light from above and half of that from below."""
    lights = np.zeros((6, 3), np.float32)
    lights[0], lights[4], lights[5] = [0, 0, 1], [0.8, 0.8, 0.8], [0.2, 0.2, 0.2]
    assert shaded(lights)[2] == pytest.approx(displayed(0.5 * (0.4 + 0.1)), abs=1e-5)


def test_gloss_adds_a_highlight() -> None:
    """Where the key light is mirrored to the viewer, by as much as the gloss says."""
    lights = np.zeros((6, 3), np.float32)
    lights[0], lights[1] = [0, 0, 1], 0.6
    assert shaded(lights, gloss=0.1)[2] == pytest.approx(displayed(0.6 * (0.5 + 0.1)), abs=1e-5)


def test_looking_pages_do_not_pay_for_numba() -> None:
    """Importing everything of fairlab.data imports neither numba nor torch nor streamlit."""
    code = (
        "import sys\n"
        "from fairlab.data.listing import READERS\n"
        "assert 'folders' in READERS\n"
        "print([name for name in ('numba', 'torch', 'streamlit', 'umap') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
