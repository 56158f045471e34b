"""All comparisons in a job: killed and shared by processes, the numbers are those of one that nobody disturbed."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.evaluation.all_pairs import shares
from fairlab.evaluation.all_pairs.blocks import ArrayEngine, Block
from fairlab.jobs.evaluate import by_protocol, counting
from fairlab.jobs.job import Job
from fairlab.settings.study import Evaluation, Protocols
from fairlab.store.count_parts import CountParts, counts_folder
from fairlab.store.results import protocol_folder, results_facts
from fairlab.store.runs import RunRecord, create_run, read_run
from fairlab.training.world import ALONE, from_environment
from fairlab.workspace import Workspace, open_workspace
from tests.forks import fork, worlds_of
from tests.jobs.protocols.test_protocols import made_data, made_model

TABLES = ("metrics", "curves", "matrix", "counts", "hardest")
SETTINGS = Evaluation(bootstrap=100, fmr_targets=(0.1, 0.01))


def made(home: Path) -> tuple[Workspace, Dataset, RunRecord]:
    lab = open_workspace(home)
    if not lab.dataset("faces").exists():
        made_model(lab, made_data(lab))
    records = [read_run(lab, path.parent.name) for path in lab.runs_folder.glob("*/run.json")]
    (model,) = [record for record in records if record.role == "model"]
    return lab, open_dataset(lab.dataset("faces")), model


def judge(home: Path, wait_s: float = 0.0, environment: dict[str, str] | None = None) -> None:
    """By all comparisons, in units of 4,000 of them; a byte in a file for every block."""
    lab, data, model = made(home)
    os.environ.update(environment or {})
    world = from_environment() if environment else ALONE

    class Slow(ArrayEngine):
        rows, columns = 16, 64

        def __init__(self, vectors: np.ndarray, order: np.ndarray, groups: int) -> None:
            super().__init__(vectors, order, groups, compiled=False)  # whose loading would take seconds in every child

        def _block(self, block: Block) -> np.ndarray:
            with open(home / f"told-{world.rank}", "ab") as file:
                file.write(b".")
            time.sleep(wait_s)
            return super()._block(block)

    record = by_protocol.protocols_record(lab, model, data, SETTINGS, Protocols(names=("all_pairs",)))
    create_run(lab, record)
    with pytest.MonkeyPatch.context() as mine, world.joined("cpu"):
        mine.setattr(shares, "UNIT", 4000)
        mine.setattr(counting, "KEEP_S", 0.0)  # after every unit
        mine.setattr(counting, "KEEPING", 1e9)
        mine.setattr("fairlab.training.device_blocks.best_engine", Slow)
        by_protocol.judge(Job(lab, record, data, world=world))


def tables(home: Path) -> list[pd.DataFrame]:
    _, _, model = made(home)
    folder = protocol_folder(model.folder, "faces", "all_pairs")
    assert [path.name for path in folder.parent.iterdir()] == ["all_pairs"], "nothing else is left"
    return [pd.read_parquet(folder / f"{name}.parquet") for name in TABLES]


def same(one: list[pd.DataFrame], other: list[pd.DataFrame]) -> bool:
    return all(table.equals(again) for table, again in zip(one, other, strict=True))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[pd.DataFrame], int]:
    """The numbers, and how many blocks they took."""
    home = tmp_path_factory.mktemp("whole")
    judge(home)
    found = tables(home)
    assert found[3]["pairs"].sum() == 240 * 239 // 2
    return found, (home / "told-0").stat().st_size


def test_killed_again_and_again_it_does_not_begin_at_zero(
    whole: tuple[list[pd.DataFrame], int], tmp_path: Path
) -> None:
    """Two kills, one in each pass; at each the unit in hand is lost, and what was being kept."""
    made(tmp_path)
    dice, kills, told = random.Random(3), 0, tmp_path / "told-0"
    while True:
        before = told.stat().st_size if told.exists() else 0
        child = fork(judge, tmp_path, 0.02)
        while child.is_alive() and (kills == 2 or not told.exists() or told.stat().st_size < before + 16 + 32 * kills):
            time.sleep(0.002)
        child.join(dice.random() * 0.1)
        if child.exitcode is not None:
            break
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        kills += 1
    assert child.exitcode == 0
    assert kills == 2
    expected, blocks = whole
    assert same(tables(tmp_path), expected)
    assert told.stat().st_size <= blocks + kills * 10


def test_two_processes_share_it_and_go_on_with_what_was_kept(
    whole: tuple[list[pd.DataFrame], int], tmp_path: Path
) -> None:
    """Both killed; of what they kept one file is damaged and one is of other embeddings. Then two to the end."""
    _, _, model = made(tmp_path)
    folder = counts_folder(model.folder, "faces", "all_pairs")
    children = [fork(judge, tmp_path, 0.03, environment) for environment in worlds_of(2)]
    until = time.monotonic() + 60
    while len(list(folder.glob("scores-*.counts"))) < 2 and time.monotonic() < until:
        time.sleep(0.005)
    for child in children:
        assert child.is_alive()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGKILL)
        child.join()
    for name in ("told-0", "told-1"):
        (tmp_path / name).unlink()
    kept, other = sorted(folder.glob("scores-*.counts"))
    content = bytearray(other.read_bytes())
    content[-30] ^= 4
    other.write_bytes(content)
    line = kept.read_bytes().partition(b"\n")[0]
    (folder / "scores-000002.counts").write_bytes(kept.read_bytes().replace(line[9:20], b"0123456789a"))

    children = [fork(judge, tmp_path, 0.0, environment) for environment in worlds_of(2)]
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    expected, blocks = whole
    assert same(tables(tmp_path), expected)
    counted = [(tmp_path / f"told-{rank}").stat().st_size for rank in range(2)]
    assert min(counted) > blocks / 4, "both worked"
    assert sum(counted) <= blocks, "no unit was counted twice"


def test_a_count_of_another_key_is_thrown_away_and_a_pass_takes_only_its_own(tmp_path: Path) -> None:
    parts = CountParts(tmp_path / "parts", "one")
    values = {"genuine": np.arange(5)}
    parts.save("scores", "at 0.5", [0, 2], values)
    parts.save("scores", "at 0.5", [2, 3], values)  # unit 2 twice: of a process that nobody knew to be alive
    parts.save("errors", "at 0.5", [1], values)
    ((units, counts),) = parts.read("scores", "at 0.5")
    assert (units, counts["genuine"].tolist()) == ((0, 2), [0, 1, 2, 3, 4])
    assert parts.read("scores", "at 0.6") == []
    assert CountParts(parts.folder, "two").read("scores", "at 0.5") == []
    parts.prepare()
    assert len(parts.read("scores", "at 0.5")) == 1
    CountParts(parts.folder, "two").prepare()
    assert not parts.folder.exists()


def test_a_short_count_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under half a minute no file is written, and the numbers say what they are as before."""
    lab, data, model = made(tmp_path)
    monkeypatch.setattr(CountParts, "save", None)
    record = by_protocol.protocols_record(lab, model, data, SETTINGS, Protocols(names=("all_pairs",)))
    create_run(lab, record)
    assert by_protocol.judge(Job(lab, record, data))["judged_by"] == ["all_pairs"]
    assert results_facts(model.folder, "faces", "all_pairs")["facts"]["comparisons"] == 240 * 239 // 2
