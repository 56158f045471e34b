"""Room for a run: what it will need, what is free, and that nothing waits for ever for room that nobody makes."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from fairlab.files import read_json
from fairlab.models.flops import parameters
from fairlab.models.shapes import shapes_only
from fairlab.plan.needs import checkpoint_bytes
from fairlab.queue import capacity, launch
from fairlab.queue.engines.local import LocalEngine
from fairlab.queue.turns import any_goes_on
from fairlab.registry import declared_facts
from fairlab.settings.backbone import backbone_settings
from fairlab.settings.placement import Placement
from fairlab.settings.training import Training
from fairlab.store.runs import RunRecord, record_process, state, write_status
from fairlab.workspace import Workspace, set_slots
from tests.conftest import ROOT
from tests.waiting import entered, waits


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Titles of the runs that the engine was told to start; they work then, as a process that sleeps."""
    found: list[str] = []

    def submit(_engine: LocalEngine, _workspace: Workspace, record: RunRecord, _placement: Placement) -> None:
        record_process(record.folder, subprocess.Popen(["sleep", "120"]).pid)
        write_status(record.folder, "running", reason="")
        found.append(record.title)

    monkeypatch.setattr(LocalEngine, "submit", submit)
    return found


def free(monkeypatch: pytest.MonkeyPatch, memory_mb: float = 1e6, disk_mb: float = 1e6) -> None:
    monkeypatch.setattr(capacity, "free_memory_mb", lambda: memory_mb)
    monkeypatch.setattr(capacity, "free_disk_mb", lambda _lab: disk_mb)


