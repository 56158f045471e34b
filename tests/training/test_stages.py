"""Stages of a training: what is frozen keeps every bit, a stop inside any stage changes none, and counts add up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from fairlab.errors import FairLabError, Stopped
from fairlab.methods.base import Method, Stage
from fairlab.settings.distillation import MSTDistillSettings
from fairlab.settings.study import Training
from fairlab.store.embeddings import Embeddings
from fairlab.training import checkpoint, loop
from fairlab.training.loop import Course, Samples, train
from fairlab.training.optim import optimisers
from fairlab.training.step import Updates, counted
from fairlab.training.targets import SeveralTargets, StoredTargets
from tests.methods.conftest import DIMS, built
from tests.training.test_loop import FACTS, Log, method, samples, weights
from tests.training.test_settings import Gated

CLASSES, TEACHERS = 5, 3
BASE = Training(epochs=4, batch_size=8, base_lr=0.5, drop_epochs=(3,), ema_decay=0.9)
"""Five steps a pass: the first of all teachers, the second of masks, two that route. Momentum and decay pull at what rests."""


def routing(seed: int = 0, **about: Any) -> Method:
    settings = MSTDistillSettings(**{"mask": "diagonal", "gate_learns": "right", **about})
    made = built("mst_distill", CLASSES, (DIMS,) * TEACHERS, distillation=settings)
    if seed:
        torch.manual_seed(seed)
        for weight in made.parameters():
            weight.data = weight.data + 0.1 * torch.randn_like(weight)
    return made


def of_three() -> Samples:
    """Images of two groups and of none, with stored targets of three teachers."""
    plain, dice = samples(), np.random.default_rng(3)
    rows = np.arange(43)
    stores = []
    for _ in range(TEACHERS):
        units = dice.normal(size=(43, DIMS)).astype(np.float32)
        units /= np.linalg.norm(units, axis=1, keepdims=True)
        stores.append(Embeddings(Path(), units, np.ones(43, np.float32), rows, {}))
    targets = SeveralTargets([StoredTargets(store, None, rows) for store in stores])
    return replace(plain, targets=targets, groups=rows % 3 - 1, group_names=("left", "right"))


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "LOG_EVERY", 1)


def test_a_stop_inside_any_stage_changes_no_bit(tmp_path: Path) -> None:
    """MS9: stopped before each step in turn, against one uninterrupted training; readings, counts and all weights."""
    whole, log = routing(), Log()
    train(whole, of_three(), Course(BASE, 7, tmp_path / "whole", FACTS), log.hooks(lambda: False))
    broken_log = Log()
    for _ in range(40):
        answers = iter([False, True])
        broken = routing(99 if checkpoint.whole(tmp_path / "broken") else 0)
        try:
            stop = lambda answers=answers: next(answers, True)  # noqa: E731
            train(broken, of_three(), Course(BASE, 7, tmp_path / "broken", FACTS), broken_log.hooks(stop))
            break
        except Stopped:
            continue
    else:
        pytest.fail("the training made no progress between stops")
    assert broken_log.readings == log.readings
    assert weights(broken) == weights(whole)
    assert any(name.startswith("routed/") for reading in log.readings.values() for name in reading)


def after(folder: Path, step: int) -> dict[str, dict[str, Tensor]]:
    """Weights and statistics after a step, by part."""
    path = folder / f"step-{step:08d}"
    return {name: load_file(path / f"{name}.safetensors") for name in ("learner", "head", "method")}


def moved(one: dict[str, Tensor], two: dict[str, Tensor], part: str = "") -> set[bool]:
    return {not torch.equal(one[name], two[name]) for name in one if name.startswith(part)}


def test_what_a_stage_freezes_keeps_every_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """MS7: masks alone move in the second pass, not the batch norm's statistics; masks rest before and after."""
    monkeypatch.setattr(checkpoint, "KEPT", 9)
    train(routing(), of_three(), Course(BASE, 7, tmp_path, FACTS), Log().hooks(lambda: False))
    warm, masked, routed = (after(tmp_path, step) for step in (5, 10, 15))
    first = routing().state_dict()
    start = {name: first[name] for name in warm["method"]}
    assert moved(start, warm["method"]) == {False}
    assert True in moved(routing().learner.state_dict(), warm["learner"])
    for part in ("learner", "head"):
        assert moved(warm[part], masked[part]) == {False}, part
        assert True in moved(masked[part], routed[part]), part
    assert moved(warm["method"], masked["method"], "gate") == {False}
    assert moved(warm["method"], masked["method"], "masks") == {True}
    assert moved(masked["method"], routed["method"], "gate") == {True}
    assert moved(masked["method"], routed["method"], "masks") == {False}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_counts_add_up_over_a_pass(tmp_path: Path, accumulate: int) -> None:
    """Every image of a group once, and as often routed as k says; images of no group are not counted; none before."""
    settings = BASE.model_copy(update={"accumulate": accumulate, "batch_size": 8 // accumulate})
    log = Log()
    train(routing(top_k=2), of_three(), Course(settings, 7, tmp_path, FACTS), log.hooks(lambda: False))
    for last in (5, 10):
        assert not [name for name in log.readings[last] if name.startswith(("routed/", "seen/"))]
    for last in (15, 20):
        seen = {name: value for name, value in log.readings[last].items() if name.startswith("seen/")}
        routed = {name: value for name, value in log.readings[last].items() if name.startswith("routed/")}
        assert set(seen) == {"seen/left", "seen/right"}
        assert 20 <= sum(seen.values()) <= 29  # 28 or 29 of 43 images have a group; 40 of 43 are in the pass
        for group in ("left", "right"):
            shares = [routed[f"routed/{group}/{place}"] for place in (1, 2, 3)]
            assert sum(shares) == 2 * seen[f"seen/{group}"]
            assert max(shares) <= seen[f"seen/{group}"]


def test_counts_bear_the_names_of_their_groups() -> None:
    """A batch without the last groups has fewer rows; names may have a stroke."""
    tables = {"routed": torch.tensor([[1, 2], [0, 4]]), "seen": torch.tensor([3, 4])}
    assert counted(tables, ("a/b", "c", "absent")) == {
        "routed/a/b/1": 1.0, "routed/a/b/2": 2.0, "routed/c/1": 0.0, "routed/c/2": 4.0, "seen/a/b": 3.0, "seen/c": 4.0,
    }  # fmt: skip
    assert counted(tables, ()) == {}


def test_a_training_that_never_routes_is_refused(tmp_path: Path) -> None:
    short = BASE.model_copy(update={"epochs": 2})
    with pytest.raises(FairLabError, match=r"routes only after 2 epochs .* the training has 2"):
        train(routing(), of_three(), Course(short, 7, tmp_path, FACTS), Log().hooks(lambda: False))


def test_the_rate_of_what_is_beside_network_and_classifier_has_its_factor() -> None:
    """One step of plain SGD: three times the rate is three times the way, and the network's is as before."""
    ways: dict[float, list[Tensor]] = {}
    for rate in (1.0, 3.0):
        trained = routing(gate_rate=rate)
        trained.begin(trained.stage(2, 4))
        settings = Training(momentum=0.0, weight_decay=0.0)
        solvers = {**optimisers(trained.learner, trained.head, settings)}
        solvers["method"] = torch.optim.SGD([trained.get_parameter("gate.weight")], lr=1.0)
        before = [trained.get_parameter(name).detach().clone() for name in ("gate.weight", "head.weight")]
        batch = of_three().batch(np.arange(8), np.zeros(8, bool), torch.device("cpu"))
        Updates(trained, solvers, settings).update([batch], 0.1)
        after_it = [trained.get_parameter(name).detach() for name in ("gate.weight", "head.weight")]
        ways[rate] = [new - old for new, old in zip(after_it, before, strict=True)]
    torch.testing.assert_close(ways[3.0][0], 3 * ways[1.0][0])
    assert bool(ways[1.0][0].any())
    assert torch.equal(ways[3.0][1], ways[1.0][1])


class Resting(Gated):
    """The loss depends on a gate that a stage freezes."""

    def stage(self, epoch: int, epochs: int) -> Stage:
        return Stage(frozen=frozenset({"gate", "head"} if epoch == 1 else ()))


@pytest.mark.parametrize("fp16", [False, True])
def test_a_frozen_part_moves_by_no_gradient(fp16: bool) -> None:
    """Neither by the loss, nor by what its optimiser remembers; the rest does, also with fp16's scaler."""
    torch.manual_seed(0)
    trained = Resting()
    solvers = {
        "method": torch.optim.SGD(trained.gate.parameters(), lr=1.0, momentum=0.9, weight_decay=0.1),
        **optimisers(trained.learner, trained.head, BASE),
    }
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0) if fp16 else None
    updates = Updates(trained, solvers, BASE, scaler)
    batch = samples().batch(np.arange(8), np.zeros(8, bool), torch.device("cpu"))
    moves = []
    for epoch in range(3):
        trained.begin(trained.stage(epoch, 3))
        before = {name: weight.detach().clone() for name, weight in trained.named_parameters()}
        updates.update([batch], 0.1)
        changed = {name.split(".")[0] for name, w in trained.named_parameters() if not torch.equal(before[name], w)}
        moves.append(changed)
    assert moves == [{"learner", "head", "gate"}, {"learner"}, {"learner", "head", "gate"}]


def test_most_methods_have_one_stage() -> None:
    """In which everything trains."""
    trained = method()
    assert trained.stage(3, 9) == Stage()
    trained.eval()
    trained.begin(trained.stage(3, 9))
    assert all(module.training for module in trained.modules())
