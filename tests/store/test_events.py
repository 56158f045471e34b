"""Readings: appended, never torn for a reader, and of a step done twice the last one counts."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from fairlab.store.events import Curves, EventWriter, read_events, read_new


def test_a_step_done_again_replaces_the_first(tmp_path: Path) -> None:
    with EventWriter(tmp_path, 1) as events:
        events.write(10, 0, 1.0, {"loss": 3.0, "lr": 0.1})
        events.write(20, 0, 2.0, {"loss": 2.0})
    with EventWriter(tmp_path, 2) as events:
        events.write(20, 0, 5.0, {"loss": 2.5})
    table = read_events(tmp_path).set_index(["name", "step"])["value"]
    assert table.to_dict() == {("loss", 10): 3.0, ("loss", 20): 2.5, ("lr", 10): 0.1}


def test_values_come_back_to_the_bit(tmp_path: Path) -> None:
    values = {f"v{n}": (n + 1) / 7**n for n in range(12)}
    with EventWriter(tmp_path, 1) as events:
        events.write(1, 0, 0.0, values)
    assert dict(zip(read_events(tmp_path)["name"], read_events(tmp_path)["value"], strict=True)) == values


def test_every_cut_of_the_file_can_be_read_and_gone_on_from(tmp_path: Path) -> None:
    """Whole lines only, the rest later; 200 cuts."""
    with EventWriter(tmp_path, 1) as events:
        for step in range(1, 9):
            events.write(step, 0, 0.0, {"loss": 1 / step})
    path = tmp_path / "events.jsonl"
    whole = path.read_bytes()
    for cut in range(0, len(whole), max(1, len(whole) // 200)):
        path.write_bytes(whole[:cut])
        first, offset = read_new(tmp_path)
        path.write_bytes(whole)
        second, _ = read_new(tmp_path, offset)
        assert [line["step"] for line in first + second] == list(range(1, 9))


def test_the_half_line_of_a_killed_attempt_harms_nobody(tmp_path: Path) -> None:
    with EventWriter(tmp_path, 1) as events:
        events.write(1, 0, 0.0, {"loss": 1.0})
    path = tmp_path / "events.jsonl"
    path.write_bytes(path.read_bytes() + b'{"attempt": 1, "step": 2, "val')
    with EventWriter(tmp_path, 2) as events:
        events.write(2, 0, 0.0, {"loss": 0.5})
    assert read_events(tmp_path)["value"].tolist() == [1.0, 0.5]


def test_a_damaged_line_is_left_out_and_the_others_read(tmp_path: Path) -> None:
    """Flipped bits may leave JSON that is no reading any more; 300 flips, and lines of all kinds of nonsense."""
    with EventWriter(tmp_path, 1) as events:
        for step in range(1, 21):
            events.write(step, 0, 0.5, {"loss": 1 / step})
    path = tmp_path / "events.jsonl"
    original, dice = path.read_bytes(), random.Random(0)
    for _ in range(300):
        damaged = bytearray(original)
        damaged[dice.randrange(len(original))] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        assert len(read_events(tmp_path)) >= 18
    nonsense = [b"{}", b"[]", b"3", b"[" * 100_000, b'{"values": {"loss": 1}}', b'{"step": "1", "values": {}}']
    nonsense += [b'{"step": 1, "epoch": 0, "time_s": 0, "values": {"loss": "low"}}', b"\x00" * 50, b"\xff"]
    path.write_bytes(b"\n".join([*nonsense, original]))
    assert read_events(tmp_path)["step"].tolist() == list(range(1, 21))


def test_a_run_made_anew_is_read_from_its_start(tmp_path: Path) -> None:
    with EventWriter(tmp_path, 1) as events:
        for step in range(1, 9):
            events.write(step, 0, 0.0, {"loss": 1.0})
    _, offset = read_new(tmp_path)
    (tmp_path / "events.jsonl").unlink()
    with EventWriter(tmp_path, 1) as events:
        events.write(1, 0, 0.0, {"loss": 2.0})
    lines, after = read_new(tmp_path, offset)
    assert [line["step"] for line in lines] == [1]
    assert read_new(tmp_path, after) == ([], after)


def test_what_a_killed_writer_acknowledged_is_there(tmp_path: Path) -> None:
    """The child says each number after writing it; after kill -9 none of those is missing."""
    code = (
        "import sys; from pathlib import Path; from fairlab.store.events import EventWriter\n"
        "with EventWriter(Path(sys.argv[1]), 1) as events:\n"
        "    step = 0\n"
        "    while True:\n"
        "        step += 1; events.write(step, 0, 0.0, {'x': step}); print(step, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(0.3)
    os.kill(child.pid, signal.SIGKILL)
    said = [int(line) for line in child.stdout.read().split()]
    child.wait()
    assert said
    assert set(said) <= set(read_events(tmp_path)["step"])


def _random_run(folder: Path, steps: int, names: Sequence[str]) -> None:
    """Two attempts; the second does some steps again."""
    with EventWriter(folder, 1) as events:
        for step in range(1, steps + 1):
            events.write(step, step // 10, float(step), dict.fromkeys(names, step / 7))
    with EventWriter(folder, 2) as events:
        for step in range(steps - 30, steps - 10):
            events.write(step, step // 10, float(step), {names[0]: -1.0})


def test_few_readings_are_drawn_as_they_are_read(tmp_path: Path) -> None:
    _random_run(tmp_path, 300, ("loss", "lr"))
    pd.testing.assert_frame_equal(Curves(tmp_path).table(), read_events(tmp_path))


def test_curves_read_only_what_is_new_and_stay_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Curves, "MOST", 50)
    monkeypatch.setattr(Curves, "BLOCK", 1000)
    curves = Curves(tmp_path)
    assert curves.table().empty
    whole = []
    with EventWriter(tmp_path, 1) as events:
        for step in range(1, 5001):
            events.write(step * 10, 0, 1.0, {"loss": float(step)})
            if step % 500 == 0:
                whole.append(curves.table())
    last = whole[-1]
    assert 50 <= len(last) <= 100
    assert last["step"].iloc[-1] == 50_000
    assert (last["value"] == last["step"] / 10).all()  # readings that were taken, no means of them
    gaps = last["step"].diff().dropna()
    assert gaps.max() <= 2 * gaps.median()
    monkeypatch.setattr(Curves, "_add", None)  # nothing is read when nothing was written
    assert curves.table() is last


def test_curves_of_a_run_that_was_made_again_begin_anew(tmp_path: Path) -> None:
    _random_run(tmp_path, 100, ("loss",))
    curves = Curves(tmp_path)
    assert len(curves.table()) == 100
    (tmp_path / "events.jsonl").unlink()
    assert curves.table().empty
    with EventWriter(tmp_path, 1) as events:
        events.write(1, 0, 1.0, {"loss": 5.0})
    assert curves.table()["value"].tolist() == [5.0]


def test_a_line_longer_than_what_is_read_at_once_is_whole(tmp_path: Path) -> None:
    with EventWriter(tmp_path, 1) as events:
        events.write(1, 0, 1.0, {"x" * 300: 1.0})
        events.write(2, 0, 1.0, {"loss": 1.0})
    lines, end = read_new(tmp_path, 0, 100)
    assert [line["step"] for line in lines] == [1]
    assert [line["step"] for line in read_new(tmp_path, end, 100)[0]] == [2]