def test_a_run_waits_for_memory_and_starts_when_there_is_some(
    lab: Workspace, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one works and has taken next to nothing yet, so what such a run took is kept for it: 300 MB are free."""
    set_slots(lab, 3)
    entered(lab, "Works", status="running")
    entered(lab, "Old", status="done", peak_rss_mb=1200.0)
    folder = entered(lab, "Next").folder
    entered(lab, "Small", role="adaptor")  # of another kind: 700 MB
    free(monkeypatch, memory_mb=1500)
    launch.dispatch(lab)
    said = state(folder)
    assert said.status == "queued"
    assert said.reason.startswith("waits: needs about 1.2 GB of memory, 30")
    assert said.reason.endswith(" MB are free")
    assert any_goes_on(lab, [folder.name])
    assert waits(lab) == {"Next": "memory", "Small": "slot"}  # nobody overtakes it, or it would wait for ever
    free(monkeypatch, memory_mb=3200)
    launch.dispatch(lab)
    assert told == ["Next", "Small"]


def test_runs_started_at_once_do_not_share_the_same_memory(
    lab: Workspace, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four of 700 MB each and 1,500 MB: two."""
    set_slots(lab, 4)
    for title in "ABCD":
        entered(lab, title)
    free(monkeypatch, memory_mb=1500)
    launch.dispatch(lab)
    assert told == ["A", "B"]


def test_alone_a_run_starts_whatever_it_needs_and_its_log_says_so(
    lab: Workspace, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that ends could make room: it would wait for ever."""
    entered(lab, "Old", status="done", peak_rss_mb=9000.0)
    folder = entered(lab, "Big", devices=2).folder
    free(monkeypatch, memory_mb=500)
    launch.dispatch(lab)
    assert told == ["Big"]
    log = (folder / "log.txt").read_text()
    assert "it needs about 18.0 GB of memory, 500 MB are free; it starts anyway" in log


def test_a_run_waits_for_the_disk_even_alone(lab: Workspace, told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Three checkpoints of an iResNet-34, weights and momentum: 3 x 2 x 4 bytes x 34,165,239 = 820 MB. A small one passes."""
    folder = entered(lab, "Large", backbone="iresnet34").folder
    child = entered(lab, "Small", backbone="mobilefacenet").folder
    free(monkeypatch, disk_mb=100)
    launch.dispatch(lab)
    assert state(folder).reason == f"waits: needs about 820 MB of disk, 100 MB are free on the disk of {lab.home}"
    assert told == ["Small"]
    assert state(child).status == "running"
    free(monkeypatch, disk_mb=830)
    launch.dispatch(lab)
    assert told == ["Small", "Large"]


def test_checkpoints_that_are_there_say_how_large_they_are(lab: Workspace) -> None:
    """The newest of the same kind; without any, twice the parents' weights."""
    old = entered(lab, "Old", status="done", backbone="iresnet34")
    for step, size in (("step-00000010", 5), ("step-00000020", 7), ("step-00000030.tmp.1", 9)):
        (old.folder / "checkpoints" / step).mkdir(parents=True)
        (old.folder / "checkpoints" / step / "learner.safetensors").write_bytes(b"x" * size * 1_000_000)
    assert capacity.checkpoint_mb(lab, entered(lab, "Next", backbone="iresnet34")) == 7
    assert capacity.checkpoint_mb(lab, entered(lab, "Other", backbone="iresnet50")) == pytest.approx(
        43.63 * 8, rel=0.001
    )
    (old.folder / "weights").mkdir()
    (old.folder / "weights" / "learner.safetensors").write_bytes(b"x" * 3_000_000)
    child = entered(lab, "Child", (old.run_id,), backbone="unknown")
    assert capacity.checkpoint_mb(lab, child) == 6


def test_the_peak_is_this_process_own() -> None:
    """What the starter took before does not count; what was given back does."""
    mine = bytearray(b"x" * 500_000_000)
    code = "from fairlab.machine.processes import peak_memory_mb as p; a = p(); n = 200_000_000; x = b'x' * n; del x; print(a, p())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True).stdout
    before, after = map(float, told.split())
    assert len(mine) == 500_000_000
    assert before < 300
    assert 190 < after - before < 260


def test_a_worker_notes_its_peak(tiny: Workspace) -> None:
    """Real runs: torch alone is more than 100 MB, and none of the tiny ones takes 4 GB."""
    told = [read_json(path).get("peak_rss_mb", 0) for path in tiny.runs_folder.glob("t*/status.json")]
    assert told
    assert all(100 < peak < 4000 for peak in told)


def test_networks_have_the_parameters_that_they_are_registered_with() -> None:
    """Counted at 112 pixels on some of every family, which take no memory there."""

    from fairlab.models.base import BACKBONES

    known = declared_facts("BACKBONES", "models/backbones")
    assert all("parameters" in known[name] for name in BACKBONES.names())
    names = (
        "iresnet34",
        "iresnet18_se",
        "ir_50",
        "ir_se_18",
        "evolve_ir_50",
        "mobilefacenet",
        "mbf",
        "tiny",
        "patch_echo",
    )
    new = ("vit_t", "transface_s", "edgeface_xs", "edgeface_base", "ghostfacenet_v1", "ghostfacenet_v2_s2")
    for name in (*names, *new):
        with shapes_only():
            network = BACKBONES[name](backbone_settings(name), 112)
        count = sum(tensor.numel() for tensor in (*network.parameters(), *network.buffers()))
        assert known[name]["parameters"] == pytest.approx(count, rel=0.001), name
        if "frozen" in known[name]:
            assert known[name]["frozen"] == parameters(network)[1]


@pytest.mark.parametrize(
    ("changes", "each"), [({}, (2, 1)), ({"optimiser": "adamw"}, (3, 1)), ({"ema_decay": 0.9}, (3, 2))]
)
def test_a_checkpoint_keeps_no_momentum_of_frozen_numbers(changes: dict[str, Any], each: tuple[int, int]) -> None:
    """Numbers kept for one that is trained, and for one that is frozen: weight, running mean, what the optimiser has."""
    found = checkpoint_bytes(100 + 30, 30, Training(**changes))
    assert found == 4 * (100 * each[0] + 30 * each[1])
