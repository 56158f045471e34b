"""What every writer promises: after a kill, a power cut, a full disk or a flipped bit there is the old, the new, or a sentence."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fairlab.errors import FairLabError
from fairlab.files import MANIFEST, is_disk_full
from tests.conftest import ROOT
from tests.writers import WITH_HASHES, WRITERS, watch_files

KILLED = 99
PAGES = {
    "json": 1,
    "checkpoint": 4,
    "weights": 4,
    "embeddings": 4,
    "results": 1,
    "protocol": 5,
    "projection": 1,
    "dataset": 4,
}
PAGES |= {"scores": 1}
"""Fewer than that many pages of 4 kB are too few for a writer."""


def _child(work: Callable[[], None]) -> int:
    """Carry out `work` in a fork of this process; its exit code."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:  # nothing of the test's process may go on in its copy
            os.write(2, repr(error).encode())
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _calls(name: str, home: Path) -> list[tuple[str, str]]:
    """What a writer does to the file system when it replaces version 0 by version 1, in order."""
    told = home.with_name("told.json")

    def record() -> None:
        calls: list[tuple[str, str]] = []
        watch_files(lambda what, path: calls.append((what, path)))
        WRITERS[name].write(home, 1)
        found = list(calls)
        told.write_text(json.dumps(found))

    WRITERS[name].write(home.with_name("warm"), 0)  # what is imported on first use writes nothing later
    assert _child(record) == 0
    return [(what, path) for what, path in json.loads(told.read_text())]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("there", ["nothing", "an older one"])
def test_power_loss_finds_whole_files(home: Path, name: str, there: str) -> None:
    """No kill can show it, the order of calls can.

    Every file is flushed after it was last opened to write; then renamed to its name, or the folder that it lies in,
    itself flushed; then the folder above is flushed. A new folder is flushed into the one above it.
    """
    if there != "nothing":
        WRITERS[name].write(home, 0)
    calls = [(what, path) for what, path in _calls(name, home) if path.startswith(str(home))]
    placed = [(at, path.split(" -> ")) for at, (what, path) in enumerate(calls) if what == "rename"]
    placed = [(at, names) for at, names in placed if ".tmp." not in Path(names[1]).name]
    assert placed
    for at, (temporary, final) in placed:
        if ".tmp." in Path(final).parent.name:
            continue  # inside a folder that is not in place yet
        flushed = [path for what, path in calls[:at] if what == "flush"]
        inside = [path for path in Path(final).rglob("*") if path.is_file()] if Path(final).is_dir() else [Path(final)]
        assert inside
        for path in inside:
            was = str(path).replace(final, temporary, 1)
            assert was in flushed, f"{was} was not flushed before it was put in place"
            flush = max(number for number, call in enumerate(calls[:at]) if call == ("flush", was))
            assert ("write", was) not in calls[flush + 2 :], f"{was} was written after its flush"
        if Path(final).is_dir():
            assert temporary in flushed
        assert ("flush", str(Path(final).parent)) in calls[at:], f"the name {final} was not flushed"
    assert all(".tmp." in path for what, path in calls if what == "write")
    for at, (what, path) in enumerate(calls):
        if what == "make" and Path(path).exists() and ".tmp." not in path:
            assert ("flush", str(Path(path).parent)) in calls[at:], f"the folder {path} was not flushed"


@pytest.mark.parametrize("name", ["json", "checkpoint", "weights", "embeddings", "results", "dataset"])
def test_a_writer_stopped_before_any_of_its_calls_leaves_the_old_or_the_new(home: Path, name: str) -> None:
    """Killed before file operation 0, 1, ... to the last: never a mixture, never an unreadable one."""
    writer = WRITERS[name]
    writer.write(home, 0)
    shutil.copytree(home, home.with_name("old"))
    count = len(_calls(name, home))
    assert writer.read(home) == 1
    seen: list[int | None] = []
    for stop in range(count + 1):
        shutil.rmtree(home)
        shutil.copytree(home.with_name("old"), home)

        def stopped(stop: int = stop) -> None:
            done = 0

            def told(_what: str, _path: str) -> None:
                nonlocal done
                done += 1
                if done > stop:
                    os._exit(KILLED)

            watch_files(told)
            writer.write(home, 1)

        assert _child(stopped) == (KILLED if stop < count else 0)
        try:
            seen.append(writer.read(home))
        except FairLabError:
            seen.append(None)  # said to be missing
    assert seen[0] == 0
    assert seen[-1] == 1
    assert not writer.exact or None not in seen, seen
    known = [version for version in seen if version is not None]
    assert known == sorted(known)
    print(
        f"{name}: stopped at {count + 1} places: {seen.count(0)} old, {seen.count(1)} new, {seen.count(None)} missing"
    )


