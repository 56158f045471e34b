"""What differs from picture to picture: pose, expression, light, background, and what a camera spoils."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from fairlab.data.align import TEMPLATE_112, similarity
from fairlab.data.demo.head import Head
from fairlab.data.demo.raster import Kernels
from fairlab.data.demo.texture import Skin

CAMERA = 14.0
"""Distance of the camera, in units of the distance between the eyes."""
SAMPLES = 2
"""Samples per pixel, along each side."""
_PIVOT = np.array([0.0, -0.4, -1.0], np.float32)
_TWINS = {"Left": "Right", "Right": "Left"}


@dataclass(frozen=True)
class Shot:
    """Everything about one picture that is not about the person."""

    rotation: np.ndarray
    """(3, 3) float32."""
    chosen: np.ndarray
    """(n,) expression units ..."""
    weights: np.ndarray
    """... and how strong each is, 0..1."""
    crop: np.ndarray
    """(3,): scale and shift (x, y, shares of the picture) off the perfect alignment."""
    gaze: np.ndarray
    """(2,)"""
    pupil: float
    lights: np.ndarray
    """(6, 3) float32, see raster._shade."""
    backdrop: np.ndarray
    """(3, 3) float32, see raster._shade."""
    blur: float
    """Standard deviation in shares of the picture's width."""
    patch: np.ndarray | None
    """Something in front of the face: left, top, width, height (shares of the picture) and RGB; (7,)."""
    noise: float
    gamma: float
    balance: np.ndarray
    """(3,) the camera's white balance."""


def draw_shot(rng: np.random.Generator, head: Head, level: float, pose: float = 1.0, post: float = 1.0) -> Shot:
    """Draw a shot. `level` (0..1.5, usually 0.6) is the strength of everything; `pose` scales pose,
    expression and light, `post` what the camera spoils (the "synthetic" style: 0.45 and 0.4).
    """
    strength = level / 0.6
    turn, after = strength * pose, strength * post
    yaw, pitch, roll = np.clip(rng.standard_normal(3), -2.2, 2.2) * (0.21 * turn, 0.10 * turn, 0.02 * turn)
    chosen, weights = _expression(rng, head, turn)
    crop = rng.standard_normal(3) * (0.035, 0.012, 0.012) * strength

    side, height = rng.normal(0.0, 0.5 * turn), rng.normal(0.35, 0.3 * turn)
    key = np.array([side, height, 1.0])
    key /= np.linalg.norm(key)
    power = 0.85 * math.exp(rng.normal(0.0, 0.15 * turn))
    tint = np.exp(rng.normal(0.0, 0.05 * turn) * np.array([1.0, 0.1, -1.0]) + rng.normal(0.0, 0.02 * turn, 3))
    fill_power, ambient = np.exp(rng.normal(0.0, 0.3 * turn, 2)) * (0.16, 0.27)
    colours = rng.uniform(0.02, 0.8, (2, 3)) ** 1.6
    colours = 0.45 * colours + 0.55 * colours.mean(1, keepdims=True)  # rooms are rarely gaudy
    bearing, soft = rng.uniform(0.0, 2 * np.pi), rng.uniform(0.4, 1.4)
    bounce = 0.5 + 0.5 * colours.mean(0)
    lights = np.array(
        [
            key,
            power * tint,
            [-0.6 * np.sign(side), 0.1, 0.6],
            fill_power * np.ones(3),
            ambient * tint,
            0.6 * ambient * bounce,
        ]
    )
    lights[[1, 3, 4, 5]] *= math.exp(rng.normal(0.0, 0.13 * turn))
    backdrop = np.array([*colours, [math.cos(bearing) * soft, math.sin(bearing) * soft, 0.0]])

    blur = max(rng.normal(0.002, 0.009 * after), 0.0) if rng.random() < 0.6 else 0.0
    patch = None
    if rng.random() < 0.18 * min(after, 1.5):
        width, tall = rng.uniform(0.12, 0.30, 2)
        patch = np.array(
            [
                rng.uniform(0.05, 0.95 - width),
                rng.uniform(0.1, 0.95 - tall),
                width,
                tall,
                *rng.uniform(0.0, 1.0, 3),
            ]
        )
    return Shot(
        rotation=_rotation(yaw, pitch, roll), chosen=chosen, weights=weights, crop=crop,
        gaze=rng.normal(0.0, 0.12 * turn, 2).astype(np.float32),
        pupil=float(np.clip(rng.normal(0.2, 0.03), 0.12, 0.3)),
        lights=lights.astype(np.float32), backdrop=backdrop.astype(np.float32),
        blur=float(blur), patch=patch, noise=float(abs(rng.normal(0.0, 0.011 * after))),
        gamma=math.exp(rng.normal(0.0, 0.10 * after)), balance=np.exp(rng.normal(0.0, 0.03 * after, 3)),
    )  # fmt: skip


