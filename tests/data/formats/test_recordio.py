from __future__ import annotations

import io
import json
import os
import pickle
import random
import shutil
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from fairlab.data.formats import recordio
from fairlab.data.formats.recordio import scan
from fairlab.data.readers.record_sets import CLASSIC, FLAT, RecordSet, open_records
from fairlab.errors import Damaged, FairLabError, Stopped

FORMATS = Path(__file__).resolve().parent.parent.parent / "fixtures" / "formats"
EXPECTED = json.loads((FORMATS / "expected.json").read_text())
"""Facts about the two fixtures, taken from them with MXNet 1.9.1, which also wrote them."""
MAGIC = struct.pack("<I", 0xCED7230A)
JPEG = b"\xff\xd8\xff\xe0" + b"an image, as far as its first bytes go"

Entry = tuple[int, bytes]


def chained(data: bytes) -> bytes:
    """One record as the format has it: cut at every aligned magic, the magic dropped, parts filled up with zeros."""
    pieces, begin = [], 0
    for at in range(0, len(data) - 3, 4):
        if data[at : at + 4] == MAGIC:
            pieces.append(data[begin:at])
            begin = at + 4
    pieces.append(data[begin:])
    out = b""
    for number, piece in enumerate(pieces):
        part = 0 if len(pieces) == 1 else 1 if number == 0 else 3 if number == len(pieces) - 1 else 2
        out += MAGIC + struct.pack("<I", part << 29 | len(piece)) + piece + bytes(-len(piece) % 4)
    return out


def packed(key: int, label: float | Sequence[float], image: bytes = JPEG) -> Entry:
    """Key and data of a record; several labels stand behind the header, and the flag counts them."""
    if isinstance(label, float | int):
        return key, struct.pack("<IfQQ", 0, label, key, 0) + image
    return key, struct.pack(f"<IfQQ{len(label)}f", len(label), 0, key, 0, *label) + image


def write(folder: Path, entries: Iterable[Entry], name: str = "train", index: bool = True) -> Path:
    """Write `name`.rec and its .idx; return the path of the former."""
    folder.mkdir(exist_ok=True)
    content, lines = b"", []
    for key, data in entries:
        lines.append(f"{key}\t{len(content)}\n")
        content += chained(data)
    (folder / f"{name}.rec").write_bytes(content)
    if index:
        (folder / f"{name}.idx").write_text("".join(lines))
    return folder / f"{name}.rec"


def classic(labels: Sequence[int], base: int = 1) -> list[Entry]:
    """A classic set: images with these rising labels, the identities' records, at last record 0."""
    end = base + len(labels)
    entries = [packed(base + row, label) for row, label in enumerate(labels)]
    for identity in range(max(labels) + 1):
        rows = [base + row for row, label in enumerate(labels) if label == identity]
        entries.append(packed(end + identity, (rows[0], rows[-1] + 1), b""))
    return [*entries, packed(0, (end, end + max(labels) + 1), b"")]


def copied(name: str, folder: Path) -> Path:
    """A fixture where it may be changed."""
    shutil.copytree(FORMATS / name, folder, dirs_exist_ok=True)
    return folder


def by_offset(records: RecordSet) -> dict[int, int]:
    return dict(zip(records.offsets.tolist(), records.identities.tolist(), strict=True))


@pytest.mark.parametrize("index", [True, False], ids=["with .idx", "without"])
@pytest.mark.parametrize("name", [CLASSIC, FLAT])
def test_files_of_the_real_tool_read_as_it_reads_them(tmp_path: Path, name: str, index: bool) -> None:
    """Keys, labels, sizes and two pixels of every image; RGB, although the writer held BGR."""
    folder = copied(name, tmp_path)
    if not index:
        (folder / "train.idx").unlink()
    records = open_records(folder)
    images = {int(key): facts for key, facts in EXPECTED[name].items() if facts["px"] is not None}
    assert records.layout == name
    assert records.keys.tolist() == sorted(images)
    assert records.identities.dtype == np.int64
    assert records.identity_count == 3
    assert records.image_px == ((112, 112) if name == CLASSIC else None)
    assert (records.notes == ()) == index
    for row, key in enumerate(records.keys.tolist()):
        shape, centre, corner = images[key]["px"]
        content = records.read(row)
        pixels = np.asarray(Image.open(io.BytesIO(content)))
        assert len(content) == images[key]["n"]
        assert records.labels(row).tolist() == images[key]["label"]
        assert records.identities[row] == images[key]["label"][0]
        assert list(pixels.shape) == shape
        assert pixels[56, 56].tolist() == centre
        assert pixels[0, 0].tolist() == corner


