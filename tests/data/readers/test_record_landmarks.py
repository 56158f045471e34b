"""Landmarks beside a .rec: CVLface's table and its variants, against the fixture written by mxnet."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from fairlab.data.landmarks import MISSING, REASONS, faults
from fairlab.data.listing import Listing
from fairlab.data.readers.record_landmarks import landmarks_of
from fairlab.data.readers.record_sets import open_records
from fairlab.data.readers.records import Records
from fairlab.errors import Damaged, FairLabError
from fairlab.settings.study import Source
from tests.data.trees import LMK

FORMATS = Path(__file__).parents[2] / "fixtures" / "formats"
HEAD = "idx," + ",".join(f"ldmk_{place}" for place in range(10)) + "\n"


def listing(path: Path) -> Listing:
    return Records().listing(path, Source(path=str(path)), lambda _d, _t: None, lambda: False)


def rows(numbers: range | list[int], scale: float = 1 / 112, score: str = "") -> str:
    """Image n has the template's points, n pixels further right."""
    lines = []
    for number in numbers:
        points = (LMK + np.array([numbers.index(number), 0])) * scale
        lines.append(f"{number}," + ",".join(f"{x:.6f},{y:.6f}{score}" for x, y in points) + "\n")
    return "".join(lines)


@pytest.fixture
def classic(tmp_path: Path) -> Path:
    """Six images of 112 x 112 with the keys 1 to 6."""
    shutil.copytree(FORMATS / "classic", tmp_path / "classic")
    return tmp_path / "classic"


@pytest.mark.parametrize(
    "text",
    [
        HEAD + rows(range(6)),
        rows(range(6)),
        rows(range(6), 1.0),
        rows(range(6), 1.0, ",0.99"),
        HEAD + rows(range(1, 7)),
        "\ufeff" + HEAD + rows(range(6)),
    ],
    ids=["cvlface", "no heading", "pixels", "scores", "keys", "mark"],
)
def test_landmarks_come_to_their_images_in_pixels(classic: Path, text: str) -> None:
    (classic / "ldmk_5points.csv").write_text(text)
    found = listing(classic)
    assert found.landmarks is not None
    assert found.landmarks.shape == (6, 5, 2)
    for row in range(6):
        assert np.allclose(found.landmarks[row], LMK + np.array([row, 0]), atol=1e-3)
    assert "landmarks from ldmk_5points.csv" in found.notes


def test_images_without_landmarks_are_counted(classic: Path) -> None:
    text = rows(range(6)).splitlines(keepends=True)
    text[2] = "2," + ",".join(["nan"] * 10) + "\n"
    (classic / "train_landmarks.csv").write_text("".join(text[:5]))
    found = listing(classic)
    assert found.landmarks is not None
    assert np.isnan(found.landmarks).all(axis=(1, 2)).tolist() == [False, False, True, False, False, True]
    assert [REASONS[code] for code in faults(found.landmarks)] == ["", "", MISSING, "", "", MISSING]


def test_numbers_that_may_be_either_are_not_used(classic: Path) -> None:
    """2 to 5 are images 2 to 5 counted from 0, or the keys of images 1 to 4."""
    (classic / "ldmk.csv").write_text(rows([2, 3, 4, 5]))
    found = listing(classic)
    assert found.landmarks is None
    assert any("does not show whether it counts images or names their keys" in note for note in found.notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            HEAD + rows(range(6)).replace("\n3,0.", "\n3,x."),
            "line 5: expected a number and the points, 11 values",
        ),
        (rows(range(6)) + "6,1,2\n", "line 7: expected"),
        (rows(range(6)).replace("\n", ",1\n", 2).replace(",1\n", "\n", 1), "line 2: expected"),
        (rows(range(6)).replace("2,", ",", 1), "expected"),
        (HEAD + rows(range(6)) + rows([0]), "image 0 appears twice"),
        (rows(range(8)), "names image 7, but there are 6 images"),
        (rows(range(6)).replace("\n4,", "\n-4,"), "line 5: expected"),
        (rows(range(6)).replace("\n4,", "\n4.5,"), "line 5: expected"),
        (rows(range(6)).replace("\n4,", "\n4,inf,", 1), "expected"),
        ("idx,x,y\n", "line 1: 3 fields, expected a number and 5 points"),
        (HEAD, "holds no landmarks"),
        ("", "line 1: 1 fields"),
    ],
)
def test_a_table_that_is_wrong_is_said_with_its_line(classic: Path, text: str, words: str) -> None:
    (classic / "ldmk.csv").write_text(text)
    with pytest.raises(Damaged) as caught:
        listing(classic)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(classic / "ldmk.csv") in str(caught.value)


def test_two_tables_are_one_too_many(classic: Path) -> None:
    for name in ("ldmk.csv", "landmarks.csv"):
        (classic / name).write_text(rows(range(6)))
    with pytest.raises(FairLabError, match=r"several tables of landmarks: landmarks\.csv, ldmk\.csv"):
        listing(classic)


@pytest.mark.parametrize("how", ["cut", "flip"])
def test_200_damaged_tables(classic: Path, how: str) -> None:
    """Refused, or the landmarks of all images but the one that was hit are as they were; lost ones are NaN."""
    rng = random.Random(8)
    whole = (HEAD + rows(range(6), 1.0)).encode()
    (classic / "ldmk.csv").write_bytes(whole)
    records = open_records(classic)
    right = landmarks_of(classic / "train.rec", records.keys, records.read, [])
    assert right is not None
    for _ in range(200):
        place = rng.randrange(len(whole))
        damaged = bytearray(whole[:place] if how == "cut" else whole)
        if how == "flip":
            damaged[place] ^= 1 << rng.randrange(8)
        (classic / "ldmk.csv").write_bytes(damaged)
        notes: list[str] = []
        try:
            found = landmarks_of(classic / "train.rec", records.keys, records.read, notes)
        except FairLabError:
            continue
        if found is None:
            assert any("ldmk.csv" in note for note in notes)
            continue
        lost = np.isnan(found).any(axis=(1, 2))
        assert np.isnan(found[lost]).all()
        other = ~lost & (np.abs(found - right) > 1e-3).any(axis=(1, 2))
        assert other.sum() <= 1
