"""The skin of a person: one picture wrapped around the head, painted from their texture factors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from fairlab.data.demo.head import AXIS_Z, BOTTOM_Y, TOP_Y, Head, around
from fairlab.data.demo.people import generator

HEIGHT, WIDTH = 208, 256

_SKIN = ((247, 220, 200), (236, 198, 170), (215, 168, 134), (180, 130, 96), (134, 91, 66), (86, 57, 44))
_HAIR = ((20, 17, 16), (38, 28, 23), (70, 47, 32), (112, 70, 42), (150, 108, 66), (184, 150, 104))
_IRIS = ((46, 28, 18), (78, 50, 28), (104, 84, 48), (92, 112, 92), (96, 130, 158))


@dataclass(frozen=True)
class Atlas:
    """Where every texel lies on the mean head, where things grow, and fields of noise that every person
    shares.

    All arrays are (HEIGHT, WIDTH) float32, those of `places` and x, y only its part `face`.
    """

    angle: np.ndarray
    """(WIDTH,) radians about the upright axis, 0 in front."""
    height: np.ndarray
    """(HEIGHT,) of the rows, on the mean head."""
    face: tuple[slice, slice]
    """Rows and columns of the face; nothing but hair and skin is painted elsewhere."""
    x: np.ndarray
    y: np.ndarray
    places: dict[str, np.ndarray]
    """Shares 0..1: cheeks, nose, below (the eyes), lids, freckles, beard, moustache."""
    noise: dict[str, np.ndarray]
    """Standard deviation 1: coarse, blotch, middle, fine, strands (drawn out along the hair)."""


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
    rows, columns = np.flatnonzero(np.abs(height + 0.45) < 1.5), np.flatnonzero(np.abs(angle) < 1.75)
    face = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    around_face, y = np.meshgrid(angle[face[1]], height[face[0]])
    points = head.mean[head.skin]
    outer = np.hypot(points[:, 0], points[:, 2] - AXIS_Z)
    tree = cKDTree(np.stack([around(points) * 1.3, points[:, 1]], 1))
    distance, nearest = tree.query(np.stack([around_face.ravel() * 1.3, y.ravel()], 1), k=5)
    weight = 1.0 / (distance + 0.01) ** 2
    radius = ((outer[nearest] * weight).sum(1) / weight.sum(1)).reshape(y.shape)
    x = gaussian_filter(radius, 2.5, mode="nearest") * np.sin(around_face)  # the eye sockets lie deeper
    noise = generator(20240816)  # shared by everybody; a person takes it from another place

    def field(*sigma: float) -> np.ndarray:
        smooth = gaussian_filter(noise.standard_normal((HEIGHT, WIDTH)), sigma, mode="wrap")
        return (smooth / smooth.std()).astype(np.float32)

    return Atlas(
        angle=angle.astype(np.float32), height=height.astype(np.float32), face=face,
        x=x.astype(np.float32), y=y.astype(np.float32),
        places={name: share.astype(np.float32) for name, share in _places(around_face, x, y).items()},
        noise={
            "coarse": field(9.0, 9.0), "blotch": field(4.5, 4.5), "middle": field(2.5, 2.5), "fine": field(0.7, 0.7), "strands": field(5.0, 0.7),
        },
    )  # fmt: skip


def _places(angle: np.ndarray, x: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Where on the face what grows or reddens: shares 0..1."""

    def blot(across: np.ndarray, up: float, wide: float, tall: float) -> np.ndarray:
        return np.exp(-((across / wide) ** 2) - ((y - up) / tall) ** 2)

    side = np.abs(x)
    jaw = _step(
        0.0,
        0.3,
        -0.80 - 0.30 * np.cos(np.clip(1.25 * angle, -1.6, 1.6)) - y + 0.95 * np.abs(np.sin(angle)) ** 3,
    )
    lip_top = -0.97 - 0.10 * np.minimum(side / 0.4, 1.4) ** 2
    return {
        "cheeks": blot(side - 0.72, -0.52, 0.32, 0.28),
        "nose": blot(x, -0.58, 0.24, 0.22),
        "hollow": blot(side - 0.80, -0.88, 0.26, 0.26),
        "bridge": blot(x, -0.22, 0.16, 0.3),
        "chin": blot(x, -1.55, 0.3, 0.16),
        "corners": blot(side - 0.46, -1.15, 0.14, 0.22),
        "below": blot(side - 0.48, -0.25, 0.26, 0.11),
        "lids": blot(side - 0.5, 0.08, 0.3, 0.16),
        "freckles": blot(x, -0.42, 0.85, 0.36),
        "beard": jaw * (1.0 - blot(x, -1.10, 0.44, 0.24)) * (1.0 - _step(0.1, 0.4, -1.55 - y)),
        "moustache": np.exp(-((x / 0.46) ** 4))
        * _step(-0.02, 0.06, lip_top + 0.14 - y)
        * _step(0.0, 0.05, y - lip_top),
    }


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
    share = np.asarray(share, np.float32)
    for band in range(3):
        texture[..., band] += share * (np.float32(colour[band]) - texture[..., band])


