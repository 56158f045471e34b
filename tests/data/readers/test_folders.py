"""Folders of images: groups and identities from names, any tree, nothing left out in silence."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from fairlab.data.listing import detect_kind
from fairlab.data.readers.folders import Folders, descend
from fairlab.errors import FairLabError, Stopped
from fairlab.settings.study import Source
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
        "identities missing from people.csv, in group 'unknown': 1 (m.02)"
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
        "files that are not images, left out: 1 (A/m.00/notes.txt)",
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
    with pytest.raises(FairLabError, match=r"not in a format that FairLab reads: .*folders of images"):
        detect_kind(tmp_path / "nothing")
    with pytest.raises(FairLabError, match="does not exist"):
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


def test_links_to_folders_are_followed_once_and_said(tmp_path: Path) -> None:
    """A link out of the root is read; one to a sibling, an ancestor or a folder already read is counted."""
    disk = grouped(tmp_path / "disk", ("X",), people=2, each=1) / "X"
    root = grouped(tmp_path / "set", ("A", "B"), people=1, each=1)
    (root / "A" / "linked").symlink_to(disk / "m.00")
    (root / "B" / "linked").symlink_to(disk / "m.00")
    (root / "B" / "sibling").symlink_to(root / "A" / "m.00")
    (root / "C").symlink_to(disk)
    (root / "up").symlink_to(tmp_path)
    (root / "A" / "m.00" / "loop").symlink_to(root)
    (root / "A" / "self").symlink_to("self")
    found = listing(root)
    assert found.images["location"].tolist() == [
        "A/linked/0.jpg", "A/m.00/0.jpg", "B/m.10/0.jpg", "C/m.01/0.jpg",
    ]  # fmt: skip
    read = Folders().opener(root, found.images["location"].tolist())
    assert read(3) == (disk / "m.01" / "0.jpg").read_bytes()
    said = [str(item) for item in found.problems]
    assert "links to folders that are already read elsewhere, left out: 6" in said[-1]
    for name in ("A/m.00/loop", "B/linked", "B/sibling", "C/m.00"):
        assert name in said[-1]
    assert "folders read through links to other places: 3 (C, up, A/linked)" in found.notes


def test_a_tree_that_is_nothing_but_links(tmp_path: Path) -> None:
    """As labs keep subsets: every identity a link to a folder on another disk."""
    store = grouped(tmp_path / "store", ("all",), people=3) / "all"
    for place, person in enumerate(sorted(store.iterdir())):
        (tmp_path / "view" / "AB"[place % 2]).mkdir(parents=True, exist_ok=True)
        (tmp_path / "view" / "AB"[place % 2] / person.name).symlink_to(person)
    found = listing(tmp_path / "view")
    assert found.images.groupby("group").size().to_dict() == {"A": 4, "B": 2}
    assert found.problems == []
    assert found.notes[1].startswith("folders read through links to other places: 3")


def test_names_that_are_no_text_are_counted(tmp_path: Path) -> None:
    """A table cannot hold them; nor could the report."""
    root = grouped(tmp_path)
    os.rename(root / "A" / "m.00" / "0.jpg", os.fsencode(root / "A" / "m.00") + b"/\xff.jpg")
    os.rename(root / "B" / "m.10", os.fsencode(root / "B") + b"/\xfe\xfd")
    found = listing(root)
    assert len(found.images) == 9
    assert [str(item) for item in found.problems] == [
        r"names that are not UTF-8, left out: 2 (A/m.00/\udcff.jpg, B/\udcfe\udcfd)"
    ]


def test_a_large_folder_tells_how_far_it_is_and_hears_a_stop(tmp_path: Path) -> None:
    """All files in one folder, where a call per folder would be one call."""
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "0.jpg").write_bytes(b"")
    for number in range(1, 20_000):
        os.link(folder / "0.jpg", folder / f"{number}.jpg")
    heard: list[tuple[int, int]] = []
    asked = 0

    def slowly() -> bool:
        nonlocal asked
        asked += 1
        time.sleep(0.3)  # a slow disk
        return asked > 2

    with pytest.raises(Stopped):
        Folders().listing(tmp_path, Source(path=str(tmp_path)), lambda d, t: heard.append((d, t)), slowly)
    assert [total for _, total in heard] == [0, 0]
    heard.clear()
    Folders().listing(tmp_path, Source(path=str(tmp_path)), lambda d, t: heard.append((d, t)), lambda: False)
    assert heard[-1] == (20_000, 0)


def test_cfps_poses_are_no_identities(tmp_path: Path) -> None:
    """Data/Images/001/frontal/01.jpg: the person is 001, the pose an attribute."""
    for person in ("001", "002"):
        for pose, number in (("frontal", 1), ("frontal", 2), ("profile", 1)):
            face(tmp_path / person / pose / f"{number:02d}.jpg", int(person) * 10 + number + len(pose))
    found = listing(tmp_path)
    assert found.images["identity"].tolist() == ["001"] * 3 + ["002"] * 3
    assert found.images["attribute.pose"].tolist() == ["frontal", "frontal", "profile"] * 2
    assert found.images["group"].unique().tolist() == ["everyone"]
    assert listing(tmp_path, attribute="pose").images["group"].tolist() == ["frontal", "frontal", "profile"] * 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("identity,race\nm.00,Asian\nm.01\n", "line 3: 1 fields, expected 2 as in the first line"),
        ("identity,race\nm.00,Asian,f\n", "line 2: 3 fields, expected 2"),
        ("identity,race\nm.00,A\nm.00,B\n", "line 3: 'm.00' has two different rows"),
        ("identity,race,race\nm.00,A,B\n", "line 1: two columns are named 'race'"),
        ("identity,,race\nm.00,A,B\n", "line 1: a column has no name"),
        ("identity,race\n,A\n", "line 2: the name of an image or identity is empty"),
        ("name,race\nm.00,A\n", "needs a column 'identity' or 'image' (or"),
        ("identity,race\nm.00,\0\n", "line 2: this is not text"),
        ("", "is empty"),
    ],
)
def test_a_table_of_groups_that_is_wrong_is_said_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    root = grouped(tmp_path / "set", ("one",)) / "one"
    table = tmp_path / "people.csv"
    table.write_text(text)
    with pytest.raises(FairLabError) as caught:
        listing(root, groups_table=str(table))
    assert str(caught.value).startswith(str(table))
    assert words in str(caught.value)


@pytest.mark.parametrize("how", ["cut", "flip"])
def test_200_damaged_tables_of_groups(tmp_path: Path, how: str) -> None:
    """Refused, or every identity has its own group but for at most the one whose line was hit; no group is lost in
    silence."""
    root = grouped(tmp_path / "set", ("one",), people=6, each=1, px=16) / "one"
    right = {f"m.0{n}": f"group {'AB'[n % 2]}" for n in range(6)}
    whole = "identity,race\n" + "".join(f"{name},{group}\n" for name, group in right.items())
    table, rng = tmp_path / "people.csv", random.Random(3)
    for _ in range(200):
        place = rng.randrange(len(whole))
        damaged = bytearray(whole.encode()[:place] if how == "cut" else whole.encode())
        if how == "flip":
            damaged[place] ^= 1 << rng.randrange(8)
        table.write_bytes(damaged)
        try:
            found = listing(root, groups_table=str(table))
        except FairLabError:
            continue
        groups = dict(zip(found.images["identity"], found.images["group"], strict=True))
        wrong = [name for name in right if groups[name] != right[name]]
        unknown = [name for name in wrong if groups[name] == "unknown"]
        assert len(wrong) - len(unknown) <= 1
        assert not unknown or any("missing from" in str(item) for item in found.problems)
