"""The parts that data sets are published in: folders, tables and files called train, val or test.

A part is no group and no person: VGGFace2 has train/<identity>/ and test/<identity>/, FairFace fairface_label_val.csv.
"""

from __future__ import annotations

import re
from collections.abc import Collection

import pandas as pd

from fairlab.data.listing import Problem, problem

TRAIN, VALIDATION, TEST = "train", "validation", "test"
_WORDS = {
    "train": TRAIN, "training": TRAIN, "trainset": TRAIN,
    "val": VALIDATION, "valid": VALIDATION, "validation": VALIDATION, "valset": VALIDATION, "dev": VALIDATION,
    "test": TEST, "testing": TEST, "testset": TEST,
}  # fmt: skip
COLUMNS = ("split", "part", "partition", "subset", "set")
"""Names of a table's column that says the part of an image."""


def part_of(name: str, alone: bool = False) -> str:
    """The part that a name says: `train`, `Test`, `val2017`, `train_aligned_112`, `vggface2_test`; "" for another name.

    alone: nothing but the word may stand there, as a folder of a person may be called Dev_Patel.
    """
    words = [word.rstrip("0123456789") for word in re.split(r"[\W_]+", name.lower()) if word]
    parts = {_WORDS[word] for word in words if word in _WORDS}
    return parts.pop() if len(parts) == 1 and (not alone or len(words) == 1) else ""


def are_parts(names: Collection[str], alone: bool = False) -> bool:
    """Is every one of these names that of a part?"""
    return bool(names) and all(part_of(name, alone) for name in names)


def with_parts(images: pd.DataFrame) -> pd.DataFrame:
    """`images` with the column `split`, where one of their attributes says the part of every image."""
    by_name = {str(name).lower(): str(name) for name in images}
    for name in COLUMNS:
        column = by_name.get(f"attribute.{name}")
        if column is not None and are_parts(images[column].unique().tolist(), alone=True):
            return images.assign(split=images[column].map(part_of))
    return images


def shared_by_parts(images: pd.DataFrame) -> list[Problem]:
    """Identities with images in several parts: training on one part is then no training without the others' people."""
    if "split" not in images:
        return []
    several = images.groupby("identity", sort=False)["split"].nunique()
    return problem("identities with images in several parts", several.index[several > 1].tolist())
