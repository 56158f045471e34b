"""Checkpoints with other things beside their tensors: the tensors are taken, everything else is a placeholder without code."""

from __future__ import annotations

import argparse
import collections
import contextlib
import datetime
import enum
import functools
import io
import pathlib
import pickle
import sys
import time
import types
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.models.files.inert import MAX_STEPS, Hostile, Inert, Unreadable, read_content
from fairlab.models.files.reading import read_checkpoint

RAN: list[str] = []
"""What code of a file would append to."""


class Colour(enum.Enum):
    RED = 1


class Loud:
    """An object whose reading runs code, in every way that pickle knows."""

    def __init__(self) -> None:
        self.lr = 0.1

    def __setstate__(self, state: Any) -> None:
        RAN.append("setstate")

    def __new__(cls, *_: Any) -> Loud:
        RAN.append("new")
        return super().__new__(cls)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (shout, ("reduce",), {"state": 1}, iter([1]), iter([("a", 1)]))


class Plain(dict[str, Any]):
    """Settings as EasyDict and Lightning's AttributeDict are: a dictionary of another class."""

    def __setitem__(self, key: str, value: Any) -> None:
        RAN.append("setitem")
        super().__setitem__(key, value)


def shout(word: str) -> Loud:
    RAN.append(word)
    return Loud()


def callback() -> type:
    """A class of a module that is not installed when the file is read: Lightning's, as in AdaFace's own files."""
    parts = ["pytorch_lightning", "callbacks", "model_checkpoint"]
    for depth in range(1, 4):
        sys.modules.setdefault(".".join(parts[:depth]), types.ModuleType(parts[depth - 1]))
    made = type("ModelCheckpoint", (), {"__module__": ".".join(parts)})
    sys.modules[".".join(parts)].ModelCheckpoint = made  # type: ignore[attr-defined]
    return made


@pytest.fixture(autouse=True)
def nothing_ran() -> Iterator[None]:
    yield
    assert RAN == []


BESIDE: dict[str, Callable[[], Any]] = {
    "a numpy scalar": lambda: np.float64(0.99),
    "a numpy array": lambda: np.array([0.9, 0.8]),
    "a Namespace": lambda: argparse.Namespace(lr=0.1, milestones=[1, 2]),
    "a path": lambda: {"dir": pathlib.PurePosixPath("/x")},
    "a time": lambda: [datetime.datetime(2026, 1, 2), datetime.timedelta(3)],
    "an enum": lambda: Colour.RED,
    "a partial": lambda: functools.partial(max, 3),
    "sets": lambda: ({1, 2}, frozenset({3})),
    "a defaultdict": lambda: collections.defaultdict(list, {"a": [1]}),
    "a Counter": lambda: collections.Counter("abc"),
    "bytes": lambda: [b"bytes", bytearray(b"more")[:0].decode(), 2**70, -1.5, complex(1, 2)],
    "a class as a key": lambda: {callback(): {"best_model_score": torch.tensor(0.9)}},
    "odd keys": lambda: {(1, 2): 3, 2**80: 4, 1.5: 5, None: 6, b"k": 7},
    "a layer": lambda: nn.Linear(2, 2),
    "a dtype": lambda: [torch.float32, torch.device("cpu"), torch.Size([1])],
    "a generator's state": lambda: torch.get_rng_state(),
    "a parameter with a mark": lambda: marked(),
}


def marked() -> nn.Parameter:
    parameter = nn.Parameter(torch.ones(2))
    parameter.mark = "anything"  # type: ignore[attr-defined]
    return parameter


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", list(BESIDE))
def test_the_tensors_are_taken_whatever_lies_beside_them(tmp_path: Path, name: str, legacy: bool) -> None:
    """In front of them and after them, in both forms of torch.save."""
    weights = collections.OrderedDict(a=torch.arange(6.0).reshape(2, 3), b=torch.arange(4)[1:], c=torch.ones(2, 2).t())
    beside = BESIDE[name]()
    content = {"before": beside, "state_dict": weights, "after": [beside]}
    torch.save(content, tmp_path / "a.ckpt", _use_new_zipfile_serialization=not legacy)
    for module in [module for module in sys.modules if module.startswith("pytorch_lightning")]:
        del sys.modules[module]
    read = read_checkpoint(tmp_path / "a.ckpt")["state_dict"]
    assert list(read) == ["a", "b", "c"]
    assert all(torch.equal(read[key], tensor) for key, tensor in weights.items())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(tmp_path: Path, protocol: int) -> None:
    """torch.save writes 2 unless it is told otherwise."""
    content = {"w": torch.arange(3.0), "beside": [argparse.Namespace(a=1), {"x": (1, 2.5, "é", None, True)}]}
    torch.save(content, tmp_path / "a.pt", pickle_protocol=protocol)
    read = read_checkpoint(tmp_path / "a.pt")
    assert torch.equal(read["w"], torch.arange(3.0))
    assert read["beside"][1] == {"x": (1, 2.5, "é", None, True)}