@pytest.mark.parametrize(
    ("name", "gap"),
    [("in the image", 28), ("at its end", 40), ("twice in a row", 28), ("in the id", 8), ("not aligned", 30)],
)
def test_a_magic_number_inside_an_image_comes_back(tmp_path: Path, name: str, gap: int) -> None:
    """The writer cut the record there and dropped the number; the neighbours are read as ever."""
    data = bytearray(packed(1, 1)[1][:40])
    data[gap : gap + 4] = MAGIC
    if name == "twice in a row":
        data[gap + 4 : gap + 8] = MAGIC
    path = write(tmp_path, [packed(0, 0), (1, bytes(data)), packed(2, 0)])
    cut = path.read_bytes().count(MAGIC)
    assert cut == {"twice in a row": 5, "not aligned": 4}.get(name, 4)
    records = open_records(path)
    assert records.identities.tolist() == [0, 1, 0]
    assert records.read(1) == bytes(data[24:])
    assert records.read(0) == records.read(2) == JPEG


def test_the_parts_of_the_measured_example(tmp_path: Path) -> None:
    """24 bytes of header, abcd, magic, efgh: the real tool writes part 1 of 28 bytes and part 3 of 4."""
    head = struct.pack("<IfQQ", 0, 5, 0, 0)
    content = MAGIC + struct.pack("<I", 1 << 29 | 28) + head + b"abcd" + MAGIC + struct.pack("<I", 3 << 29 | 4)
    (tmp_path / "a.rec").write_bytes(content + b"efgh")
    found = scan(tmp_path / "a.rec")
    assert (found.offsets.tolist(), found.sizes.tolist(), found.labels[0, 0]) == ([0], [48], 5)
    assert recordio.RecordFile(tmp_path / "a.rec").data(0, 48) == head + b"abcd" + MAGIC + b"efgh"
    assert chained(head + b"abcd" + MAGIC + b"efgh") == content + b"efgh"


def test_a_writer_that_does_not_cut_is_read_too(tmp_path: Path) -> None:
    """Its lengths are right all the same, so the number inside is not taken for a record."""
    data = packed(0, 0)[1] + bytes(-len(packed(0, 0)[1]) % 4) + MAGIC + struct.pack("<I", 24) + b"rest"
    content = MAGIC + struct.pack("<I", len(data)) + data
    (tmp_path / "a.rec").write_bytes(content + chained(packed(1, 0)[1]))
    records = open_records(tmp_path)
    assert records.read(0) == data[24:]
    assert len(records) == 2


@pytest.mark.parametrize("block_bytes", [8, 64, 1000])
def test_blocks_of_any_size_find_the_same_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    """Records lie across the ends of blocks, or are longer than one."""
    draw = random.Random(5)
    entries = [packed(key, float(key % 7), JPEG + draw.randbytes(draw.randrange(0, 90))) for key in range(60)]
    entries[20] = (20, entries[20][1] + bytes(-len(entries[20][1]) % 4) + MAGIC + b"more")
    entries[21] = packed(21, tuple(float(n) for n in range(300)), JPEG)
    path = write(tmp_path, entries)
    whole = scan(path)
    monkeypatch.setattr(recordio, "_BLOCK_BYTES", block_bytes)
    pieces = scan(path)
    for name in ("offsets", "sizes", "keys", "flags", "labels", "contents"):
        np.testing.assert_array_equal(getattr(pieces, name), getattr(whole, name), err_msg=name)
    assert whole.keys.tolist() == list(range(60))
    assert (whole.labels[:, 0] == [0 if key == 21 else key % 7 for key in range(60)]).all()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "train.idx is missing"),
        ("", "does not have a key and a byte offset"),
        ("1\tzero\n", "does not have a key and a byte offset"),
        ("1\t0\t5\n", "should have two columns, key and byte offset, not 3"),
        ("1\t4\n", "names byte 4, where no record begins"),
        ("1\t-72\n", "names byte -72, which is outside"),
        ("1\t0\n1\t76\n2\t152\n0\t228\n", "a negative or duplicate key"),
        ("1\t0\n2\t0\n", "names byte 0 twice"),
        ("1\t0\n", "lists 1 of 4 records"),
        ("1\t0\n2\t99999999\n", "names byte 99999999, which is outside"),
        ("1\t99999999999999999999\n", "does not have a key and a byte offset"),
    ],
)
def test_an_index_that_does_not_fit_is_made_anew_and_said(tmp_path: Path, text: str | None, reason: str) -> None:
    path = write(tmp_path, [packed(key, key) for key in (1, 2, 3, 0)], index=False)
    assert scan(path).offsets.tolist() == [0, 76, 152, 228]
    if text is not None:
        path.with_suffix(".idx").write_text(text)
    records = open_records(path)
    assert records.keys.tolist() == records.identities.tolist() == [0, 1, 2, 3]
    assert len(records.notes) == 1
    assert reason in records.notes[0]


