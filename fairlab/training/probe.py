"""A few real steps of a network on random inputs: what they cost on this machine."""

from __future__ import annotations

import time

import numpy as np
import torch

from fairlab.config import Run
from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS, Batch
from fairlab.training.optim import optimisers

WARM_UP = 2


def time_network(
    config: Run, classes: int, image_px: int, teacher_dims: tuple[int, ...], steps: int
) -> dict[str, float]:
    """Median wall seconds of a training step (step_s) and of embedding one image (embed_s)."""
    settings = config.training
    if settings is None:
        raise FairLabError(f"a run of method {config.method} does not train; nothing to time")
    torch.set_num_threads(settings.threads)
    method = METHODS[config.method](config, classes=classes, image_px=image_px, teacher_dims=teacher_dims)
    size = settings.batch_size
    inputs = (
        torch.randn(size, 3, image_px, image_px) if method.inputs == "images" else torch.randn(size, sum(teacher_dims))
    )
    if method.inputs == "images":
        inputs = inputs.to(memory_format=torch.channels_last)
        method.learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    targets = torch.nn.functional.normalize(torch.randn(size, method.embedding_dim), dim=1)
    batch = Batch(
        inputs=inputs, identities=torch.arange(size) % classes, targets=targets if method.needs_targets else None
    )
    solvers = optimisers(method.learner, method.head, settings)
    method.train()
    times = []
    for _ in range(steps + WARM_UP):
        started = time.perf_counter()
        for solver in solvers.values():
            solver.zero_grad(set_to_none=True)
        method(batch)["loss"].backward()
        for solver in solvers.values():
            solver.step()
        times.append(time.perf_counter() - started)
    method.eval()
    with torch.inference_mode():
        started = time.perf_counter()
        for _ in range(3):
            method.learner(inputs)
        embed = (time.perf_counter() - started) / 3 / size
    return {"step_s": float(np.median(times[WARM_UP:])) * (settings.accumulate or 1), "embed_s": embed}
