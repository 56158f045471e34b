"""Runs from before a setting existed come out to the bit as they did: the loop against one written out plainly."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn, optim

from fairlab.plan.plan import run_name
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Backbone, Data, Run, Training
from fairlab.training.loader import flips, order, step_seed
from fairlab.training.loop import Course, train
from tests.training.test_loop import FACTS, SETTINGS, Log, method, samples, weights


def test_every_draw_is_the_one_that_it_was() -> None:
    """Values written down when the loop had none of its later settings; they do not depend on the processor."""
    assert order(3, 0, 12).tolist() == [9, 7, 6, 0, 3, 8, 1, 10, 11, 2, 5, 4]
    assert flips(3, 1, 12).astype(int).tolist() == [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0]
    assert step_seed(3, 5) == 3809784646667266857


def test_defaults_leave_the_ids_of_runs_alone() -> None:
    """An id written down when ids began to hash what differs from the defaults: done work is found again."""
    teacher = Run(
        role="teacher",
        method="classifier",
        data=Data(dataset="d"),
        backbone=Backbone(),
        loss=loss_settings(),
        training=Training(),
    )
    assert run_name("T", teacher, ()) == "t-s0-964a54f2"


def test_a_step_is_what_it_was(tmp_path: Path) -> None:
    """15 steps of SGD with clipping and one drop: weights, momentum's effect and the margins' draws, bit for bit."""
    trained, plain, data, seed = method(), method(), samples(), 7
    train(trained, data, Course(SETTINGS, seed, tmp_path, FACTS), Log().hooks(lambda: False))
    plain.learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    plain.train()
    assert isinstance(plain.head, nn.Module)
    solvers = [optim.SGD(part.parameters(), 1, 0.9, weight_decay=5e-4) for part in (plain.learner, plain.head)]
    for step in range(15):
        epoch, number = divmod(step, 5)
        chosen = order(seed, epoch, 43)[8 * number : 8 * number + 8]
        torch.manual_seed(step_seed(seed, step))
        for solver in solvers:
            solver.param_groups[0]["lr"] = 2.0 * 8 / 512 * (0.1 ** (epoch >= 2))
            solver.zero_grad()
        plain(data.batch(chosen, flips(seed, epoch, 43)[chosen], torch.device("cpu")))["loss"].backward()
        torch.nn.utils.clip_grad_norm_(plain.learner.parameters(), 5.0)
        for solver in solvers:
            solver.step()
    plain.eval()
    assert weights(trained) == weights(plain)
