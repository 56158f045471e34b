"""CFP's folders and AgeDB's .mat, as their releases have them, through read_pairs."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from fairlab.data.readers.folders import Folders
from fairlab.data.readers.pair_lists import read_pairs
from fairlab.errors import Damaged, FairLabError
from fairlab.settings.study import Source
from tests.data.formats.test_matlab import cells
from tests.data.trees import face


def cfp(root: Path) -> Path:
    """Two people with two frontal and one profile image, two folds of FF and FP; lists as CFP writes them."""
    protocol = root / "Protocol"
    for split in ("FF", "FP"):
        for fold in ("01", "02"):
            (protocol / "Split" / split / fold).mkdir(parents=True)
            (protocol / "Split" / split / fold / "same.txt").write_text("1,2\n" if split == "FF" else "1,1\n3,2\n")
            (protocol / "Split" / split / fold / "diff.txt").write_text("1,3\n" if split == "FF" else "2,2\n4,1\n")
    frontal = [f"../Data/Images/{person}/frontal/{image}.jpg" for person in ("001", "002") for image in ("01", "02")]
    profile = [f"../Data/Images/{person}/profile/01.jpg" for person in ("001", "002")]
    for name, listed in (("Pair_list_F.txt", frontal), ("Pair_list_P.txt", profile)):
        (protocol / name).write_text("".join(f"{n} {path}\n" for n, path in enumerate(listed, 1)))
    for number, path in enumerate((*frontal, *profile)):
        face(root / path.removeprefix("../"), number, px=16)
    return root


def test_cfp_as_it_is_released(tmp_path: Path) -> None:
    """FP: the first number is a frontal image, the second a profile one; both count from 1."""
    split = cfp(tmp_path) / "Protocol" / "Split"
    read = read_pairs(split / "FP")
    assert read.kind == "cfp"
    assert read.pairs["image_a"].tolist()[:4] == [
        "001/frontal/01.jpg", "002/frontal/01.jpg", "001/frontal/02.jpg", "002/frontal/02.jpg",
    ]  # fmt: skip
    assert read.pairs["image_b"].tolist()[:4] == [
        "001/profile/01.jpg", "002/profile/01.jpg", "002/profile/01.jpg", "001/profile/01.jpg",
    ]  # fmt: skip
    assert read.pairs["genuine"].tolist() == [True, True, False, False] * 2
    assert read.pairs["fold"].tolist() == [0] * 4 + [1] * 4
    assert read_pairs(split / "FF").pairs["image_b"].tolist() == ["001/frontal/02.jpg", "002/frontal/01.jpg"] * 2


def test_cfps_pairs_fit_its_images(tmp_path: Path) -> None:
    root = cfp(tmp_path)
    source = Source(path=str(root / "Data" / "Images"), pair_list=str(root / "Protocol" / "Split" / "FP"))
    found = Folders().listing(root / "Data" / "Images", source, lambda _d, _t: None, lambda: False)
    assert found.pairs is not None
    assert len(found.pairs) == 8
    people = found.images["identity"].to_numpy()
    same = people[found.pairs["image_a"]] == people[found.pairs["image_b"]]
    assert (same == found.pairs["genuine"]).all()


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("Split/FP/02/same.txt", "1,1\n9,1\n", "same.txt, line 2: no list has image 9; they have 1 to 4"),
        ("Split/FP/02/same.txt", "1,x\n", "same.txt, line 1: 'x' is not a number"),
        ("Split/FP/02/same.txt", "1\n", "same.txt, line 1: 1 fields, expected 2"),
        ("Split/FP/02/same.txt", "1,2\n", "same.txt, line 1: a genuine pair of two people"),
        ("Split/FP/01/diff.txt", "1,1\n", "diff.txt, line 1: an impostor pair of one person"),
        ("Pair_list_P.txt", "1 ../Data/Images/001/profile/01.jpg\n1 a/b/c.jpg\n", "line 2: the number 1 appears twice"),
        ("Pair_list_P.txt", "1 01.jpg\n", "line 1: '01.jpg' does not end in person/pose/image"),
        ("Pair_list_F.txt", "1 ../../../x.jpg\n", "line 1: '../../x.jpg' is not a path inside"),
    ],
)
def test_what_is_wrong_with_cfp_is_said_with_its_line(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = cfp(tmp_path) / "Protocol"
    (path / name).write_text(text)
    with pytest.raises(Damaged) as caught:
        read_pairs(path / "Split" / "FP")
    assert words in str(caught.value)
    (path / "Split" / "FP" / "01" / "diff.txt").unlink()
    with pytest.raises(FairLabError):
        read_pairs(path / "Split" / "FP")
    with pytest.raises(FairLabError, match="Is a directory"):
        read_pairs(path)


def agedb(path: Path, folds: int = 10, each: int = 2, packed: bool = False, **wrong: Any) -> Path:
    """`splits`: cells of structs of 2 x N cells of structs with a name, and of N labels 1 or -1."""
    splits = []
    for fold in range(folds):
        names = np.empty((2, 2 * each), dtype=object)
        for pair in range(2 * each):
            for side in (0, 1):
                person = fold * 100 + pair + (50 * side if pair >= each else 0)
                names[side, pair] = {"name": f"{1000 * side + fold * 10 + pair}_P{person}_35_f"}
        labels = np.array([[1] * each + [-1] * each], float)
        splits.append({"pairs": wrong.get("pairs", names), "labels": wrong.get("labels", labels)})
    savemat(path, {wrong.get("name", "splits"): cells(*splits, shape=(folds, 1))}, do_compression=packed)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_agedb_as_it_is_released(tmp_path: Path, packed: bool) -> None:
    read = read_pairs(agedb(tmp_path / "AgeDB_new_splits_30.mat", packed=packed))
    assert (read.kind, read.problems) == ("agedb", ())
    assert read.pairs["genuine"].tolist() == [True, True, False, False] * 10
    assert read.pairs["fold"].tolist() == [place // 4 for place in range(40)]
    assert read.pairs.loc[4, ["image_a", "image_b"]].tolist() == ["10_P100_35_f.jpg", "1010_P100_35_f.jpg"]
    assert read.pairs.loc[7, ["image_a", "image_b"]].tolist() == ["13_P103_35_f.jpg", "1013_P153_35_f.jpg"]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "pairs"}, "has no cell array 'splits', as AgeDB has; it has: pairs"),
        ({"labels": np.array([[1.0, 1, -1]])}, "fold 1: 2 x 4 names and 3 labels, expected 2 x N and N"),
        ({"labels": np.array([[1.0, 1, -1, 2]])}, "fold 1, pair 4: label 2.0, expected 1 or -1"),
        ({"labels": "text"}, "fold 1: expected cells with names and an array of labels"),
        ({"pairs": np.arange(8.0)}, "fold 1: expected cells with names"),
        ({"pairs": cells(*[np.eye(2)] * 8, shape=(2, 4))}, "a pair has an empty image name"),
        ({"pairs": cells(*["../../etc/x"] * 8, shape=(2, 4))}, "'../../etc/x.jpg' is not a path inside"),
    ],
)
def test_what_is_wrong_with_agedb_is_said(tmp_path: Path, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(Damaged) as caught:
        read_pairs(agedb(tmp_path / "x.mat", **wrong))
    assert words in str(caught.value)


@pytest.mark.parametrize("how", ["cut", "flip"])
def test_200_damaged_lists_of_agedb(tmp_path: Path, how: str) -> None:
    """Not compressed, so without a checksum: at most the pair that was hit is another one."""
    path, rng = agedb(tmp_path / "x.mat", folds=3), random.Random(6)
    whole, right = path.read_bytes(), read_pairs(path).pairs
    for _ in range(200):
        place = rng.randrange(len(whole))
        damaged = bytearray(whole[:place] if how == "cut" else whole)
        if how == "flip":
            damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            found = read_pairs(path).pairs
        except FairLabError:
            continue
        if how == "cut":  # whole variables only
            assert found.equals(right)
        columns = ["image_a", "image_b", "genuine", "fold"]
        assert len(found) == len(right)
        assert (found[columns] != right[columns]).any(axis=1).sum() <= 1
