"""SGD and its schedule, as the papers have it (official MST-KD code, train.py)."""

from __future__ import annotations

from torch import nn, optim

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


def optimisers(learner: nn.Module, head: nn.Module | None, settings: Training) -> dict[str, optim.SGD]:
    """One SGD for the network and one for the classifier, same settings, as the official code has it."""
    parts = {"learner": learner} if head is None else {"learner": learner, "head": head}
    return {
        name: optim.SGD(
            [weight for weight in part.parameters() if weight.requires_grad],
            lr=settings.base_lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        for name, part in parts.items()
        if any(weight.requires_grad for weight in part.parameters())
    }
