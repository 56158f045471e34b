"""RFW's lists beside its pairs (`test/txts/<group>/`): landmarks, people and images of one group.

Twelve identities of RFW stand under two groups, so whoever joins the lists of several groups keys an identity by
(group, identity). Landmarks are in pixels of the 400 x 400 loose crops. A line that says again what another has said
is left out; one that says something else is an error.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.data.formats.text_lists import fields_of, image_path, is_number, number_in, read_rows, wrong
from fairlab.tables import NUMBER, TEXT, WHOLE, Table

LANDMARKS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4", "x5", "y5")
"""Image-left eye, image-right eye, nose, image-left and image-right corner of the mouth."""
RFW_LANDMARKS = Table(file=TEXT, image=TEXT, **dict.fromkeys(LANDMARKS, NUMBER))
RFW_PEOPLE = Table(identity=TEXT, images=WHOLE)
RFW_IMAGES = Table(image=TEXT, identity=TEXT, person=WHOLE)


def rfw_landmarks(path: Path) -> pd.DataFrame:
    """`<group>_lmk.txt`: file (text, below RFW's root), image (text, `identity/name`, as read_pairs names images), x1, y1
    ... x5, y5 (float64, pixels). A number behind them, the score of a detector, is left out. Raises FairLabError, or
    Damaged naming the line.
    """
    rows, lines = [], []
    for row in read_rows(path)[1]:
        line, fields = row[0], fields_of(path, row, 12, 13)
        file = image_path(path, line, fields[0].removeprefix("/"))  # listed as if RFW were the root of the disk
        number_in(path, line, fields[1])
        points = (_coordinate(path, line, field) for field in fields[2:12])
        rows.append((file, "/".join(file.split("/")[-2:]), *points))
        lines.append(line)
    return _once(path, RFW_LANDMARKS.build(rows), lines)


def rfw_people(path: Path) -> pd.DataFrame:
    """`<group>_people.txt`: identity (text) and images (int64, how many; 0 occurs), in the order of the list, in which
    `rfw_images` counts people. Raises FairLabError, or Damaged naming the line.
    """
    rows, lines = [], []
    for row in read_rows(path)[1]:
        line, (identity, count) = row[0], fields_of(path, row, 2)
        rows.append((identity, number_in(path, line, count)))
        lines.append(line)
    table = RFW_PEOPLE.build(rows)
    again = table["identity"].duplicated()
    if again.any():  # even with the same number: it would shift the people after it
        place = int(np.argmax(again))
        raise wrong(path, lines[place], f"the identity {rows[place][0]!r} is listed twice")
    return table


def rfw_images(path: Path) -> pd.DataFrame:
    """`<group>_images.txt`: image (text, `identity/name`), identity (text) and person (int64, row of `rfw_people`, from
    0). Raises FairLabError, or Damaged naming the line.
    """
    rows, lines = [], []
    for row in read_rows(path)[1]:
        line, (name, person) = row[0], fields_of(path, row, 2)
        identity, _, number = name.rpartition(".")[0].rpartition("_")
        if not identity or not is_number(number):
            raise wrong(path, line, f"{name[:80]!r} is not a name such as m.0xnkj_0002.jpg")
        rows.append((image_path(path, line, f"{identity}/{name}"), identity, number_in(path, line, person)))
        lines.append(line)
    return _once(path, RFW_IMAGES.build(rows), lines)


def _coordinate(path: Path, line: int, field: str) -> float:
    """nan stays: a detector that found no face writes it, and the image counts as without landmarks."""
    try:
        value = float(field)
    except ValueError:
        value = math.inf
    if math.isinf(value):
        raise wrong(path, line, f"{field[:40]!r} is not a coordinate in pixels")
    return value


def _once(path: Path, table: pd.DataFrame, lines: list[int]) -> pd.DataFrame:
    """The rows without repeated ones. Raises Damaged when two rows begin alike and go on differently."""
    again = table.duplicated()
    other = table.iloc[:, 0].duplicated() & ~again
    if other.any():
        place = int(np.argmax(other))
        raise wrong(path, lines[place], f"{table.iloc[place, 0]!r} is in an earlier line with different values")
    return table[~again].reset_index(drop=True)
