"""The optimisers and the learning rate: as the papers have them (official MST-KD code, train.py), or otherwise."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn, optim

from fairlab.settings.study import Training


def learning_rate(settings: Training, epoch: int, step: int, steps: int = 0) -> float:
    """The rate in pass `epoch` (from 0) at overall `step` (from 0) of `steps`: base x images/512, falling.

    Drops: a tenth at the start of each pass in drop_epochs (official MST-KD code, lr = 0.1 * batch / 512). Cosine:
    rate * (1 + cos(pi * t)) / 2 with t the share of the steps after the warm-up that are done (SGDR, arXiv 1608.03983,
    eq. 5); it would be zero after the last.
    """
    rate = settings.base_lr * settings.step_images / 512
    if settings.schedule == "cosine":
        done = max(step - settings.warmup_steps, 0) / max(steps - settings.warmup_steps, 1)
        rate *= (1 + math.cos(math.pi * min(done, 1.0))) / 2
    else:
        rate *= 0.1 ** sum(epoch >= drop for drop in settings.drop_epochs)
    if step < settings.warmup_steps:
        rate *= (step + 1) / (settings.warmup_steps + 1)
    return rate


def _leave_the_compiler_out() -> None:
    """Spare every training the import of torch's compiler: 600 modules, a quarter of the processor time of a short run.

    torch.optim marks its public methods as not to be compiled; the first call of each imports torch._dynamo for that. What is
    never compiled needs no mark: the method itself is put where torch keeps the marked one. Where a version of torch has
    nothing there, the compiler is imported as before. _Rows.step does the rest.
    """
    own = optim.Optimizer
    for method in (own.add_param_group, own.zero_grad, own.state_dict, own.load_state_dict):
        plain = getattr(method, "__wrapped__", None)
        if plain is not None and not hasattr(plain, "__dynamo_disable"):
            plain.__dynamo_disable = plain


_leave_the_compiler_out()


class _Rows(optim.Optimizer):
    """An optimiser of torch's; where a gradient is sparse, only the rows that it holds move.

    So the centres of classes that a step left out rest: no gradient, and neither moments nor weight decay until
    they are drawn again, when they go on from where they were. PartialFC (arXiv 2203.15565) trains the
    drawn centres only; that the rest is left alone altogether keeps a step's cost at that of the rows it drew.
    """

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None and weight.grad.is_sparse:
                    gradient = weight.grad.coalesce()
                    with torch.no_grad():
                        self._step_rows(weight, gradient.indices()[0], gradient.values(), group)
                    weight.grad = None
        step = inspect.unwrap(super().step.__func__)  # type: ignore[attr-defined]
        with torch.no_grad():
            step(self)

    def _step_rows(self, weight: Tensor, rows: Tensor, gradient: Tensor, group: Mapping[str, Any]) -> None:
        """Move these rows (S,) of `weight` (C, D) by their gradient (S, D)."""
        raise NotImplementedError


class RowSGD(_Rows, optim.SGD):
    """SGD with momentum, by rows where the gradient is sparse."""

    def _step_rows(self, weight: Tensor, rows: Tensor, gradient: Tensor, group: Mapping[str, Any]) -> None:
        momentum = group["momentum"]
        values = gradient.add(weight[rows], alpha=group["weight_decay"])
        if momentum:
            state = self.state[weight]
            if state.get("momentum_buffer") is None:
                state["momentum_buffer"] = torch.zeros_like(weight)
            values = state["momentum_buffer"][rows].mul_(momentum).add_(values)
            state["momentum_buffer"].index_copy_(0, rows, values)
        weight.index_add_(0, rows, values, alpha=-group["lr"])


class RowAdamW(_Rows, optim.AdamW):
    """AdamW, by rows where the gradient is sparse: every row counts its own steps."""

    def _step_rows(self, weight: Tensor, rows: Tensor, gradient: Tensor, group: Mapping[str, Any]) -> None:
        state, (first, second), rate = self.state[weight], group["betas"], group["lr"]
        if not state:
            state["step"] = torch.zeros(())  # torch's AdamW wants to find one when it is loaded
            state["row_steps"] = torch.zeros(len(weight), dtype=weight.dtype, device=weight.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
        steps = state["row_steps"][rows].add_(1)
        mean = state["exp_avg"][rows].lerp_(gradient, 1 - first)
        square = state["exp_avg_sq"][rows].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        for name, values in (("row_steps", steps), ("exp_avg", mean), ("exp_avg_sq", square)):
            state[name].index_copy_(0, rows, values)
        long, wide = (1 - first**steps)[:, None], (1 - second**steps).sqrt_()[:, None]
        values = weight[rows].mul_(1 - rate * group["weight_decay"])
        values.addcdiv_(mean / long, (square.sqrt_() / wide).add_(group["eps"]), value=-rate)
        weight.index_copy_(0, rows, values)


def optimisers(learner: nn.Module, head: nn.Module | None, settings: Training) -> dict[str, optim.Optimizer]:
    """One optimiser for the network and one for the classifier, same settings, as the official code has it."""
    parts = {"learner": learner} if head is None else {"learner": learner, "head": head}
    return {
        name: build([weight for weight in part.parameters() if weight.requires_grad], settings)
        for name, part in parts.items()
        if any(weight.requires_grad for weight in part.parameters())
    }


def build(weights: list[nn.Parameter], settings: Training) -> optim.Optimizer:
    """The optimiser that the settings name, over `weights`."""
    if settings.optimiser == "adamw":
        betas = settings.beta1, settings.beta2
        return RowAdamW(weights, lr=settings.base_lr, betas=betas, weight_decay=settings.weight_decay)
    return RowSGD(weights, lr=settings.base_lr, momentum=settings.momentum, weight_decay=settings.weight_decay)