def test_a_dictionary_of_another_class_keeps_its_tensors(tmp_path: Path) -> None:
    """Its own way to set an entry is not called."""
    content = dict.__new__(Plain)
    dict.__setitem__(content, "w", torch.ones(3))
    torch.save(content, tmp_path / "a.pt")
    read = read_checkpoint(tmp_path / "a.pt")
    assert torch.equal(read["w"], torch.ones(3))
    assert type(read) is Inert


@pytest.mark.parametrize("legacy", [False, True])
def test_no_method_of_an_object_is_called(tmp_path: Path, legacy: bool) -> None:
    """Neither what makes it, nor __setstate__, nor append, nor __setitem__."""
    loud = object.__new__(Loud)
    torch.save({"w": torch.ones(2), "loud": loud}, tmp_path / "a.pt", _use_new_zipfile_serialization=not legacy)
    read = read_checkpoint(tmp_path / "a.pt")
    assert torch.equal(read["w"], torch.ones(2))
    assert type(read["loud"]) is Inert


def test_the_loud_object_is_loud() -> None:
    """Otherwise the test above shows nothing."""
    pickle.loads(pickle.dumps(Colour.RED))
    with pytest.raises(AttributeError):
        pickle.loads(pickle.dumps(object.__new__(Loud)))
    assert RAN[0] == "reduce"
    RAN.clear()


