"""Small data sets that soft group shares are imported for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.tables import PAIRS

GROUPS = ("X", "Y")


def data_of(folder: Path, people: dict[str, tuple[str, int]], px: int = 8, test: int = 0) -> Dataset:
    """People name -> (group, images), all in part train but for `test` further images of a person t; locations X/a/0.png."""
    rows = [
        ("train", name, group, f"{group}/{name}/{at}.png")
        for name, (group, count) in people.items()
        for at in range(count)
    ]
    rows += [("test", "t", GROUPS[0], f"X/t/{at}.png") for at in range(test)]
    images = pd.DataFrame(rows, columns=["split", "identity", "group", "location"])
    images = images.assign(image_id=np.arange(len(images)), dataset=folder.name, source="real")
    pixels = np.random.default_rng(0).integers(0, 256, (len(images), px, px, 3), np.uint8)
    new = NewDataset(
        dataset_id=folder.name, kind="test", attribute="Ethnicity", groups=GROUPS, images=images,
        pairs=PAIRS.build(), pixels=pixels, recipe={},
    )  # fmt: skip
    return write_dataset(folder, new)


def table(path: Path, data: Dataset, of_x: list[float], column: str = "path") -> Path:
    """A CSV of share/X and share/Y for the first images of `data`."""
    names = data.images["location"] if column != "image_id" else data.images["image_id"]
    lines = [f"{name},{share:.6g},{1 - share:.6g}" for name, share in zip(names, of_x, strict=False)]
    path.write_text("\n".join([f"{column},share/X,share/Y", *lines]) + "\n")
    return path
