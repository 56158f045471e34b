"""Files that are others than before are told by name; files that are the same are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fairlab.data.inspect.changes import difference, seen


def made(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"content")
    return root


def test_more_fewer_and_changed_files_are_counted_and_named(tmp_path: Path) -> None:
    """A hidden file is no data; a file with other bytes and one with another time have changed."""
    root = made(tmp_path / "set", "a/1.jpg", "a/2.jpg", "b/1.jpg", "b/2.jpg")
    before = seen(root)
    made(root, ".DS_Store", "b/.hidden")
    assert difference(before, seen(root)) == ""
    made(root, *(f"c/{number}.jpg" for number in range(5)))
    (root / "a/1.jpg").unlink()
    (root / "a/2.jpg").write_bytes(b"longer content")
    os.utime(root / "b/1.jpg", ns=(0, 0))
    assert difference(before, seen(root)) == (
        "5 more (c/0.jpg, c/1.jpg, c/2.jpg, ...), 1 fewer (a/1.jpg), 2 changed (a/2.jpg, b/1.jpg)"
    )


@pytest.mark.parametrize("name", ["train.rec", "odd[1].rec"])
def test_of_a_file_those_with_its_stem_count(tmp_path: Path, name: str) -> None:
    stem = name.removesuffix(".rec")
    made(tmp_path, name, f"{stem}.idx", "other.rec", "people.csv")
    before = seen(tmp_path / name, [tmp_path / "people.csv"])
    made(tmp_path, "third.rec")
    assert difference(before, seen(tmp_path / name, [tmp_path / "people.csv"])) == ""
    (tmp_path / f"{stem}.idx").unlink()
    (tmp_path / "people.csv").write_bytes(b"")
    now = seen(tmp_path / name, [tmp_path / "people.csv"])
    assert difference(before, now) == f"1 fewer ({stem}.idx), 1 changed ({tmp_path / 'people.csv'})"


def test_what_is_gone_altogether_has_fewer_files(tmp_path: Path) -> None:
    before = seen(made(tmp_path / "set", "a/1.jpg"))
    assert difference(before, seen(tmp_path / "gone")) == "1 fewer (a/1.jpg)"
