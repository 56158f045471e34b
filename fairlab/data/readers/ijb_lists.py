"""The three lists of IJB-B and IJB-C (`meta/`): which image is in which template, where its face is, which templates are
compared. As the release of insightface has them, whose images are loose crops with five points each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fairlab.data.formats.number_lists import read_numbers
from fairlab.data.formats.text_lists import fields_of, image_path, number_in, read_rows, wrong
from fairlab.errors import FairLabError

MEMBERS, POINTS, PAIRS = "_face_tid_mid.txt", "_name_5pts_score.txt", "_template_pair_label.txt"
"""`name template media`, `name x1 y1 ... x5 y5 score`, `template template label`."""
Beat = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Members:
    """Rows of MEMBERS: names (N,), number of the template and of the photograph or video (N,) int64, line (N,)."""

    path: Path
    names: list[str]
    template: np.ndarray
    media: np.ndarray
    lines: np.ndarray


@dataclass(frozen=True, eq=False)
class Faces:
    """Rows of POINTS: names, points (N, 5, 2) x and y in the loose crop, score (N,) of the detector, line (N,)."""

    path: Path
    names: list[str]
    points: np.ndarray
    score: np.ndarray
    lines: np.ndarray


@dataclass(frozen=True, eq=False)
class TemplatePairs:
    """Rows of PAIRS: places (P, 2) in `known`, the templates' numbers (T,) rising; genuine (P,); line (P,)."""

    path: Path
    places: np.ndarray
    known: np.ndarray
    genuine: np.ndarray
    lines: np.ndarray


def lists_of(path: Path) -> list[tuple[Path, str]]:
    """(folder, prefix of its lists, e.g. "ijbb") of `path` itself, else of what lies one or two names below; sorted."""
    for depth in range(3):
        found = set()
        for ending in (MEMBERS, POINTS, PAIRS):
            for file in path.glob("/".join(["*"] * depth + ["meta", f"*{ending}"])):
                found.add((file.parent.parent, file.name.removesuffix(ending)))
        if found:
            return sorted(found)
    return []


def list_file(root: Path, prefix: str, ending: str) -> Path:
    """One of the three lists. Raises FairLabError when it is not there."""
    path = root / "meta" / f"{prefix}{ending}"
    if not path.is_file():
        raise FairLabError(
            f"there is no {path}; IJB's lists are {prefix}{MEMBERS}, {prefix}{POINTS} and {prefix}{PAIRS}"
        )
    return path


def read_members(path: Path) -> Members:
    """Raises FairLabError, or Damaged naming the line, also for an image that appears twice."""
    names, numbers = [], []
    for row in read_rows(path)[1]:
        line, (name, template, media) = row[0], fields_of(path, row, 3)
        names.append(image_path(path, line, name))
        numbers.append((number_in(path, line, template), number_in(path, line, media), line))
    template, media, lines = np.array(numbers, np.int64).T
    _each_once(path, names, lines)
    return Members(path, names, template, media, lines)


def read_faces(path: Path) -> Faces:
    """Raises FairLabError, or Damaged naming the line, also for an image that appears twice and a score below 0.

    Points may be nan, and the score nan or -1, as detectors write them that found no face: the score is 0 then.
    """
    names: list[str] = []
    rows = read_rows(path)[1]
    numbers = np.empty((len(rows), 11))
    for place, row in enumerate(rows):
        line, fields = row[0], fields_of(path, row, 12)
        names.append(image_path(path, line, fields[0]))
        try:
            numbers[place] = fields[1:]
        except ValueError as error:
            raise wrong(path, line, "expected a name, x and y of five points, and a score") from error
        if np.isnan(numbers[place, 10]) or numbers[place, 10] == -1:
            numbers[place, 10] = 0
        if np.isinf(numbers[place]).any() or numbers[place, 10] < 0:
            raise wrong(path, line, "points must be finite numbers (or nan), and the score one of 0 or more (or -1)")
    lines = np.array([line for line, _ in rows])
    _each_once(path, names, lines)
    return Faces(path, names, numbers[:, :10].reshape(-1, 5, 2), numbers[:, 10], lines)


def _each_once(path: Path, names: list[str], lines: np.ndarray) -> None:
    seen: dict[str, int] = {}
    for name, line in zip(names, lines.tolist(), strict=True):
        before = seen.setdefault(name, line)
        if before != line:
            raise wrong(path, line, f"the image {name!r} is already in line {before}")


def read_template_pairs(path: Path, known: np.ndarray, beat: Beat = lambda _done, _total: None) -> TemplatePairs:
    """The pairs of templates; `known` (T,) are the numbers that there are, rising.

    Raises FairLabError, or Damaged naming the line, also for a template that is not known or is compared with itself.
    """
    numbers, lines = read_numbers(path, 3, beat)
    odd = np.flatnonzero(numbers[:, 2] > 1)
    if len(odd):
        raise wrong(path, int(lines[odd[0]]), f"the label is {numbers[odd[0], 2]}; right is 1 (one person) or 0 (two)")
    places = np.minimum(np.searchsorted(known, numbers[:, :2]), len(known) - 1)
    unknown = np.argwhere(known[places] != numbers[:, :2])
    if len(unknown):
        row, side = unknown[0]
        members = f"{path.name.removesuffix(PAIRS)}{MEMBERS}"
        raise wrong(path, int(lines[row]), f"the template {numbers[row, side]} has no image in {members}")
    odd = np.flatnonzero(numbers[:, 0] == numbers[:, 1])
    if len(odd):
        raise wrong(path, int(lines[odd[0]]), f"the template {numbers[odd[0], 0]} is compared with itself")
    return TemplatePairs(path, places, known, numbers[:, 2] == 1, lines)
