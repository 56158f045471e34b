"""The skin of a person: one picture wrapped around the head, painted from their texture factors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from fairlab.data.head import AXIS_Z, BOTTOM_Y, TOP_Y, Head, around
from fairlab.data.people import generator

HEIGHT, WIDTH = 208, 256

_SKIN = ((247, 220, 200), (236, 198, 170), (215, 168, 134), (180, 130, 96), (134, 91, 66), (86, 57, 44))
_HAIR = ((20, 17, 16), (38, 27, 22), (70, 47, 32), (110, 74, 44), (160, 120, 74))
_IRIS = ((46, 28, 18), (78, 50, 28), (104, 84, 48), (92, 112, 92), (96, 130, 158))


@dataclass(frozen=True)
class Atlas:
    """Where every texel (HEIGHT, WIDTH) lies on the mean head, and fields of noise that every person shares."""

    angle: np.ndarray
    """Radians about the upright axis, 0 in front."""
    x: np.ndarray
    y: np.ndarray
    """Place on the mean head."""
    coarse: np.ndarray
    """Smooth noise, standard deviation 1 ..."""
    middle: np.ndarray
    """... of medium grain ..."""
    fine: np.ndarray
    """... and one texel wide."""
    strands: np.ndarray
    """Noise drawn out along the hair."""


@dataclass(frozen=True)
class Skin:
    """What `raster._shade` needs to know of a person besides their shape."""

    texture: np.ndarray
    """(HEIGHT, WIDTH, 4) float32: linear RGB and share of hair."""
    colours: np.ndarray
    """(4, 3) float32 linear RGB: iris, lips, hair, eye white."""
    lip_strength: float
    gloss: float
    hair_rise: np.ndarray
    """(V,) float32: how far the hair lifts each vertex of the head off the skull."""
    hair_length: float
    """How far the hair hangs below the skull; 0: short."""


def make_atlas(head: Head) -> Atlas:
    """The atlas of `head`."""
    angle = ((np.arange(WIDTH) + 0.5) / WIDTH - 0.5) * 2 * np.pi
    height = TOP_Y - (np.arange(HEIGHT) + 0.5) / HEIGHT * (TOP_Y - BOTTOM_Y)
    grid_angle, grid_y = np.meshgrid(angle, height)
    points = head.mean[head.skin]
    outer = np.hypot(points[:, 0], points[:, 2] - AXIS_Z)
    tree = cKDTree(np.stack([around(points) * 1.3, points[:, 1]], 1))
    distance, nearest = tree.query(np.stack([grid_angle.ravel() * 1.3, grid_y.ravel()], 1), k=5)
    weight = 1.0 / (distance + 0.01) ** 2
    radius = ((outer[nearest] * weight).sum(1) / weight.sum(1)).reshape(grid_y.shape)
    noise = generator(20240816)  # shared by everybody; a person takes it from another place

    def field(sigma: tuple[float, float]) -> np.ndarray:
        smooth = gaussian_filter(noise.standard_normal((HEIGHT, WIDTH)), sigma, mode="wrap")
        return (smooth / smooth.std()).astype(np.float32)

    return Atlas(
        *(part.astype(np.float32) for part in (grid_angle, radius * np.sin(grid_angle), grid_y)),
        *(field(sigma) for sigma in ((9.0, 9.0), (2.5, 2.5), (0.7, 0.7), (5.0, 0.7))),
    )


@cache
def _linear(stops: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    return (np.array(stops) / 255.0) ** 2.2


def _colour(stops: tuple[tuple[int, int, int], ...], place: float) -> np.ndarray:
    """Linear RGB (3,) at `place` 0..1 along the stops (sRGB)."""
    table = _linear(stops)
    at = min(max(place, 0.0), 1.0) * (len(table) - 1)
    low = min(int(at), len(table) - 2)
    return table[low] + (at - low) * (table[low + 1] - table[low])


def _step(low: float, high: float, value: np.ndarray | float) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((np.asarray(value) - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _mix(texture: np.ndarray, colour: np.ndarray, share: np.ndarray) -> None:
    """Blend `colour` (3,) into the RGB of `texture` by `share` (H, W) 0..1."""
    share = share[..., None]
    texture[..., :3] += share * (colour.astype(np.float32) - texture[..., :3])


def _hairline(angle: np.ndarray, factors: dict[str, float]) -> np.ndarray:
    """Height above which hair grows, by the angle (in radians) about the head."""
    front = 1.0 + 0.13 * factors["hairline"]
    corner = front + 0.12 * max(factors["temples"], -0.6)
    at = (0.0, 14.0, 32.0, 50.0, 64.0, 76.0, 84.0, 98.0, 112.0, 140.0, 180.0)
    line = (front, front + 0.01, corner, front - 0.16, 0.45, 0.0, -0.32, -0.05, -0.55, -1.0, -1.1)
    return np.interp(np.abs(np.degrees(angle)), at, line).astype(np.float32)


def paint(person_factors: dict[str, float], seed: tuple[int, ...], head: Head, atlas: Atlas) -> Skin:
    """The skin of a person with these texture factors; `seed` places their moles, freckles and spots."""
    f = person_factors
    rng = generator(*seed, 7)
    shift = (int(rng.integers(0, HEIGHT)), int(rng.integers(0, WIDTH)))
    coarse, middle, fine, strands = (
        np.roll(field, shift, (0, 1)) for field in (atlas.coarse, atlas.middle, atlas.fine, atlas.strands)
    )
    angle, x, y = atlas.angle, atlas.x, atlas.y
    front = np.abs(angle) < 1.9
    tone = 1.0 / (1.0 + np.exp(-1.25 * f["tone"]))
    skin = _colour(_SKIN, tone) * np.exp(0.09 * f["warmth"] * np.array([0.6, -0.1, -1.0]))
    red = skin * np.array([1.0, 0.62, 0.62])
    dark = skin * np.array([0.50, 0.42, 0.40])
    hair_place = 0.30 + 0.24 * f["hair_colour"] - 0.42 * (tone - 0.35)
    hair = _colour(_HAIR, hair_place)
    brow = _colour(_HAIR, hair_place - 0.1 + 0.1 * f["brow_colour"]) * 0.9

    texture = np.empty((HEIGHT, WIDTH, 4), np.float32)
    texture[..., :3] = skin
    texture[..., :3] *= (1.0 + 0.035 * coarse + 0.02 * middle + 0.015 * fine)[..., None]
    _mix(texture, dark, np.clip(0.05 + 0.09 * f["spots"], 0.0, 0.3) * _step(0.9, 2.0, middle))

    # redness: cheeks, nose tip, ears
    cheeks = np.exp(-(((np.abs(x) - 0.72) / 0.28) ** 2) - ((y + 0.52) / 0.26) ** 2) * front
    nose = np.exp(-((x / 0.2) ** 2) - ((y + 0.58) / 0.2) ** 2) * front
    _mix(texture, red, np.clip(0.28 + 0.3 * f["cheek_red"], 0.0, 0.85) * cheeks)
    _mix(texture, red, np.clip(0.22 + 0.25 * f["nose_red"], 0.0, 0.8) * nose)
    # eye shadow: below and above the eyes
    below = np.exp(-(((np.abs(x) - 0.48) / 0.26) ** 2) - ((y + 0.25) / 0.11) ** 2) * front
    lids = np.exp(-(((np.abs(x) - 0.5) / 0.3) ** 2) - ((y - 0.08) / 0.16) ** 2) * front
    _mix(texture, dark, np.clip(0.14 + 0.22 * f["eye_shadow"], 0.0, 0.6) * below)
    _mix(texture, dark, np.clip(0.16 + 0.20 * f["eye_shadow"], 0.0, 0.55) * lids)
    # freckles on nose and cheeks
    where = np.exp(-((x / 0.85) ** 2) - ((y + 0.42) / 0.36) ** 2) * front
    _mix(texture, dark, np.clip(0.30 * f["freckles"] - 0.05, 0.0, 0.6) * where * _step(0.9, 1.5, fine))
    # beard and moustache
    jaw = _step(0.0, 0.35, -0.78 - 0.35 * np.cos(np.clip(1.25 * angle, -1.6, 1.6)) - y + 0.95 * np.abs(np.sin(angle)) ** 3)
    cheek_free = 1.0 - np.exp(-((x / 0.46) ** 2) - ((y + 1.12) / 0.22) ** 2)
    neck = 1.0 - _step(0.0, 0.3, -1.72 - y)
    stubble = (0.72 + 0.22 * strands).clip(0.0, 1.0) * front
    beard = np.clip(0.42 * f["beard"] - 0.25, 0.0, 0.8) * jaw * cheek_free * neck * stubble
    lip_top = -0.98 - 0.12 * np.minimum(np.abs(x) / 0.4, 1.4) ** 2
    moustache = np.exp(-((x / 0.42) ** 4)) * _step(-0.16, -0.06, lip_top + 0.16 - y) * _step(0.0, 0.05, y - lip_top)
    moustache = np.clip(0.42 * f["moustache"] - 0.3, 0.0, 0.8) * moustache * stubble
    _mix(texture, hair * 0.9, beard)
    _mix(texture, hair * 0.9, moustache)
    # brows: a curve over each eye, thin at its outer end
    inner, outer = 0.15 - 0.02 * f["brow_length"], 0.84 + 0.07 * f["brow_length"]
    along = (np.abs(x) - inner) / (outer - inner)
    curve = 0.37 + 0.045 * f["brow_height"] + (0.06 + 0.05 * f["brow_arch"]) * (1.0 - ((along - 0.62) / 0.62) ** 2)
    thick = np.maximum(0.07 + 0.028 * f["brow_width"], 0.018) * (1.0 - 0.65 * np.clip(along, 0.0, 1.0) ** 2)
    inside = _step(-0.06, 0.06, along) * (1.0 - _step(0.92, 1.04, along)) * front
    brows = inside * np.exp(-np.abs((y - curve) / thick) ** 3) * (0.85 + 0.12 * middle)
    _mix(texture, brow, np.clip((0.72 + 0.12 * f["brow_colour"]) * brows, 0.0, 0.92))
    # moles: three, anywhere on the face
    for _ in range(3):
        mole_x, mole_y, size = rng.uniform(-0.95, 0.95), rng.uniform(-1.35, 0.85), rng.uniform(0.022, 0.045)
        strength = np.clip(0.35 + 0.45 * f["moles"] + 0.3 * rng.standard_normal(), 0.0, 0.9)
        spot = np.exp(-((((x - mole_x) ** 2 + (y - mole_y) ** 2) / size**2) ** 2)) * front
        _mix(texture, dark * 0.5, strength * spot)
    # hair on the skull
    line = _hairline(angle, f)
    grown = _step(-0.05, 0.07, y - line + 0.03 * strands)
    texture[..., 3] = grown
    _mix(texture, hair, grown)
    texture[..., :3] *= (1.0 + grown * (0.22 * strands + 0.05 * fine))[..., None]
    np.clip(texture, 0.002, 1.0, out=texture)

    lips = skin * np.array([0.80, 0.45, 0.46]) * np.exp(0.16 * f["lip_colour"] * np.array([0.6, -0.9, -0.6]))
    rise = max(0.10 + 0.07 * f["hair_volume"], 0.01)
    mean = head.mean
    height = mean[:, 1] - _hairline(around(mean), f)
    return Skin(
        texture=texture,
        colours=np.array([_colour(_IRIS, 0.30 + 0.28 * f["iris"] - 0.4 * (tone - 0.35)), lips, hair, (0.66, 0.62, 0.59)], np.float32),
        lip_strength=float(np.clip(0.62 + 0.2 * f["lip_depth"], 0.15, 1.0)),
        gloss=float(np.clip(0.09 + 0.035 * f["gloss"], 0.0, 0.2)),
        hair_rise=(rise * _step(-0.02, 0.35, height) * head.skin * (mean[:, 1] > 0.1)).astype(np.float32),
        hair_length=float(max(0.9 * f["hair_length"], 0.0)),
    )  # fmt: skip
