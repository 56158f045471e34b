"""Landmarks beside a .rec: CVLface's ldmk_5points.csv with a row per image: its number from 0, then x and y of five
points, as parts of the image's width and height.

Other people write the key of the record instead of the number of the image, pixels instead of parts, no heading, or a
score behind every point; what cannot be told from the file itself is not guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.data.decode import describe
from fairlab.data.inspect.checking import sample
from fairlab.errors import Damaged, FairLabError

POINTS = 10
_LINES = 1 << 18  # at a time: a table of 17 million images has 2 GB
_LOOKED_AT = 64
_PARTS = 2.0
"""No part of an image is larger; in pixels some point of some face is, as no face lies in one corner of two pixels."""


def landmark_file(rec: Path) -> Path | None:
    """The one table beside a .rec whose name says ldmk, lmk or landmark. Raises FairLabError when there are several."""
    marks = ("ldmk", "lmk", "landmark")
    found = sorted(path for path in rec.parent.glob("*.csv") if any(mark in path.name.lower() for mark in marks))
    if len(found) > 1:
        raise FairLabError(f"{rec.parent} holds several tables of landmarks: {', '.join(path.name for path in found)}")
    return found[0] if found else None


def landmarks_of(rec: Path, keys: np.ndarray, read: Callable[[int], bytes], notes: list[str]) -> np.ndarray | None:
    """(N, 5, 2) float32 x and y in pixels of the images with these keys (rising), NaN where unknown; None without a table.

    Raises Damaged, naming the line, for a table that is wrong; what cannot be told is in `notes`.
    """
    path = landmark_file(rec)
    if path is None:
        return None
    numbers, points = _table(path)
    rows = _rows(path, numbers, keys, notes)
    if rows is None:
        return None
    found = np.full((len(keys), 5, 2), np.nan, np.float32)
    found[rows] = points
    finite = np.isfinite(found).all(axis=(1, 2))
    found[~finite] = np.nan
    if not finite.any():
        notes.append(f"{path.name} has no landmarks; it was not used.")
        return None
    if float(np.abs(found[finite]).max()) <= _PARTS:
        sizes = _sizes(len(keys), read)
        if len(sizes) != 1:
            notes.append(f"{path.name} has fractions of width and height, but the image sizes differ; it was not used.")
            return None
        found *= np.array(sizes.pop(), np.float32)
    notes.append(f"landmarks from {path.name}")
    return found


def _sizes(count: int, read: Callable[[int], bytes]) -> set[tuple[int, int]]:
    """Width and height of some images; one that cannot be read is left to the check of all images."""
    found = set()
    for row in sample(count, _LOOKED_AT).tolist():
        try:
            found.add(describe(read(row), "")[:2])
        except Damaged:
            continue
    return found


def _table(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Numbers (M,) int64 and points (M, 5, 2) float32 of a table with or without a heading. Raises Damaged."""
    numbers, points = [], []
    first = 1
    try:
        with open(path, encoding="utf-8-sig") as handle:
            line = handle.readline()
        heading = not _is_number(line.split(",")[0])
        width = line.count(",") + 1
        if width not in (POINTS + 1, POINTS + 6):
            raise Damaged(
                f"{path}, line 1: {width} fields, expected a number and 5 points of 2 values (or 3, with scores)"
            )
        first += heading
        for part in pd.read_csv(
            path, header=None, skiprows=int(heading), names=range(width + 1), dtype=str, na_filter=False, index_col=False,
            quoting=3, chunksize=_LINES, skip_blank_lines=False, encoding="utf-8-sig",
        ):  # fmt: skip
            if part.empty:
                continue
            number, values = _numbers(path, part, width, first)
            numbers.append(number)
            points.append(values.reshape(len(values), 5, -1)[:, :, :2].astype(np.float32))
            first += len(part)
    except (ValueError, OSError) as error:  # pandas' own errors and UnicodeDecodeError are ValueErrors
        raise Damaged(f"{path} cannot be read as a table of landmarks: {str(error).splitlines()[0]}") from error
    if not numbers:
        raise Damaged(f"{path} holds no landmarks")
    return np.concatenate(numbers), np.concatenate(points)


def _numbers(path: Path, part: pd.DataFrame, width: int, first: int) -> tuple[np.ndarray, np.ndarray]:
    """(numbers of images, values) of a piece of the table whose first row is line `first`. Raises Damaged."""
    cells = part.to_numpy(dtype=object)
    filled = np.array([isinstance(cell, str) and cell != "" for cell in cells.ravel()]).reshape(cells.shape)
    wrong = ~filled[:, :width].all(axis=1) | filled[:, width]
    if not wrong.any():
        number = pd.to_numeric(part[0], errors="coerce").to_numpy(float)
        values = part.iloc[:, 1:width].apply(pd.to_numeric, errors="coerce").to_numpy(float)
        lost = (
            np.isnan(values)
            & ~part.iloc[:, 1:width].apply(lambda column: column.str.strip().str.lower() == "nan").to_numpy()
        )
        wrong = ~(number >= 0) | (number != np.floor(number)) | lost.any(axis=1) | np.isinf(values).any(axis=1)
    if wrong.any():
        raise Damaged(f"{path}, line {first + int(np.argmax(wrong))}: expected a number and the points, {width} values")
    return number.astype(np.int64), values


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rows(path: Path, numbers: np.ndarray, keys: np.ndarray, notes: list[str]) -> np.ndarray | None:
    """The row of every line: its number counts images from 0, or is the key of a record. None when it may be either.

    Raises Damaged for a number that is neither, or appears twice.
    """
    if len(np.unique(numbers)) < len(numbers):
        doubled = numbers[np.argmax(pd.Series(numbers).duplicated().to_numpy())]
        raise Damaged(f"{path}: image {doubled} appears twice")
    place = np.minimum(np.searchsorted(keys, numbers), len(keys) - 1)
    as_keys, as_rows = bool((keys[place] == numbers).all()), bool((numbers < len(keys)).all())
    if not as_keys and not as_rows:
        raise Damaged(f"{path} names image {numbers.max()}, but there are {len(keys):,} images")
    if as_keys and as_rows and (place != numbers).any():
        notes.append(f"{path.name} does not show whether it counts images or names their keys; it was not used.")
        return None
    return numbers if as_rows else place
