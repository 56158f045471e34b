"""MATLAB files: written by scipy, read by our own reader, compared with what scipy reads; and damaged ones."""

from __future__ import annotations

import random
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from fairlab.data.formats.matlab import Cells, Structs, read_mat
from fairlab.errors import Damaged, FairLabError, Refused


def cells(*items: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """A cell array as scipy has it."""
    array = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        array[place] = item
    return array.reshape(shape or (1, len(items)), order="F")


@pytest.mark.parametrize("packed", [False, True])
def test_what_scipy_writes_is_read_as_scipy_reads_it(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / "x.mat"
    numbers = {
        kind: np.arange(6).reshape(2, 3).astype(kind)
        for kind in ("f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
    }
    given = {
        **{f"n_{kind}": array for kind, array in numbers.items()},
        "text": "Ångström 😀",
        "short": "ab",
        "items": cells("one", np.arange(3.0), cells("deep"), shape=(3, 1)),
        "person": {"name": "Ann", "age": 7.0, "more": {"x": np.eye(2)}},
    }
    savemat(path, given, do_compression=packed)
    found = read_mat(path)
    theirs = {name: value for name, value in loadmat(path).items() if not name.startswith("__")}
    assert set(found) == set(theirs)
    for name in numbers:
        assert found[f"n_{name}"].tolist() == theirs[f"n_{name}"].tolist()
    assert found["short"] == "ab"
    items = found["items"]
    assert isinstance(items, Cells)
    assert (items.shape, items.items[0], items.items[2].items) == ((3, 1), "one", ["deep"])
    assert items.items[1].tolist() == [[0.0, 1.0, 2.0]]
    person = found["person"]
    assert isinstance(person, Structs)
    assert (person.items[0]["name"], person.items[0]["age"].tolist()) == ("Ann", [[7.0]])
    assert person.items[0]["more"].items[0]["x"].tolist() == [[1.0, 0.0], [0.0, 1.0]]


def element(kind: int, content: bytes) -> bytes:
    return struct.pack("<II", kind, len(content)) + content + bytes(-len(content) % 8)


def matrix(sort: int, shape: tuple[int, ...], rest: bytes) -> bytes:
    """An array of any class, so that those no writer would write can be tried."""
    dims = struct.pack(f"<{len(shape)}i", *shape)
    return element(14, element(6, struct.pack("<II", sort, 0)) + element(5, dims) + element(1, b"x") + rest)


HEAD = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
WRONG: dict[str, tuple[type[Exception], bytes]] = {
    "is a MATLAB file of version 7.3": (FairLabError, b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + bytes(400)),
    "is not a MATLAB file of version 5 to 7": (Damaged, b"hello"),
    "holds no variable": (Damaged, HEAD),
    "holds an object": (Refused, HEAD + matrix(3, (1, 1), b"")),
    "holds a function": (Refused, HEAD + matrix(16, (1, 1), b"")),
    "holds a sparse array": (Refused, HEAD + matrix(5, (1, 1), b"")),
    "of 100000 x 100000 has too few bytes": (Damaged, HEAD + matrix(1, (100_000, 100_000), b"")),
    "an array of -1 x 5 has too few": (Damaged, HEAD + matrix(1, (-1, 5), b"")),
    "9 items cannot fit in": (Damaged, HEAD + matrix(1, (3, 3), bytes(8))),
    "an array of 2 numbers has 8 bytes": (Damaged, HEAD + matrix(6, (1, 2), element(9, bytes(8)))),
    "a text of 3 letters has 2": (Damaged, HEAD + matrix(4, (1, 3), element(4, b"a\0b\0"))),
    "extends past the end": (Damaged, HEAD + matrix(6, (1, 1), element(9, bytes(8)))[:-8]),
    "a compressed variable is cut off": (Damaged, HEAD + struct.pack("<II", 15, 5) + zlib.compress(bytes(100))[:5]),
    "more than 268,435,456 bytes when it is unpacked": (
        Refused, HEAD + struct.pack("<II", 15, len(zlib.compress(bytes(300 << 20)))) + zlib.compress(bytes(300 << 20)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("words", WRONG)
def test_what_is_refused(tmp_path: Path, words: str) -> None:
    kind, content = WRONG[words]
    path = tmp_path / "x.mat"
    path.write_bytes(content)
    with pytest.raises(kind) as caught:
        read_mat(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_arrays_in_each_other_have_an_end(tmp_path: Path) -> None:
    deep = matrix(6, (1, 1), element(9, bytes(8)))
    for _ in range(40):
        deep = matrix(1, (1, 1), deep)
    (tmp_path / "x.mat").write_bytes(HEAD + deep)
    with pytest.raises(Damaged, match="more than 16 deep"):
        read_mat(tmp_path / "x.mat")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("how", ["cut", "flip"])
def test_200_damaged_files(tmp_path: Path, how: str, packed: bool) -> None:
    """Read or refused by one sentence, at once; a compressed file has a checksum, so what is read of it is right."""
    path, rng = tmp_path / "x.mat", random.Random(4)
    savemat(path, {"splits": cells("one", np.arange(5.0), cells("two", "three"), {"a": "four"})}, do_compression=packed)
    whole = path.read_bytes()
    for _ in range(200):
        place = rng.randrange(len(whole))
        damaged = bytearray(whole[:place] if how == "cut" else whole)
        if how == "flip":
            damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        began = time.monotonic()
        try:
            found = read_mat(path)
        except FairLabError as error:
            assert str(path) in str(error)  # noqa: PT017
        else:
            assert how == "flip"
            assert not packed or found["splits"].items[0] == "one"
        assert time.monotonic() - began < 5