def _hairline(angle: np.ndarray, factors: dict[str, float]) -> np.ndarray:
    """Height above which hair grows, by the angle (in radians) about the head."""
    front = 1.0 + 0.13 * factors["hairline"]
    corner = front + 0.12 * max(factors["temples"], -0.6)
    at = (0.0, 14.0, 32.0, 50.0, 64.0, 76.0, 84.0, 98.0, 112.0, 140.0, 180.0)
    line = (front, front + 0.01, corner, front - 0.16, 0.45, 0.0, -0.32, -0.05, -0.55, -1.0, -1.1)
    return np.interp(np.abs(np.degrees(angle)), at, line).astype(np.float32)


def paint(factors: dict[str, float], seed: tuple[int, ...], head: Head, atlas: Atlas) -> Skin:
    """The skin of a person with these texture factors; `seed` places their moles, freckles and spots."""
    f = factors
    rng = generator(*seed, 7)
    shift = (int(rng.integers(0, HEIGHT)), int(rng.integers(0, WIDTH)))
    noise = {name: np.roll(field, shift, (0, 1)) for name, field in atlas.noise.items()}
    tone = 1.0 / (1.0 + math.exp(-1.25 * f["tone"]))
    skin = _colour(_SKIN, tone) * np.exp(0.09 * f["warmth"] * np.array([0.6, -0.1, -1.0]))
    hair_place = 0.42 + 0.26 * f["hair_colour"] - 0.45 * (tone - 0.35)  # the darker the skin, the darker the hair
    hair = _colour(_HAIR, hair_place)

    texture = np.empty((HEIGHT, WIDTH, 4), np.float32)
    texture[..., :3] = skin
    texture[..., :3] *= (1.0 + 0.035 * noise["coarse"] + 0.02 * noise["middle"] + 0.015 * noise["fine"])[..., None]
    brow = _colour(_HAIR, hair_place - 0.1 + 0.08 * f["brow_colour"]) * 0.9
    _paint_face(
        texture[atlas.face],
        f,
        rng,
        skin,
        hair,
        brow,
        atlas,
        {name: field[atlas.face] for name, field in noise.items()},
    )
    grown = _step(-0.05, 0.07, atlas.height[:, None] - _hairline(atlas.angle, f) + 0.03 * noise["strands"])
    texture[..., 3] = grown
    _mix(texture, hair, grown)
    texture[..., :3] *= (1.0 + grown * (0.22 * noise["strands"] + 0.05 * noise["fine"]))[..., None]
    np.clip(texture, 0.002, 1.0, out=texture)

    iris = _colour(_IRIS, 0.30 + 0.28 * f["iris"] - 0.4 * (tone - 0.35))
    lips = (
        skin
        * np.array([0.80, 0.45, 0.46])
        * np.exp(0.5 * math.tanh(0.35 * f["lip_colour"]) * np.array([0.6, -0.9, -0.6]))
    )
    above = head.mean[:, 1] - _hairline(around(head.mean), f)
    rise = max(0.10 + 0.07 * f["hair_volume"], 0.01) * _step(-0.02, 0.35, above) * head.skin * (head.mean[:, 1] > 0.1)
    return Skin(
        texture=texture,
        colours=np.array([iris, lips, hair, (0.66, 0.62, 0.59)], np.float32),
        lip_strength=float(np.clip(0.62 + 0.25 * f["lip_depth"], 0.15, 1.0)),
        gloss=float(np.clip(0.08 + 0.03 * f["gloss"], 0.0, 0.18)),
        hair_rise=rise.astype(np.float32),
        hair_length=max(0.9 * f["hair_length"], 0.0),
    )