def _files(home: Path, name: str) -> list[Path]:
    folder = home / WRITERS[name].folder
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", WITH_HASHES)
def test_a_flipped_bit_anywhere_is_found(home: Path, name: str) -> None:
    """200 of 200, in whatever file of the artefact; in the manifest itself it may also be harmless."""
    writer, dice = WRITERS[name], random.Random(name)
    writer.write(home, 1)
    found = harmless = 0
    for _ in range(200):
        path = dice.choice(_files(home, name))
        original = path.read_bytes()
        damaged = bytearray(original)
        place = dice.randrange(len(original) * 8)
        damaged[place // 8] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            assert writer.read(home) == 1
            harmless += 1
            assert path.name == MANIFEST or path.suffix == ".json", path
        except FairLabError as error:
            found += 1
            assert str(home) in str(error)  # noqa: PT017 - both ways are right, each with its own condition
        path.write_bytes(original)
    print(f"{name}: {found} of 200 flips found, {harmless} harmless")
    assert found + harmless == 200
    assert writer.read(home) == 1


@pytest.mark.parametrize("name", ["json", *WITH_HASHES])
def test_a_cut_file_is_one_sentence_of_ours(home: Path, name: str) -> None:
    """200 random cuts of all files: our own error, naming the place, in under a second, never a signal."""
    writer, dice = WRITERS[name], random.Random(name)
    writer.write(home, 1)
    slowest = 0.0
    for _ in range(200):
        path = dice.choice(_files(home, name))
        original = path.read_bytes()
        path.write_bytes(original[: dice.randrange(len(original))])
        started = time.monotonic()
        try:
            assert writer.read(home) == 1
            assert name == "json"  # cut before the end of its only line
        except FairLabError as error:
            assert str(home) in str(error)  # noqa: PT017 - both ways are right, each with its own condition
        slowest = max(slowest, time.monotonic() - started)
        path.write_bytes(original)
    assert slowest < 1


def _fill(writer: Callable[[Path, int], None], home: Path) -> str:
    """Write version 1 where that cannot end well; the sentence."""
    try:
        writer(home, 1)
    except FairLabError as error:
        return str(error)
    return ""


@pytest.fixture
def sizes() -> Iterator[Callable[[int], None]]:
    """Limit the size of files from now on; without the signal that usually comes with it."""
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size if size >= 0 else limits[0], limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("name", WRITERS)
def test_a_write_that_fails_at_any_byte_keeps_the_old_file(home: Path, name: str, sizes: Callable[[int], None]) -> None:
    """50 random bytes at which the system refuses to go on; Python's, C++'s and Rust's writers alike."""
    writer, dice = WRITERS[name], random.Random(name)
    writer.write(home, 0)
    before = sorted(path.relative_to(home) for path in home.rglob("*"))
    largest = max(path.stat().st_size for path in _files(home, name))
    refused = 0
    for _ in range(50):
        sizes(dice.randrange(largest))
        said = _fill(writer.write, home)
        sizes(-1)
        assert re.search(r"^could not write .*: .*File too large", said), said
        assert name == "results" or writer.read(home) == 0
        assert sorted(path.relative_to(home) for path in home.rglob("*")) == before
        refused += 1
    assert refused == 50
    writer.write(home, 1)
    assert writer.read(home) == 1


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_said_with_the_bytes_there_are(tmp_path: Path, name: str) -> None:
    """50 random bytes left on a real small file system, where this user may mount one: nothing old is lost."""
    home = tmp_path / "disk"
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k,huge=never", "tmpfs", str(home)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this user may not mount a small file system to fill")
    writer, dice = WRITERS[name], random.Random(name)

    def with_room(pages: int) -> str:
        (home / "ballast").write_bytes(b"x" * (free - pages * 4096))
        said = _fill(writer.write, home)
        (home / "ballast").unlink()
        return said

    try:
        writer.write(home, 0)
        free = shutil.disk_usage(home).free
        for _ in range(50):
            said = with_room(dice.randrange(PAGES[name]))
            assert said.startswith("the disk is full: could not write"), said
            assert "MB free" in said
            assert name == "results" or writer.read(home) == 0
            assert not list(home.rglob("*.tmp.*"))
        assert with_room(PAGES[name] + 12) == ""
        assert writer.read(home) == 1
    finally:
        subprocess.run(["umount", str(home)], check=True)


