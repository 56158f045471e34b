"""Rows of classifiers, and of what the optimiser remembers of them."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from fairlab.losses.base import LOSSES
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Training
from fairlab.training.checkpoint import Progress, State, save
from fairlab.training.forgetting import zero_rows
from fairlab.training.optim import optimisers


def test_a_row_is_zero_in_classifier_best_pass_and_every_memory(tmp_path: Path) -> None:
    """AdamW keeps two moments and, by rows, a count of steps; everything else stays bit for bit."""
    settings = Training(optimiser="adamw", batch_size=8)
    network, head = nn.Linear(5, 4), LOSSES["arcface"](4, 6, loss_settings(name="arcface"))
    solvers = optimisers(network, head, settings)
    for _ in range(2):
        loss = head.loss(network(torch.randn(8, 5)), torch.arange(8) % 6)
        loss.backward()
        for solver in solvers.values():
            solver.step()
    state = State(network, head, solvers, best={"head": {"weight": head.weight.detach().clone()}})
    path = save(tmp_path, state, Progress(step=2), {})
    out = tmp_path / "out"
    assert sorted(zero_rows(path, out, [1, 4], 6)) == ["best_head.safetensors", "head.safetensors", "trainer.pt"]
    stays = [0, 2, 3, 5]
    for name in ("head.safetensors", "best_head.safetensors"):
        before, after = load_file(path / name)["weight"], load_file(out / name)["weight"]
        assert not after[[1, 4]].any()
        assert torch.equal(after[stays], before[stays])
    before, after = (torch.load(where / "trainer.pt", weights_only=True)["solvers"] for where in (path, out))
    for name in ("exp_avg", "exp_avg_sq"):
        old, new = (state["head"]["state"][0][name] for state in (before, after))
        assert old[[1, 4]].any()
        assert not new[[1, 4]].any()
        assert torch.equal(new[stays], old[stays])
    for name, value in before["learner"]["state"][0].items():
        assert torch.equal(after["learner"]["state"][0][name], value)
