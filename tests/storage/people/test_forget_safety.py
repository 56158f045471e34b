"""What a deletion of people leaves whole, whatever cuts it short or stands in its way."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fairlab import files
from fairlab.data.dataset import open_dataset
from fairlab.errors import FairLabError, Refused
from fairlab.files import read_json, verify_manifest, write_json
from fairlab.jobs import worker
from fairlab.jobs.data.starts import add_data
from fairlab.queue import launch
from fairlab.queue.engines.local import LocalEngine
from fairlab.settings.study import Data, Run, Source
from fairlab.storage.archive import Choice, archive
from fairlab.storage.deletion_words import reached
from fairlab.storage.doctor import examine
from fairlab.storage.people import forget_files
from fairlab.storage.people.forget import finish, forget, survey, unfinished
from fairlab.store.locks import CUT_SHORT, cut_short
from fairlab.store.remote import ENDED, WAITING, Job, write_job
from fairlab.store.runs import create_run, read_run, record_process, state, write_status
from fairlab.training.forgetting import zero_rows
from fairlab.workspace import Workspace, open_workspace
from tests.conftest import command, copied_home
from tests.data.trees import grouped
from tests.in_process import work_here
from tests.jobs.test_worker import queued
from tests.storage.people.test_forget import data_of, spaces

PERSON = "Group A test 001"


class Killed(BaseException): ...


@pytest.fixture
def copy(tiny: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(forget_files, "CHEAP", 0)
    return open_workspace(copied_home(tiny.home, tmp_path / "copy"))


def kill_at(monkeypatch: pytest.MonkeyPatch, count: int, after: bool) -> pytest.MonkeyPatch:
    """From now on the `count`-th folder that is swapped with another is the last: the process ends before or after it."""
    real, left = files._swap, count

    def swap(one: Path, other: Path) -> bool:
        nonlocal left
        left -= 1
        if left == 0 and not after:
            raise Killed
        done = real(one, other)
        if left == 0:
            raise Killed
        return done

    mine = pytest.MonkeyPatch()
    mine.setattr(files, "_swap", swap)
    return mine


def whose(lab: Workspace, name: str) -> dict[bytes, str]:
    """Of a data set: whose each image is, by its pixels."""
    data = open_dataset(lab.dataset(name))
    return {np.asarray(data.pixels[row]).tobytes(): person for row, person in enumerate(data.images["identity"])}


@pytest.mark.parametrize(("count", "after"), [(1, False), (1, True), (2, True), (4, False)])
def test_a_kill_leaves_no_data_set_of_which_table_and_pixels_are_of_others(
    monkeypatch: pytest.MonkeyPatch, copy: Workspace, count: int, after: bool
) -> None:
    """Every image is still whose it was; every data set and every embedding fits its own hashes; no run starts on them."""
    name = data_of(copy).dataset_id
    before = whose(copy, name)
    write_json(copy.dataset(name) / "keep.json", {"days": 9, "added_at": "2020-01-01T00:00:00+00:00"})
    mine = kill_at(monkeypatch, count, after)
    with pytest.raises(Killed):
        forget(copy, name, PERSON)
    mine.undo()
    now = whose(copy, name)
    assert now == {pixels: before[pixels] for pixels in now}
    assert len(now) == len(before) - (0 if (count, after) == (1, False) else 5)
    for manifest in [
        *copy.datasets_folder.glob("*/manifest.json"),
        *copy.runs_folder.glob("*/embeddings/*/*/manifest.json"),
    ]:
        verify_manifest(manifest.parent)
    assert finish(copy)
    assert whose(copy, name) == {pixels: person for pixels, person in before.items() if person != PERSON}
    assert (copy.dataset(name) / "keep.json").exists()
    assert list(copy.home.glob("forgetting*")) == []
    assert examine(copy, verify=True)["problems"] == []


def test_no_run_starts_while_a_deletion_is_cut_short(monkeypatch: pytest.MonkeyPatch, copy: Workspace) -> None:
    """Nothing leaves the queue, and it says why; a worker that is started all the same refuses; afterwards both go."""
    told: list[str] = []
    monkeypatch.setattr(LocalEngine, "submit", lambda _engine, _lab, record, _placement: told.append(record.run_id))
    monkeypatch.setattr(worker.StopSwitch, "install", lambda _switch: None)
    monkeypatch.setattr(worker.faulthandler, "enable", lambda: None)
    folder = queued(copy)
    mine = kill_at(monkeypatch, 1, True)
    with pytest.raises(Killed):
        forget(copy, data_of(copy).dataset_id, PERSON)
    mine.undo()
    assert launch.dispatch(copy) == told == []
    assert state(folder).reason == CUT_SHORT
    assert worker.work(copy, folder.name) == 1
    assert (state(folder).status, state(folder).reason) == ("failed", f"{CUT_SHORT}, then resume")
    write_status(folder, "queued", reason="")
    assert worker.follow(copy, read_run(copy, folder.name)) == 1  # a process that shares the run
    finish(copy)
    assert not cut_short(copy)
    assert launch.dispatch(copy) == told == [folder.name]


def test_a_run_in_another_machines_queue_is_not_surprised(copy: Workspace) -> None:
    """Nobody here could hold it back while files move; one that waits here can wait."""
    folder, name = queued(copy), data_of(copy).dataset_id
    write_job(folder, Job("slurm", "17", WAITING))
    with pytest.raises(Refused, match=f"{folder.name} waits in another machine's queue"):
        forget(copy, name, PERSON)
    assert not unfinished(copy)
    write_job(folder, Job("slurm", "17", ENDED))
    forget(copy, name, PERSON)


@pytest.fixture
def photos(lab: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's own images, added as data set "faces"."""
    work_here(monkeypatch)
    folder = grouped(tmp_path / "photos")
    add_data(lab, Source(path=str(folder), image_px=32), "faces")
    return folder


