"""Sizes and times have bounds: what small or strange files claim ends in one sentence, soon."""

from __future__ import annotations

import io
import json
import os
import pickle
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fairlab.data import decode as decoding
from fairlab.data.decode import decode
from fairlab.data.listing import READERS, detect_kind, reader
from fairlab.errors import Damaged, FairLabError
from fairlab.evaluation.score_frames import scored_pairs
from fairlab.jobs.data.adding import dry_run
from fairlab.settings.study import Source
from tests.data.trees import face, grouped


def progressive(px: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (px, px), (9, 99, 199)).save(stream, "JPEG", progressive=True)
    return stream.getvalue()


def test_a_jpeg_of_thousands_of_scans_is_refused_at_once() -> None:
    data = progressive(64)
    assert decode(data, "x").shape == (64, 64, 3)
    last = data.rindex(b"\xff\xda")
    began = time.process_time()
    with pytest.raises(Damaged, match=r"x is a JPEG with 2,\d\d\d scans"):
        decode(data[:-2] + data[last:-2] * 2000 + data[-2:], "x")
    assert time.process_time() - began < 1


def test_large_images_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads decode, one large image is in memory at a time; small ones do not wait."""
    monkeypatch.setattr(decoding, "MAX_WAITING", 1000)
    at_once, most = 0, 0
    inner = decoding._pixels

    def counted(image: Image.Image, where: str) -> np.ndarray:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.02)
        at_once -= 1
        return inner(image, where)

    monkeypatch.setattr(decoding, "_pixels", counted)
    data = progressive(64)
    threads = [threading.Thread(target=decode, args=(data, "x")) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_pack_of_empty_entries_is_refused_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(b"\x80\x02](" + b"C\x00" * 300_000 + b"e](" + b"\x88" * 150_000 + b"e\x86.")
    with pytest.raises(FairLabError, match=r"x\.bin is not a verification pack: it has more entries than"):
        reader("packs").listing(path, Source(path=str(path)), lambda _d, _t: None, lambda: False)
    path.write_bytes(pickle.dumps(([b""] * 40, [True] * 20), protocol=2))
    with pytest.raises(FairLabError, match=r"40 of its 40 entries are not images, e\.g\. entry 0: "):
        reader("packs").listing(path, Source(path=str(path)), lambda _d, _t: None, lambda: False)


def test_a_tar_with_thousands_of_fields_is_read_soon(tmp_path: Path) -> None:
    """60 samples with 1,000 fields each, all different; 256 are kept, and that is said."""
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        for number in range(60):
            facts = {f"f{number}_{field}": "a" for field in range(1000)}
            stream = io.BytesIO()
            Image.new("RGB", (8, 8)).save(stream, "PNG")
            for ending, content in (("png", stream.getvalue()), ("cls", b"p1"), ("json", json.dumps(facts).encode())):
                member = tarfile.TarInfo(f"{number:04d}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    began = time.process_time()
    found, listing = dry_run(Source(path=str(tmp_path / "x.tar")))
    assert time.process_time() - began < 20
    assert found["images"] == 60
    assert len([name for name in listing.images if str(name).startswith("attribute.")]) <= 256
    assert any("more than 256 different fields" in note for note in listing.notes)


def test_a_tar_that_goes_on_with_zeros_for_terabytes(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        member = tarfile.TarInfo("1.cls")
        member.size = 1
        archive.addfile(member, io.BytesIO(b"a"))
    os.truncate(tmp_path / "x.tar", 1 << 40)
    with pytest.raises(FairLabError, match=r"x\.tar, byte .*zero bytes follow"):
        dry_run(Source(path=str(tmp_path / "x.tar")))


def test_a_sparse_terabyte_among_images_is_left_out(tmp_path: Path) -> None:
    root = grouped(tmp_path, px=16)
    with open(root / "A" / "m.00" / "0.jpg", "r+b") as handle:
        handle.truncate(1 << 40)
    found, _ = dry_run(Source(path=str(root)))
    assert found["unreadable"] == 1
    assert any("has 1,099,511,627,776 bytes; the limit is 67,108,864" in text for text in found["problems"])


@pytest.mark.parametrize(
    "ending", ["jpg", "rec", "bin", "tar", "csv", "parquet", "mdb", "txt", "mat", "npy", "lmdb", "tsv"]
)
def test_a_pipe_of_any_ending_is_not_waited_for(tmp_path: Path, ending: str) -> None:
    """Nothing ever writes to it: opening it would never end."""
    root = grouped(tmp_path, px=16)
    for name in (f"pairs.{ending}", f"data.{ending}", "fairface_label_train.csv"):
        os.mkfifo(root / name)
    answers: list[str] = []

    def look() -> None:
        answers.append(detect_kind(root)[0])
        answers.append(str(dry_run(Source(path=str(root)))[0]["images"]))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(60)
    assert answers == ["folders", "12"]


def test_an_unreadable_fairface_table_is_an_error_and_never_folders(tmp_path: Path) -> None:
    """Eight people became one person called val."""
    for number in range(8):
        face(tmp_path / "val" / f"{number}.jpg", number, px=16)
    table = tmp_path / "fairface_label_val.csv"
    rows = "file,age,gender,race,service_test\n" + "".join(
        f"val/{n}.jpg,20-29,Male,Indi\u00e9n,True\n" for n in range(8)
    )
    for content, words in (
        (rows.encode("latin-1"), "line 2: this is not UTF-8 text"),
        (b"", "is empty"),
        (b"file," + b"x" * (1 << 20) + b",race\n" + rows.encode(), "line 1: "),
    ):
        table.write_bytes(content)
        assert detect_kind(tmp_path)[0] == "attributes"
        with pytest.raises(FairLabError, match=f"fairface_label_val.csv.*{words}"):
            dry_run(Source(path=str(tmp_path)))
    for encoding in ("utf-16", "utf-8-sig"):
        table.write_bytes(rows.encode(encoding))
        found, listing = dry_run(Source(path=str(tmp_path)))
        assert (found["images"], found["identities"], found["parts"]) == (8, 8, {"validation": 8})
        assert listing.images["group"].unique().tolist() == ["Indi\u00e9n"]


def test_every_reader_can_be_given_a_pattern_or_refuses_it(tmp_path: Path) -> None:
    named = {name for name in READERS if READERS.facts(name).get("names")}
    assert named == {"folders", "parquet", "lmdb"}
    (tmp_path / "x.bin").write_bytes(pickle.dumps(([progressive(16)] * 2, [True]), protocol=2))
    with pytest.raises(FairLabError, match="identity_pattern applies to image files"):
        dry_run(Source(path=str(tmp_path / "x.bin"), identity_pattern="{identity}_{number}"))


@pytest.mark.parametrize(
    "head", [b"", b"score,label\n", "score;label\n".encode("utf-16"), "score;label\n".encode("utf-16-be")]
)
def test_a_sparse_table_of_scores_is_refused_at_once(tmp_path: Path, head: bytes) -> None:
    """3 GB of zeros behind a header take no place on a disk, and many times that in memory when they are read as text."""
    path = tmp_path / "scores.csv"
    with open(path, "wb") as handle:
        handle.write(head)
        handle.truncate(3 << 30)
    began = time.monotonic()
    with pytest.raises(FairLabError, match=r"scores\.csv .*(zero bytes|not plain UTF-8)"):
        scored_pairs(path)
    assert time.monotonic() - began < 20
