"""Tables of attributes beside images: FairFace's own tree, other people's CSVs, and what is wrong with them."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from fairlab.data.listing import Listing, detect_kind
from fairlab.data.readers.attribute_sets import AttributeSets
from fairlab.errors import FairLabError, Stopped
from fairlab.settings.study import Source
from tests.data.trees import face, grouped

HEAD = "file,age,gender,race,service_test\n"
TRAIN = ["train/1.jpg,50-59,Male,East Asian,True", "train/2.jpg,30-39,Female,Indian,False"]
VAL = ["val/1.jpg,3-9,Male,East Asian,False", "val/2.jpg,more than 70,Female,Latino_Hispanic,True"]


def fairface(root: Path) -> Path:
    """The tree of FairFace's release, two images of either part."""
    for number, part in enumerate(("train", "val")):
        for image in (1, 2):
            face(root / part / f"{image}.jpg", 10 * number + image, px=16)
    (root / "fairface_label_train.csv").write_text(HEAD + "\n".join(TRAIN) + "\n")
    (root / "fairface_label_val.csv").write_text(HEAD + "\n".join(VAL) + "\n")
    return root


def listing(path: Path, **settings: object) -> Listing:
    source = Source.model_validate({"path": str(path), **settings})
    return AttributeSets().listing(path, source, lambda _d, _t: None, lambda: False)


def said(found: Listing) -> list[str]:
    return [str(item) for item in found.problems]


def test_fairface_as_it_is_released(tmp_path: Path) -> None:
    root = fairface(tmp_path)
    assert detect_kind(root) == (
        "attributes",
        "fairface_label_train.csv and fairface_label_val.csv with age, gender, race, service_test",
    )
    found = listing(root)
    assert found.images["location"].tolist() == ["train/1.jpg", "train/2.jpg", "val/1.jpg", "val/2.jpg"]
    assert found.attribute == "race"
    assert found.images["group"].tolist() == ["East Asian", "Indian", "East Asian", "Latino_Hispanic"]
    assert found.images["attribute.age"].tolist() == ["50-59", "30-39", "3-9", "more than 70"]
    assert found.images["attribute.service_test"].tolist() == ["True", "False", "False", "True"]
    assert found.images["split"].tolist() == ["train", "train", "validation", "validation"]
    assert found.images["identity"].str.rpartition("/")[2].nunique() == 4
    assert found.pairs is None
    assert any("every image is its own identity" in note for note in found.notes)
    assert said(found) == []
    assert listing(root, attribute="gender").images["group"].tolist() == ["Male", "Female"] * 2
    with pytest.raises(FairLabError, match=r"no attribute 'Race'; they have: age, gender, race, service_test"):
        listing(root, attribute="Race")
    read = AttributeSets().opener(root, found.images["location"].tolist())
    assert read(2) == (root / "val" / "1.jpg").read_bytes()


def test_one_table_of_it_and_images_without_a_row(tmp_path: Path) -> None:
    root = fairface(tmp_path)
    (root / "train" / "2.jpg").unlink()
    path = root / "fairface_label_train.csv"
    assert detect_kind(path)[0] == "attributes"
    found = listing(path)
    assert found.images["location"].tolist() == ["train/1.jpg"]
    assert said(found) == [
        "images named in fairface_label_train.csv that do not exist, left out: 1 (train/2.jpg)",
        "images without a row, left out: 2 (val/1.jpg, val/2.jpg)",
    ]


def test_the_images_may_lie_one_folder_down(tmp_path: Path) -> None:
    """As the archive unpacks: the tables outside, the images in fairface-img-margin025-trainval/train."""
    fairface(tmp_path / "images")
    for name in ("fairface_label_train.csv", "fairface_label_val.csv"):
        (tmp_path / "images" / name).rename(tmp_path / name)
    found = listing(tmp_path)
    assert found.images["location"].iloc[0] == "images/train/1.jpg"
    assert AttributeSets().opener(tmp_path, found.images["location"].tolist())(0)[:2] == b"\xff\xd8"


def test_any_table_whose_first_column_names_images(tmp_path: Path) -> None:
    """The first column of words gives the groups when there is no race; a column `identity` names people."""
    for number in range(6):
        face(tmp_path / f"{number}.jpg", number, px=16)
    rows = "".join(f"{n}.jpg;{n / 7};{'fm'[n % 2]};p{n // 2}\n" for n in range(6))
    (tmp_path / "faces.csv").write_text("picture;blur;sex;identity\n" + rows)
    (tmp_path / "list.csv").write_text("0.jpg,1.jpg,1\n0.jpg,2.jpg,0\n")
    found = listing(tmp_path, pair_list=str(tmp_path / "list.csv"))
    assert detect_kind(tmp_path)[0] == "attributes"
    assert (found.attribute, found.images["group"].tolist()) == ("sex", list("fmfmfm"))
    assert found.images["identity"].tolist() == ["p0", "p0", "p1", "p1", "p2", "p2"]
    assert found.pairs is not None
    assert found.pairs["genuine"].tolist() == [True, False]
    (tmp_path / "faces.csv").write_text("picture;blur\n" + "".join(f"{n}.jpg;{n / 7}\n" for n in range(6)))
    assert listing(tmp_path, group="all").images["group"].unique().tolist() == ["all"]
    with pytest.raises(FairLabError, match="names no people, so the pairs of"):
        listing(tmp_path, pair_list=str(tmp_path / "list.csv"))