def somebody(lab: Workspace, photos: Path) -> tuple[str, list[Path]]:
    """One person and their files."""
    images = open_dataset(lab.dataset("faces")).images
    person = str(images["identity"].iloc[0])
    return person, [photos / place for place in images.loc[images["identity"] == person, "location"]]


def unlink_refused(monkeypatch: pytest.MonkeyPatch, refused: Path) -> None:
    real = Path.unlink

    def unlink(path: Path, missing_ok: bool = False) -> None:
        if path == refused:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))
        real(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)


def test_a_file_that_cannot_be_deleted_is_named_and_all_else_goes(
    lab: Workspace, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would have kept this deletion, and all after it, from ever ending."""
    person, own = somebody(lab, photos)
    assert len(own) > 1
    with monkeypatch.context() as mine:
        unlink_refused(mine, own[0])
        found = forget(lab, "faces", person, files=True)
    assert found.notes == [f"your own file {own[0]} could not be deleted and stays: {os.strerror(errno.EPERM)}"]
    assert [path.exists() for path in own] == [True] + [False] * (len(own) - 1)
    assert not unfinished(lab)
    assert person not in set(open_dataset(lab.dataset("faces")).images["identity"])


def test_a_folder_that_cannot_be_written_to_is_named_before_anything_goes(
    lab: Workspace, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, own = somebody(lab, photos)
    before, real = (lab.dataset("faces") / "images.parquet").read_bytes(), os.access
    locked = own[-1].parent  # to whoever may do everything it is open all the same: the system's answer is set
    monkeypatch.setattr(os, "access", lambda path, mode, **more: Path(path) != locked and real(path, mode, **more))
    with pytest.raises(Refused, match=f"^{locked} holds images .* leave out --files"):
        forget(lab, "faces", person, files=True)
    assert all(path.exists() for path in own)
    assert (lab.dataset("faces") / "images.parquet").read_bytes() == before
    assert not unfinished(lab)
    forget(lab, "faces", person)  # which needs none of them


def cut_off(lab: Workspace, name: str, *people: str, moved: bool, **asked: bool) -> None:
    """A deletion that is killed once folders are moved, or before anything is."""
    mine = pytest.MonkeyPatch()
    if moved:
        mine = kill_at(mine, 1, True)
    else:
        mine.setattr("fairlab.storage.people.forget_staging.whole_folders", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        forget(lab, name, list(people), **asked)
    mine.undo()


@pytest.mark.parametrize("moved", [False, True])
def test_the_files_are_deleted_though_only_the_second_call_says_so(lab: Workspace, photos: Path, moved: bool) -> None:
    person, own = somebody(lab, photos)
    cut_off(lab, "faces", person, moved=moved)
    forget(lab, "faces", person, files=True)
    assert not any(path.exists() for path in own)
    assert not unfinished(lab)


@pytest.mark.parametrize("moved", [False, True])
def test_the_rows_are_zeroed_though_only_the_second_call_says_so(copy: Workspace, moved: bool) -> None:
    person = "Group A train 002"
    taught = [
        (record.folder, read_json(record.folder / "weights/model.json")["identities"].index(person))
        for record in spaces(copy)
        if (record.folder / "weights/model.json").exists()
        and person in (read_json(record.folder / "weights/model.json")["identities"] or ())
    ]
    assert taught
    cut_off(copy, data_of(copy).dataset_id, person, moved=moved)
    found = forget(copy, data_of(copy).dataset_id, person, heads=True)
    assert found.notes[:2] == (
        ["finished an interrupted deletion", "zeroed their rows in classifiers"] if moved else []
    )
    for folder, row in taught:
        for head in folder.rglob("head.safetensors"):
            assert not load_file(head)["weight"][row].any()
    assert not unfinished(copy)


def test_another_request_does_not_lose_the_first(lab: Workspace, photos: Path) -> None:
    """What was cut short before anything changed is carried out all the same, when somebody else is asked for next."""
    people = sorted(set(open_dataset(lab.dataset("faces")).images["identity"]))[:2]
    cut_off(lab, "faces", people[0], moved=False)
    found = forget(lab, "faces", people[1])
    assert found.notes == ["finished an interrupted deletion"]
    assert not set(people) & set(open_dataset(lab.dataset("faces")).images["identity"])


def test_a_dry_run_finishes_nothing(lab: Workspace, photos: Path) -> None:
    """Not by itself, not with somebody named: it says what the command would do, in words and as JSON."""
    person, _ = somebody(lab, photos)
    cut_off(lab, "faces", person, moved=True)
    before = {str(path): path.read_bytes() for path in lab.home.rglob("*") if path.is_file()}
    for words in ([], ["--json"], ["faces", person]):
        done = command(lab.home, "storage", "forget", "--dry-run", *words)
        assert done.returncode == 0
        text = json.loads(done.stdout)["notes"][0] if words == ["--json"] else done.stdout
        assert text.strip() == (
            "a deletion was interrupted: the command without --dry-run finishes it first; nothing was changed"
        )
    assert {str(path): path.read_bytes() for path in lab.home.rglob("*") if path.is_file()} == before
    assert "name data set and people again" in command(lab.home, "storage", "forget", "--heads").stderr
    done = command(lab.home, "storage", "forget", "--json")
    assert json.loads(done.stdout)["notes"] == ["finished an interrupted deletion"]
    assert not unfinished(lab)


def test_archives_of_runs_that_are_gone_are_found_by_what_they_hold(copy: Workspace, tmp_path: Path) -> None:
    """Vectors, numbers, a map, or a network alone: each under another name, and its run deleted here; others stay."""
    name, record = data_of(copy).dataset_id, spaces(copy)[0]
    stranger = replace(record, run_id="stranger", dataset="elsewhere", parents=(), folder=copy.run("stranger"))
    create_run(copy, stranger)
    write_status(stranger.folder, "done", reason="")
    bare = replace(stranger, run_id="drawn", folder=copy.run("drawn"))
    create_run(copy, bare)
    write_status(bare.folder, "done", reason="")
    shutil.copytree(record.folder / "projections", bare.folder / "projections")
    judged = replace(stranger, run_id="judged", folder=copy.run("judged"))
    create_run(copy, judged)
    write_status(judged.folder, "done", reason="")
    shutil.copytree(record.folder / "results", judged.folder / "results")
    embedded = replace(stranger, run_id="embedded", folder=copy.run("embedded"))
    create_run(copy, embedded)
    write_status(embedded.folder, "done", reason="")
    shutil.copytree(record.folder / "embeddings", embedded.folder / "embeddings")
    alone = replace(record, run_id="alone", parents=(), folder=copy.run("alone"))
    create_run(copy, alone)
    write_status(alone.folder, "done", reason="")
    for number, run in enumerate((stranger, bare, judged, embedded, alone)):
        out = copy.home / ("kept.tar", "a.bak", "no-suffix", "b.zip", "c.tar.old")[number]
        archive(copy, run.run_id, out, Choice(numbers=run is not alone, templates=run is embedded))
        shutil.rmtree(run.folder)
    torn = copy.home / "torn.tar"
    torn.write_bytes((copy.home / "kept.tar").read_bytes()[:-1])
    found = survey(copy, name, PERSON)
    assert found.archives == ["a.bak", "b.zip", "c.tar.old", "no-suffix"]
    assert [note for note in found.notes if str(torn) in note and "stays, because" in note]
    said = "\n".join(reached(found))
    assert "archives, deleted with all that is in them (what stays can be archived again): a.bak, b.zip" in said
    assert not any("a.bak" in line for line in reached(found) if "made again" in line)
    forget(copy, name, PERSON)
    left = {path.name for path in copy.home.iterdir() if path.is_file()}
    assert {"kept.tar", "torn.tar"} <= left
    assert not {"a.bak", "no-suffix", "b.zip", "c.tar.old"} & left


def test_what_keeps_a_name_is_not_said_to_lose_it(copy: Workspace) -> None:
    """Settings of runs are never changed, nor what a manifest vouches for; a text is, and so is a taught model's list."""
    name, person = data_of(copy).dataset_id, "Group A train 002"
    record = replace(spaces(copy)[0], run_id="named", title=person, folder=copy.run("named"))
    create_run(copy, record)
    write_status(record.folder, "done", reason=f"saw {person}")
    said = {name: (record.folder / name).read_bytes() for name in ("run.json",)}
    found = survey(copy, name, person)
    assert found.stays == ["runs/named/run.json"]
    assert found.mentions == ["runs/named/status.json"]
    words = reached(found)
    assert "the name is taken out of: runs/named/status.json" in words
    assert any(line.startswith("the name stays in: runs/named/run.json (") for line in words)
    forget(copy, name, person)
    assert {name: (record.folder / name).read_bytes() for name in said} == said
    assert person not in (record.folder / "status.json").read_text()


def test_room_for_classifiers_is_counted(copy: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a byte less than the zeroed rows take it is refused; without heads the same disk is large enough."""
    name, person = data_of(copy).dataset_id, "Group A train 002"
    taught = {item["run"]: item["places"] for item in survey(copy, name, person).templates}
    heads = sum(
        file.stat().st_size
        for run, places in taught.items()
        for place in places
        for file in (copy.run(run) / place).iterdir()
        if file.name in ("head.safetensors", "best_head.safetensors", "trainer.pt")
    )
    assert heads > 0
    folders = [copy.dataset(name), *copy.runs_folder.glob(f"*/embeddings/{name}/*")]
    rest = sum(file.stat().st_size for folder in folders for file in folder.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=rest + heads - 1))
    with pytest.raises(Refused, match="free some space"):
        forget(copy, name, person, heads=True)
    forget(copy, name, person)


def test_a_full_disk_while_rows_are_zeroed_is_said_in_a_sentence(tmp_path: Path) -> None:
    """The writers of tensors say nothing of a disk: on one of 2 MB, with room for the classifier but not for the memory."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], capture_output=True).returncode:
        pytest.skip("this user may not mount a small file system to fill")
    try:
        import torch

        save_file({"weight": np.ones((10, 30_000), np.float32)}, tmp_path / "head.safetensors")
        for room in (1_500_000, 500_000):
            torch.save({"solvers": {"head": {"state": {0: {"m": torch.ones(10, 60_000)}}}}}, tmp_path / "trainer.pt")
            (disk / "ballast").write_bytes(b"x" * (2 * 2**20 - room))
            with pytest.raises(FairLabError, match=f"the disk is full: could not write {disk / 'out'}"):
                zero_rows(tmp_path, disk / "out", [1], 10)
            shutil.rmtree(disk / "out")
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_run_at_work_on_other_data_keeps_its_classifier(copy: Workspace) -> None:
    """It inherited rows of people who go, and saves them again and again: it is refused until it has ended."""
    teacher = next(record for record in spaces(copy) if record.title == "Teacher Group A")
    config = Run(role="student", method="proxyless_kd", data=Data(dataset="elsewhere"))
    heir = replace(
        teacher, run_id="heir", config=config, parents=(teacher.run_id,), dataset="elsewhere", folder=copy.run("heir")
    )
    create_run(copy, heir)
    shutil.copytree(teacher.folder / "weights", heir.folder / "weights")
    write_status(heir.folder, "running", reason="")
    record_process(heir.folder)
    with pytest.raises(Refused, match="heir is working on"):
        forget(copy, data_of(copy).dataset_id, "Group A train 002", heads=True)
    write_status(heir.folder, "done", reason="")
    forget(copy, data_of(copy).dataset_id, "Group A train 002", heads=True)
