from __future__ import annotations

import _codecs
import copyreg
import functools
import importlib
import io
import operator
import os
import pickle
import subprocess
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fairlab.data.formats import packs, pickles
from fairlab.data.formats.packs import Pack, open_pack
from fairlab.errors import Damaged, FairLabError, Refused

FIXTURES = Path(__file__).parent.parent.parent / "fixtures" / "formats"
PACKS = sorted(path.name for path in FIXTURES.glob("*.bin") if path.name != "evil.bin")
JPEGS = [(FIXTURES / f"j{number}.jpg").read_bytes() for number in range(4)]
PIXELS = [(200, 60, 9), (201, 80, 11), (200, 101, 10), (200, 119, 11)]  # the colour each fixture is filled with
PROTOCOLS = range(6)
FLAGS = [True, False]


def write(folder: Path, content: Any, protocol: int = 4) -> Path:
    """A file with the pickle of `content`, or with `content` itself when it is bytes."""
    path = folder / "some.bin"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return path


def images(pack: Pack) -> list[bytes]:
    return [pack.read(row) for row in range(2 * len(pack))]


@pytest.mark.parametrize("name", PACKS)
def test_fixtures_of_both_pythons_and_numpys_are_read(name: str) -> None:
    """Eight packs written by Python 2 and 3 and numpy 1 and 2: bytes, flags, and decoded RGB pixels."""
    pack = open_pack(FIXTURES / name)
    assert len(pack) == 2
    assert pack.genuine.dtype == bool
    assert pack.genuine.tolist() == FLAGS
    assert images(pack) == JPEGS
    for row, colour in enumerate(PIXELS):
        picture = np.asarray(Image.open(io.BytesIO(pack.read(row))).convert("RGB"))
        assert picture.shape == (112, 112, 3)
        assert tuple(picture[56, 56]) == colour
    assert pack.folds is None
    assert pack.problems == ("2 pairs are too few for 10 folds",)


def test_there_are_eight_fixtures() -> None:
    assert len(PACKS) == 8


ENTRIES: dict[str, Callable[[bytes], Any]] = {
    "bytes": bytes,
    "bytearray": bytearray,
    "array": lambda image: np.frombuffer(image, np.uint8),
    "column": lambda image: np.frombuffer(image, np.uint8).reshape(-1, 1).copy(),
    "row": lambda image: np.frombuffer(image, np.uint8).reshape(1, -1).copy(),
}
LISTS: dict[str, Callable[[list[bool]], Any]] = {
    "bool": list,
    "tuple": tuple,
    "0/1": lambda flags: [int(flag) for flag in flags],
    "numpy scalars": lambda flags: [np.bool_(flag) for flag in flags],
    "int64 scalars": lambda flags: [np.int64(flag) for flag in flags],
    "bool array": np.array,
    "int64 array": lambda flags: np.array(flags, np.int64),
    "big-endian array": lambda flags: np.array(flags, ">i4"),
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("entry", ENTRIES)
def test_every_shape_of_pack_is_read_in_every_protocol(entry: str, protocol: int, tmp_path: Path) -> None:
    for make in LISTS.values():
        content = ([ENTRIES[entry](image) for image in JPEGS], make(FLAGS))
        pack = open_pack(write(tmp_path, content, protocol))
        assert images(pack) == JPEGS
        assert pack.genuine.tolist() == FLAGS
    pack = open_pack(write(tmp_path, list(content), protocol))  # (images, flags) as a list
    assert pack.genuine.tolist() == FLAGS


def test_every_byte_value_survives_every_protocol(tmp_path: Path) -> None:
    """Line ends, quotes, backslashes and NUL in an image, whose escapes differ from protocol to protocol."""
    image = JPEGS[0][:4] + bytes(range(256)) * 2 + b"\\u0041\\x41\r\n'\"\\"
    for protocol in PROTOCOLS:
        for make in ENTRIES.values():
            pack = open_pack(write(tmp_path, ([make(image), make(JPEGS[1])], [True]), protocol))
            assert images(pack) == [image, JPEGS[1]]


def test_python_2_strings_of_protocols_0_and_1(tmp_path: Path) -> None:
    """Python 2 writes repr() in protocol 0, with whichever quotes fit, and an image of 255 bytes at most as U."""
    quoted = b"\\xff\\xd8\\xff'\\n\\\\"
    small = b"\xff\xd8\xff" + bytes(9)
    pickled = b'((lp0\nS"' + quoted + b'"\np1\naU\x0c' + small + b"a(lp2\nI01\nat."
    assert images(open_pack(write(tmp_path, pickled))) == [b"\xff\xd8\xff'\n\\", small]


def test_png_is_an_image_too(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), (9, 8, 7)).save(stream, "PNG")
    pack = open_pack(write(tmp_path, ([stream.getvalue(), JPEGS[0]], [False])))
    assert pack.read(0) == stream.getvalue()
    assert len(pack.problems) == 1  # too few pairs, but no image is cut off