def test_the_order_of_the_index_does_not_matter(tmp_path: Path) -> None:
    expected = by_offset(open_records(FORMATS / CLASSIC))
    lines = (copied(CLASSIC, tmp_path) / "train.idx").read_text().splitlines()
    for seed in range(5):
        random.Random(seed).shuffle(lines)
        (tmp_path / "train.idx").write_text("\r\n".join(lines))
        records = open_records(tmp_path)
        assert by_offset(records) == expected
        assert records.keys.tolist() == [1, 2, 3, 4, 5, 6]
        assert records.notes == ()


def test_the_index_is_followed_when_the_ids_inside_say_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path, [packed(key, key) for key in range(3)])
    path.with_suffix(".idx").write_text("12\t0\n10\t76\n11\t152\n")
    records = open_records(path)
    assert records.keys.tolist() == [10, 11, 12]
    assert records.identities.tolist() == [1, 2, 0]
    assert "3 records have an id that differs" in records.notes[0]


def test_repeated_ids_without_an_index_are_numbered_as_they_come(tmp_path: Path) -> None:
    """Flat sets only: in a classic one nobody could say which record is which."""
    path = write(tmp_path / "flat", [(0, packed(0, label)[1]) for label in (2, 1, 0)], index=False)
    records = open_records(path)
    assert records.identities.tolist() == [2, 1, 0]
    assert "has duplicate ids" in records.notes[0]
    bad = write(tmp_path / "classic", [(0, packed(7, 0)[1]), *classic([0, 0])], index=False)
    bad.write_bytes(bad.read_bytes() + chained(packed(7, 0)[1]))
    with pytest.raises(Damaged, match=r"holds no image.*restore it"):
        open_records(bad)


def test_more_images_than_float32_can_count(tmp_path: Path) -> None:
    """Record 0 rounds 2^24 + 3 to 2^24 + 4; the keys say where the images end."""
    end = 2**24 + 3
    path = write(tmp_path, classic([0, 0, 1], base=end - 3))
    records = open_records(path)
    assert records.keys.tolist() == [end - 3, end - 2, end - 1]
    assert records.identities.tolist() == [0, 0, 1]
    assert not any("record 0 says" in note for note in records.notes)
    without_identities = [entry for entry in classic([0, 0, 1], base=end - 3) if entry[0] < end]
    assert open_records(write(tmp_path, without_identities)).keys.tolist() == records.keys.tolist()


def test_counts_that_do_not_agree_are_said(tmp_path: Path) -> None:
    path = write(tmp_path, classic([0, 0, 1, 2]))
    assert open_records(path).identity_count == 3
    (tmp_path / "property").write_text("5,112,96\n7\nshuffled\n")
    records = open_records(path)
    notes = " ".join(records.notes)
    assert (records.identity_count, records.image_px) == (5, (112, 96))
    assert "2 of 5 identities have no image, for example identity 3" in notes
    assert "property says 5 identities; train.rec has records of 3" in notes
    assert "property says 7 images; there are 4" in notes
    notes = " ".join(open_records(write(tmp_path / "b", [packed(1, 0), packed(4, 2)])).notes)
    assert "1 of 3 identities have no image, for example identity 1" in notes
    assert "keys should run from 0 to 4; 3 are missing" in notes
    swapped = classic([0, 0, 1, 1])
    swapped[1] = packed(2, 1)
    notes = " ".join(open_records(write(tmp_path / "c", swapped)).notes)
    assert "1 images have a label that differs from the record of their identity, the first with key 2" in notes
    swapped[-1] = packed(0, (4, 7), b"")
    assert "before key 4; the keys say 5" in " ".join(open_records(write(tmp_path / "c", swapped)).notes)