def test_a_full_disk_is_known_whatever_hides_it() -> None:
    """Also behind the errors of torch and safetensors; another trouble is not taken for it."""
    full = OSError(errno.ENOSPC, "No space left on device")
    hidden = FairLabError("could not write")
    hidden.__cause__ = RuntimeError("unexpected pos 704 vs 598")
    hidden.__cause__.__context__ = full
    assert is_disk_full(full)
    assert is_disk_full(hidden)
    assert is_disk_full(OSError(errno.EDQUOT, "quota"))
    assert not is_disk_full(OSError(errno.EACCES, "no"))
    assert not is_disk_full(RuntimeError("the disk is full"))


WRITES = re.compile(
    r"\.write_text\(|\.write_bytes\(|open\([^)]*,\s*[\"'](?:w|x|a|r\+|rb\+)|np\.save\(|\.to_parquet\(|\.to_csv\(\s*[a-z]|"
    r"save_file\(|torch\.save\(\w+, |os\.replace\(|os\.rename\(|shutil\.(?:copy|move)|open_memmap\(|write_index\(|\.tofile\("
)
BESIDE = {
    "fairlab/files.py": "the two ways themselves",
    "fairlab/store/events.py": "lines that are only ever appended",
    "fairlab/store/database.py": "sets a damaged catalogue aside",
    "fairlab/store/runs.py": "moves a run away to delete it",
    "fairlab/workspace.py": "moves folders of an older workspace",
    "fairlab/queue/engines/local.py": "the log that a worker appends to",
    "fairlab/data/demo/build.py": "pixels in a temporary folder, which write_dataset puts in place",
    "fairlab/data/kept_pixels.py": "files in a temporary folder, which write_dataset puts in place",
    "fairlab/queue/launch.py": "a line at the end of a run's log",
    "fairlab/storage/retention.py": "a line at the end of a log without content",
    "fairlab/jobs/loggers/tensorboard.py": "an event file for another program, only ever appended to",
    "fairlab/storage/prune.py": "moves a checkpoint away to delete it",
    "fairlab/storage/people/forget.py": "puts in place what its journal lists, and goes on there after a kill",
    "fairlab/data/forgetting.py": "files for that journal",
    "fairlab/training/forgetting.py": "files for that journal",
    "fairlab/compare/exports.py": "text for a download, no file",
    "fairlab/cli/fairness.py": "text for the terminal",
    "fairlab/machine/temporaries.py": "a note on a temporary file outside the workspace, which is removed with it",
    "fairlab/cli/streams.py": "nothing: the null device in place of a closed output",
}
"""Files that change the disk in another way, each with its reason."""


def test_nobody_writes_a_file_in_a_way_of_their_own() -> None:
    """All go through write_atomic or place_folder (amend, of a data set, and keep, beside one, do), which the tests above hold; a new writer is
    found here."""
    found = {}
    for path in [*ROOT.glob("fairlab/**/*.py"), *ROOT.glob("pages/*.py"), ROOT / "app.py"]:
        text = path.read_text(encoding="utf-8")
        if WRITES.search(text):
            found[str(path.relative_to(ROOT))] = any(
                way in text for way in ("write_atomic(", "place_folder(", "amend(", " keep(data, ")
            )
    assert {name for name, whole in found.items() if not whole} <= BESIDE.keys(), found
    assert {"fairlab/training/checkpoint.py", "fairlab/data/writing.py", "fairlab/store/index.py"} <= found.keys()