def test_folds_are_contiguous_blocks(tmp_path: Path) -> None:
    """Ten equal ones; with 23 pairs the first three are longer, as in sklearn's KFold, and that is said."""
    for count in (20, 23):
        flags = [pair % 2 == 0 for pair in range(count)]
        pack = open_pack(write(tmp_path, (JPEGS[:2] * count, flags)))
        assert pack.folds is not None
        assert pack.folds.dtype == np.int64
        assert pack.folds.tolist() == sorted(pack.folds.tolist())
        sizes = np.bincount(pack.folds).tolist()
        assert sizes == ([2] * 10 if count == 20 else [3, 3, 3, 2, 2, 2, 2, 2, 2, 2])
        assert pack.problems == (() if count == 20 else (pack.problems[0],))
    assert "23 pairs do not divide into 10 equal folds" in pack.problems[0]


def test_what_is_odd_but_readable_is_said(tmp_path: Path) -> None:
    flags = [True] * 10 + [False] * 10
    bins = [bytes(JPEGS[row % 2]) for row in range(40)]
    bins[1] = bins[0]
    bins[7] = bins[7][:-100]
    path = write(tmp_path, (bins, flags))
    path.write_bytes(path.read_bytes() + b"more")
    problems = " | ".join(open_pack(path).problems)
    assert "10 of 10 folds hold only genuine or only impostor pairs" in problems
    assert "1 images lack the end marker of JPEG or PNG" in problems
    assert "4 bytes after the end" in problems
    assert "1 pairs compare an image with itself" in problems


WRONG = {
    "3 images and 2 flags": (JPEGS[:3], FLAGS),
    "4 images and 3 flags": (JPEGS, [True] * 3),
    "0 images and 0 flags": ([], []),
    "neither JPEG nor PNG": ([JPEGS[0], b"GIF89a..", b"x", b"y"], FLAGS),
    "entry 0: text, not bytes": (["text", "text"], [True]),
    "entry 0: a numpy array of 'i4', not of uint8": ([np.arange(4, dtype=np.int32)] * 2, [True]),
    "not one row": ([np.zeros((4, 4, 3), np.uint8)] * 2, [True]),
    "flag of its pair 1 is 2": (JPEGS, [True, 2]),
    "flag of its pair 0 is None": (JPEGS, [None, True]),
    "flags are None": (JPEGS, None),
    "images are a byte string": (JPEGS[0], FLAGS),
    "holds a tuple of 3": (JPEGS, FLAGS, FLAGS),
    "holds None": None,
}


@pytest.mark.parametrize("said", WRONG)
def test_a_pickle_that_is_no_pack_is_said_to_be_none(said: str, tmp_path: Path) -> None:
    for protocol in PROTOCOLS:
        path = write(tmp_path, WRONG[said], protocol)
        with pytest.raises(Damaged) as caught:
            open_pack(path)
        assert said in str(caught.value)
        assert str(path) in str(caught.value)