def test_folders_of_identities_are_not_taken_for_it(tmp_path: Path) -> None:
    """A table of the images of people in folders would otherwise make strangers of them."""
    root = grouped(tmp_path, px=16)
    (root / "table.csv").write_text("image,gender\nA/m.00/0.jpg,f\n")
    assert detect_kind(root)[0] == "folders"
    (root / "table.csv").write_text("img_path,gender\nA/m.00/0.jpg,f\n")
    assert detect_kind(root)[0] == "attributes"
    (root / "table.csv").write_text("image_a,image_b,genuine\nA/m.00/0.jpg,A/m.00/1.jpg,1\n")
    assert detect_kind(root)[0] == "folders"
    assert AttributeSets().detect(root / "table.csv") == ""


WRONG = {
    "line 3: 4 fields, expected 5 as in the first line": HEAD + TRAIN[0] + "\ntrain/2.jpg,30-39,Female,Indian\n",
    "line 2: 6 fields, expected 5": HEAD + "train/1.jpg,50-59,Male,East Asian,True,x\n",
    "line 3: 'train/1.jpg' has two different rows": HEAD + TRAIN[0] + "\ntrain/1.jpg,3-9,Male,Indian,True\n",
    "line 2: '../val/1.jpg' is not a path inside": HEAD + "../val/1.jpg,3-9,Male,Indian,True\n",
    "line 2: '/etc/1.jpg' is not a path inside": HEAD + "/etc/1.jpg,3-9,Male,Indian,True\n",
    "line 2: the name of an image or identity is empty": HEAD + ",3-9,Male,Indian,True\n",
    "line 1: two columns are named 'age'": "file,age,age\ntrain/1.jpg,1,2\n",
    "needs a column of images, one of an attribute": "file\ntrain/1.jpg\n",
    "names no existing image, for example not 'x.jpg'": HEAD + "x.jpg,3-9,Male,Indian,True\n",
    "is empty": "",
}


@pytest.mark.parametrize("words", WRONG)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, words: str) -> None:
    path = fairface(tmp_path) / "fairface_label_train.csv"
    path.write_text(WRONG[words])
    with pytest.raises(FairLabError) as caught:
        listing(path)
    assert str(caught.value).startswith(str(path))
    assert words in str(caught.value)


def test_repeated_rows_doubled_images_and_stops(tmp_path: Path) -> None:
    root = fairface(tmp_path)
    path = root / "fairface_label_train.csv"
    path.write_text(HEAD + TRAIN[0] + "\n" + TRAIN[0] + "\n")
    assert said(listing(path))[0] == "duplicate rows of fairface_label_train.csv: 1 (line 3)"
    path.write_text(HEAD + VAL[0] + "\n")
    with pytest.raises(FairLabError, match=r"both name 'val/1\.jpg'"):
        listing(root)
    path.write_text(HEAD + "train/1.jpg,50-59,Male,,True\n")
    found = listing(path)
    assert found.images["group"].tolist() == ["unknown"]
    assert "images without race, in group 'unknown': 1 (train/1.jpg)" in said(found)
    with pytest.raises(Stopped):
        AttributeSets().listing(root, Source(path=str(root)), lambda _d, _t: None, lambda: True)


@pytest.mark.parametrize("how", ["cut", "flip"])
def test_200_damaged_tables(tmp_path: Path, how: str) -> None:
    """Refused, or every image that is listed has its own race but for the one row that was hit."""
    root = fairface(tmp_path)
    path = root / "fairface_label_val.csv"
    (root / "fairface_label_train.csv").unlink()
    whole = path.read_bytes()
    right = {"val/1.jpg": "East Asian", "val/2.jpg": "Latino_Hispanic"}
    rng = random.Random(2)
    for _ in range(200):
        place = rng.randrange(len(whole))
        damaged = bytearray(whole[:place] if how == "cut" else whole)
        if how == "flip":
            damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        began = time.monotonic()
        try:
            found = listing(path)
        except FairLabError:
            continue
        assert time.monotonic() - began < 5
        if found.attribute != "race":  # the head was hit
            assert "race" not in damaged.decode().splitlines()[0].split(",")
            continue
        told = dict(zip(found.images["location"], found.images["group"], strict=True))
        assert sum(told[name] != right[name] for name in told) <= 1
        assert len(told) == 2 or said(found)
