"""Archives: everything comes back, nothing else does, and no byte may be another."""

from __future__ import annotations

import io
import json
import os
import random
import tarfile
import threading
import time
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from fairlab.errors import Damaged, FairLabError, Refused, Stopped
from fairlab.files import digest, make_folder, verify_manifest, write_json, write_manifest
from fairlab.plan.grid import plan_preset
from fairlab.queue import launch
from fairlab.storage import archive_reading
from fairlab.storage.archive import END, LISTING, Choice, archive, canonical, header, padding
from fairlab.storage.archive_reading import bring_in, read_listing
from fairlab.store.embeddings import FILES
from fairlab.store.labels import Labels, change_labels, read_labels
from fairlab.store.runs import RunRecord, create_run, read_run, read_status, record_process, state, write_status
from fairlab.store.studies import read_study, studies
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import copied_home
from tests.forks import fork
from tests.waiting import entered

LEFT_OUT = {"queue.json", "process.json", "heartbeat.json", "lock", "log.txt", "index.faiss", "index.json"}


@pytest.fixture
def other(tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path / "other")


@pytest.fixture(scope="module")
def packed(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny study as one file, with the templates."""
    out = tmp_path_factory.mktemp("archive") / "tiny.tar"
    archive(tiny, studies(tiny)["study_id"].iloc[0], out, Choice(templates=True))
    return out


@pytest.fixture(scope="module")
def small(tiny: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One run, as it is archived unless more is asked for."""
    out = tmp_path_factory.mktemp("archive") / "small.tar"
    archive(tiny, _teacher(tiny), out)
    return out


def _teacher(lab: Workspace) -> str:
    return next(path.parent.name for path in sorted(lab.runs_folder.glob("teacher-*/run.json")))


def _paths(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_study_comes_back_file_by_file(tiny: Workspace, other: Workspace, packed: Path) -> None:
    """Every file of every run but locks, logs, checkpoints and the index, bit for bit; and the study."""
    study = studies(tiny)["study_id"].iloc[0]
    told = bring_in(other, packed)
    assert sorted(told["runs"]) == sorted(read_study(tiny, study).run_ids)
    assert told["missing"] == []
    assert len(told["notes"]) == 1
    assert "is not here: its faces" in told["notes"][0]
    expected = {
        name: content
        for name, content in _files(tiny.runs_folder).items()
        if Path(name).name not in LEFT_OUT and "/checkpoints/" not in name
    }
    assert _files(other.runs_folder) == expected
    assert read_study(other, study) == read_study(tiny, study)
    assert {state(other.run(name)).status for name in told["runs"]} == {"done"}


def test_any_tar_program_reads_it(packed: Path, small: Path) -> None:
    with tarfile.open(packed) as tar:
        names = tar.getnames()
        listing = json.load(tar.extractfile(LISTING))  # type: ignore[arg-type]
    assert names == [LISTING, *(file["name"] for file in listing["files"])]
    assert not [name for name in read_listing(small)["files"] if "embeddings/" in name["name"]]


def test_the_same_again_is_said_and_nothing_done(other: Workspace, small: Path) -> None:
    run_id = bring_in(other, small)["runs"][0]
    before = {path: path.stat().st_mtime_ns for path in other.run(run_id).rglob("*")}
    assert bring_in(other, small) | {"notes": []} == {
        "study": "",
        "runs": [],
        "same": [run_id],
        "missing": read_listing(small)["parents"],
        "notes": [],
    }
    assert before == {path: path.stat().st_mtime_ns for path in other.run(run_id).rglob("*")}


def test_a_run_that_is_here_otherwise_stays_as_it_is(other: Workspace, packed: Path) -> None:
    """And nothing of the archive comes in."""
    listing = read_listing(packed)
    first = listing["runs"][-1]
    other.run(first).mkdir()
    (other.run(first) / "run.json").write_text("mine")
    with pytest.raises(Refused, match="in this workspace already, with a different"):
        bring_in(other, packed)
    assert _files(other.runs_folder) == {f"{first}/run.json": b"mine"}


def test_what_is_not_here_is_named_and_the_run_comes_in(other: Workspace, small: Path) -> None:
    """Looking at a run needs none of what it was built on."""
    told = bring_in(other, small)
    assert told["missing"] == list(read_run(other, told["runs"][0]).parents) != []


@pytest.mark.parametrize("numbers", [True, False])
def test_unless_asked_for_no_templates_and_no_names_leave(
    tiny: Workspace, other: Workspace, tmp_path: Path, numbers: bool
) -> None:
    """No classifier, none of who was learned, no row of an embedding; what is left is whole by its manifest."""
    run_id, out = _teacher(tiny), tmp_path / "run.tar"
    known = json.loads((tiny.run(run_id) / "weights" / "model.json").read_bytes())["identities"]
    archive(tiny, run_id, out, Choice(numbers=numbers))
    content = out.read_bytes()
    assert known
    assert not any(name.encode() in content for name in known)
    vectors = [np.load(path) for path in tiny.run(run_id).glob("embeddings/*/*/vectors.npy")]
    with safe_open(tiny.run(run_id) / "weights" / "head.safetensors", "np") as tensors:
        vectors += [tensors.get_tensor(name) for name in tensors.keys()]  # noqa: SIM118
    assert len(vectors) > 2
    assert not any(row.tobytes() in content for table in vectors for row in table if row.nbytes > 8)
    bring_in(other, out)
    files = sorted(path.relative_to(other.run(run_id)).as_posix() for path in _paths(other.run(run_id)))
    networks = [f"weights/{name}" for name in ("learner.safetensors", "manifest.json", "model.json")]
    more = [name for name in files if name.startswith(("results/", "projections/")) or name == "events.jsonl"]
    assert files == sorted([*networks, "run.json", "status.json", *more])
    assert bool(more) == numbers
    verify_manifest(other.run(run_id) / "weights")
    for lab in (tiny, other):
        with safe_open(lab.run(run_id) / "weights" / "learner.safetensors", "np") as tensors:
            assert len(tensors.keys()) > 5
    assert json.loads((other.run(run_id) / "weights" / "model.json").read_bytes())["kind"] == "backbone"
    for lab in (tiny, other):  # the run as a whole is the one that the archive holds a part of
        assert bring_in(lab, out)["same"] == [run_id]


def test_checkpoints_go_along_when_asked(tiny: Workspace, other: Workspace, tmp_path: Path) -> None:
    run_id, out = _teacher(tiny), tmp_path / "with.tar"
    archive(tiny, run_id, out, Choice(checkpoints=True))
    bring_in(other, out)
    assert _files(other.run(run_id) / "checkpoints") == _files(tiny.run(run_id) / "checkpoints") != {}


def test_two_hundred_flipped_bits_are_all_found(other: Workspace, small: Path, tmp_path: Path) -> None:
    """Anywhere: headers, listing, contents, padding, end. Nothing comes in, and one sentence names the file."""
    content, rng = small.read_bytes(), random.Random(0)
    ends = [0, 156, 257, 345, 511, 512, len(content) - 1, len(content) - 600, len(content) - 1024]
    listed = read_listing(small)
    at = len(header(LISTING, len(canonical(listed)))) + len(canonical(listed)) + len(padding(len(canonical(listed))))
    ends += [at, at + 100, at + 124, at + 148, at + 156, at + 300, at + 500]  # fields of the second header
    places = ends + rng.sample(range(len(content)), 200 - len(ends))
    found = 0
    for place in places:
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.randrange(8)
        (tmp_path / "flipped.tar").write_bytes(flipped)
        with pytest.raises(FairLabError, match=r"flipped.tar"):
            bring_in(other, tmp_path / "flipped.tar")
        found += 1
    assert found == 200
    assert _files(other.runs_folder) == {}
    assert not list(other.home.glob("*.tmp.*"))


def test_fifty_cuts_are_all_found_before_anything_is_unpacked(other: Workspace, small: Path, tmp_path: Path) -> None:
    content, rng = small.read_bytes(), random.Random(1)
    for length in [0, 1, 511, 512, len(content) - 1, len(content) - 1024, *rng.sample(range(len(content)), 44)]:
        (tmp_path / "cut.tar").write_bytes(content[:length])
        with pytest.raises(Damaged, match=r"cut.tar"):
            bring_in(other, tmp_path / "cut.tar")
    (tmp_path / "long.tar").write_bytes(content + b"\0")
    with pytest.raises(Damaged, match="its listing makes"):
        bring_in(other, tmp_path / "long.tar")
    assert _files(other.home / "runs") == {}


def _signed(listing: dict[str, Any]) -> dict[str, Any]:
    facts = {name: value for name, value in listing.items() if name != "check"}
    return {**facts, "check": digest(facts)}


def _packed(listing: dict[str, Any], contents: list[bytes]) -> bytes:
    """A tar as FairLab writes it, of any listing."""
    text = canonical(_signed(listing))
    out = header(LISTING, len(text)) + text + padding(len(text))
    for file, content in zip(listing["files"], contents, strict=True):
        out += header(file["name"], file["bytes"]) + content + padding(len(content))
    return out + END


def _contents(path: Path) -> tuple[dict[str, Any], list[bytes]]:
    listing = read_listing(path)
    with tarfile.open(path) as tar:
        return listing, [tar.extractfile(file["name"]).read() for file in listing["files"]]  # type: ignore[union-attr]


TRICKS = (
    "../../outside.json",
    "/etc/outside.json",
    "runs/{run}/../../../outside.json",
    "runs/{run}/weights/..",
    "runs/{run}/weights/../../x.json",
    "runs\\{run}\\x.json",
    "C:/outside.json",
    "runs/other-run/status.json",
    "runs/{run}/weights/.hidden.json",
    "runs/{run}/weights/evil.py",
    "runs/{run}/weights/trainer.pt",
    "runs/{run}/weights/\u0000.json",
    "runs/{run}/process.json",
    "runs/{run}/STATUS.json",
    "workspace.json",
    "studies/{run}/study.json",
    "runs/{run}/weights//x.json",
    "~/x.json",
)


@pytest.mark.parametrize("trick", TRICKS)
def test_a_file_that_would_lie_elsewhere_is_refused(other: Workspace, small: Path, tmp_path: Path, trick: str) -> None:
    """The listing is whole and signed, and nothing is written, here or elsewhere."""
    listing, contents = _contents(small)
    name = trick.format(run=listing["runs"][0])
    file = {"name": name, "bytes": 2, "sha256": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"}
    try:
        packed = _packed({**listing, "files": [*listing["files"], file]}, [*contents, b"{}"])
    except ValueError:  # tar cannot even say it
        packed = _packed(listing, contents)[: -len(END)] + b"x" * 512 + END
    (tmp_path / "trick.tar").write_bytes(packed)
    before = sorted(path for path in tmp_path.rglob("*") if "trick" not in path.name)
    with pytest.raises(FairLabError):
        bring_in(other, tmp_path / "trick.tar")
    assert sorted(path for path in tmp_path.rglob("*") if "trick" not in path.name) == before


def _link(kind: bytes) -> Callable[[tarfile.TarInfo], None]:
    def change(about: tarfile.TarInfo) -> None:
        about.type, about.linkname = kind, "../../../../etc/passwd"

    return change


@pytest.mark.parametrize(
    "change",
    [
        _link(kind)
        for kind in (
            tarfile.SYMTYPE,
            tarfile.LNKTYPE,
            tarfile.CHRTYPE,
            tarfile.BLKTYPE,
            tarfile.FIFOTYPE,
            tarfile.DIRTYPE,
        )
    ],
)
def test_links_devices_and_pipes_are_not_what_the_listing_says(
    other: Workspace, small: Path, tmp_path: Path, change: Callable[[tarfile.TarInfo], None]
) -> None:
    """Under the name of a file that is listed."""
    listing, contents = _contents(small)
    packed = _packed(listing, contents)
    about = tarfile.TarInfo(listing["files"][0]["name"])
    about.size, about.mode = len(contents[0]), 0o600
    change(about)
    honest = header(listing["files"][0]["name"], len(contents[0]))
    (tmp_path / "link.tar").write_bytes(packed.replace(honest, about.tobuf(tarfile.GNU_FORMAT)[: len(honest)], 1))
    with pytest.raises(Damaged, match="not the header of"):
        bring_in(other, tmp_path / "link.tar")
    assert _files(other.runs_folder) == {}


def test_a_second_file_of_one_name_is_refused(other: Workspace, small: Path, tmp_path: Path) -> None:
    listing, contents = _contents(small)
    twice = _packed({**listing, "files": [*listing["files"], listing["files"][0]]}, [*contents, contents[0]])
    (tmp_path / "twice.tar").write_bytes(twice)
    with pytest.raises(Damaged, match="two files of one name"):
        bring_in(other, tmp_path / "twice.tar")


def test_sizes_that_the_file_does_not_have_or_the_disk_cannot_hold(
    monkeypatch: pytest.MonkeyPatch, other: Workspace, small: Path, tmp_path: Path
) -> None:
    """A declared size is believed only where the file is that long, and before anything is written."""
    listing, contents = _contents(small)
    bomb = [{**file, "bytes": 10**15} for file in listing["files"]]
    (tmp_path / "bomb.tar").write_bytes(_packed({**listing, "files": bomb}, contents))
    started = time.monotonic()
    with pytest.raises(Damaged, match="its listing makes"):
        bring_in(other, tmp_path / "bomb.tar")
    assert time.monotonic() - started < 1
    monkeypatch.setattr(
        archive_reading.shutil, "disk_usage", lambda _path: os.terminal_size((0, 0)) and type("U", (), {"free": 10})()
    )
    with pytest.raises(Refused, match="GB free"):
        bring_in(other, small)


def test_other_files_and_newer_archives_are_told_apart(other: Workspace, small: Path, tmp_path: Path) -> None:
    listing, contents = _contents(small)
    (tmp_path / "newer.tar").write_bytes(_packed({**listing, "version": 2}, contents))
    with pytest.raises(Refused, match="version 2, this FairLab reads up to 1"):
        bring_in(other, tmp_path / "newer.tar")
    with tarfile.open(tmp_path / "plain.tar", "w") as tar:
        about = tarfile.TarInfo("hello.txt")
        about.size = 5
        tar.addfile(about, io.BytesIO(b"hello"))
    os.mkfifo(tmp_path / "pipe.tar")
    for name, said in (("plain.tar", "not an archive of FairLab"), ("pipe.tar", "no file"), ("gone.tar", "no file")):
        with pytest.raises(FairLabError, match=said):
            bring_in(other, tmp_path / name)


def test_a_run_that_works_is_not_archived_and_a_stop_leaves_the_old_file(tiny: Workspace, tmp_path: Path) -> None:
    copy = open_workspace(copied_home(tiny.home, tmp_path / "copy"))
    run_id, out = _teacher(copy), tmp_path / "run.tar"
    out.write_text("old")
    with pytest.raises(Stopped):
        archive(copy, run_id, out, stop=lambda: True, overwrite=True)
    write_status(copy.run(run_id), "running", reason="")
    record_process(copy.run(run_id))
    with pytest.raises(Refused, match="is running"):
        archive(copy, run_id, out, overwrite=True)
    assert out.read_text() == "old"
    assert [path.name for path in tmp_path.glob("run.tar*")] == ["run.tar"]


def _slowly(home: str, path: str) -> None:
    def tell(_done: int, _total: int) -> None:
        time.sleep(0.002)

    bring_in(Workspace(Path(home)), Path(path), tell)


def test_killed_imports_leave_whole_runs_or_none(other: Workspace, packed: Path, tiny: Workspace) -> None:
    """Six kills at random times; the last import completes the study and leaves nothing else behind."""
    rng = random.Random(2)
    for _ in range(6):
        child = fork(_slowly, str(other.home), str(packed))
        child.join(rng.uniform(0.02, 0.5))
        child.kill()
        child.join()
        for folder in other.runs_folder.iterdir():
            assert read_run(other, folder.name)
            for manifest in folder.rglob("manifest.json"):
                verify_manifest(manifest.parent)
    told = bring_in(other, packed)
    assert sorted(told["runs"] + told["same"]) == sorted(path.name for path in tiny.runs_folder.iterdir())
    assert not [path for path in other.home.rglob("*") if ".tmp." in path.name]


@pytest.mark.parametrize("said", [None, "queued", "running"])
def test_what_a_strangers_archive_says_starts_nothing_here(
    lab: Workspace, other: Workspace, tmp_path: Path, said: object
) -> None:
    """A run that waits, works or never said anything comes in stopped; brought in again it is the same."""
    record, out = entered(lab, "A", status="stopped"), tmp_path / "stranger.tar"
    archive(lab, record.run_id, out)
    listing, contents = _contents(out)
    files = {file["name"]: (file, content) for file, content in zip(listing["files"], contents, strict=True)}
    name = f"runs/{record.run_id}/status.json"
    if said is None:
        del files[name]
    else:
        status = json.dumps({"status": said, "attempt": 3}).encode()
        files[name] = ({"name": name, "bytes": len(status), "sha256": sha256(status).hexdigest()}, status)
    listing["files"] = [file for file, _ in files.values()]
    out.write_bytes(_packed(listing, [content for _, content in files.values()]))
    assert bring_in(other, out)["runs"] == [record.run_id]
    live = state(other.run(record.run_id))
    assert (live.status, live.reason) == ("stopped", "it came with an archive; resume it to go on here")
    assert launch.dispatch(other) == []
    assert read_status(other.run(record.run_id)).get("attempt") == (None if said is None else 3)
    assert bring_in(other, out)["same"] == [record.run_id]
    write_status(other.run(record.run_id), "failed", reason="here")
    if said is not None:
        with pytest.raises(Refused, match=r"with a different status\.json"):
            bring_in(other, out)


def test_a_run_that_broke_down_comes_in_stopped(lab: Workspace, other: Workspace, tmp_path: Path) -> None:
    """Killed before it could say that it works, its last word is "queued"."""
    record, out = entered(lab, "A"), tmp_path / "crashed.tar"
    (record.folder / "process.json").write_text("{}")
    assert state(record.folder).status == "crashed"
    archive(lab, record.run_id, out)
    bring_in(other, out)
    assert state(other.run(record.run_id)).status == "stopped"
    assert [bring_in(there, out)["same"] for there in (lab, other)] == [[record.run_id]] * 2


def _with_files(lab: Workspace) -> RunRecord:
    """A run that has ended, with files of every kind of folder that has a manifest."""
    record = entered(lab, "A", status="stopped")
    for place in ("weights", "results/d", "checkpoints/step-00000001", "embeddings/d/plain"):
        folder = record.folder / place
        folder.mkdir(parents=True)
        names = FILES if place.startswith("embeddings") else ("one.npy", "model.json", "head.safetensors")
        for name in names:
            (folder / name).write_bytes(b'{"some": "content", "identities": []}')
        write_manifest(folder, names)
    return record


@pytest.mark.parametrize("everything", [True, False])
def test_a_flipped_bit_is_found_when_archiving(lab: Workspace, tmp_path: Path, everything: bool) -> None:
    """In every file that goes along and that a manifest lists, and a file that is gone; nothing is written."""
    record, out, tried = _with_files(lab), tmp_path / "out.tar", 0
    choice = Choice(templates=everything, checkpoints=everything)
    archive(lab, record.run_id, out, choice)
    whole = out.read_bytes()
    gone = {file["name"].removeprefix(f"runs/{record.run_id}/") for file in read_listing(out)["files"]}
    for path in sorted(record.folder.glob("*/**/*")):
        if path.is_dir() or path.relative_to(record.folder).as_posix() not in gone:
            continue
        content, tried = path.read_bytes(), tried + 1
        path.write_bytes(bytes([*content[:12], content[12] ^ 1, *content[13:]]))
        with pytest.raises(Damaged, match=path.name):
            archive(lab, record.run_id, out, choice, overwrite=True)
        if path.name != "manifest.json":
            path.unlink()
            with pytest.raises(Damaged, match=f"{path.name} is missing"):
                archive(lab, record.run_id, out, choice, overwrite=True)
        path.write_bytes(content)
    assert tried == (12 + len(FILES) + 1 if everything else 3 + 4)
    assert out.read_bytes() == whole


def test_two_imports_of_one_process_leave_each_other_alone(lab: Workspace, other: Workspace, tmp_path: Path) -> None:
    """The second begins and ends while the first has unpacked a file; what either leaves is named for sweep."""
    packed = []
    for title in "AB":
        run_id = entered(lab, title, status="stopped").run_id
        packed.append(tmp_path / f"{title}.tar")
        archive(lab, run_id, packed[-1])
    told: list[Any] = []

    def second() -> None:
        told.extend(bring_in(other, packed[1])["runs"])

    def tell(_done: int, _total: int) -> None:
        if not told:
            assert [path.name.rpartition(".")[2] for path in other.home.glob("*.tmp.*")] == [str(os.getpid())]
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()

    told += bring_in(other, packed[0], tell)["runs"]
    assert len(told) == 2
    assert {path.name for path in other.runs_folder.iterdir()} == set(told)
    assert not list(other.home.glob("*.tmp.*"))


def test_labels_go_along_and_never_keep_an_archive_out(lab: Workspace, other: Workspace, tmp_path: Path) -> None:
    """Tags and notes of a study and its runs come back; where the run is here with other labels, those stay."""
    plan = plan_preset(lab, "tiny")
    record = plan.runs[0].record
    create_run(lab, record)
    write_status(record.folder, "done", "")
    study = {
        "study_id": "s-1",
        "title": "S",
        "preset": "tiny",
        "created_at": record.created_at,
        "run_ids": [record.run_id],
    }
    make_folder(lab.study("s-1"))
    write_json(lab.study("s-1") / "study.json", {**study, "config": plan.study.model_dump(mode="json")})
    change_labels(lab, record.folder, ["mine"], note="two\nlines", star=True)
    change_labels(lab, lab.study("s-1"), ["ours"])
    archive(lab, "s-1", tmp_path / "labelled.tar", Choice(numbers=False))
    bring_in(other, tmp_path / "labelled.tar")
    assert read_labels(other.run(record.run_id)) == Labels(("mine",), "two\nlines", True)
    assert studies(other)["tags"].tolist() == ["ours"]
    change_labels(other, other.run(record.run_id), ["theirs"], ["mine"])
    assert bring_in(other, tmp_path / "labelled.tar")["same"] == [record.run_id]
    assert read_labels(other.run(record.run_id)).tags == ("theirs",)