def test_files_that_are_no_pickle(tmp_path: Path) -> None:
    with pytest.raises(FairLabError, match="No such file"):
        open_pack(tmp_path / "none.bin")
    with pytest.raises(Damaged, match="is empty"):
        open_pack(write(tmp_path, b""))
    with pytest.raises(Damaged, match="not a verification pack"):
        open_pack(write(tmp_path, JPEGS[0]))
    with pytest.raises(Damaged, match="protocol 6"):
        open_pack(write(tmp_path, b"\x80\x06."))


def test_a_file_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packs, "MAX_PACK_BYTES", 100)
    with pytest.raises(Refused, match="the limit is 100 bytes"):
        open_pack(FIXTURES / "py3_p3.bin")


def test_reading_later_notices_another_file(tmp_path: Path) -> None:
    path = write(tmp_path, (JPEGS, FLAGS))
    pack = open_pack(path)
    for row in (-1, 4):
        with pytest.raises(FairLabError, match="numbered 0 to 3"):
            pack.read(row)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(Damaged, match="has changed"):
        pack.read(0)
    with pytest.raises(Damaged, match="truncated"):
        replace(open_pack(path), spans=(pickles.Span(10**6, 5, "raw"),)).read(0)
    path.unlink()
    with pytest.raises(FairLabError, match="No such file"):
        pack.read(0)


# Hostile pickles. A gadget is (function, arguments); {canary} is a file that appears when it runs.


class Gadget:
    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> Any:
        return self.function, self.arguments


class Restored:
    """Runs when its state is set; pickled by name, which the reader must not look up."""

    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __setstate__(self, state: dict[str, str]) -> None:
        Path(state["canary"]).touch()


def gadgets(canary: Path) -> dict[str, Any]:
    """Name -> what is pickled."""
    touch, code = f"touch {canary}", f"open({str(canary)!r}, 'w').close()"
    reconstruct, scalar = np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]
    return {
        "os.system": Gadget(os.system, touch),
        "os.popen": Gadget(os.popen, touch),
        "subprocess.Popen": Gadget(subprocess.Popen, ["touch", str(canary)]),
        "eval": Gadget(eval, code),
        "exec": Gadget(exec, code),
        "partial": Gadget(functools.partial(os.system, touch)),
        "methodcaller": Gadget(operator.methodcaller("touch"), Path(canary)),
        "open": Gadget(open, str(canary), "w"),
        "numpy.memmap": Gadget(np.memmap, str(canary), "uint8", "w+", 0, 4),
        "numpy.savetxt": Gadget(np.savetxt, str(canary), [1.0]),
        "numpy.load": Gadget(np.load, str(canary), None, True),
        "getattr": Gadget(getattr, Path(canary), "touch"),
        "attrgetter": Gadget(operator.attrgetter("touch"), Path(canary)),
        "import_module": Gadget(importlib.import_module, "this"),
        "map": Gadget(list, Gadget(map, os.system, [touch])),
        "copyreg._reconstructor": Gadget(copyreg._reconstructor, Restored, object, None),
        "__setstate__": Restored(str(canary)),
        "class": Restored,
        "encode with another codec": Gadget(_codecs.encode, "x", "rot13"),
        "encode of a number": Gadget(_codecs.encode, 7, "latin1"),
        "object array": np.array([Gadget(os.system, touch)], dtype=object),
        "object scalar": Gadget(scalar, np.dtype("O"), Gadget(os.system, touch)),
        "_reconstruct of another type": Gadget(reconstruct, np.memmap, (0,), b"b"),
        "_reconstruct of a large array": Gadget(reconstruct, np.ndarray, (1 << 40,), b"b"),
        "dtype of a record": Gadget(np.dtype, [("a", "O")]),
        "bytearray of a size": Gadget(bytearray, 1 << 40),
        "bytes of a size": Gadget(bytes, 1 << 40),
        "float array": np.zeros(3),
    }


ARMED = 10  # the first ones: what they call makes the canary appear
NAMES = list(gadgets(Path("canary")))


