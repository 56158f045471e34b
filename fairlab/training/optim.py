"""SGD and its schedule, as the papers have it (official MST-KD code, train.py)."""

from __future__ import annotations

import torch
from torch import Tensor, nn, optim

from fairlab.config import Training


def learning_rate(settings: Training, epoch: int, step: int) -> float:
    """The rate in pass `epoch` (from 0) at overall `step` (from 0): base x batch/512, a tenth after each drop.

    Source: official MST-KD code, lr = 0.1 * batch / 512 and x0.1 at the start of the passes in drop_epochs.
    """
    rate = settings.base_lr * settings.batch_size / 512
    rate *= 0.1 ** sum(epoch >= drop for drop in settings.drop_epochs)
    if step < settings.warmup_steps:
        rate *= (step + 1) / (settings.warmup_steps + 1)
    return rate


class RowSGD(optim.SGD):
    """torch's SGD; where a gradient is sparse, only the rows that it holds move.

    So the centres of classes that a step left out rest: no gradient, and neither momentum nor weight decay until
    they are drawn again, when their momentum goes on from where it was. PartialFC (arXiv 2203.15565) trains the
    drawn centres only; that the rest is left alone altogether keeps a step's cost at that of the rows it drew.
    """

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None and weight.grad.is_sparse:
                    self._step_rows(weight, group["lr"], group["momentum"], group["weight_decay"])
                    weight.grad = None
        super().step()

    @torch.no_grad()
    def _step_rows(self, weight: Tensor, rate: float, momentum: float, decay: float) -> None:
        gradient = weight.grad.coalesce()  # type: ignore[union-attr]
        rows = gradient.indices()[0]
        values = gradient.values().add(weight[rows], alpha=decay)
        if momentum:
            state = self.state[weight]
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(weight)
            values = state["momentum_buffer"][rows].mul_(momentum).add_(values)
            state["momentum_buffer"].index_copy_(0, rows, values)
        weight.index_add_(0, rows, values, alpha=-rate)


def optimisers(learner: nn.Module, head: nn.Module | None, settings: Training) -> dict[str, optim.SGD]:
    """One SGD for the network and one for the classifier, same settings, as the official code has it."""
    parts = {"learner": learner} if head is None else {"learner": learner, "head": head}
    return {
        name: RowSGD(
            [weight for weight in part.parameters() if weight.requires_grad],
            lr=settings.base_lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        for name, part in parts.items()
        if any(weight.requires_grad for weight in part.parameters())
    }
