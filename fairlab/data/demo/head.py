"""The morphable head: a mesh, its targets and masks, and a sheet of hair; loaded once from assets/demo."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from functools import cache

import numpy as np

from fairlab.data.demo.raster import HAIR, LEFT_EYE, RIGHT_EYE, SKIN, TEETH
from fairlab.errors import Damaged
from fairlab.files import asset

AXIS_Z = -0.95
"""Depth of the upright axis about which hair and texture are wrapped."""
TOP_Y, BOTTOM_Y = 1.90, -3.10
"""Heights of the texture's first and last row, in units of the distance between the eyes."""

_SD = {
    "head": 0.16, "forehead": 0.22, "eyebrows": 0.45, "eyes": 0.45, "nose": 0.38, "cheek": 0.40, 
    "mouth": 0.36, "chin": 0.28, "ears": 0.15, "asym": 0.10, "macro": 0.30,
}  # fmt: skip
_SD_OF = {"macro-age": 0.18, "macro-sex": 0.8, "mouth-trans": 0.15, "forehead-nubian": 0.15}


@dataclass(frozen=True)
class Head:
    """The mean head and how it can change. Lengths in units of the distance between the eyes; x right, y up,
    z front.

    The last `len(anchor)` vertices are the sheet of hair, the others the head (V of them).
    """

    mean: np.ndarray
    """(V, 3) float32 mean head."""
    triangles: np.ndarray
    """(T, 3) int32, those of the hair last."""
    part: np.ndarray
    """(T,) int8, see fairlab.data.demo.raster."""
    targets: np.ndarray
    """(F, V, 3) float32: what one natural standard deviation of each shape factor adds."""
    names: tuple[str, ...]
    """(F,) names of the shape factors (not unique) ..."""
    regions: tuple[str, ...]
    """... and the part of the face each belongs to."""
    units: np.ndarray
    """(U, V, 3) int16 expressions ..."""
    unit_scale: np.ndarray
    """(U,) float32 ... what one count of them is worth ..."""
    unit_names: tuple[str, ...]
    """... and their names, e.g. jawOpen."""
    uv: np.ndarray
    """(V + hair, 2) float32: texture place of skin; on eyeballs the direction from their centre, x and y in
    -1..1.
    """
    masks: np.ndarray
    """(V + hair, 3) float32 0..1: open to the light, lips, inside of the mouth."""
    normals: np.ndarray
    """(V, 3) float32 outward directions of the mean head."""
    skin: np.ndarray
    """(V,) bool: on the outer skin."""
    anchor: np.ndarray
    """(H,) int: the head's vertex that each hair vertex follows ..."""
    radial: np.ndarray
    """(H, 3) ... its direction outwards ..."""
    drop: np.ndarray
    """(H,) ... and how far below the skull it hangs, 0..1."""
    landmarks: tuple[np.ndarray, ...]
    """Vertices whose mean is each of the five points of fairlab.data.align.TEMPLATE_112, in that order."""


def around(points: np.ndarray) -> np.ndarray:
    """Angle (N,) in radians about the upright axis: 0 in front, positive to the right, +-pi behind."""
    return np.arctan2(points[..., 0], points[..., 2] - AXIS_Z)