@pytest.mark.parametrize("name", NAMES[:ARMED])
def test_gadgets_are_armed(name: str, tmp_path: Path) -> None:
    """Otherwise the next test would prove nothing."""
    canary = tmp_path / "canary"
    function, arguments = gadgets(canary)[name].__reduce__()
    held = function(*arguments)
    until = time.monotonic() + 10
    while not canary.exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert canary.exists()
    if isinstance(held, subprocess.Popen):
        held.wait()
    elif hasattr(held, "close"):
        held.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", NAMES)
def test_gadgets_are_refused_and_do_not_run(name: str, protocol: int, tmp_path: Path) -> None:
    """As an image, as a flag, and as the whole pack."""
    canary = tmp_path / "canary"
    gadget = gadgets(canary)[name]
    for content in (([JPEGS[0], gadget], [True]), (JPEGS[:2], [gadget]), gadget):
        with pytest.raises(Refused) as caught:
            open_pack(write(tmp_path, content, protocol))
        assert "some.bin is refused: the pickle" in str(caught.value)
        assert not canary.exists()


def test_the_evil_fixture_is_refused_by_name(capfd: pytest.CaptureFixture[str]) -> None:
    """It would print PWNED."""
    with pytest.raises(Refused, match=r"asks for posix\.system"):
        open_pack(FIXTURES / "evil.bin")
    assert capfd.readouterr() == ("", "")


HAND_MADE = {
    "INST": b"(S'touch {canary}'\nios\nsystem\n.",
    "OBJ": b"(c__builtin__\nbytes\nS'x'\no.",
    "NEWOBJ": b"\x80\x02cnumpy\nndarray\nK\x01\x85\x81.",
    "NEWOBJ_EX": b"\x80\x04cnumpy\nndarray\n)N\x92.",
    "PERSID": b"Pname\n.",
    "BINPERSID": b"N" + b"Q.",
    "EXT1": b"\x80\x02\x82\x01.",
    "EXT2": b"\x80\x02\x83\x01\x00.",
    "EXT4": b"\x80\x02\x84\x01\x00\x00\x00.",
    "NEXT_BUFFER": b"\x80\x05\x97.",
    "READONLY_BUFFER": b"N\x98.",
    "asks for builtins.bytes.fromhex": b"\x80\x04\x8c\x08builtins\x8c\x0dbytes.fromhex\x93.",
    "asks for os.system": b"cos\nsystem\n(S'touch {canary}'\ntR.",
    "asks for numpy.core.multiarray.fromfile": b"cnumpy.core.multiarray\nfromfile\n.",
    "asks for pickle.loads": b"cpickle\nloads\n.",
    "calls ndarray": b"cnumpy\nndarray\n(I1\ntR.",
    "calls something without a name": b"S'system'\n(tR.",
    "sets the state of something": b"cnumpy\ndtype\n(K\x01tb.",
    "numpy array of 'O8'": b"cnumpy\ndtype\n(S'O8'\nI00\nI01\ntR.",
}


