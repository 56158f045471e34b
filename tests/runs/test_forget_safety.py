"""What a deletion of people leaves whole, whatever cuts it short or stands in its way."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from fairlab import files
from fairlab.data.base import open_dataset
from fairlab.doctor import examine
from fairlab.errors import Refused
from fairlab.files import verify_manifest, write_json
from fairlab.runs import forget_files, launch, worker
from fairlab.runs.engines.local import LocalEngine
from fairlab.runs.forget import finish, forget, unfinished
from fairlab.runs.quiet import CUT_SHORT, cut_short
from fairlab.store.remote import ENDED, WAITING, Job, write_job
from fairlab.store.runs import read_run, state, write_status
from fairlab.workspace import Workspace, open_workspace
from tests.runs.test_forget import data_of
from tests.runs.test_worker import queued

PERSON = "Group A test 001"


class Killed(BaseException): ...


@pytest.fixture
def copy(tiny: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(forget_files, "CHEAP", 0)
    return open_workspace(shutil.copytree(tiny.home, tmp_path / "copy"))


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
