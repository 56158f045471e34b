"""A few real steps of a network on random inputs: what they cost on this machine."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from fairlab.errors import FairLabError
from fairlab.methods.base import METHODS, Batch, Inherited, Method
from fairlab.models.flops import forward_flops, parameters
from fairlab.models.shapes import shapes_only
from fairlab.settings.study import Run
from fairlab.training.optim import optimisers

WARM_UP = 2


def can_time() -> bool:
    """Is there a GPU? Without one a few steps of a network of the papers' size take many minutes."""
    return torch.cuda.is_available()


def network_flops(config: Run, classes: int, image_px: int, teacher_dims: tuple[int, ...]) -> int:
    """Floating-point operations of a forward pass of the run's network, without its classifier, for one image."""
    with shapes_only():
        method = _built(config, classes, image_px, teacher_dims)
        shape = (3, image_px, image_px) if method.inputs == "images" else (sum(teacher_dims) + method.needs_group,)
        return forward_flops(method.learner, torch.empty(1, *shape))


def network_numbers(config: Run, classes: int, image_px: int, teacher_dims: tuple[int, ...]) -> tuple[int, int]:
    """Parameters of the run's network, its classifier, and what else its method has: (trained, frozen)."""
    with shapes_only():
        return parameters(_built(config, classes, image_px, teacher_dims))


def time_network(
    config: Run, classes: int, image_px: int, teacher_dims: tuple[int, ...], steps: int
) -> dict[str, float]:
    """Median wall seconds of a training step (step_s) and of embedding one image (embed_s)."""
    settings = config.training
    if settings is None:
        raise FairLabError(f"a run of method {config.method} does not train; nothing to time")
    torch.set_num_threads(settings.threads)
    method = _built(config, classes, image_px, teacher_dims)
    size = settings.batch_size
    inputs = (
        torch.randn(size, 3, image_px, image_px) if method.inputs == "images" else torch.randn(size, sum(teacher_dims))
    )
    if method.inputs == "images":
        inputs = inputs.to(memory_format=torch.channels_last)
        method.learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if method.needs_group:
        inputs = torch.cat([inputs, torch.zeros(size, 1)], dim=1)
    batch = Batch(inputs, torch.arange(size) % classes)
    if settings.pair_identities:
        batch.general, batch.images = settings.general_rows, torch.arange(size)
        method.general_identity |= settings.identity_rows == "general"
    if method.needs_targets:
        several = (len(teacher_dims),) if method.needs_centroids else ()
        drawn = torch.randn(size, *several, _space_dim(config, teacher_dims))
        batch.targets, batch.lengths = functional.normalize(drawn, dim=-1), torch.ones(size, *several)
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
    return {"step_s": float(np.median(times[WARM_UP:])) * settings.accumulate, "embed_s": embed}


def _built(config: Run, classes: int, image_px: int, dims: tuple[int, ...]) -> Method:
    """The run's method; what it would inherit is drawn by chance."""
    build = METHODS[config.method]
    more: dict[str, Any] = {}
    if getattr(build, "needs_head", False):
        more["inherited"] = Inherited(torch.randn(classes, _space_dim(config, dims)), 64.0)
    if getattr(build, "needs_centroids", False):
        of_teachers = METHODS.facts(config.method)["parents"] == "teachers"
        shape = (len(dims),) if of_teachers else ()
        more["centroids"] = torch.randn(*shape, classes, _space_dim(config, dims))
    return build(config, classes=classes, image_px=image_px, teacher_dims=dims, **more)


def _space_dim(config: Run, dims: tuple[int, ...]) -> int:
    """Length of what a student imitates; its own where its parent's is not known."""
    own = config.backbone.embedding_dim if config.backbone else sum(dims)
    return dims[0] if len(set(dims)) == 1 else own
