"""WebDataset shards: written by webdataset and by Python's tarfile, read by our own reader, never unpacked."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
import time
from collections.abc import Iterable, Sequence
from functools import cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fairlab.data.decode import decode
from fairlab.data.formats.tars import Archive
from fairlab.data.listing import Listing, detect_kind
from fairlab.data.readers.shards import Shards
from fairlab.errors import Damaged, FairLabError, Stopped
from fairlab.settings.study import Source

FIXTURE = Path(__file__).parents[2] / "fixtures" / "shards"
Entry = tuple[str, bytes]
WRITERS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


@cache
def picture(seed: int, kind: str = "JPEG") -> bytes:
    """A picture that nothing else equals."""
    stream = io.BytesIO()
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(coarse).resize((32, 32)).save(stream, kind)
    return stream.getvalue()


def pack(path: Path, entries: Iterable[Entry], how: int = tarfile.PAX_FORMAT) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w", format=how) as archive:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def sample(key: str, identity: str | int | None, facts: dict[str, object] | None = None, seed: int = 0) -> list[Entry]:
    found = [(f"{key}.jpg", picture(seed))]
    if identity is not None:
        found.append((f"{key}.cls", str(identity).encode()))
    if facts is not None:
        found.append((f"{key}.json", json.dumps(facts).encode()))
    return found


def listing(path: Path, **settings: object) -> Listing:
    source = Source.model_validate({"path": str(path), **settings})
    return Shards().listing(path, source, lambda _d, _t: None, lambda: False)


def said(found: Listing) -> list[str]:
    return [str(item) for item in found.problems]


def content(path: Path, found: Listing) -> list[bytes]:
    read = Shards().opener(path, found.images["location"].tolist())
    return [read(row) for row in range(len(found.images))]


@pytest.mark.parametrize("how", WRITERS)
def test_what_tarfile_writes_is_read(tmp_path: Path, how: str) -> None:
    """All three formats, names of 150 and 240 characters, folders, and every kind of picture."""
    long, longer = "d" * 70 + "/" + "x" * 80, "e" * 120 + "/" + "y" * 90
    entries = [
        *sample("0001", 7, seed=1),
        ("a/0002.png", picture(2, "PNG")), ("a/0002.cls", b"Ann\n"),
        (f"{long}.webp", picture(3, "WEBP")), (f"{long}.cls", b"7"),
        (f"{longer}.JPEG", picture(4)), (f"{longer}.cls", "مريم 😀".encode()),
    ]  # fmt: skip
    path = pack(tmp_path / "one.tar", entries, WRITERS[how])
    assert detect_kind(path) == ("shards", "one.tar")
    found = listing(path)
    assert found.images["identity"].tolist() == ["7", "Ann", "7", "مريم 😀"]
    assert content(path, found) == [picture(1), picture(2, "PNG"), picture(3, "WEBP"), picture(4)]
    assert said(found) == []


def test_what_webdataset_writes_is_read_as_webdataset_reads_it(tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    for shard in range(2):
        with webdataset.TarWriter(str(tmp_path / f"train-{shard:06d}.tar")) as writer:
            for number in range(5):
                facts = {"race": "AB"[number % 2], "age": 20 + number}
                key = f"{shard}{number:04d}"
                writer.write({"__key__": key, "jpg": picture(10 * shard + number), "cls": number % 3, "json": facts})
    found = listing(tmp_path)
    assert detect_kind(tmp_path) == ("shards", "train-000000.tar, train-000001.tar")
    pattern = str(tmp_path / "train-{000000..000001}.tar")
    theirs = list(webdataset.WebDataset(pattern, shardshuffle=False))
    assert content(tmp_path, found) == [item["jpg"] for item in theirs]
    assert found.images["identity"].tolist() == [item["cls"].decode() for item in theirs]
    assert found.images["group"].tolist() == [json.loads(item["json"])["race"] for item in theirs]
    assert found.images["attribute.age"].tolist() == [str(20 + number) for number in range(5)] * 2
    assert found.attribute == "race"
    assert listing(tmp_path, attribute="age").images["group"].nunique() == 5
    with pytest.raises(FairLabError, match=r"the data have no attribute 'gender'; they have: race, age"):
        listing(tmp_path, attribute="gender")


def test_shards_of_webdataset_are_read_without_it() -> None:
    """Two shards of two samples, written by webdataset 1.0.2 with classes 0 and 1."""
    found = listing(FIXTURE)
    assert found.images["identity"].tolist() == ["0", "1", "0", "1"]
    assert found.images["group"].tolist() == ["A", "B", "A", "B"]
    assert found.images["attribute.age"].tolist() == ["20", "21", "20", "21"]
    with tarfile.open(FIXTURE / "train-000001.tar") as archive:
        stored = [archive.extractfile(f"1000{number}.jpg") for number in range(2)]
        assert [item.read() for item in stored if item] == content(FIXTURE, found)[2:]


def test_names_with_dots_are_whole_and_further_fields_are_left_out(tmp_path: Path) -> None:
    """m.0abc_0001 is one key; key.seg.png belongs to key, wherever it stands among its members."""
    entries = [
        *sample("m.0abc_0001", "m.0abc", seed=1),
        *sample("m.0abc_0002", "m.0abc", seed=2),
        ("k.jpg", picture(3)), ("k.seg.png", picture(4, "PNG")), ("k.txt", b"caption"), ("k.cls", b"5"),
    ]  # fmt: skip
    found = listing(pack(tmp_path / "x.tar", entries))
    assert found.images["identity"].tolist() == ["m.0abc", "m.0abc", "5"]
    assert said(found) == ["further members, left out: 2 (x.tar: k.seg.png, x.tar: k.txt)"]


def test_json_says_who_and_what(tmp_path: Path) -> None:
    entries = [
        *sample("a", None, {"identity": "Ann", "label": 0, "gender": "f", "box": [1, 2], "smiles": True, "age": None}),
        *sample("b", None, {"label": 1, "gender": "m"}),
        *sample("c", 1, {"label": 1, "group": "G", "score": 0.5}),
        *sample("d", 2, {"label": 3}),
    ]
    found = listing(pack(tmp_path / "x.tar", entries))
    assert found.images["identity"].tolist() == ["Ann", "1", "1", "2"]
    assert found.images["attribute.gender"].tolist() == ["f", "m", "", ""]
    assert found.images["attribute.smiles"].tolist() == ["true", "", "", ""]
    assert found.images["attribute.score"].tolist() == ["", "", "0.5", ""]
    assert found.attribute == "group"
    assert found.images["group"].tolist() == ["unknown", "unknown", "G", "unknown"]
    assert said(found)[0] == ("samples whose .json and .cls have different labels; the .cls was used: 1 (x.tar: d)")
    assert ".json fields that hold lists or objects are not read: box" in found.notes


def test_what_is_no_sample_is_counted_and_named(tmp_path: Path) -> None:
    entries = [
        *sample("good", 1),
        ("two.jpg", picture(1)), ("two.png", picture(2, "PNG")), ("two.cls", b"1"),
        ("none.cls", b"1"),
        ("nobody.jpg", picture(3)),
        ("minus.jpg", picture(3)), ("minus.cls", b"-1"),
        ("empty.jpg", b""), ("empty.cls", b"1"),
        ("bytes.jpg", picture(4)), ("bytes.cls", b"\xff\xfe"),
        ("lines.jpg", picture(4)), ("lines.cls", b"1\n2"),
        ("broken.jpg", picture(5)), ("broken.json", b'{"label": 1'),
        ("twice.jpg", picture(5)), ("twice.json", b'{"label": 1, "label": 2}'),
        ("odd.jpg", picture(5)), ("odd.json", b'{"label": "\\ud800"}'),
        ("list.jpg", picture(5)), ("list.json", b"[1]"),
        ("._good.jpg", b"apple"),
    ]  # fmt: skip
    found = listing(pack(tmp_path / "x.tar", entries))
    assert len(found.images) == 1
    assert sorted(said(found)) == [
        "further members, left out: 1 (x.tar: ._good.jpg)",
        "images of no or more than 67,108,864 bytes, left out: 1 (x.tar: empty)",
        "samples whose .cls cannot be read, left out: 2 (x.tar: bytes, x.tar: lines)",
        "samples whose .json cannot be read, left out: 4 (x.tar: broken, x.tar: twice, x.tar: odd, x.tar: list)",
        "samples with no image, left out: 1 (x.tar: none)",
        "samples with two images, left out: 1 (x.tar: two)",
        "samples without an identity (no .cls, or a number below 0), left out: 2 (x.tar: nobody, x.tar: minus)",
    ]
    with pytest.raises(FairLabError, match=r"holds no sample of one image with an identity .*: further members"):
        listing(pack(tmp_path / "y.tar", [("A/m.1/readme.txt", b"x")]))


def test_links_and_devices_are_counted_and_never_followed(tmp_path: Path) -> None:
    path = tmp_path / "1" / "2" / "3" / "x.tar"
    path.parent.mkdir(parents=True)
    with tarfile.open(path, "w") as archive:
        for kind, name in ((tarfile.SYMTYPE, "s.jpg"), (tarfile.LNKTYPE, "h.jpg"), (tarfile.CHRTYPE, "c.jpg")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        folder = tarfile.TarInfo("d")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, data in sample("../../../up", 1):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    found = listing(path)
    assert said(found) == ["links, left out: 2 (x.tar: s.jpg, x.tar: h.jpg)", "devices, left out: 1 (x.tar: c.jpg)"]
    assert len(found.images) == 1
    assert sorted(item.name for item in tmp_path.rglob("*.jpg")) == []


def header(name: bytes, size: bytes, letter: bytes = b"0") -> bytes:
    """A header by the standard, so that sizes no writer would write can be tried."""
    block = bytearray(512)
    block[: len(name)] = name
    block[124 : 124 + len(size)] = size
    block[156:157] = letter
    block[257:265] = b"ustar\x0000"
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


END = bytes(1024)
WRONG = {
    "is empty": b"",
    r"is compressed.*gzip -d": gzip.compress(header(b"a.jpg", b"00000000001\0") + bytes(512) + END),
    r"byte 0: expected the header of a member": b"hello" * 300,
    r"byte 0: a member of 5,000 bytes extends past the end": header(b"a.jpg", b"00000011610\0") + bytes(1024),
    r"byte 0: the size of a member is not a number": header(b"a.jpg", b"-0000000001\0") + END,
    r"byte 0: .*size .*not a number of 0 or more": header(b"a.jpg", b"\xff" * 12) + END,
    r"byte 0: a member of 1,208,925,819,614,629,174,706,1": header(b"a.jpg", b"\x80\1" + bytes(9) + b"\1") + END,
    r"byte 0: a sparse member": header(b"a.jpg", b"00000000000\0", b"S") + END,
    r"byte 1024: a sparse member": header(b"x", b"00000000026\0", b"x") + b"22 GNU.sparse.size=10\n".ljust(512, b"\0")
    + header(b"a.jpg", b"00000000000\0") + END,
    r"byte 0: the attributes of a member are not lines": header(b"x", b"00000000005\0", b"x") + b"9 a=b".ljust(512, b"\0") + END,
    r"byte 1024: the archive ends between a member's name": header(b"x", b"00000000004\0", b"L") + b"name".ljust(512, b"\0") + END,
    r"byte 1024: the file ends here, without the zeros": header(b"a.jpg", b"00000000004\0") + bytes(512),
    r"byte 2048: the archive extends past its end": header(b"a.jpg", b"00000000004\0") + bytes(512) + END
    + header(b"b.jpg", b"00000000004\0") + bytes(512) + END,
    r"byte 0: .*attributes take 9,000,000 bytes": header(b"x", b"%011o\0" % 9_000_000, b"x") + bytes(9_000_448) + END,
}  # fmt: skip


@pytest.mark.parametrize("words", WRONG)
def test_what_is_no_whole_archive_is_refused(tmp_path: Path, words: str) -> None:
    path = tmp_path / ("x.tar.gz" if "compressed" in words else "x.tar")
    path.write_bytes(WRONG[words])
    began = time.monotonic()
    with pytest.raises(FairLabError, match=words) as caught:
        listing(path)
    assert str(path) in str(caught.value)
    assert time.monotonic() - began < 1


def test_a_size_in_binary_and_a_pax_size_are_followed(tmp_path: Path) -> None:
    """As tar writes members of more than 8 GB: the first bit set, or a line of PAX attributes."""
    data = picture(1)
    filled = data.ljust(-(-len(data) // 512) * 512, b"\0")
    attribute = b"15 size=%06d\n" % len(data)
    raw = (
        header(b"a.jpg", b"\x80" + len(data).to_bytes(11, "big")) + filled
        + header(b"a.cls", b"00000000001\0") + b"1".ljust(512, b"\0")
        + header(b"x", b"%011o\0" % len(attribute), b"x") + attribute.ljust(512, b"\0")
        + header(b"b.jpg", b"00000000000\0") + filled
        + header(b"b.cls", b"00000000001\0") + b"2".ljust(512, b"\0") + END
    )  # fmt: skip
    path = tmp_path / "x.tar"
    path.write_bytes(raw)
    found = listing(path)
    assert content(path, found) == [data, data]


def test_threads_and_forks_read_at_once_and_a_changed_shard_is_noticed(tmp_path: Path) -> None:
    path = pack(tmp_path / "a-000.tar", [entry for n in range(20) for entry in sample(f"{n:03d}", n, seed=n)])
    found = listing(tmp_path)
    locations = found.images["location"].tolist()
    with get_context("fork").Pool(2, _start, (tmp_path, locations)) as pool:
        assert pool.map(_one, range(20)) == [picture(n) for n in range(20)]
    read = Shards().opener(tmp_path, locations)
    pack(path, [("0.txt", b"x"), *(entry for n in range(20) for entry in sample(f"{n:03d}", n, seed=n))])
    with pytest.raises(Damaged, match="no longer has the same image at byte 512"):
        read(0)
    pack(path, [entry for n in range(20) for entry in sample(f"{n:03d}", n, seed=n)])
    whole = path.read_bytes()
    path.write_bytes(b"X" + whole[1:])  # as long as before, but no header
    with pytest.raises(Damaged, match="no longer has the same image at byte 512"):
        Shards().opener(tmp_path, locations)(0)
    path.unlink()
    with pytest.raises(Damaged, match=r"no longer holds a-000\.tar"):
        Shards().opener(tmp_path, locations)(0)


def _start(path: Path, locations: Sequence[str]) -> None:
    global _reader
    _reader = Shards().opener(path, locations)


def _one(row: int) -> bytes:
    return _reader(row)


def test_tables_and_pair_lists_name_images_as_the_archive_does(tmp_path: Path) -> None:
    pack(tmp_path / "s-0.tar", [entry for n in range(4) for entry in sample(f"p{n // 2}/{n}", n // 2, seed=n)])
    (tmp_path / "who.csv").write_text("image,race\np0/0.jpg,A\np0/1.jpg,A\np1/2.jpg,B\np1/3.jpg,B\n")
    (tmp_path / "list.csv").write_text("p0/0.jpg,p0/1.jpg,1\np0/0.jpg,p1/2.jpg,0\n")
    found = listing(tmp_path, groups_table=str(tmp_path / "who.csv"), pair_list=str(tmp_path / "list.csv"))
    assert found.images["group"].tolist() == ["A", "A", "B", "B"]
    assert found.images["location"].iloc[0].startswith("s-0.tar:512:")
    assert found.pairs is not None
    assert found.pairs[["image_a", "image_b", "genuine"]].to_numpy().tolist() == [[0, 1, True], [0, 2, False]]


def test_lacking_shards_are_said_and_a_stop_is_heard(tmp_path: Path) -> None:
    for number in (0, 1, 4):
        pack(tmp_path / f"t-{number:06d}.tar", sample("a", 1))
    assert "2 numbers of the shards t-*.tar are missing" in listing(tmp_path).notes
    seen: list[tuple[int, int]] = []
    Shards().listing(
        tmp_path, Source(path=str(tmp_path)), lambda done, total: seen.append((done, total)), lambda: False
    )
    assert seen[0] == (0, sum(file.stat().st_size for file in tmp_path.iterdir()))
    with pytest.raises(Stopped):
        Shards().listing(tmp_path, Source(path=str(tmp_path)), lambda _d, _t: None, lambda: True)


def test_a_folder_beside_its_unpacked_archive_is_no_set_of_shards(tmp_path: Path) -> None:
    pack(tmp_path / "faces.tar", sample("a", 1))
    (tmp_path / "A" / "m.1").mkdir(parents=True)
    (tmp_path / "A" / "m.1" / "1.jpg").write_bytes(picture(1))
    assert detect_kind(tmp_path)[0] == "folders"


@pytest.mark.parametrize("how", ["cut", "flip"])
def test_200_damaged_shards_are_refused_or_what_is_read_is_there(tmp_path: Path, how: str) -> None:
    """A cut is always found. A flip in a header is; one in a .cls is not, as tar has no checksum for what members hold:
    then the other samples are as they were."""
    rng = random.Random(5)
    entries = [entry for n in range(12) for entry in sample(f"d{n}/k{n}", 100 + n, {"race": "AB"[n % 2]}, seed=n)]
    whole = pack(tmp_path / "whole.tar", entries, tarfile.GNU_FORMAT).read_bytes()
    right = {f"{100 + n}": picture(n) for n in range(12)}
    used = len(whole.rstrip(b"\0"))
    path = tmp_path / "x.tar"
    for trial in range(200):
        place = rng.randrange(used)
        damaged = bytearray(whole[:place] if how == "cut" else whole)
        if how == "flip":
            damaged[place] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        began = time.monotonic()
        try:
            found = listing(path)
        except FairLabError:
            found = None
        if found is not None:
            assert how == "flip"
            names, data = found.images["identity"].tolist(), content(path, found)
            wrong = sum(right.get(name) != item for name, item in zip(names, data, strict=True))
            assert wrong + (12 - len(names)) <= 1, (trial, place)
        assert time.monotonic() - began < 5


def test_reading_is_by_place_and_not_by_order(tmp_path: Path) -> None:
    """Two archives of 300 samples; the last image is read without those before it, and decodes."""
    for shard in range(2):
        pack(tmp_path / f"s-{shard}.tar", [e for n in range(300) for e in sample(f"{n:04d}", n, seed=n)])
    found = listing(tmp_path)
    assert len(found.images) == 600
    assert decode(Shards().opener(tmp_path, found.images["location"].tolist())(599), "x").shape == (32, 32, 3)
    archive = Archive(tmp_path / "s-0.tar")
    with tarfile.open(tmp_path / "s-0.tar") as theirs:
        expected = [(item.name, item.offset_data, item.size) for item in theirs]
    assert [(item.name, item.offset, item.size) for item in archive.members(lambda _at: None)] == expected
