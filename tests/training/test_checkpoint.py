"""Checkpoints: never torn, never believed when damaged."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fairlab.settings.study import Training
from fairlab.training import checkpoint
from fairlab.training.checkpoint import Progress
from fairlab.training.optim import optimisers
from tests.forks import FORK, fork
from tests.thorough import several

KILLS = several(20, 100)


def small() -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    return nn.Linear(6, 4), nn.Linear(4, 3)


def large() -> nn.Module:
    return nn.Linear(800, 1000)  # 3 MB of weights, 3 MB of momentum


def _save_for_ever(folder: Path, naive: bool, saved: Any) -> None:
    learner = large()
    solvers = optimisers(learner, None, Training())
    learner(torch.ones(1, 800)).sum().backward()
    solvers["learner"].step()
    step = 0
    while True:
        step += 1
        with torch.no_grad():
            learner.weight.fill_(float(step))
        if naive:
            torch.save(learner.state_dict(), folder / "naive.pt")
        else:
            checkpoint.save(folder, checkpoint.State(learner, None, solvers), Progress(step=step), {})
        saved.value = step


def _kill_while_saving(folder: Path, naive: bool) -> None:
    """Kill -9 a child at a random time after its first save."""
    saved = FORK.Value("i", 0)
    child = fork(_save_for_ever, folder, naive, saved)
    while saved.value == 0:
        assert child.is_alive()
        time.sleep(0.01)
    time.sleep(random.random() * 0.15)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()


@pytest.mark.slow
def test_kills_during_saving_leave_a_whole_checkpoint_each_time(tmp_path: Path) -> None:
    """None of 100 (20 in CI) unreadable, and what is loaded is all of one step."""
    torn = loaded = 0
    for _ in range(KILLS):
        _kill_while_saving(tmp_path, naive=False)
        learner = large()
        at, _, notes = checkpoint.load_latest(
            tmp_path, checkpoint.State(learner, None, optimisers(learner, None, Training()))
        )
        loaded += at.step > 0
        torn += bool(notes) or not bool((learner.weight == float(at.step)).all() or at.step == 0)
    print(f"torn checkpoints: {torn} of {KILLS}, loaded {loaded}")
    assert torn == 0
    assert loaded == KILLS


@pytest.mark.slow
def test_the_same_kills_tear_a_checkpoint_written_straight_to_its_place(tmp_path: Path) -> None:
    """The test above can fail: the naive writer is torn within 30 kills."""

    def torn() -> bool:
        _kill_while_saving(tmp_path, naive=True)
        try:
            torch.load(tmp_path / "naive.pt", weights_only=True)
        except Exception:
            return True
        return False

    assert any(torn() for _ in range(30))


def test_a_flipped_bit_is_found_and_the_one_before_is_used(tmp_path: Path) -> None:
    """Every file, 50 places each; the note names the file."""
    learner, head = small()
    solvers = optimisers(learner, head, Training())
    for step in (1, 2):
        with torch.no_grad():
            learner.bias.fill_(float(step))
        checkpoint.save(tmp_path, checkpoint.State(learner, head, solvers), Progress(step=step), {})
    newest = checkpoint.whole(tmp_path)[-1]
    dice = random.Random(0)
    for name in ("learner.safetensors", "head.safetensors", "trainer.pt"):
        original = (newest / name).read_bytes()
        for _ in range(50):
            place = dice.randrange(len(original) * 8)
            damaged = bytearray(original)
            damaged[place // 8] ^= 1 << place % 8
            (newest / name).write_bytes(damaged)
            at, _, notes = checkpoint.load_latest(tmp_path, checkpoint.State(*small(), {}))
            assert at.step == 1
            assert len(notes) == 1
            assert name in notes[0]
        (newest / name).write_bytes(original)
    assert checkpoint.load_latest(tmp_path, checkpoint.State(*small(), {}))[0].step == 2


def test_a_cut_file_is_found(tmp_path: Path) -> None:
    learner, head = small()
    checkpoint.save(
        tmp_path, checkpoint.State(learner, head, optimisers(learner, head, Training())), Progress(step=3), {}
    )
    path = checkpoint.whole(tmp_path)[-1] / "trainer.pt"
    path.write_bytes(path.read_bytes()[:-7])
    at, _, notes = checkpoint.load_latest(tmp_path, checkpoint.State(learner, head, {}))
    assert at.step == 0
    assert "trainer.pt" in notes[0]


def test_two_are_kept(tmp_path: Path) -> None:
    learner, head = small()
    for step in range(1, 6):
        checkpoint.save(
            tmp_path, checkpoint.State(learner, head, optimisers(learner, head, Training())), Progress(step=step), {}
        )
    assert [path.name for path in checkpoint.whole(tmp_path)] == ["step-00000004", "step-00000005"]


def test_a_full_disk_is_said_and_the_old_checkpoint_stays(tmp_path: Path) -> None:
    """On a real file system of 10 MB where this process may mount one; otherwise the writer's own error."""
    import subprocess

    small_disk = tmp_path / "disk"
    small_disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", str(small_disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a small file system to fill")
    try:
        learner = large()
        solvers = optimisers(learner, None, Training())
        checkpoint.save(small_disk, checkpoint.State(learner, None, solvers), Progress(step=1), {})
        from fairlab.errors import FairLabError

        (small_disk / "ballast").write_bytes(b"x" * 5_000_000)
        with pytest.raises(FairLabError, match="disk"):
            checkpoint.save(small_disk, checkpoint.State(learner, None, solvers), Progress(step=2), {})
        at, _, notes = checkpoint.load_latest(small_disk, checkpoint.State(large(), None, {}))
        assert (at.step, notes) == (1, [])
        assert not list(small_disk.glob("*.tmp.*"))
    finally:
        subprocess.run(["umount", str(small_disk)], check=True)
