"""Data sets without some of their images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.forgetting import borrowing, numbered, renumbered, write_without
from fairlab.data.recipes import build_recipe
from fairlab.data.writing import NewDataset, write_dataset
from fairlab.errors import FairLabError
from fairlab.files import place_folder
from fairlab.settings.study import Recipe


def written(folder: Path, people: str = "aabbcc") -> Dataset:
    count = len(people)
    images = pd.DataFrame(
        {
            "image_id": np.arange(count),
            "dataset": folder.name,
            "split": "train",
            "identity": list(people),
            "group": ["X" if name in "ab" else "Y" for name in people],
            "source": "real",
            "location": np.arange(count),
        }
    )
    pairs = pd.DataFrame(
        {
            "pair_id": [0, 1, 2],
            "protocol": "test",
            "image_a": [0, 2, 0],
            "image_b": [1, 3, 4],
            "genuine": [True, True, False],
            "group": "X",
            "fold": 0,
        }
    )
    pixels = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)
    return write_dataset(folder, NewDataset(dataset_id=folder.name, kind="demo", attribute="Shape", groups=("Y", "X"), images=images, pairs=pairs, pixels=pixels, recipe={}))  # fmt: skip


def test_numbers_close_up_behind_what_goes() -> None:
    assert numbered(np.array([1, 3]), 5).tolist() == [0, -1, 1, -1, 2]
    table = pd.DataFrame({"image_a": [0, 1, 2, 4], "image_b": [2, 2, 3, 0], "kept": [5, 6, 7, 8]})
    found = renumbered(table, numbered(np.array([1, 3]), 5), ("image_a", "image_b"))
    assert found.to_dict("list") == {"image_a": [0, 2], "image_b": [1, 0], "kept": [5, 8]}


def test_images_pairs_and_pixels_of_a_person_go(tmp_path: Path) -> None:
    """The others keep their pixels; pairs keep their numbers, by which scores know them."""
    data = written(tmp_path / "d")
    print_ = write_without(data, np.array([2, 3]), tmp_path / "new", {}, {}, "Two images were deleted.")
    left = open_dataset(tmp_path / "new", verify=True)
    assert left.images["identity"].tolist() == ["a", "a", "c", "c"]
    assert left.images["image_id"].tolist() == left.images["location"].tolist() == [0, 1, 2, 3]
    assert left.pixels[:, 0, 0, 0].tolist() == [0, 1, 4, 5]
    assert left.pairs[["pair_id", "image_a", "image_b"]].to_numpy().tolist() == [[0, 0, 1], [2, 0, 2]]
    assert left.fingerprint == print_ != data.fingerprint
    assert left.info["notes"] == "Two images were deleted."
    assert left.groups == ("Y", "X")


def test_a_group_without_anybody_is_no_group_any_more(tmp_path: Path) -> None:
    data = written(tmp_path / "d")
    write_without(data, np.array([4, 5]), tmp_path / "new", {}, {}, "")
    assert open_dataset(tmp_path / "new").groups == ("X",)
    with pytest.raises(FairLabError, match="no other people"):
        write_without(data, np.arange(6), tmp_path / "none", {}, {}, "")


def test_what_borrows_the_images_loses_them_too(tmp_path: Path) -> None:
    """A data set by recipe names rows of its lender: those that go, go there; the others are found under new numbers."""
    lender = written(tmp_path / "d")
    child = build_recipe(Recipe(dataset="d", splits=("train",), groups=("Y",)), tmp_path / "child", "child")
    both = build_recipe(Recipe(dataset="d", splits=("train",)), tmp_path / "both", "both")
    gone = np.array([2, 3])
    assert borrowing(child, "d", gone).tolist() == []
    assert borrowing(both, "d", gone).tolist() == [2, 3]
    prints = {"d": write_without(lender, gone, tmp_path / "new/d", {}, {}, "")}
    lenders = {"d": numbered(gone, 6)}
    for data in (child, both):
        rows = borrowing(data, "d", gone)
        prints[data.dataset_id] = write_without(data, rows, tmp_path / "new" / data.dataset_id, lenders, prints, "")
    for name in prints:
        place_folder(tmp_path / "new" / name, tmp_path / name)
    assert prints["child"] == child.fingerprint  # its images are those that they were
    assert prints["both"] != both.fingerprint
    assert open_dataset(tmp_path / "child", verify=True).pixels[np.arange(2)][:, 0, 0, 0].tolist() == [4, 5]
    assert open_dataset(tmp_path / "both", verify=True).pixels[np.arange(4)][:, 0, 0, 0].tolist() == [0, 1, 4, 5]
