"""The compiled half of the renderer: pose a mesh, find which triangle each pixel sees, shade it.

Plain functions on arrays that call none of each other, so that importing this file costs nothing: numba is
imported and they are compiled when `kernels()` is first asked for. They release Python's lock, draw no random
numbers and write only where they are told, so threads can share the work and the result is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

SKIN, LEFT_EYE, RIGHT_EYE, TEETH, HAIR = 0, 1, 2, 3, 4  # kinds of triangles (`part` of the head)


@dataclass(frozen=True)
class Kernels:
    """The compiled functions, see `_pose`, `_raster` and `_shade`."""

    pose: Callable[..., None]
    raster: Callable[..., None]
    shade: Callable[..., None]


@cache
def kernels() -> Kernels:
    """Compile (seconds, once) or load from numba's cache; without a writable place for the cache: compile."""
    import numba

    def compiled(function: Callable[..., None]) -> Callable[..., None]:
        try:
            return numba.njit(nogil=True, error_model="numpy", cache=True)(function)
        except RuntimeError:  # "no locator available": the installation and the user's cache folder are read-only
            return numba.njit(nogil=True, error_model="numpy")(function)

    return Kernels(compiled(_pose), compiled(_raster), compiled(_shade))


def _pose(
    shape: np.ndarray,
    units: np.ndarray,
    chosen: np.ndarray,
    weights: np.ndarray,
    rotation: np.ndarray,
    triangles: np.ndarray,
    distance: float,
    points: np.ndarray,
    normals: np.ndarray,
) -> None:
    """Move, turn and project the vertices `shape` (V, 3) into `points` (V, 3), with unit `normals` (V, 3).

    `units` (U, V', 3) int16: expression offsets of the first V' vertices; those `chosen` (n,) are added with
    `weights` (n,) (which carry their scale). x and y of `points` are in perspective from `distance`, z is
    depth.
    """
    moving = units.shape[1]
    for i in range(shape.shape[0]):
        x, y, z = shape[i, 0], shape[i, 1], shape[i, 2]
        if i < moving:
            for k in range(chosen.shape[0]):
                x += weights[k] * units[chosen[k], i, 0]
                y += weights[k] * units[chosen[k], i, 1]
                z += weights[k] * units[chosen[k], i, 2]
        for axis in range(3):
            points[i, axis] = rotation[axis, 0] * x + rotation[axis, 1] * y + rotation[axis, 2] * z
            normals[i, axis] = 0.0
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        ux, uy, uz = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        vx, vy, vz = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz
    for i in range(shape.shape[0]):
        length = math.sqrt(normals[i, 0] ** 2 + normals[i, 1] ** 2 + normals[i, 2] ** 2) + 1e-12
        scale = distance / (distance - points[i, 2])
        for axis in range(3):
            normals[i, axis] /= length
        points[i, 0] *= scale
        points[i, 1] *= scale


def _raster(
    points: np.ndarray,
    triangles: np.ndarray,
    part: np.ndarray,
    depth: np.ndarray,
    face: np.ndarray,
    corner: np.ndarray,
) -> None:
    """Z-buffer: for every pixel the nearest triangle, `face` (S, S) or -1, and its weights `corner` (S, S,
    2).

    `points` (V, 3): x right and y down in pixels, z towards the viewer. Triangles seen from behind are left
    out, except hair, which is a thin sheet. `depth` (S, S) is working space.
    """
    size = depth.shape[0]
    depth[:] = -1e30
    face[:] = -1
    for t in range(triangles.shape[0]):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x0, y0, x1, y1, x2, y2 = (
            points[a, 0],
            points[a, 1],
            points[b, 0],
            points[b, 1],
            points[c, 0],
            points[c, 1],
        )
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if area == 0.0 or (area > 0.0 and part[t] != 4):
            continue
        inverse = 1.0 / area
        left = max(math.ceil(min(x0, x1, x2) - 0.5), 0)  # pixels whose middle can lie inside
        right = min(math.floor(max(x0, x1, x2) - 0.5), size - 1)
        top = max(math.ceil(min(y0, y1, y2) - 0.5), 0)
        bottom = min(math.floor(max(y0, y1, y2) - 0.5), size - 1)
        for row in range(top, bottom + 1):
            y = row + 0.5
            for column in range(left, right + 1):
                x = column + 0.5
                wa = ((x1 - x) * (y2 - y) - (x2 - x) * (y1 - y)) * inverse
                wb = ((x2 - x) * (y0 - y) - (x0 - x) * (y2 - y)) * inverse
                wc = 1.0 - wa - wb
                if wa < 0.0 or wb < 0.0 or wc < 0.0:
                    continue
                z = wa * points[a, 2] + wb * points[b, 2] + wc * points[c, 2]
                if z > depth[row, column]:
                    depth[row, column] = z
                    face[row, column] = t
                    corner[row, column, 0] = wa
                    corner[row, column, 1] = wb


