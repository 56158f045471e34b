"""Files are whole or not there, whatever happens while they are written."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fairlab import files
from fairlab.errors import Damaged, FairLabError
from fairlab.files import (
    place_folder,
    read_json,
    verify_manifest,
    write_atomic,
    write_bytes,
    write_json,
    write_manifest,
)
from fairlab.machine.temporaries import sweep

FORK = multiprocessing.get_context("fork")


SIZE = 4_000_000


def _save(path: Path, content: bytes) -> None:
    write_bytes(path, content)


def _save_naively(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _save_folder(path: Path, content: bytes) -> None:
    temporary = path.with_name(f"{path.name}.tmp.{os.getpid()}")
    temporary.mkdir()
    for part in ("a", "b"):
        (temporary / part).write_bytes(content[: SIZE // 2])
    write_manifest(temporary, ["a", "b"])
    place_folder(temporary, path)


def _for_ever(save: Callable[[Path, bytes], None], path: Path) -> None:
    while True:
        for letter in b"abcdef":
            save(path, bytes([letter]) * SIZE)


def _killed(save: Callable[[Path, bytes], None], path: Path) -> None:
    """A process that saves again and again is killed after a random moment."""
    child = FORK.Process(target=_for_ever, args=(save, path), daemon=True)
    child.start()
    time.sleep(0.01 + random.random() * 0.05)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()


def _torn(save: Callable[[Path, bytes], None], path: Path, kills: int = 100) -> int:
    """In how many of so many kills the file was left cut off or mixed."""
    torn = 0
    for _ in range(kills):
        _killed(save, path)
        content = path.read_bytes() if path.exists() else b"a" * SIZE
        torn += len(content) != SIZE or content.count(content[0]) != SIZE
        sweep(path.parent)
    return torn


def test_a_killed_writer_never_leaves_half_a_file(tmp_path: Path) -> None:
    """0 of 100."""
    assert _torn(_save, tmp_path / "x") == 0


def test_the_kills_would_find_a_writer_that_is_not_atomic(tmp_path: Path) -> None:
    assert _torn(_save_naively, tmp_path / "x", kills=30) > 5


def test_a_killed_writer_never_leaves_a_mixed_folder(tmp_path: Path) -> None:
    """The old one or the new one, each with all its files."""
    path = tmp_path / "folder"
    _save_folder(path, b"a" * SIZE)
    for _ in range(40):
        _killed(_save_folder, path)
        verify_manifest(path)
        assert (path / "a").read_bytes() == (path / "b").read_bytes()
        sweep(tmp_path)


def _replace_often(path: Path, swaps: bool) -> None:
    if not swaps:
        files._swap = lambda _one, _other: False
    while True:
        temporary = path.with_name("x.tmp.1")
        temporary.mkdir()
        place_folder(temporary, path)


@pytest.mark.parametrize("swaps", [True, False])
def test_a_folder_that_is_replaced_is_always_there(tmp_path: Path, swaps: bool) -> None:
    """Looked at all the time; without a swap in one step, as other systems do it, it is seen to be absent."""
    path = tmp_path / "x"
    path.mkdir()
    child = FORK.Process(target=_replace_often, args=(path, swaps), daemon=True)
    child.start()
    end, absent = time.monotonic() + 20, 0
    looks = 0
    while time.monotonic() < end and looks < 200_000 and (swaps or not absent):
        absent += not path.exists()
        looks += 1
    child.kill()
    child.join()
    assert bool(absent) != swaps


def test_threads_of_one_process_do_not_write_into_each_others_files(tmp_path: Path) -> None:
    """Browser tabs are threads of one process: the same file, the same process id."""
    path, failures = tmp_path / "x.json", []

    def write(letter: str) -> None:
        for _ in range(40):
            try:
                write_json(path, letter * 50_000)
                assert len(set(read_json(path, str))) == 1
            except Exception as error:
                failures.append(repr(error)[:200])

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcdefgh"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [item.name for item in tmp_path.iterdir()] == ["x.json"]


@pytest.mark.parametrize("place", ["file", "folder"])
def test_power_loss_finds_everything_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """A kill cannot show it, the order of calls can: every file is flushed, then renamed, then its folder flushed."""
    calls: list[str] = []
    flush, rename = os.fsync, os.replace

    def fsync(handle: int) -> None:
        calls.append("flush " + os.path.basename(os.readlink(f"/proc/self/fd/{handle}")).partition(".tmp.")[0])
        flush(handle)

    def replace(source: Path, target: Path) -> None:
        calls.append(f"rename {target.name}")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    if place == "file":
        write_bytes(tmp_path / "x", b"1")
        assert calls == ["flush x", "rename x", f"flush {tmp_path.name}"]
        return
    temporary = tmp_path / "x.tmp.1"
    (temporary / "sub").mkdir(parents=True)
    for name in ("a", "sub/b"):
        (temporary / name).write_bytes(b"1")
    place_folder(temporary, tmp_path / "x")
    assert sorted(calls[:4]) == ["flush a", "flush b", "flush sub", "flush x"]
    assert calls[4:] == ["rename x", f"flush {tmp_path.name}"]
    calls.clear()
    temporary.mkdir()
    (temporary / "a").write_bytes(b"2")
    place_folder(temporary, tmp_path / "x")
    assert calls == ["flush a", "flush x", f"flush {tmp_path.name}"], "swapped in one step"
    assert [item.name for item in tmp_path.iterdir()] == ["x"]


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
    """The system's own error after `place` bytes; one sentence that says "disk", nothing lost, nothing left."""
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


def test_a_flipped_bit_in_the_manifest_itself_is_found_or_harmless(tmp_path: Path) -> None:
    """200 flips: an error of ours, or exactly what was recorded."""
    (tmp_path / "a").write_bytes(b"content")
    write_manifest(tmp_path, ["a"], rows=1000, hash="0123456789abcdef", parents=("x", "y"), numbers={1: 0.1})
    path, good = tmp_path / "manifest.json", verify_manifest(tmp_path)
    original, dice, found = path.read_bytes(), random.Random(0), 0
    for _ in range(200):
        place = dice.randrange(len(original) * 8)
        damaged = bytearray(original)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            read = verify_manifest(tmp_path)
            assert {name: read[name] for name in good} == good
        except Damaged as error:
            assert str(path) in str(error)  # noqa: PT017 - a few flips do no harm
            found += 1
    assert found > 150


@pytest.mark.parametrize("content", ["[]", "{}", '{"files": 3}', "null", '"x"'])
def test_json_that_is_no_manifest_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(Damaged, match=r"is not (a manifest of FairLab|a FairLab file)"):
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
