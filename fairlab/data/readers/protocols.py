"""Pairs that do not come as one list of lines: CFP's folders of numbers (Sengupta et al., WACV 2016) and the .mat of
AgeDB-30 (Moschoglou et al., CVPRW 2017). What they become is said in `pair_lists`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fairlab.data.formats.matlab import Cells, Structs, read_mat
from fairlab.data.formats.text_lists import fields_of, image_path, number_in, read_rows, wrong
from fairlab.data.listing import PICTURES
from fairlab.errors import Damaged, FairLabError

Found = tuple[str, str, bool | None, int | None, int]
"""image_a, image_b, genuine, fold, and the number of the pair."""

CFP_LISTS = {"F": "Pair_list_F.txt", "P": "Pair_list_P.txt"}


def is_cfp(path: Path) -> bool:
    """Is it Protocol/Split/FF or FP, with a folder of same.txt and diff.txt for every fold?"""
    return path.name in ("FF", "FP") and any(path.glob("*/same.txt"))


def cfp_pairs(path: Path, suffix: str) -> Iterator[Found]:
    """Pairs of Protocol/Split/FF or FP: in a folder per fold, same.txt and diff.txt with lines `a,b`, numbers from 1
    of images in Pair_list_F.txt (a) and Pair_list_F.txt or Pair_list_P.txt (b), two folders up.

    Images are named person/pose/number, the last three parts of what is listed. Raises FairLabError, Damaged.
    """
    if not is_cfp(path):
        raise FairLabError(f"{path} is not CFP's folder Protocol/Split/FF or FP with 01/same.txt, 01/diff.txt ...")
    first, second = (_numbered_images(path.parent.parent, CFP_LISTS[letter], suffix) for letter in path.name)
    number = 0
    for fold, folder in enumerate(sorted(item.parent for item in path.glob("*/same.txt"))):
        for name, genuine in (("same.txt", True), ("diff.txt", False)):
            for row in read_rows(folder / name)[1]:
                a, b = fields_of(folder / name, row, 2)
                number += 1
                found = [_numbered(images, folder / name, row[0], field) for images, field in ((first, a), (second, b))]
                if (found[0].split("/")[0] == found[1].split("/")[0]) != genuine:
                    said = "a genuine pair of two people" if genuine else "an impostor pair of one person"
                    raise wrong(folder / name, row[0], f"{said} ({found[0]}, {found[1]})")
                yield found[0], found[1], genuine, fold, number


def _numbered_images(protocol: Path, name: str, suffix: str) -> dict[int, str]:
    """Number -> person/pose/image; lists stand in Protocol/ or, in some copies, in Protocol/Split/."""
    path = next((item for item in (protocol / name, protocol / "Split" / name) if item.is_file()), protocol / name)
    images: dict[int, str] = {}
    for row in read_rows(path)[1]:
        line, (field, listed) = row[0], fields_of(path, row, 2)
        number = number_in(path, line, field)
        parts = listed.replace("\\", "/").split("/")[-3:]
        if number in images:
            raise wrong(path, line, f"the number {number} appears twice")
        if len(parts) < 3:
            raise wrong(path, line, f"{listed[:80]!r} does not end in person/pose/image")
        images[number] = image_path(path, line, "/".join(parts)).rpartition(".")[0] + suffix
    return images


def _numbered(images: dict[int, str], path: Path, line: int, field: str) -> str:
    number = number_in(path, line, field)
    if number not in images:
        raise wrong(path, line, f"no list has image {number}; they have {min(images)} to {max(images)}")
    return images[number]


def agedb_pairs(path: Path, suffix: str) -> Iterator[Found]:
    """Pairs of AgeDB's .mat files: `splits` has a struct per fold, whose first field are 2 x N cells with the names of
    images and whose second N labels, 1 or -1 (0 is taken too). Raises FairLabError, Damaged."""
    variables = read_mat(path)
    splits = variables.get("splits")
    if not isinstance(splits, Cells | Structs) or not splits.items:
        raise Damaged(f"{path} has no cell array 'splits', as AgeDB has; it has: {', '.join(variables)}")
    number = 0
    for fold, split in enumerate(splits.items):
        where = f"{path}, fold {fold + 1}"
        fields = list(_opened(split).values())
        if len(fields) < 2 or not isinstance(fields[0], Cells) or not isinstance(fields[1], np.ndarray):
            raise Damaged(f"{where}: expected cells with names and an array of labels")
        names, labels = fields[0], fields[1].reshape(-1)
        if len(names.shape) != 2 or names.shape[0] != 2 or names.shape[1] != len(labels):
            raise Damaged(
                f"{where}: {' x '.join(map(str, names.shape))} names and {len(labels)} labels, expected 2 x N and N"
            )
        for place, label in enumerate(labels.tolist()):
            number += 1
            if label not in (1, 0, -1):
                raise Damaged(f"{where}, pair {place + 1}: label {label}, expected 1 or -1")
            a, b = (_image(path, number, names.items[2 * place + side], suffix) for side in (0, 1))
            yield a, b, label == 1, fold, number


def _opened(value: Any) -> dict[str, Any]:
    """The fields of a struct that may lie alone in cells; {} when it is none."""
    while isinstance(value, Cells | Structs) and len(value.items) == 1:
        value = value.items[0]
    return value if isinstance(value, dict) else {}


def _image(path: Path, number: int, value: Any, suffix: str) -> str:
    """A name, which lies in cells or is the first field of a struct."""
    while not isinstance(value, str):
        inside = (
            list(value.values())[:1]
            if isinstance(value, dict)
            else value.items
            if isinstance(value, Cells | Structs)
            else []
        )
        if len(inside) != 1:
            raise wrong(path, number, "a pair has an empty image name")
        value = inside[0]
    name = value.strip()
    if not name.isprintable() or not name:
        raise wrong(path, number, f"{name[:40]!r} is not an image name")
    return image_path(path, number, name if name.lower().endswith(PICTURES) else name + suffix)
