"""`python -m tests.benchmarks.heads [CLASSES]`: what each identity loss costs, whole and with a share of the classes.

512 dims, batch 128, one thread, 28,000 classes unless said otherwise. For each loss and sample_rate: CPU seconds of
loss forward and backward (median of 5) and of that with the optimiser's step, as ratios to a lean reference (linear
over normalised vectors, cross-entropy, torch's SGD), and the peak of memory above what was there before the class
centres. Each configuration in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn, optim
from torch.nn import functional

from fairlab.losses.base import LOSSES
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Training
from fairlab.training.optim import optimisers

DIMS, BATCH, WARM_UP, ROUNDS = 512, 128, 2, 5
RATES = (1.0, 0.3, 0.1)
REFERENCE = "reference"


class Plain(nn.Module):
    """Nothing but what every classifier over cosines must do."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(classes, DIMS).normal_(0.0, 0.01))

    def loss(self, embeddings: Tensor, identities: Tensor) -> Tensor:
        cosines = functional.linear(functional.normalize(embeddings), functional.normalize(self.weight))
        return functional.cross_entropy(64.0 * cosines, identities)


def built(name: str, rate: float, classes: int) -> tuple[nn.Module, optim.Optimizer]:
    if name == REFERENCE:
        plain = Plain(classes)
        return plain, optim.SGD(plain.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    head = LOSSES[name](DIMS, classes, loss_settings(name=name, sample_rate=rate))
    return head, optimisers(nn.Identity(), head, Training(base_lr=0.04))["head"]


def measured(name: str, rate: float, classes: int) -> tuple[float, float, float]:
    """(CPU s forward and backward, CPU s with the step, peak MB)."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    head, solver = built(name, rate, classes)
    loss: Callable[[Tensor, Tensor], Tensor] = head.loss  # type: ignore[assignment]
    embeddings = 20 * functional.normalize(torch.randn(BATCH, DIMS))
    identities = torch.randint(classes, (BATCH,))
    learning, steps = [], []
    for _ in range(WARM_UP + ROUNDS):
        solver.zero_grad(set_to_none=True)
        embeddings.requires_grad_().grad = None
        began = time.process_time()
        loss(embeddings, identities).backward()
        learnt = time.process_time()
        solver.step()
        learning.append(learnt - began)
        steps.append(time.process_time() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return statistics.median(learning[WARM_UP:]), statistics.median(steps[WARM_UP:]), peak / 1024


def main() -> int:
    classes = int(sys.argv[1]) if len(sys.argv) > 1 else 28_000
    list(LOSSES)  # imported before the processes part, and nothing computed yet, so that they may be forked
    pool = multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1)
    with pool:
        runs = [pool.apply(measured, (REFERENCE, 1.0, classes)) for _ in range(3)]
        reference = [statistics.median(values) for values in zip(*runs, strict=True)]
        print(f"{classes} classes x {DIMS} dims, batch {BATCH}, one thread, torch {torch.__version__}")
        print(f"{REFERENCE:22}      {reference[0]:.3f} s, with step {reference[1]:.3f} s, {reference[2]:.0f} MB")
        for name in LOSSES:
            for rate in RATES:
                learning, step, peak = pool.apply(measured, (name, rate, classes))
                print(
                    f"{name:22} {rate:3.1f}: {learning:.3f} s ({learning / reference[0]:.2f}x), "
                    f"with step {step:.3f} s ({step / reference[1]:.2f}x), {peak:.0f} MB ({peak / reference[2]:.2f}x)",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
