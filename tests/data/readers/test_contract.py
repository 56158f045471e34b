"""RFW, RecordIO and packs as data sets: what a user's tree becomes, end to end through the registry."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from fairlab.data.decode import decode
from fairlab.data.listing import READERS, Listing, detect_kind, reader
from fairlab.data.pixels import EncodedPixels
from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.settings.study import Source
from tests.data.trees import LMK, RACES, face, rfw

FIXTURES = Path(__file__).parents[2] / "fixtures" / "formats"


def listed(path: Path, **settings: object) -> Listing:
    source = Source.model_validate({"path": str(path), **settings})
    return reader(detect_kind(path)[0]).listing(path, source, lambda _d, _t: None, lambda: False)


@pytest.mark.parametrize("root", ["", "images", "RFW/images"])
def test_rfw_is_found_under_its_three_roots(tmp_path: Path, root: str) -> None:
    rfw(tmp_path / root)
    kind, why = detect_kind(tmp_path)
    assert kind == "rfw"
    assert why.endswith(str(Path(root) / "test"))
    found = listed(tmp_path)
    assert found.attribute == "Ethnicity"
    assert found.images.groupby("group").size().to_dict() == dict.fromkeys(RACES, 18)
    assert found.pairs is not None
    assert found.pairs.groupby("group")["genuine"].agg(["sum", "size"]).to_numpy().tolist() == [[10, 20]] * 4
    people = found.images["identity"].to_numpy()
    same = people[found.pairs["image_a"]] == people[found.pairs["image_b"]]
    assert (same == found.pairs["genuine"]).all()
    assert found.problems == [] or not [item for item in found.problems if "left out" in str(item)]


def test_rfws_landmarks_align_its_faces(tmp_path: Path) -> None:
    """The points of the fixture are the template at 1.2 times its size, 20 px further: the crop must undo that."""
    found = listed(rfw(tmp_path))
    assert found.landmarks is not None
    assert np.allclose(found.landmarks[0], np.round(LMK * 1.2 + 20, 2))
    read = reader("rfw").opener(tmp_path, found.images["location"].tolist())
    pixels = EncodedPixels(read, str, len(found.images), 112, found.landmarks)
    original = decode(read(0), "x").astype(float)
    for x, y in ((30, 40), (56, 56), (80, 90)):
        u, v = x * 1.2 + 20, y * 1.2 + 20
        assert np.abs(pixels.one(0)[y, x] - original[round(v), round(u)]).max() < 12  # smooth pictures, half a pixel


def test_a_person_under_two_groups_is_two_and_a_missing_image_is_counted(tmp_path: Path) -> None:
    rfw(tmp_path)
    shutil.copytree(tmp_path / "test/data/Asian/m.as0", tmp_path / "test/data/Indian/m.as0")
    (tmp_path / "test/data/African/m.af0/m.af0_0002.jpg").unlink()
    found = listed(tmp_path)
    assert found.images.loc[found.images["identity"].str.endswith("m.as0"), "identity"].nunique() == 2
    said = [str(item) for item in found.problems]
    assert any("pairs of African_pairs.txt with a missing image, left out" in text for text in said)
    assert any("landmarks of African_lmk.txt without an image: 1" in text for text in said)
    assert found.landmarks is not None
    assert int(np.isnan(found.landmarks).all(axis=(1, 2)).sum()) == 3  # data.landmarks says so


def test_landmarks_with_a_detectors_score_are_the_same_landmarks(tmp_path: Path) -> None:
    """And with the line ends of Windows, a mark at the beginning and blank lines at the end."""
    before = listed(rfw(tmp_path / "a")).landmarks
    rfw(tmp_path / "b")
    for path in (tmp_path / "b").glob("test/txts/*/*_lmk.txt"):
        text = "\r\n".join(f"{line}\t0.99" for line in path.read_text().splitlines())
        path.write_bytes(b"\xef\xbb\xbf" + text.encode() + b"\r\n\r\n")
    after = listed(tmp_path / "b").landmarks
    assert before is not None
    assert after is not None
    assert np.array_equal(before, after)


def test_a_pair_that_contradicts_the_folders_is_an_error_with_its_line(tmp_path: Path) -> None:
    """Two names of one folder as an impostor pair cannot be right, however it is read."""
    root = tmp_path / "set"
    for person in "ab":
        for number in (1, 2):
            face(root / person / f"{person}_{number:04d}.jpg", ord(person) + number)
    (root / "pairs.csv").write_text("image_a,image_b,genuine\na/a_0001.jpg,a/a_0002.jpg,0\n")
    with pytest.raises(FairLabError, match=r"pairs\.csv, line 2: an impostor pair of one person"):
        listed(root)


def test_records_are_read_where_they_lie(tmp_path: Path) -> None:
    """The classic fixture was written by mxnet 1.9.1: six images, labels 0, 0, 0, 1, 1, 2 in some order."""
    found = listed(FIXTURES / "classic")
    assert len(found.images) == 6
    assert sorted(found.images["identity"].value_counts().tolist()) == [1, 2, 3]
    read = reader("recordio").opener(FIXTURES / "classic", found.images["location"].tolist())
    assert decode(read(0), "x").shape == (112, 112, 3)
    table = tmp_path / "who.csv"
    table.write_text("identity,race\n0,A\n1,B\n2,B\n")
    grouped = listed(FIXTURES / "classic", groups_table=str(table))
    assert grouped.images.groupby("group")["identity"].nunique().to_dict() == {"A": 1, "B": 2}


def test_a_batch_is_its_images_one_by_one(tmp_path: Path) -> None:
    """Many are decoded by threads, right where they belong: sizes that fit and that do not, and red taken for blue."""
    for number in range(40):
        face(tmp_path / "a" / f"{number:02d}.jpg", number, 112 if number % 3 else 90)
    names = [f"a/{number:02d}.jpg" for number in range(40)]
    rows = np.array([*range(39, -1, -1), 3, 3])
    for swap in (False, True):
        pixels = EncodedPixels(reader("folders").opener(tmp_path, names), str, 40, 112, swap=swap)
        assert (pixels[rows] == np.stack([pixels.one(row) for row in rows.tolist()])).all()
    original = decode((tmp_path / "a/01.jpg").read_bytes(), "x")
    assert (pixels[rows][38] == original[:, :, ::-1]).all()


def test_packs_become_groups_and_people_hang_together(tmp_path: Path) -> None:
    """Pairs (a b) same, (b c) same, (d e) other: a, b and c are one person because b is the same file twice."""
    for number, name in enumerate("abcde"):
        face(tmp_path / f"{name}.jpg", number)
    a, b, c, d, e = ((tmp_path / f"{name}.jpg").read_bytes() for name in "abcde")
    folder = tmp_path / "packs"
    folder.mkdir()
    (folder / "African_test.bin").write_bytes(pickle.dumps(([a, b, b, c, d, e], [True, True, False])))
    (folder / "lfw.bin").write_bytes(pickle.dumps(([a, b, d, e], [True, False])))
    found = listed(folder)
    assert list(dict.fromkeys(found.images["group"])) == ["African", "lfw"]
    people = found.images["identity"].tolist()
    assert len(set(people[:4])) == 1
    assert len({people[3], people[4], people[5]}) == 3
    assert found.pairs is not None
    assert found.pairs[["image_a", "image_b"]].to_numpy().tolist() == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    read = reader("packs").opener(folder, found.images["location"].tolist())
    assert [read(row) for row in range(6)] == [a, b, b, c, d, e]


def test_a_hostile_pack_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"evil\.bin is refused: the pickle asks for posix\.system"):
        listed(FIXTURES / "evil.bin")


@pytest.mark.parametrize("kind", list(READERS))
def test_no_reader_claims_or_breaks_on_what_is_not_its_own(tmp_path: Path, kind: str) -> None:
    """The contract of every reader: detect() never raises, and listing() of something else is one sentence."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.txt").write_text("hello")
    (tmp_path / "x.rec").write_bytes(b"")
    (tmp_path / "x.bin").write_bytes(b"hello")
    for path in (tmp_path / "folder", tmp_path / "file.txt", tmp_path / "gone"):
        assert reader(kind).detect(path) == ""
    for path in (tmp_path / "folder", tmp_path / "x.rec", tmp_path / "x.bin"):
        with pytest.raises((FairLabError, Damaged)) as refusal:
            reader(kind).listing(path, Source(path=str(path)), lambda _d, _t: None, lambda: False)
        assert "\n" not in str(refusal.value)


def test_every_reader_says_what_it_reads() -> None:
    for name in READERS:
        assert {"title", "order"} <= set(READERS.facts(name))
