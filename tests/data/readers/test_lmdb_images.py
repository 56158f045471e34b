"""LMDB of images: what liblmdb writes is read as it was written; keys and values as training code packs them."""

from __future__ import annotations

import io
import pickle
import random
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fairlab.data.formats.lmdb_file import LmdbFile
from fairlab.data.listing import Listing, detect_kind
from fairlab.data.readers.lmdb_images import LmdbImages
from fairlab.errors import FairLabError
from fairlab.jobs.data.adding import dry_run
from fairlab.settings.study import Source

lmdb = pytest.importorskip("lmdb")


def jpeg(seed: int, px: int = 24) -> bytes:
    stream = io.BytesIO()
    coarse = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (6, 6, 3)).astype(np.uint8))
    coarse.resize((px, px)).save(stream, "JPEG")
    return stream.getvalue()


def written(folder: Path, values: dict[bytes, bytes]) -> Path:
    with lmdb.open(str(folder), map_size=1 << 24) as env, env.begin(write=True) as transaction:
        for key, value in values.items():
            transaction.put(key, value)
    return folder


def listing(path: Path, **settings: object) -> Listing:
    source = Source.model_validate({"path": str(path), **settings})
    return LmdbImages().listing(path, source, lambda _d, _t: None, lambda: False)


def test_every_key_and_value_of_liblmdb_is_read(tmp_path: Path) -> None:
    """Several levels of pages, empty values and such of many pages; keys deleted and written again."""
    draw = random.Random(1)
    values = {
        b"%06d" % draw.randrange(10**6): draw.randbytes(draw.choice([0, 1, 50, 2000, 5000, 20_000])) for _ in range(900)
    }
    folder = written(tmp_path / "db", values)
    with lmdb.open(str(folder), map_size=1 << 26) as env, env.begin(write=True) as transaction:
        for key in list(values)[:300]:
            transaction.delete(key)
            values.pop(key)
    found = LmdbFile(folder / "data.mdb")
    assert {entry.key: found.file.read(entry.offset, entry.size) for entry in found.items(lambda _n: None)} == values


def datum(image: bytes, label: int) -> bytes:
    def varint(number: int) -> bytes:
        return bytes([number & 127 | 128 * (number > 127)]) + (varint(number >> 7) if number > 127 else b"")

    return b"\x08\x03" + b"\x22" + varint(len(image)) + image + b"\x28" + varint(label) + b"\x38\x01"


def msgpack(image: bytes, label: int) -> bytes:
    return b"\x92\xc5" + struct.pack(">H", len(image)) + image + b"\xcd" + struct.pack(">H", label)


FORMS = {
    "pickled": lambda image, label: pickle.dumps((image, label), protocol=4),
    "pickled array": lambda image, label: pickle.dumps([np.frombuffer(image, np.uint8), np.int64(label)], protocol=4),
    "msgpack": msgpack,
    "datum": datum,
}


@pytest.mark.parametrize("form", FORMS)
def test_values_with_labels(tmp_path: Path, form: str) -> None:
    images = [jpeg(number) for number in range(6)]
    values = {b"%08d" % n: FORMS[form](image, 300 + n // 2) for n, image in enumerate(images)}
    folder = written(tmp_path / "db", {**values, b"__len__": pickle.dumps(6), b"odd": b"no image"})
    assert detect_kind(folder)[0] == "lmdb"
    found = listing(folder)
    assert found.images["identity"].tolist() == ["300", "300", "301", "301", "302", "302"]
    read = LmdbImages().opener(folder, found.images["location"].tolist())
    assert [read(row) for row in range(6)] == images
    assert [str(item) for item in found.problems] == ["values that are not images, left out: 1 (odd)"]


@pytest.mark.parametrize(
    ("keys", "settings"),
    [
        (("m.01/1.jpg", "m.01/2.jpg", "m.02/1.jpg"), {}),
        (("m.01_0001", "m.01_0002", "m.02_0001"), {}),
        (("1-m.01", "2-m.01", "3-m.02"), {"identity_pattern": "{number}-{identity}"}),
    ],
)
def test_keys_tell_who_is_shown(tmp_path: Path, keys: tuple[str, ...], settings: dict[str, str]) -> None:
    folder = written(tmp_path / "db", {key.encode(): jpeg(n) for n, key in enumerate(keys)})
    assert listing(folder, **settings).images["identity"].tolist() == ["m.01", "m.01", "m.02"]


def test_labels_beside_images_lists_and_bad_images(tmp_path: Path) -> None:
    values = {b"image-%09d" % n: jpeg(n) for n in range(1, 5)} | {
        b"label-%09d" % n: b"p%d" % (n // 3) for n in range(1, 5)
    }
    values[b"image-000000004"] = jpeg(4)[:300]
    folder = written(tmp_path / "db", {**values, b"num-samples": b"4"})
    (tmp_path / "pairs.csv").write_text("image-000000001,image-000000002,1\nimage-000000001,image-000000003,0\n")
    found, listed = dry_run(Source(path=str(folder), pair_list=str(tmp_path / "pairs.csv")))
    assert listed.images["identity"].tolist() == ["p0", "p0", "p1", "p1"]
    assert found["unreadable"] == 1
    assert found["pairs"]["everyone"] == {"genuine": 1, "impostor": 1, "folds": 2}


def test_what_does_not_tell_who_is_shown_is_said(tmp_path: Path) -> None:
    folder = written(tmp_path / "db", {b"1": jpeg(1), b"2": jpeg(2)})
    with pytest.raises(FairLabError, match=r"keys do not give the identity, e\.g\. '1'; give identity_pattern"):
        listing(folder)
    with pytest.raises(FairLabError, match="holds no encoded image as a value"):
        listing(written(tmp_path / "none", {b"1": b"x"}))


@pytest.mark.parametrize("how", ["cut", "flip"])
def test_200_damaged_files(tmp_path: Path, how: str) -> None:
    """liblmdb would map such a file and may end the process; here it is one sentence, or an image that says it is bad."""
    folder = written(tmp_path / "db", {b"a/%04d" % n: FORMS["pickled"](jpeg(n, 8), n // 2) for n in range(16)})
    whole = (folder / "data.mdb").read_bytes()
    used = next(place for place in range(len(whole), 0, -4096) if any(whole[place - 4096 : place]))
    path, draw, refused = tmp_path / "some.mdb", random.Random(3), 0
    for _ in range(200):
        place = draw.randrange(used)
        damaged = bytearray(whole[:place] if how == "cut" else whole[:used])
        if how == "flip":
            damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            found = listing(path)
            read = LmdbImages().opener(path, found.images["location"].tolist())
            for row in range(len(found.images)):
                read(row)
        except FairLabError as error:
            refused += 1
            assert "some.mdb" in str(error)  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
    assert refused > (190 if how == "cut" else 0)