@pytest.mark.parametrize("text", ["", "many\n", "3\n", "3,112\n", "0,112,112", "3,112,112,3", "3,-1,112", "\xff"])
def test_a_property_file_that_says_nothing_is_refused(tmp_path: Path, text: str) -> None:
    (copied(CLASSIC, tmp_path) / "property").write_bytes(text.encode("latin-1"))
    with pytest.raises(Damaged, match="property should begin with identities,height,width"):
        open_records(tmp_path)


@pytest.mark.parametrize(
    ("label", "reason"),
    [
        (-1.0, "has the label -1; labels count from 0"),
        (0.5, "has the label 0.5; it should be a whole number"),
        (float("nan"), "has the label nan; it should be a whole number"),
        (float("inf"), "has the label inf; it should be a whole number"),
        (3.0, "has the label 3, but there are 3 identities, numbered 0 to 2"),
        (2.0**24, "has the label 16777216; float32 numbers identities only below 16777216"),
    ],
)
@pytest.mark.parametrize("several", [False, True])
def test_a_label_that_numbers_no_identity_names_its_record(
    tmp_path: Path, label: float, reason: str, several: bool
) -> None:
    path = write(tmp_path, [packed(0, 0), packed(1, 2), packed(8, (label, 1.0) if several else label)])
    if label == 3:
        (tmp_path / "property").write_text("3,112,112\n3\n")
    with pytest.raises(Damaged) as caught:
        open_records(path)
    assert f"record 8 of {path} (at byte 152) {reason}" in str(caught.value)


@pytest.mark.parametrize("name", ["train.lst", "train.tsv"])
def test_identities_are_named_by_the_folders_of_a_list(tmp_path: Path, name: str) -> None:
    """im2rec's .lst has key, label, path; CVLface's .tsv key, path, label. Doubtful lists give no names."""
    path = write(tmp_path, [packed(0, 0), packed(1, 0), packed(2, 1)])

    def notes_and_names(*rows: tuple[int, float, str]) -> tuple[tuple[str, ...], dict[int, str]]:
        ordered = rows if name == "train.lst" else [(key, file, label) for key, label, file in rows]
        (tmp_path / name).write_text("".join("\t".join(map(str, row)) + "\n" for row in ordered))
        records = open_records(path)
        return records.notes, dict(records.identity_names)

    people = (0, 0.0, "x/m.01/1.jpg"), (1, 0.0, "x/m.01/2.jpg"), (2, 1.0, "x/m.02/1.jpg")
    assert notes_and_names(*people, (9, 4.0, "x/m.09/1.jpg")) == ((), {0: "m.01", 1: "m.02"})
    assert notes_and_names(*people[:2], (2, 1.0, "y/m.01/1.jpg")) == ((), {0: "x/m.01", 1: "y/m.01"})
    notes, names = notes_and_names(*people[:2], (2, 0.0, "x/m.02/1.jpg"))
    assert (f"{name} and train.rec disagree on the label of image 2" in notes[0], names) == (True, {})
    notes, names = notes_and_names(*people[:2], (2, 1.0, "x/m.01/3.jpg"))
    assert ("does not give every identity its own folder" in notes[0], names) == (True, {})
    (tmp_path / name).write_bytes(b"\xff\xfe\x00\n\t\t")
    records = open_records(path)
    assert ("it was not used" in records.notes[0], records.identity_names) == (True, {})


def damaged_files() -> dict[str, tuple[bytes, str]]:
    head, image = struct.pack("<IfQQ", 0, 0, 0, 0), chained(packed(0, 0)[1])

    def part(kind: int, data: bytes) -> bytes:
        return MAGIC + struct.pack("<I", kind << 29 | len(data)) + data + bytes(-len(data) % 4)

    return {
        "empty": (b"", "is empty"),
        "no magic": (b"PK\3\4" + image, "should show the magic number 0xced7230a at byte 0, not 0x4034b50"),
        "text": (b"hello", "is cut off: its header at byte 0 needs 8 bytes, but the file ends at 5"),
        "garbage behind": (image + bytes(16), "record at byte 76.* magic number"),
        "too long": (MAGIC + struct.pack("<I", 2000) + head, "would run to byte 2008, but the file ends at 32"),
        "header too short": (image + part(0, head[:20]), "at byte 76 .* 20 bytes, but its header alone takes 24"),
        "no data": (part(0, b""), "holds 0 bytes"),
        "labels too many": (part(0, struct.pack("<IfQQ", 9, 0, 0, 0) + JPEG[:35]), "too few for the 9 labels"),
        "labels countless": (part(0, struct.pack("<IfQQ", 2**32 - 1, 0, 0, 0)), "too few for the 4294967295 labels"),
        "middle first": (part(2, head) + image, "0 or 1 must come first, but byte 0 holds part 2"),
        "part unknown": (part(5, head) + image, "0 or 1 must come first, but byte 0 holds part 5"),
        "whole inside": (part(1, head) + image, "2 or 3 must follow, but byte 32 holds part 0"),
        "last lacks": (image + part(1, head), "record at byte 76 .*header at byte 108 needs 8 bytes"),
        "not filled": (image[:-1] + b"x" + image, "zeros? (before byte 76|bytes)"),
        "not filled, last": (image + image[:-1] + b"x", "should be padded with"),
        "part not filled": (part(1, head + b"ab")[:-1] + b"x" + part(3, JPEG), "padded with zeros up to byte 36"),
        "no image": (image + 2 * part(0, head), "holds no image, as most records"),
    }


