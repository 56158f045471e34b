"""Embeddings made in parts: killed, stopped, shared by processes, damaged in between; at the end the same bytes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fairlab.data.dataset import Dataset
from fairlab.errors import Damaged, Stopped
from fairlab.files import sha256
from fairlab.jobs.embed import spaces
from fairlab.jobs.embed.embedding import Network
from fairlab.jobs.job import Job
from fairlab.plan.plan import single
from fairlab.settings.study import Data, Run
from fairlab.store.embedding_parts import EmbeddingParts
from fairlab.store.embeddings import EmbeddingWriter, open_embeddings
from fairlab.store.runs import RunRecord, create_run, read_run
from fairlab.training import extract
from fairlab.training.loader import CPU, EmbeddingInputs
from fairlab.training.world import ALONE, from_environment
from fairlab.workspace import open_workspace
from tests.forks import fork, worlds_of

ROWS, DIM, PART = 256 * 21 + 100, 24, 512
"""11 parts of two chunks each, the last one and a bit."""
FILES = ("vectors.npy", "norms.npy", "ids.npy", "manifest.json")


class Slow(EmbeddingInputs):
    """Rows of numbers that take a while to come, and a byte in a file for every chunk that was asked for."""

    def __init__(self, told: Path, wait_s: float) -> None:
        values = np.random.default_rng(0).normal(size=(ROWS, DIM)).astype(np.float32)
        super().__init__([values], [values[:, ::-1].copy()], np.arange(ROWS))
        self.told, self.wait_s = told, wait_s

    def batch(self, positions: np.ndarray, flip: np.ndarray, device: torch.device = CPU) -> torch.Tensor:
        with open(self.told, "ab") as file:
            file.write(b".")
        time.sleep(self.wait_s)
        return super().batch(positions, flip, device)


def model(home: Path) -> RunRecord:
    lab = open_workspace(home)
    record = single(lab, "Model", Run(role="model", method="import", data=Data(dataset="d")), ())
    create_run(lab, record)
    return read_run(lab, record.run_id)


def embed(
    home: Path,
    wait_s: float = 0.0,
    environment: dict[str, str] | None = None,
    stop: Callable[[], bool] = lambda: False,
    part: int = PART,
) -> None:
    """All of both views, as a job does it; in an environment of several processes this one's share."""
    os.environ.update(environment or {})
    world = from_environment() if environment else ALONE
    torch.manual_seed(0)
    space, data = model(home), Dataset(home, {"dataset_id": "d", "fingerprint": "f", "image_px": 0})
    inputs = Slow(home / f"told-{world.rank}", wait_s)
    with pytest.MonkeyPatch.context() as mine, world.joined("cpu"):
        mine.setattr(extract, "PART", part)
        job = Job(open_workspace(home), space, data, stop=stop, world=world)
        spaces.embed(job, Network(space, nn.Linear(DIM, 16), inputs, CPU))


def content(home: Path) -> dict[str, str]:
    """Hashes of all that was stored, and nothing else may be there."""
    folder = model(home).folder / "embeddings" / "d"
    found = {str(path.relative_to(folder)): sha256(path) for path in folder.rglob("*") if path.is_file()}
    return {name: value for name, value in found.items() if "index" not in name}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """As EmbeddingWriter stores it in one go."""
    home = tmp_path_factory.mktemp("whole")
    embed(home, part=1 << 20)
    found = content(home)
    assert sorted(found) == sorted(f"{view}/{name}" for view in spaces.VIEWS for name in FILES)
    return found


def kill(child: ForkServerProcess) -> None:
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()


def test_killed_again_and_again_it_goes_on_and_ends_with_the_same_bytes(whole: dict[str, str], tmp_path: Path) -> None:
    """Twelve kills at random times; no finished part is made twice."""
    dice, kills, told = random.Random(4), 0, tmp_path / "told-0"
    while True:
        before = told.stat().st_size if told.exists() else 0
        child = fork(embed, tmp_path, 0.02)
        while child.is_alive() and (kills == 12 or not told.exists() or told.stat().st_size == before):
            time.sleep(0.002)
        child.join(dice.random() * 0.15)
        if child.exitcode is not None:
            break
        kill(child)
        kills += 1
    assert child.exitcode == 0
    assert kills >= 8
    assert content(tmp_path) == whole
    asked = told.stat().st_size
    assert asked <= 2 * 22 + kills * 3, "more than the part in hand was lost at a kill"


