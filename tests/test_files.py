"""Files are whole or not there, whatever happens while they are written."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from fairlab.errors import Damaged, FairLabError
from fairlab.files import read_json, sweep, verify_manifest, write_atomic, write_json, write_manifest

FORK = multiprocessing.get_context("fork")


def _write_for_ever(path: Path) -> None:
    number = 0
    while True:
        number += 1
        write_json(path, {"number": number, "ballast": [number] * 20_000})


def test_a_killed_writer_never_leaves_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for _ in range(30):
        child = FORK.Process(target=_write_for_ever, args=(path,), daemon=True)
        child.start()
        time.sleep(0.02 + random.random() * 0.05)
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        if path.exists():
            found = read_json(path)
            assert set(found["ballast"]) == {found["number"]}


def test_what_the_dead_left_is_swept_and_what_the_living_write_is_not(tmp_path: Path) -> None:
    child = FORK.Process(target=time.sleep, args=(0,))
    child.start()
    child.join()
    (tmp_path / f"a.json.tmp.{child.pid}").write_text("half")
    (tmp_path / f"step-1.tmp.{child.pid}").mkdir()
    (tmp_path / f"b.json.tmp.{os.getpid()}").write_text("mine")
    assert sweep(tmp_path) == 2
    assert [path.name for path in tmp_path.iterdir()] == [f"b.json.tmp.{os.getpid()}"]


@pytest.mark.parametrize("place", range(0, 5000, 500))
def test_a_disk_that_fills_at_any_byte_keeps_the_old_file(tmp_path: Path, place: int) -> None:
    """R8: the system's own error after `place` bytes; one sentence that says "disk", nothing lost, nothing left."""
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def write(temporary: Path) -> None:
        temporary.write_bytes(b"n" * place)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(FairLabError, match="the disk is full: could not write"):
        write_atomic(path, write)
    assert path.read_bytes() == b"old"
    assert [item.name for item in tmp_path.iterdir()] == ["x"]


def test_a_manifest_finds_every_change(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(bytes(range(200)))
    write_manifest(tmp_path, ["a"], note=1)
    assert verify_manifest(tmp_path)["note"] == 1
    original = (tmp_path / "a").read_bytes()
    for damaged in (original[:-1], original + b"x", b"", original[:50] + b"?" + original[51:]):
        (tmp_path / "a").write_bytes(damaged)
        with pytest.raises(Damaged, match="is damaged"):
            verify_manifest(tmp_path)
    (tmp_path / "a").unlink()
    with pytest.raises(Damaged, match="is missing"):
        verify_manifest(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"\xff", b""])
def test_json_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(Damaged, match=r"x\.json is not readable JSON"):
        read_json(tmp_path / "x.json")
    with pytest.raises(FairLabError, match="does not exist; was its folder deleted"):
        read_json(tmp_path / "y.json")


def test_numbers_come_back_to_the_bit(tmp_path: Path) -> None:
    values = [0.1, 1 / 3, 2**-40, 1e300]
    write_json(tmp_path / "x.json", values)
    assert json.loads((tmp_path / "x.json").read_text()) == values
