"""Folders of images: groups and identities from names, any tree, nothing left out in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlab.config import Source
from fairlab.data.folders import Folders, descend
from fairlab.data.reading import detect_kind
from fairlab.errors import FairLabError, Stopped
from tests.data.trees import face, grouped


def listing(path: Path, **settings: object):  # type: ignore[no-untyped-def]
    source = Source.model_validate({"path": str(path), **settings})
    return Folders().listing(path, source, lambda _done, _total: None, lambda: False)


def test_group_identity_image(tmp_path: Path) -> None:
    """BUPT-BalancedFace's tree: 2 groups of 3 people with 2 images; identities are kept apart by group."""
    found = listing(grouped(tmp_path))
    assert detect_kind(tmp_path) == ("folders", "images as group/identity/image")
    assert found.attribute == "group"
    assert len(found.images) == 12
    assert found.images["location"].iloc[0] == "A/m.00/0.jpg"
    assert found.images.groupby("group")["identity"].nunique().to_dict() == {"A": 3, "B": 3}
    assert found.problems == []


def test_identity_image_is_one_group_or_those_of_a_table(tmp_path: Path) -> None:
    root = grouped(tmp_path, ("one",)) / "one"
    assert listing(root, group="Casia").images["group"].unique().tolist() == ["Casia"]
    table = tmp_path / "people.csv"
    table.write_text("identity,Ethnicity,gender\nm.00,Asian,f\nm.01,Indian,m\n")
    found = listing(root, groups_table=str(table))
    assert found.attribute == "Ethnicity"
    assert found.images["group"].tolist() == ["Asian", "Asian", "Indian", "Indian", "unknown", "unknown"]
    assert [str(item) for item in found.problems] == [
        "identities that people.csv does not name, in group 'unknown': 1 (m.02)"
    ]
    assert listing(root, groups_table=str(table), attribute="gender").images["group"].tolist()[:4] == list("ffmm")
    with pytest.raises(FairLabError, match=r"people\.csv has no column 'race'; it has: Ethnicity, gender"):
        listing(root, groups_table=str(table), attribute="race")


def test_the_bytes_of_a_row_are_its_files(tmp_path: Path) -> None:
    root = grouped(tmp_path / "wrapped" / "again")
    assert descend(tmp_path) == root
    found = listing(tmp_path)
    read = Folders().opener(tmp_path, found.images["location"].tolist())
    for row, name in enumerate(found.images["location"]):
        assert read(row) == (root / name).read_bytes()


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    root = grouped(tmp_path)
    (root / "A" / "m.00" / "notes.txt").write_text("x")
    (root / "A" / "m.00" / ".DS_Store").write_text("x")
    face(root / "B" / "loose.jpg", 5)
    assert [str(item) for item in listing(root).problems] == [
        "files that are no images, left out: 1 (A/m.00/notes.txt)",
        "images at another depth, left out: 1 (B/loose.jpg)",
    ]


@pytest.mark.parametrize("name", ["with space", "emoji 😀", "مجموعة", "line\nbreak", "a,b;c\td"])
def test_any_name_is_a_name(tmp_path: Path, name: str) -> None:
    root = grouped(tmp_path, (name, "plain"))
    found = listing(root)
    assert set(found.images["group"]) == {name, "plain"}
    read = Folders().opener(root, found.images["location"].tolist())
    assert all(read(row)[:2] == b"\xff\xd8" for row in range(len(found.images)))


def test_one_identity_one_image_and_empty_folders(tmp_path: Path) -> None:
    face(tmp_path / "only" / "a.png", 1, kind="PNG")
    (tmp_path / "empty").mkdir()
    assert len(listing(tmp_path).images) == 1
    (tmp_path / "nothing").mkdir()
    with pytest.raises(FairLabError, match="has no images as identity/image or group/identity/image"):
        listing(tmp_path / "nothing")
    with pytest.raises(FairLabError, match=r"none of the kinds FairLab reads: .*folders of images"):
        detect_kind(tmp_path / "nothing")
    with pytest.raises(FairLabError, match="there is nothing at"):
        detect_kind(tmp_path / "gone")


def test_listing_can_be_stopped(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        Folders().listing(grouped(tmp_path), Source(path=str(tmp_path)), lambda _d, _t: None, lambda: True)


def test_the_order_does_not_hang_on_the_file_system(tmp_path: Path) -> None:
    """Made in another order, the same images have the same numbers."""
    first, second = tmp_path / "1", tmp_path / "2"
    for person in ("b", "a", "c"):
        face(first / person / "x.jpg", ord(person))
    for person in ("c", "b", "a"):
        face(second / person / "x.jpg", ord(person))
    assert listing(first).images.equals(listing(second).images)


def test_a_pair_list_beside_the_images_is_found(tmp_path: Path) -> None:
    """LFW's pairs.txt: one fold line, then genuine and impostor pairs."""
    root = tmp_path / "lfw"
    for person in ("Ann_A", "Bob_B"):
        for number in (1, 2):
            face(root / person / f"{person}_{number:04d}.jpg", ord(person[0]) + number)
    (tmp_path / "pairs.txt").write_text("1\t1\nAnn_A\t1\t2\nAnn_A\t1\tBob_B\t2\n")
    found = listing(root)
    assert found.pairs is not None
    assert found.pairs[["image_a", "image_b", "genuine"]].to_numpy().tolist() == [[0, 1, True], [0, 3, False]]