def _paint_face(
    texture: np.ndarray, f: dict[str, float], rng: np.random.Generator, skin: np.ndarray, hair: np.ndarray,
    brow: np.ndarray, atlas: Atlas, noise: dict[str, np.ndarray],
) -> None:  # fmt: skip
    """Paint redness, shadows, freckles, beard, brows and moles into the face's part of the texture, in place."""
    places, x, y = atlas.places, atlas.x, atlas.y
    red, dark = skin * np.array([1.0, 0.62, 0.62]), skin * np.array([0.50, 0.42, 0.40])

    pale = np.minimum(skin * np.array([1.10, 1.16, 1.18]), 0.9)

    def share(base: float, slope: float, factor: str, most: float) -> float:
        return min(max(base + slope * f[factor], 0.0), most)

    def grown(factor: str, usual: float) -> float:
        """0..1: little for most people, `usual` is the factor's value that gives half."""
        return 1.0 / (1.0 + math.exp(-1.6 * (f[factor] - usual)))

    def shade(factor: str, place: str, more: np.ndarray, strength: float) -> None:
        """Towards the colour `more` for positive, towards pale for negative values of the factor."""
        amount = math.tanh(0.3 * f[factor]) * strength
        _mix(texture, more if amount > 0 else pale, abs(amount) * places[place])

    _mix(texture, dark, share(0.05, 0.09, "spots", 0.3) * _step(0.9, 2.0, noise["middle"]))
    _mix(texture, red, 0.25 * places["cheeks"] + 0.2 * places["nose"])
    shade("cheek_red", "cheeks", red * np.array([1.0, 0.85, 0.85]), 1.0)
    shade("nose_red", "nose", red * np.array([1.0, 0.8, 0.8]), 1.0)
    shade("cheek_shade", "hollow", dark, 0.8)
    shade("nose_shade", "bridge", dark, 0.7)
    shade("chin_shade", "chin", dark, 0.7)
    shade("mouth_shade", "corners", dark, 0.8)
    _mix(texture, dark, 0.12 * places["below"] + 0.14 * places["lids"])
    shade("eye_shadow", "below", dark, 0.7)
    shade("eye_shadow", "lids", dark, 0.5)
    _mix(texture, dark, 0.7 * grown("freckles", 1.2) * places["freckles"] * _step(0.7, 1.4, noise["fine"]))
    blotches = _step(0.1, 0.9, noise["blotch"]) * grown("pigment", 0.9)
    _mix(texture, dark, 0.5 * blotches * places["freckles"])
    stubble = np.clip(0.8 + 0.1 * noise["strands"] + 0.12 * noise["fine"], 0.0, 1.0)
    whole = 0.35 + 0.65 * _step(-0.9, 0.3, noise["blotch"])  # few beards grow everywhere
    whiskers = 0.85 * np.maximum(
        grown("beard", 1.2) * places["beard"] * whole, grown("moustache", 1.2) * places["moustache"]
    )
    _mix(texture, hair * 0.9, whiskers * stubble)

    inner, outer = 0.15 - 0.02 * f["brow_length"], 0.84 + 0.07 * f["brow_length"]
    along = (np.abs(x) - inner) / (outer - inner)  # 0 beside the nose, 1 at the temple
    curve = 0.37 + 0.045 * f["brow_height"] + (0.06 + 0.05 * f["brow_arch"]) * (1.0 - ((along - 0.62) / 0.62) ** 2)
    thick = max(0.068 + 0.027 * f["brow_width"], 0.018) * (1.0 - 0.65 * np.clip(along, 0.0, 1.0) ** 2)
    ends = _step(-0.06, 0.06, along) * (1.0 - _step(0.92, 1.04, along))
    brows = (
        ends * (1.0 - _step(0.6, 1.25, np.abs((y - curve) / thick))) * np.clip(0.92 + 0.08 * noise["fine"], 0.0, 1.0)
    )
    _mix(texture, brow, share(0.78, 0.12, "brow_colour", 0.95) * brows)
    for _ in range(3):  # moles, anywhere on the face
        mole_x, mole_y, size = rng.uniform(-0.95, 0.95), rng.uniform(-1.35, 0.85), rng.uniform(0.022, 0.045)
        strength = share(0.1 + 0.2 * rng.standard_normal(), 0.3, "moles", 0.8)
        row, column = (
            int((atlas.y[0, 0] - mole_y) / (atlas.y[0, 0] - atlas.y[1, 0])),
            int(np.argmin(np.abs(x[0] - mole_x))),
        )
        near = (slice(max(row - 5, 0), row + 6), slice(max(column - 12, 0), column + 13))
        spot = np.exp(-((((x[near] - mole_x) ** 2 + (y[near] - mole_y) ** 2) / size**2) ** 2))
        _mix(texture[near], dark * 0.5, strength * spot)