@pytest.mark.parametrize("name", damaged_files())
def test_a_malformed_file_is_refused_in_one_sentence(tmp_path: Path, name: str) -> None:
    content, reason = damaged_files()[name]
    path = tmp_path / "train.rec"
    path.write_bytes(content)
    with pytest.raises(Damaged, match=reason) as caught:
        open_records(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_one_record_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FairLabError, match=r"no .rec file"):
        open_records(tmp_path)
    with pytest.raises(FairLabError, match="is not a file"):
        open_records(tmp_path / "train.rec")
    write(tmp_path, [packed(0, 0)])
    write(tmp_path, [packed(0, 0), packed(1, 1)], name="val")
    with pytest.raises(FairLabError, match=r"2 .rec files \(train.rec, val.rec ...\)"):
        open_records(tmp_path)
    assert len(open_records(tmp_path / "val.rec")) == 2
    os.mkfifo(tmp_path / "pipe.rec")
    with pytest.raises(FairLabError, match="is not a file"):
        open_records(tmp_path / "pipe.rec")


def test_classic_records_out_of_place_are_refused(tmp_path: Path) -> None:
    entries = classic([0, 0, 1])
    with pytest.raises(FairLabError, match="holds no image; choose"):
        open_records(write(tmp_path, entries[3:]))
    with pytest.raises(Damaged, match=r"record 99 .* is an image, but the records of identities begin at key 4"):
        open_records(write(tmp_path, [*entries, packed(99, 0)]))
    with pytest.raises(Damaged, match=r"record 6 .* two labels"):
        open_records(write(tmp_path, [*entries, packed(6, (1, 2, 3), b"")]))
    with pytest.raises(Damaged, match=r"record 4 .* holds no image"):
        open_records(write(tmp_path, entries[:-1]))


def test_a_file_cut_between_two_records_is_seen_by_its_index(tmp_path: Path) -> None:
    path = write(tmp_path, [packed(key, key) for key in range(4)])
    path.write_bytes(path.read_bytes()[:152])
    with pytest.raises(Damaged, match=r"ends at byte 152 after 2 records, but train.idx lists 4"):
        open_records(path)


def test_reading_knows_its_rows_and_its_file(tmp_path: Path) -> None:
    path = write(tmp_path, [packed(key, key) for key in range(3)])
    records = open_records(path)
    for row in (-1, 3):
        with pytest.raises(FairLabError, match=f"no image in row {row}; rows go from 0 to 2"):
            records.read(row)
    assert records.read(0) == JPEG
    unopened = pickle.loads(pickle.dumps(records))
    del unopened  # a copy must not close the file of the other
    assert records.read(1) == JPEG
    unopened = pickle.loads(pickle.dumps(records))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(Damaged, match="not the file that was opened first"):
        unopened.read(0)
    with pytest.raises(Damaged):
        records.read(2)


def _read_all(records: RecordSet, answer: Callable[[list[bytes]], None]) -> None:
    answer([records.read(row) for row in range(len(records))])


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_read_for_themselves(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked child shares the parent's descriptor and a spawned one has none; both get the right bytes."""
    # AppTest leaves a page as the main module of a process; a spawned child would run that page first.
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))
    records = open_records(FORMATS / CLASSIC)
    expected = [records.read(row) for row in range(len(records))]
    context = get_context(method)
    answers = context.SimpleQueue()
    child = context.Process(target=_read_all, args=(records, answers.put))
    child.start()
    assert [records.read(row) for row in range(len(records))] == expected
    assert answers.get() == expected
    child.join()
    assert child.exitcode == 0