def _shade(
    face: np.ndarray,
    corner: np.ndarray,
    triangles: np.ndarray,
    part: np.ndarray,
    normals: np.ndarray,
    uv: np.ndarray,
    masks: np.ndarray,
    texture: np.ndarray,
    colours: np.ndarray,
    look: np.ndarray,
    lights: np.ndarray,
    backdrop: np.ndarray,
    image: np.ndarray,
) -> None:
    """Colour every pixel and average blocks of samples into `image` (P, P, 3), sRGB 0..1.

    `uv` (V, 2): texture place 0..1 of skin, place on the eyeball of eyes. `masks` (V, 3): open to the light,
    lips, inside of the mouth. `texture` (H, W, 4): linear RGB and how much hair. `colours` (4, 3): linear RGB
    of iris, lips, hair, eye white. `look` (6,): lip strength, gloss, pupil radius, gaze x, gaze y, hair
    shine. `lights` (6, 3): key direction and colour, fill direction and colour, light from above, light from
    below. `backdrop` (3, 3): two colours and a direction (x, y, softness). Lambert with a soft, reddish edge
    on skin; Blinn-Phong highlights.
    """
    size, pixels = face.shape[0], image.shape[0]
    block = size // pixels
    height, width = texture.shape[0], texture.shape[1]
    image[:] = 0.0
    hx, hy, hz = lights[0, 0], lights[0, 1], lights[0, 2] + 1.0  # halfway between key light and viewer
    length = math.sqrt(hx * hx + hy * hy + hz * hz)
    hx, hy, hz = hx / length, hy / length, hz / length
    for row in range(size):
        for column in range(size):
            t = face[row, column]
            pr, pc = row // block, column // block
            if t < 0:
                along = 0.5 + ((column / size - 0.5) * backdrop[2, 0] + (row / size - 0.5) * backdrop[2, 1])
                along = min(max(along, 0.0), 1.0)
                for band in range(3):
                    image[pr, pc, band] += backdrop[0, band] * (1.0 - along) + backdrop[1, band] * along
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            wa, wb = corner[row, column, 0], corner[row, column, 1]
            wc = 1.0 - wa - wb
            nx = wa * normals[a, 0] + wb * normals[b, 0] + wc * normals[c, 0]
            ny = wa * normals[a, 1] + wb * normals[b, 1] + wc * normals[c, 1]
            nz = wa * normals[a, 2] + wb * normals[b, 2] + wc * normals[c, 2]
            length = math.sqrt(nx * nx + ny * ny + nz * nz) + 1e-9
            nx, ny, nz = nx / length, ny / length, nz / length
            kind = part[t]
            if kind == 4 and nz < 0.0:
                nx, ny, nz = -nx, -ny, -nz
            opened = wa * masks[a, 0] + wb * masks[b, 0] + wc * masks[c, 0]
            ua, ub, uc = uv[a, 0], uv[b, 0], uv[c, 0]
            if kind == 0 or kind == 4:  # the seam at the back of the head: 0 and 1 are neighbours there
                high = max(ua, ub, uc)
                ua += 1.0 if high - ua > 0.5 else 0.0
                ub += 1.0 if high - ub > 0.5 else 0.0
                uc += 1.0 if high - uc > 0.5 else 0.0
            u = wa * ua + wb * ub + wc * uc
            v = wa * uv[a, 1] + wb * uv[b, 1] + wc * uv[c, 1]
            red = green = blue = 0.0
            gloss, sharp, wrap = 0.0, 18.0, 0.0
            if kind == 0 or kind == 4:
                tx, ty = u * width - 0.5, min(max(v * height - 0.5, 0.0), height - 1.001)
                ix, iy = math.floor(tx), int(ty)
                fx, fy = tx - ix, ty - iy
                left, right = ix % width, (ix + 1) % width
                w00, w01, w10, w11 = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
                red = (
                    w00 * texture[iy, left, 0]
                    + w01 * texture[iy, right, 0]
                    + w10 * texture[iy + 1, left, 0]
                    + w11 * texture[iy + 1, right, 0]
                )
                green = (
                    w00 * texture[iy, left, 1]
                    + w01 * texture[iy, right, 1]
                    + w10 * texture[iy + 1, left, 1]
                    + w11 * texture[iy + 1, right, 1]
                )
                blue = (
                    w00 * texture[iy, left, 2]
                    + w01 * texture[iy, right, 2]
                    + w10 * texture[iy + 1, left, 2]
                    + w11 * texture[iy + 1, right, 2]
                )
                hair = (
                    w00 * texture[iy, left, 3]
                    + w01 * texture[iy, right, 3]
                    + w10 * texture[iy + 1, left, 3]
                    + w11 * texture[iy + 1, right, 3]
                )
                gloss, wrap = look[1] * (1.0 - hair), 0.3 * (1.0 - hair)
                if kind == 0:
                    lips = (wa * masks[a, 1] + wb * masks[b, 1] + wc * masks[c, 1]) * look[0]
                    red += lips * (colours[1, 0] - red)
                    green += lips * (colours[1, 1] - green)
                    blue += lips * (colours[1, 2] - blue)
                    gloss += 0.1 * lips
                    inside = wa * masks[a, 2] + wb * masks[b, 2] + wc * masks[c, 2]
                    red += inside * (0.16 - red)
                    green += inside * (0.035 - green)
                    blue += inside * (0.03 - blue)
                else:
                    strand = 0.75 + 0.25 * math.sin(u * 700.0 + 3.0 * math.sin(v * 9.0 + u * 40.0)) * math.cos(
                        u * 263.0
                    )
                    red, green, blue = colours[2, 0] * strand, colours[2, 1] * strand, colours[2, 2] * strand
                    hair, gloss, sharp = 1.0, look[5], 10.0
                if kind == 0 and hair > 0.5:
                    gloss, sharp = look[5] * hair, 10.0
            elif kind == 3:
                red, green, blue = 0.70, 0.66, 0.56
                gloss, sharp = 0.25, 40.0
                opened *= 0.8
            else:
                gx, gy = u - look[3], v - look[4]
                radius = math.sqrt(gx * gx + gy * gy)
                ring = min(max((radius - 0.47) / 0.05, 0.0), 1.0)
                inner = min(max((radius - look[2]) / 0.05, 0.0), 1.0)
                edge = 1.0 - 0.6 * min(max((radius - 0.33) / 0.14, 0.0), 1.0)  # the iris is darker at its rim
                red = ring * colours[3, 0] + (1.0 - ring) * (inner * edge * colours[0, 0] + 0.006)
                green = ring * colours[3, 1] + (1.0 - ring) * (inner * edge * colours[0, 1] + 0.006)
                blue = ring * colours[3, 2] + (1.0 - ring) * (inner * edge * colours[0, 2] + 0.006)
                shadow = min(max((v - 0.12) / 0.5, 0.0), 1.0)  # of the upper lid
                opened = (0.55 + 0.45 * opened) * (1.0 - 0.6 * shadow)
                gloss, sharp = 0.9, 90.0
            key = nx * lights[0, 0] + ny * lights[0, 1] + nz * lights[0, 2]
            fill = max(nx * lights[2, 0] + ny * lights[2, 1] + nz * lights[2, 2], 0.0)
            up = 0.5 + 0.5 * ny
            direct = 0.45 + 0.55 * opened
            mirror = nx * hx + ny * hy + nz * hz
            shine = mirror**sharp * gloss * direct if key > 0.0 and mirror > 0.6 else 0.0
            for band in range(3):
                soft = wrap if band == 0 else 0.45 * wrap  # light that goes through skin comes out red
                lit = max((key + soft) / (1.0 + soft), 0.0) * direct
                light = lit * lights[1, band] + fill * direct * lights[3, band]
                light += opened * (up * lights[4, band] + (1.0 - up) * lights[5, band])
                albedo = red if band == 0 else (green if band == 1 else blue)
                image[pr, pc, band] += albedo * light + shine * lights[1, band]
    share = 1.0 / (block * block)
    for pr in range(pixels):
        for pc in range(pixels):
            for band in range(3):
                value = image[pr, pc, band] * share
                value = value / (1.0 + 0.18 * value * value)  # highlights roll off instead of clipping
                image[pr, pc, band] = min(max(value, 0.0), 1.0) ** (1.0 / 2.2)