@cache
def load_head() -> Head:
    """The head of assets/demo/head_basis.npz. Raises FairLabError when it is missing, Damaged when it is not
    that.
    """
    path = asset("demo/head_basis.npz")
    try:
        with np.load(path, allow_pickle=False) as file:
            basis = {name: file[name] for name in file.files}
        mean, triangles, part = basis["mean"], basis["tri"].astype(np.int32), basis["part"].astype(np.int8)
        names, regions = tuple(basis["names"].tolist()), tuple(basis["group"].tolist())
        sd = np.array([_SD_OF.get(name, _SD[region]) for name, region in zip(names, regions, strict=True)], np.float32)
        targets = basis["B"] * (sd * basis["Bs"] / 32767.0).astype(np.float32)[:, None, None]
        units, unit_scale = np.ascontiguousarray(basis["E"]), (basis["Es"] / 32767.0).astype(np.float32)
        unit_names = tuple(basis["enames"].tolist())
        light, lips, inside = (basis[name] / np.float32(255.0) for name in ("ao", "m_lips", "m_inside_mouth"))
        ears = basis["m_ears"] > 0
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise Damaged(f"{path} is damaged: {error}; clone or install FairLab again") from error

    vertices = {kind: np.unique(triangles[part == kind]) for kind in (SKIN, LEFT_EYE, RIGHT_EYE, TEETH)}
    uv = np.stack([around(mean) / (2 * np.pi) + 0.5, (TOP_Y - mean[:, 1]) / (TOP_Y - BOTTOM_Y)], 1)
    for eye in (LEFT_EYE, RIGHT_EYE):
        away = mean[vertices[eye]] - mean[vertices[eye]].mean(0)
        uv[vertices[eye]] = (away / np.linalg.norm(away, axis=1, keepdims=True))[:, :2]
    # Ears take the colour of a patch of cheek: where they lie on the wrapped picture, hair grows.
    uv[ears] = np.stack([0.5 + np.sign(mean[ears, 0]) * 0.165, np.clip(uv[ears, 1], 0.43, 0.52)], 1)
    skin = np.zeros(len(mean), bool)
    skin[vertices[SKIN]] = True
    skin &= inside < 0.3
    anchor, radial, drop, hair_uv, sheet = _hair(mean, skin & ~ears)
    hair_masks = np.tile([0.9, 0.0, 0.0], (len(anchor), 1))
    return Head(
        mean=mean,
        triangles=np.concatenate([triangles, sheet + len(mean)]).astype(np.int32),
        part=np.concatenate([part, np.full(len(sheet), HAIR, np.int8)]),
        targets=targets, names=names, regions=regions,
        units=units, unit_scale=unit_scale, unit_names=unit_names,
        uv=np.concatenate([uv, hair_uv]).astype(np.float32),
        masks=np.concatenate([np.stack([light, lips, inside], 1), hair_masks]).astype(np.float32),
        normals=_normals(mean, triangles), skin=skin, anchor=anchor, radial=radial, drop=drop,
        landmarks=_landmarks(mean, vertices, lips),
    )  # fmt: skip


def _normals(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Unit normals (V, 3) of a mesh: the mean of its triangles', weighted by area."""
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    faces = np.cross(b - a, c - a)
    normals = np.zeros_like(points)
    for corner in range(3):
        np.add.at(normals, triangles[:, corner], faces)
    return (normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12)).astype(np.float32)


def _landmarks(mean: np.ndarray, vertices: dict[int, np.ndarray], lips: np.ndarray) -> tuple[np.ndarray, ...]:
    """Vertex sets of: the eye on the picture's left and right, nose tip, mouth corner on the left and right."""
    mouth = np.flatnonzero(lips > 0.5)
    across = mean[mouth, 0]
    nose = np.argsort(-mean[:, 2])[:6]
    return (
        vertices[RIGHT_EYE],
        vertices[LEFT_EYE],
        nose,
        mouth[np.argsort(across)[:4]],
        mouth[np.argsort(-across)[:4]],
    )


def _hair(mean: np.ndarray, scalp: np.ndarray) -> tuple[np.ndarray, ...]:
    """A sheet around the sides and back of the head: (anchor, radial, drop, uv, triangles).

    Columns go round from one ear's front to the other's; rows go down the skull to the nape, then hang free.
    """
    angles = np.radians(np.linspace(82.0, 278.0, 33))
    heights = np.concatenate([np.linspace(1.55, -0.1, 9), np.full(7, -0.1)])
    hanging = np.concatenate([np.zeros(9), np.linspace(1 / 7, 1.0, 7)])
    candidates = np.flatnonzero(scalp)
    angle_of, radius_of = (
        around(mean[candidates]),
        np.hypot(mean[candidates, 0], mean[candidates, 2] - AXIS_Z),
    )
    anchor, radial, drop, uv = [], [], [], []
    for height, hang in zip(heights, hanging, strict=True):
        for angle in angles:
            turn = np.angle(np.exp(1j * (angle_of - angle)))
            anchor.append(candidates[np.argmin((turn * radius_of) ** 2 + (mean[candidates, 1] - height) ** 2)])
            radial.append((np.sin(angle), 0.25 * (height > 1.2), np.cos(angle)))
            drop.append(hang)
            uv.append((angle / (2 * np.pi) + 0.5, (TOP_Y - height + hang) / (TOP_Y - BOTTOM_Y)))
    wide, tall = len(angles), len(heights)
    corner = (np.arange(tall - 1)[:, None] * wide + np.arange(wide - 1)).ravel()
    sheet = np.concatenate(
        [
            np.stack([corner, corner + wide, corner + 1], 1),
            np.stack([corner + 1, corner + wide, corner + wide + 1], 1),
        ]
    )
    return np.array(anchor), np.array(radial, np.float32), np.array(drop, np.float32), np.array(uv), sheet