def style(split: str) -> tuple[float, float]:
    """(pose, post) of draw_shot for a split: the "synthetic" one is tamer than pictures of a camera."""
    return (0.45, 0.4) if split == "synthetic" else (1.0, 1.0)


def _expression(rng: np.random.Generator, head: Head, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """One to four random expression units, most of them with their twin on the other side."""
    weights: dict[int, float] = {}
    for unit in rng.choice(len(head.unit_names), rng.integers(1, 5), replace=False):
        weight = rng.uniform(0.0, 0.5) * min(strength, 1.3)
        name = head.unit_names[unit]
        weights[int(unit)] = weight
        for side, other in _TWINS.items():
            twin = name.removesuffix(side) + other
            if name.endswith(side) and twin in head.unit_names and rng.random() < 0.8 and "Look" not in name:
                weights[head.unit_names.index(twin)] = weight * rng.uniform(0.8, 1.2)
    chosen = np.array(sorted(weights), np.int64)
    return chosen, np.array([weights[unit] for unit in chosen.tolist()], np.float32)


def _rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """(3, 3) float32: turn to the side, then nod, then tilt (radians)."""
    (cy, sy), (cp, sp), (cr, sr) = ((math.cos(a), math.sin(a)) for a in (yaw, pitch, roll))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return (about_z @ about_x @ about_y).astype(np.float32)


@dataclass
class Canvas:
    """Working space of one thread for pictures of `px` pixels."""

    px: int
    vertices: int

    def __post_init__(self) -> None:
        size = self.px * SAMPLES
        self.points = np.empty((self.vertices, 3), np.float32)
        self.normals = np.empty((self.vertices, 3), np.float32)
        self.depth = np.empty((size, size), np.float32)
        self.face = np.empty((size, size), np.int32)
        self.corner = np.empty((size, size, 2), np.float32)
        self.image = np.empty((self.px, self.px, 3), np.float32)


def take(canvas: Canvas, head: Head, shape: np.ndarray, skin: Skin, shot: Shot, kernels: Kernels) -> np.ndarray:
    """Render a person: `shape` (V + hair, 3) float32 and `skin`. Returns (px, px, 3) float32 sRGB 0..1,
    clean.

    Aligned by construction: the five projected landmarks are brought to the 112 template, scaled to the
    picture.
    """
    scaled = shot.weights * head.unit_scale[shot.chosen]
    kernels.pose(
        shape - _PIVOT,
        head.units,
        shot.chosen,
        scaled,
        shot.rotation,
        head.triangles,
        CAMERA,
        canvas.points,
        canvas.normals,
    )
    points = canvas.points
    points[:, 1] *= -1.0
    found = np.array([points[which, :2].mean(0) for which in head.landmarks], np.float64)
    side = canvas.px * SAMPLES
    centre, scale = side / 2.0, 1.0 + shot.crop[0]
    wanted = TEMPLATE_112 * (side / 112.0)
    fit = similarity(found, (wanted - centre) * scale + centre + shot.crop[1:] * side)
    depth_scale = math.hypot(fit[0, 0], fit[1, 0])
    points[:, :2] = (points[:, :2] @ fit[:, :2].T.astype(np.float32)) + fit[:, 2].astype(np.float32)
    points[:, 2] *= depth_scale
    kernels.raster(points, head.triangles, head.part, canvas.depth, canvas.face, canvas.corner)
    look = np.array([skin.lip_strength, skin.gloss, shot.pupil, *shot.gaze, 0.05], np.float32)
    kernels.shade(
        canvas.face, canvas.corner, head.triangles, head.part, canvas.normals, head.uv, head.masks,
        skin.texture, skin.colours, look, shot.lights, shot.backdrop, canvas.image,
    )  # fmt: skip
    return canvas.image


def spoil(image: np.ndarray, shot: Shot, rng: np.random.Generator) -> np.ndarray:
    """The picture as the camera gives it: patch, white balance, gamma, blur, noise. Returns (P, P, 3) uint8."""
    px = len(image)
    result = image * shot.balance.astype(np.float32)
    if shot.patch is not None:
        left, top, width, height = np.round(shot.patch[:4] * px).astype(int)
        result[top : top + height, left : left + width] = shot.patch[4:]
    if shot.blur * px > 0.15:
        result = gaussian_filter(result, (shot.blur * px, shot.blur * px, 0.0), mode="nearest")
    result = np.clip(result, 0.0, 1.0) ** np.float32(shot.gamma)
    if shot.noise > 0.0:
        result = result + rng.standard_normal(result.shape, np.float32) * np.float32(shot.noise)
    return (np.clip(result, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