class TestHostilePickles:
    """Bounded time and memory, and one sentence."""

    @pytest.mark.parametrize(
        ("content", "error"),
        [
            (b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R.", "asks for os.system"),
            (b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02ls\x85R.", "asks for posix.system"),
            (b"(S'ls'\nios\nsystem\n.", "asks for os.system"),
            (b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.", "calls builtins.bytearray"),
            (b"\x80\x02ctorch\nFloatTensor\nJ\xff\xff\xff\x7f\x85R.", "calls torch.FloatTensor"),
            (b"Pwhatever\n.", "uses PERSID"),
            (b"\x80\x02\x82\x01.", "uses EXT1"),
            (b"\x80\x05\x97.", "uses NEXT_BUFFER"),
            (b"\x80\x02X\x01\x00\x00\x00aQ.", "in a way that torch.save does not write"),
            (b"\x80\x02(X\x07\x00\x00\x00storagectorch\nQInt8Storage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQ.", "in a way"),
            (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "in a way that torch.save does not write"),
            (b"\x80\x02NN.", None),
            (b"\x80\x02}NN\x86.", None),
            (b"\x80\x02R.", "takes more than it has"),
            (b"\x80\x02h\x05.", "a value that it never had"),
            (b"\x80\x02NNa.", "appends to something that is not a list"),
            (b"\x80\x02NNNs.", "sets an entry of something that has none"),
            (b"\x80\x02(.", "takes more than it has"),
            (b"\x80\x02N", ""),
            (b"\x80\x02\x8b\xff\xff\xff\x7f", ""),
            (b"I" + b"9" * 100_000 + b"\n.", ""),
        ],
    )  # fmt: skip
    def test_one_sentence(self, content: bytes, error: str | None) -> None:
        if error is None:
            read_content(io.BytesIO(content))
            return
        with pytest.raises((Hostile, Unreadable)) as caught:
            read_content(io.BytesIO(content))
        assert error in str(caught.value)

    @pytest.mark.parametrize(
        "content",
        [
            b"]" * (MAX_STEPS + 9) + b".",  # lists
            b"N" + b"\x85" * 200_000 + b".",  # tuples in tuples, 200,000 deep
            b"]" + b"\x94h\x00a" * 60_000 + b".",  # a list in itself, through the memo
            b"".join(b"Nr" + (2**32 - 1 - n).to_bytes(4, "little") + b"0" for n in range(60_000))
            + b"N.",  # a wide memo
            b"}("
            + b"".join(b"\x8a\x0a" + (n * (2**61 - 1)).to_bytes(10, "little") + b"N" for n in range(60_000))
            + b"u.",
            b"}(" + b"".join(b"\x85" * 9 + b"N" for _ in range(3)) + b"u.",
        ],
        ids=["lists", "deep", "memo", "indices", "colliding keys", "broken"],
    )
    def test_bombs_end_soon(self, content: bytes) -> None:
        """Within a few seconds of CPU time, whether they are read or refused."""
        start = time.process_time()
        with contextlib.suppress(Hostile, Unreadable):
            read_content(io.BytesIO(b"\x80\x04" + content))
        assert time.process_time() - start < 5

    def test_a_tensor_beyond_its_storage(self, tmp_path: Path) -> None:
        """The numbers of the pickle changed by hand: 3 values become 100 of them."""
        torch.save({"w": torch.arange(3.0)}, tmp_path / "a.pt")
        with zipfile.ZipFile(tmp_path / "a.pt") as archive:
            members = {member.filename: archive.read(member) for member in archive.infolist()}
        pickled = members["a/data.pkl"]
        assert pickled.count(b"K\x03\x85") == 1
        members["a/data.pkl"] = pickled.replace(b"K\x03\x85", b"K\x64\x85")
        packed(tmp_path / "b.pt", members)
        with pytest.raises(Damaged, match="reaches beyond its storage"):
            read_checkpoint(tmp_path / "b.pt")


def packed(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


class TestNamesInTheZip:
    """What torch.save does not write is refused: torch compares the names without case, so two may be one to it."""

    @pytest.fixture
    def members(self, tmp_path: Path) -> dict[str, bytes]:
        torch.save({"w": torch.arange(3.0)}, tmp_path / "a.pt")
        with zipfile.ZipFile(tmp_path / "a.pt") as archive:
            return {member.filename: archive.read(member) for member in archive.infolist()}

    def test_packed_anew_it_is_still_read(self, tmp_path: Path, members: dict[str, bytes]) -> None:
        """Nothing but the names decides; numbers that lie at odd places are copied."""
        read = read_checkpoint(packed(tmp_path / "b.pt", members))
        assert torch.equal(read["w"], torch.arange(3.0))

    @pytest.mark.parametrize(
        "name",
        ["a/DATA.PKL", "A/data.pkl", "a/Data.pkl", "a/DATA/0", "a/data/0 ", "data.pkl", "b/data.pkl", "a/../a/data.pkl", "/a/x",
         "a/data\\0", "a/code/a.py", "a/data.pkl/x", "a/evil.sh"],
    )  # fmt: skip
    def test_another_name(self, tmp_path: Path, members: dict[str, bytes], name: str) -> None:
        """The attack: a harmless data.pkl to look at, and beside it the one that torch would load."""
        bomb = b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R."
        for order in ({**members, name: bomb}, {name: bomb, **members}):
            with pytest.raises((Refused, Damaged), match="torch"):
                read_checkpoint(packed(tmp_path / "b.pt", order))

    def test_an_archive_around_a_checkpoint_is_called_that(self, tmp_path: Path) -> None:
        """Downloaded as a zip."""
        torch.save({"w": torch.ones(2)}, tmp_path / "inside.pth")
        packed(tmp_path / "b.pth", {"inside.pth": (tmp_path / "inside.pth").read_bytes()})
        with pytest.raises(FairLabError, match=r"a zip archive of inside\.pth; unpack it"):
            read_checkpoint(tmp_path / "b.pth")


def test_a_pickle_of_something_else(tmp_path: Path) -> None:
    """A verification pack is a .bin too."""
    for protocol in range(6):
        (tmp_path / "lfw.bin").write_bytes(pickle.dumps(([b"jpeg"] * 3, [True, False]), protocol))
        with pytest.raises(Damaged, match="not a checkpoint of torch: it is something else"):
            read_checkpoint(tmp_path / "lfw.bin")
