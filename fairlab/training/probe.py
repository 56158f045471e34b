"""A few real steps of a network on random inputs: what they cost on this machine."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch.nn import functional

from fairlab.config import Run
from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS, Batch, Inherited
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
    build, dims = METHODS[config.method], teacher_dims
    own_dim = config.backbone.embedding_dim if config.backbone else sum(dims)
    space_dim = dims[0] if len(dims) == 1 else own_dim
    more = {"inherited": _random_classifier(classes, space_dim)} if getattr(build, "needs_head", False) else {}
    method = build(config, classes=classes, image_px=image_px, teacher_dims=dims, **more)
    size = settings.batch_size
    inputs = (
        torch.randn(size, 3, image_px, image_px) if method.inputs == "images" else torch.randn(size, sum(teacher_dims))
    )
    if method.inputs == "images":
        inputs = inputs.to(memory_format=torch.channels_last)
        method.learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    batch = Batch(inputs, torch.arange(size) % classes)
    if method.needs_targets:
        batch.targets, batch.lengths = functional.normalize(torch.randn(size, space_dim)), torch.ones(size)
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
    return {"step_s": float(np.median(times[WARM_UP:])), "embed_s": embed}


def _random_classifier(classes: int, dim: int) -> Inherited:
    return Inherited(torch.randn(classes, dim), 64.0)
