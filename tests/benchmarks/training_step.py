"""`python -m tests.benchmarks.training_step [BATCH] [STEPS]`: training steps against the machine's matrix products.

112 px, a-KD with SGD (one loss, no classifier), channels-last, one thread, processor seconds (user + system; medians).
A step counts three times the forward operations; the peak is that of float32 products of 2048 x 2048 matrices,
measured between the backbones of the same run. Beside each share stands the one that insightface's network reached
with the same loss on a Cascade Lake core, and the goal. Then what the readings of the terms' gradients cost, and
whether the loader keeps up: JPEGs of 112 px from a .rec file through the loader's own path, with and without
RandAugment, with two threads, against the step rate that two whole cores would reach.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from fairlab.methods.base import METHODS, Batch, Method
from fairlab.settings.loss import loss_settings
from fairlab.settings.study import Backbone, Data, Run, Training
from fairlab.training.augment import RandAugment
from fairlab.training.loader import ImageInputs, ahead, flips, order
from fairlab.training.optim import optimisers
from fairlab.training.step import Updates
from tests.benchmarks.reading import jpegs, opened, write_records

PX, DIMS, SIDE = 112, 512, 2048
SEEN = {"iresnet18": (0.47, 0.40), "iresnet34": (0.61, 0.50), "mobilefacenet": (0.24, None), "tiny": (None, None)}
"""Share of the peak: (seen with the peer's network, goal)."""
CLASSES = 28_000
Work = Callable[[], object]


def cpu_seconds(work: Work, rounds: int) -> float:
    """Median of `rounds` after one that warms up."""
    times = []
    for turn in range(rounds + 1):
        began = time.process_time()
        work()
        if turn:
            times.append(time.process_time() - began)
    return statistics.median(times)


def peak() -> float:
    """GFLOP/s of the matrix product now, best of five."""
    one, other = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    return max(2 * SIDE**3 / cpu_seconds(lambda: one @ other, 1) / 1e9 for _ in range(5))


def built(backbone: str, name: str = "a_kd") -> Method:
    config = Run(
        role="student",
        method=name,
        data=Data(),
        backbone=Backbone(name=backbone, embedding_dim=DIMS),
        loss=loss_settings() if name == "eaf_kd" else None,
    )
    torch.manual_seed(0)
    method = METHODS[name](config, classes=CLASSES, image_px=PX, teacher_dims=(DIMS,))
    method.learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    method.train()
    return method


def batch_of(size: int) -> Batch:
    images = torch.randn(size, 3, PX, PX).contiguous(memory_format=torch.channels_last)
    targets = torch.nn.functional.normalize(torch.randn(size, DIMS))
    return Batch(inputs=images, identities=torch.randint(CLASSES, (size,)), targets=targets)


def step_of(method: Method, batch: Batch, compare: bool = False) -> Work:
    settings = Training()
    solvers = optimisers(method.learner, method.head, settings)
    updates = Updates(method, solvers, settings)
    return lambda: updates.update([batch], 0.01, compare)


def forward_gflop(method: Method) -> float:
    method.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        method.learner(torch.zeros(1, 3, PX, PX))
    method.train()
    return counter.get_total_flops() / 1e9


def loader_cpu(path: Path, count: int, augment: bool) -> tuple[float, float]:
    """(wall, processor) seconds an image, decoded, mirrored, changed and made floats; two batches at a time."""
    inputs = ImageInputs(opened(path), np.arange(count))
    if augment:
        inputs = inputs.changed(RandAugment(0, 0, count, 4, 16))
    sequence, mirrored = order(0, 0, count), flips(0, 0, count)

    def make(number: int) -> torch.Tensor:
        chosen = sequence[number * 128 : (number + 1) * 128]
        return inputs.batch(chosen, mirrored[chosen])

    wall, cpu = time.perf_counter(), time.process_time()
    for batch in ahead(make, range(count // 128), inputs.depth):
        assert len(batch) == 128
    made = count // 128 * 128
    return (time.perf_counter() - wall) / made, (time.process_time() - cpu) / made


def main() -> int:
    size = int(sys.argv[1]) if len(sys.argv) > 1 else 16
    steps = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    torch.set_num_threads(1)
    print(f"batch {size}, {PX} px, one thread, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    rates: dict[str, float] = {}
    for name, (seen, goal) in SEEN.items():
        method, before = built(name), peak()
        gflop = 3 * forward_gflop(method)
        seconds = cpu_seconds(step_of(method, batch_of(size)), steps)
        top = statistics.mean((before, peak()))
        rates[name] = size / seconds
        shown = f"{seen:.0%}" if seen else "none known"
        print(
            f"{name:14} {seconds:6.2f} s a step, {rates[name]:7.1f} images/s, {gflop:5.2f} GFLOP an image: "
            f"{gflop * rates[name]:5.1f} of {top:5.1f} GFLOP/s = {gflop * rates[name] / top:.0%} of the peak "
            f"(insightface's: {shown}; goal: {f'{goal:.0%}' if goal else 'none'})",
            flush=True,
        )
    gradients(size, steps)
    loader(max(rates.values()), rates)
    return 0


def gradients(size: int, steps: int) -> None:
    """What reading the terms' gradients adds: the parts are timed, not the difference of two steps."""
    method, batch = built("mobilefacenet", "eaf_kd"), batch_of(size)
    whole = cpu_seconds(step_of(method, batch), steps)
    from fairlab.training.step import gradients as read

    embeddings = method.learner(batch.inputs).detach().requires_grad_()
    terms = {"identity": method.identity(embeddings, batch), "distillation": method.distillation(embeddings, batch)}
    own = cpu_seconds(lambda: read(terms, [embeddings]), 5)
    print(
        f"gradients of two terms, mobilefacenet with {CLASSES:,} classes: {own:.3f} s, once in ten steps of {whole:.2f} s "
        f"= {own / (10 * whole):.2%} (goal: 2 %)"
    )


def loader(fastest: float, rates: dict[str, float]) -> None:
    count = 2048
    with tempfile.TemporaryDirectory() as folder:
        path = write_records(Path(folder) / "train.rec", jpegs(count))
        for augment in (False, True):
            taken = [loader_cpu(path, count, augment) for _ in range(4)][1:]
            wall, cpu = (statistics.median(own) for own in zip(*taken, strict=True))
            said = ", ".join(f"{name} {cpu * rate:.1%}" for name, rate in rates.items())
            print(
                f"loader{' with RandAugment 4/16' if augment else ''}: {1 / wall:,.0f} images/s of wall, {1e6 * cpu:.0f} us of "
                f"processor an image, so {2 / cpu:,.0f} images/s on two cores against {2 * fastest:,.0f} of the fastest step there; "
                f"its share of a step: {said}"
            )


if __name__ == "__main__":
    raise SystemExit(main())