def test_label_arrays_of_any_length(tmp_path: Path) -> None:
    """The first is the identity, all are kept; one label behind the header counts, not the header's own 0."""
    arrays = [(2.0,), (1.0, 0.5), (0.0, -1.0, 7.25), tuple(float(n) for n in range(3, 500))]
    records = open_records(write(tmp_path, [packed(key, labels) for key, labels in enumerate(arrays)]))
    assert records.layout == FLAT
    assert records.identities.tolist() == [2, 1, 0, 3]
    assert [tuple(records.labels(row).tolist()) for row in range(4)] == arrays
    assert {records.read(row) for row in range(4)} == {JPEG}


def test_threads_read_at_once() -> None:
    records = open_records(FORMATS / FLAT)
    expected = [records.read(row) for row in range(len(records))]
    wrong: list[int] = []

    def work(seed: int) -> None:
        draw = random.Random(seed)
        for row in draw.choices(range(len(expected)), k=300):
            if records.read(row) != expected[row]:
                wrong.append(row)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_scan_tells_how_far_it_is_and_stops_when_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, [packed(key, 0) for key in range(40)])
    monkeypatch.setattr(recordio, "_BLOCK_BYTES", 256)
    clock = iter(np.arange(0, 1000, 0.1).tolist())
    monkeypatch.setattr(recordio.time, "monotonic", lambda: next(clock))
    told: list[tuple[int, int]] = []
    open_records(path, lambda done, total: told.append((done, total)))
    size = path.stat().st_size
    assert told[0] == (0, size)
    assert told[-1] == (size, size)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert 3 <= len(told) <= 5  # of 10 blocks: the clock above says that each takes 0.1 s
    asked = iter([False, True])
    with pytest.raises(Stopped):
        open_records(path, stop=lambda: next(asked))


def label_bytes(path: Path) -> set[int]:
    """Bytes of a file that hold the first label of an image: the only ones whose damage may pass unseen.

    The format has no checksum, so a flipped bit there that leaves a label in range cannot be told from the truth.
    """
    content = path.read_bytes()
    found: set[int] = set()
    for offset in open_records(path).offsets.tolist():
        begin = offset + (12 if content[offset + 8 : offset + 12] == bytes(4) else 32)
        found.update(range(begin, begin + 4))
    return found


@pytest.mark.parametrize("index", [True, False], ids=["with .idx", "without"])
@pytest.mark.parametrize("name", [CLASSIC, FLAT])
@pytest.mark.parametrize("harm", ["cut", "flipped"])
def test_damage_is_refused_or_said_and_never_mislabels(tmp_path: Path, name: str, index: bool, harm: str) -> None:
    """200 cuts and 200 changed bytes (half of them near heads): a FairLabError, a note, or the true reading."""
    folder = copied(name, tmp_path)
    path = folder / "train.rec"
    truth, content, labels = by_offset(open_records(path)), path.read_bytes(), label_bytes(path)
    if not index:
        (folder / "train.idx").unlink()
    usual = set(open_records(path).notes)
    assert index or any("records missing at the end of the file would go unnoticed" in note for note in usual)
    heads = [int(offset) + byte for offset in scan(path).offsets for byte in range(40)]
    draw = random.Random(1)
    refused = 0
    for trial in range(200):
        at = draw.randrange(len(content)) if trial % 2 else min(draw.choice(heads), len(content) - 1)
        changed = bytes([content[at] ^ draw.randrange(1, 256)])
        path.write_bytes(content[:at] if harm == "cut" else content[:at] + changed + content[at + 1 :])
        began = time.process_time()
        try:
            records = open_records(path)
            for row in range(len(records)):
                records.read(row)
        except FairLabError as error:
            refused += 1
            assert "train.rec" in str(error)  # noqa: PT017
            continue
        finally:
            assert time.process_time() - began < 5
        found = by_offset(records)
        between = not index and name == FLAT and at in truth  # nothing beside the file says how many there should be
        if set(records.notes) == usual and not records.empty and not between:
            assert set(found) == set(truth), f"byte {at}: images are missing and nothing is said"
        no_images = set(records.offsets[list(records.doubtful)].tolist())  # left out when they are looked at
        different = {offset for offset in found if found[offset] != truth[offset]} - no_images
        assert not different or (harm == "flipped" and at in labels), f"byte {at}: {different} have another label"
    assert refused > 30