@pytest.mark.parametrize("said", HAND_MADE)
def test_operations_that_packs_do_not_need_are_refused(said: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    with pytest.raises(Refused) as caught:
        open_pack(write(tmp_path, HAND_MADE[said].replace(b"{canary}", str(canary).encode())))
    assert said in str(caught.value)
    assert not canary.exists()


def test_the_extension_registry_is_not_asked(tmp_path: Path) -> None:
    """A name that is allowed, behind a code that any module may have registered."""
    copyreg.add_extension("numpy", "dtype", 240)
    try:
        with pytest.raises(Refused, match="EXT1"):
            open_pack(write(tmp_path, ([np.zeros(3, np.uint8)] * 2, [True]), 2))
    finally:
        copyreg.remove_extension("numpy", "dtype", 240)


BOMBS = {
    "BINBYTES of 4 GB": b"\x80\x03]B\xff\xff\xff\xffabc",
    "BINBYTES8 of 1 EB": b"\x80\x04]\x8e" + b"\xff" * 7 + b"\x0fabc",
    "BYTEARRAY8 of 4 GB": b"\x80\x05]\x96\x00\x00\x00\x00\x01\x00\x00\x00abc",
    "BINUNICODE of 4 GB": b"\x80\x02]X\xff\xff\xff\xffabc",
    "BINSTRING of -1": b"\x80\x02]T\xff\xff\xff\xffabc",
    "frame of 4 GB": b"\x80\x04\x95\x00\x00\x00\x00\x01\x00\x00\x00].",
    "memo of 4 G": b"\x80\x02]r\xff\xff\xff\xff.",
    "memo of 10^18": b"(lp1000000000000000000\n.",
    "integer of 4 GB": b"\x80\x02\x8b\xff\xff\xff\x7f.",
    "integer of 5000 digits": b"I" + b"9" * 5000 + b"\n.",
    "array of 4 GB": b"\x80\x02]cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\nU\x02u1K\x00K\x01\x87RU\x01a\x86Ra.",
    "200,000 lists in each other": b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "200,000 tuples in each other": b"\x80\x02)" + b"\x85" * 200_000 + b".",
    "200,000 marks": b"\x80\x02" + b"(" * 200_000 + b".",
    "doubled 100,000 times": b"\x80\x02]q\x00" + b"h\x00h\x00\x86q\x00" * 100_000 + b".",
    "one buffer a million times": b"\x80\x02](B\x04\x00\x00\x00\xff\xd8\xff\xe0q\x00" + b"h\x00" * 99_999 + b"e]\x86.",
    "a list in itself": b"\x80\x02]q\x00h\x00ah\x00\x86.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_quickly_and_in_little_memory(name: str, tmp_path: Path) -> None:
    path = write(tmp_path, BOMBS[name])
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises(FairLabError, match=r"some\.bin"):
            open_pack(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < 10
    assert peak < 64e6


KIND = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
FLAG = b"](U\x04\xff\xd8\xff\xe0U\x04\xff\xd8\xff\xe1e]%sa\x86."  # a pack whose only flag is %s
MALFORMED = [  # what is said, the pickle
    ("takes more than it has", b"R."),
    ("takes more than it has", b"(]a."),
    ("takes more than it has", b"]]t."),
    ("takes more than it has", b"(q\x00."),
    ("ends too early", b"]]."),
    ("ends too early", b"(."),
    ("names a value that it never had", b"h\x07."),
    ("appends to something that is not a list", b")K\x01a."),
    ("a string in its pickle has no quotes", b"Sabc\n."),
    ("is not a number", b"I1.5\n."),
    ("is not a number", b"I\n."),
    ("larger than any number of a pack", b"I" + 999 * b"9" + b"\n."),
    ("larger than any number of a pack", b"\x80\x02\x8a\xff" + 254 * b"\xff" + b"\x7f."),
    ("something else where a word belongs", b"K\x01K\x02\x93."),
    ("is not a step of such a pickle", b"}."),
    ("a buffer of -1 bytes begins at byte 5 of 6", b"T\xff\xff\xff\xff."),
    ("a buffer of 9 bytes begins at byte 2 of 3", b"U\x09."),
    ("'x' is not a byte order", KIND + b"(K\x03U\x01xNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb."),
    ("no proper shape", ARRAY + b"(K\x01(J\xff\xff\xff\xfft" + KIND + b"I00\nU\x01\x00tb."),
    ("has no content", FLAG.replace(b"%s", ARRAY)),
    (
        "an array of 1 bytes has a buffer of 2",
        FLAG.replace(b"%s", b"cnumpy.core.multiarray\nscalar\n(" + KIND + b"U\x02\x00\x00tR"),
    ),
    (
        "a numpy array of 'u1', not True or False",
        FLAG.replace(b"%s", ARRAY + b"(K\x01(K\x02t" + KIND + b"I00\nU\x02\x00\x00tb"),
    ),
    ("cannot be decoded", b"(](S'\\xq'\nVabc\ne](I00\net."),
]


@pytest.mark.parametrize(("said", "pickled"), MALFORMED)
def test_pickles_that_make_no_sense_are_damaged(said: str, pickled: bytes, tmp_path: Path) -> None:
    with pytest.raises(Damaged) as caught:
        open_pack(write(tmp_path, pickled))
    assert said in str(caught.value)


def test_an_image_array_must_be_as_long_as_its_shape_says(tmp_path: Path) -> None:
    for protocol, said in (
        (4, "an array of 826 bytes has a buffer of 827"),
        (2, "an array of 826 bytes with a buffer"),
    ):
        pickled = pickle.dumps(([np.frombuffer(image, np.uint8) for image in JPEGS[:2]], [True]), protocol)
        assert pickled.count(b"M\x3b\x03") >= 1  # 827, the shape
        pack = open_pack(write(tmp_path, pickled.replace(b"M\x3b\x03", b"M\x3a\x03")))
        assert [said in fault for fault in pack.faults.values()] == [True]


def test_limits_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of steps, of an image's size, and of an image written as a line."""
    path = write(tmp_path, (JPEGS, FLAGS))
    monkeypatch.setattr(pickles, "MAX_STEPS", 10)
    with pytest.raises(Damaged, match="more than 10 steps"):
        open_pack(path)
    monkeypatch.undo()
    monkeypatch.setattr(pickles, "MAX_BUFFER_BYTES", 200)
    for protocol in (0, 3):
        with pytest.raises(Damaged, match=r"too long|the most for an image"):
            open_pack(write(tmp_path, (JPEGS, FLAGS), protocol))


def test_opening_holds_no_image(tmp_path: Path) -> None:
    """40 MB of images, in bytes and in the escapes of protocol 0: far less stays, and little is needed to open."""
    image = JPEGS[0] + bytes(2_000_000)
    for protocol in (0, 4):
        path = write(tmp_path, ([bytes(bytearray(image)) for _ in range(20)], FLAGS * 5), protocol)
        tracemalloc.start()
        pack = open_pack(path)
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held < 100_000
        assert peak < (64e6 if protocol == 0 else 1e6)
        assert pack.read(19) == image


def payload(path: Path) -> set[int]:
    """Positions in a fixture of protocol 2 or 3 whose bytes are an image's or a flag's."""
    content, pack = path.read_bytes(), open_pack(path)
    flags = content.rindex(b"\x88\x89")
    return {flags, flags + 1}.union(*(range(span.start, span.start + span.length) for span in pack.spans))


@pytest.mark.parametrize("name", ["py2_p2.bin", "py3_p3.bin", "np1_p4.bin", "np1_p0.bin"])
def test_cut_and_flipped_files_are_read_truly_or_not_at_all(name: str, tmp_path: Path) -> None:
    content = (FIXTURES / name).read_bytes()
    rng = np.random.default_rng(20240607)
    for end in rng.integers(0, len(content), 200):
        with pytest.raises(FairLabError, match=r"some\.bin"):
            open_pack(write(tmp_path, content[:end]))
    free = payload(FIXTURES / name) if name.startswith("py") else set(range(len(content)))
    every = [position for position in range(len(content)) if position not in free]
    anywhere = [int(position) for position in rng.integers(0, len(content), 200)]
    for position in [*anywhere, *every]:  # half of a file's steps would never be hit at random
        flipped = bytearray(content)
        flipped[position] ^= int(rng.integers(1, 256))
        start = time.process_time()
        try:
            pack = open_pack(write(tmp_path, bytes(flipped)))
            read = images(pack)
        except FairLabError:
            continue
        finally:
            assert time.process_time() - start < 5
        if position not in free:
            assert pack.genuine.tolist() == FLAGS, position
            # A length one or two larger swallows the step after the image; then its end is no JPEG's.
            assert read == JPEGS or "1 images lack the end marker" in " ".join(pack.problems), position