def test_two_processes_one_and_two_again_make_the_same_bytes(whole: dict[str, str], tmp_path: Path) -> None:
    """Both killed half way, then one alone that is stopped, then two to the end: any number goes on where another was."""
    children = [fork(embed, tmp_path, 0.03, environment) for environment in worlds_of(2)]
    parts = EmbeddingParts(model(tmp_path).folder, "d", "plain", np.arange(ROWS), PART, {})
    until = time.monotonic() + 60
    while parts.rows_there() < 4 * PART and time.monotonic() < until:
        time.sleep(0.01)
    for child in children:
        kill(child)
    there = parts.rows_there()
    assert 4 * PART <= there < ROWS
    assert all((tmp_path / f"told-{rank}").stat().st_size >= 4 for rank in range(2)), "both worked"

    for rank in range(2):
        (tmp_path / f"told-{rank}").unlink()
    stops = iter([False] * 3)
    with pytest.raises(Stopped):
        embed(tmp_path, stop=lambda: next(stops, True))
    assert parts.rows_there() == there + PART
    assert not list(parts.folder.parent.glob("plain*.tmp.*"))

    children = [fork(embed, tmp_path, 0.0, environment) for environment in worlds_of(2)]
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert content(tmp_path) == whole
    asked = sum((tmp_path / f"told-{rank}").stat().st_size for rank in range(2))
    assert asked <= 2 * 22 - there // 256 + 2, "each part was made by one of them, and one was cut short"


def test_damaged_and_foreign_parts_are_made_again(whole: dict[str, str], tmp_path: Path) -> None:
    """A flipped bit in the vectors, one in a manifest, another model's part: found before anything is put together."""
    parts, vectors = _some_parts(tmp_path, 5)
    _flip(parts.folder / "00001" / "vectors", 999)
    _flip(parts.folder / "00002" / "manifest.json", 100)
    other = EmbeddingParts(tmp_path / "other", "d", "plain", parts.ids, PART, {"weights": "others"})
    other.prepare()
    other.save(3, -vectors[parts.rows(3)], np.ones(PART, np.float32))
    shutil.rmtree(parts.folder / "00003")
    (other.folder / "00003").rename(parts.folder / "00003")
    (parts.folder / "00004").rename(parts.folder / "00005")
    assert parts.prepare() == list(range(1, parts.count))
    assert EmbeddingParts(parts.run_folder, "d", "plain", parts.ids, PART, {"weights": "new"}).prepare() == list(
        range(parts.count)
    )


@pytest.mark.parametrize("after", range(0, 14, 2))
def test_putting_together_can_be_cut_anywhere(after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any removal of what was copied; then it goes on, and what is in its place already is looked at again."""
    parts, vectors = _some_parts(tmp_path, 99)
    unlink, left = Path.unlink, iter(range(after))

    def cut(path: Path, missing_ok: bool = False) -> None:
        if path.name in ("vectors", "norms") and next(left, None) is None:
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as mine:
        mine.setattr(Path, "unlink", cut)
        with pytest.raises(KeyboardInterrupt):
            parts.merge({"run_id": "r"})
    if after >= 10:  # five parts are in their place: a bit there is found too
        _flip(parts.folder / "whole" / "vectors.npy", 128 + 4 * 16 * (PART + 5))
        if after == 10:
            with pytest.raises(Damaged, match="00001 was damaged"):
                parts.merge({"run_id": "r"})
        assert parts.prepare() == [1]
        parts.save(1, vectors[parts.rows(1)], np.ones(PART, np.float32))
    assert parts.prepare() == []
    parts.merge({"run_id": "r"})
    with EmbeddingWriter(tmp_path / "once", "d", "plain", parts.ids, {"run_id": "r"}) as sink:
        sink.add(vectors, np.ones(len(vectors), np.float32))
    one, other = (open_embeddings(folder, "d", verify=True).folder for folder in (tmp_path / "once", parts.run_folder))
    assert [sha256(one / name) for name in FILES] == [sha256(other / name) for name in FILES]
    assert sorted(path.name for path in other.iterdir()) == sorted(FILES)
    assert not parts.folder.exists()


def _some_parts(tmp_path: Path, count: int) -> tuple[EmbeddingParts, np.ndarray]:
    parts = EmbeddingParts(tmp_path / "run", "d", "plain", np.arange(ROWS) * 3, PART, {"weights": "w"})
    vectors = np.random.default_rng(1).normal(size=(ROWS, 16)).astype(np.float32)
    parts.prepare()
    for number in range(min(count, parts.count)):
        rows = parts.rows(number)
        parts.save(number, vectors[rows], np.ones(rows.stop - rows.start, np.float32))
    return parts, vectors


def _flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
