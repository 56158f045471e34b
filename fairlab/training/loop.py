"""The loop: the same for every method, exact to the bit after any interruption on the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from fairlab.config import Training
from fairlab.errors import FairLabError, Stopped
from fairlab.methods.base import Batch, Method
from fairlab.training import checkpoint
from fairlab.training.loader import Inputs, ahead, flips, order, step_seed
from fairlab.training.optim import learning_rate, optimisers
from fairlab.training.targets import Targets

LOG_EVERY = 10
"""Steps whose mean is one reading."""
NAMED = 64
"""Images of a bad batch that the message names."""


class NotFinite(FairLabError):
    """A loss or gradient became NaN or infinite; the last checkpoint is from before."""


@dataclass(frozen=True)
class Samples:
    """What is learnt from: N inputs, their identities (N,) 0..C-1, and for distillation their targets."""

    inputs: Inputs
    identities: np.ndarray
    targets: Targets | None = None

    def batch(self, positions: np.ndarray, flip: np.ndarray, device: torch.device) -> Batch:
        inputs = self.inputs.batch(positions, flip, device)
        identities = torch.from_numpy(self.identities[positions]).to(device)
        if self.targets is None:
            return Batch(inputs, identities)
        return Batch(inputs, identities, *self.targets.batch(positions, flip, inputs))


@dataclass(frozen=True)
class Hooks:
    """How the loop talks to the run around it."""

    stop: Callable[[], bool]
    reading: Callable[[int, int, float, Mapping[str, float]], None]
    """(step from 1, epoch, seconds of work so far, values): one reading."""
    progress: Callable[[int, int, float], None]
    """(steps done, steps in all, images per second)."""
    note: Callable[[str], None]
    validate: Callable[[nn.Module], Mapping[str, float]] | None = None
    """After every pass: readings of the network on held-out people."""


def pick_device(settings: Training) -> torch.device:
    """The device that the settings ask for. Raises FairLabError when it is not there."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise FairLabError("training.device is 'cuda' but this machine has no usable GPU; use 'auto' or 'cpu'")
    return torch.device("cuda" if settings.device != "cpu" and torch.cuda.is_available() else "cpu")


def train(
    method: Method,
    samples: Samples,
    settings: Training,
    seed: int,
    folder: Path,
    hooks: Hooks,
    facts: Mapping[str, Any],
) -> checkpoint.Progress:
    """Train `method` from the newest checkpoint in `folder` (or from its start) to the end.

    Saves after every pass and on stop. Bitwise the same whatever the interruptions, on the same machine, versions
    and thread count: order, mirroring and torch's draws are functions of (seed, epoch or step). Raises Stopped,
    NotFinite, or FairLabError (too few images, no room on the disk).
    """
    device = pick_device(settings)
    steps_per_epoch = len(samples.inputs) // settings.batch_size
    if steps_per_epoch == 0:
        raise FairLabError(
            f"a pass has no step: there are {len(samples.inputs)} images and a batch takes {settings.batch_size}; "
            "lower training.batch_size"
        )
    total = steps_per_epoch * settings.epochs
    method.to(device)
    if method.inputs == "images":
        method.learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.2-1.4x on CPU
    solvers = optimisers(method.learner, method.head, settings)
    at, saved, notes = checkpoint.load_latest(folder, method.learner, method.head, solvers)
    for note in notes:
        hooks.note(note)
    _check_same_setting(saved, facts, hooks)
    started, started_cpu, work_before, cpu_before = time.monotonic(), time.process_time(), at.work_s, at.cpu_s
    steps_here = 0

    def save() -> None:
        at.cpu_s = cpu_before + time.process_time() - started_cpu
        checkpoint.save(folder, method.learner, method.head, solvers, at, facts)

    method.train()
    while at.step < total:
        epoch, offset = divmod(at.step, steps_per_epoch)
        sequence = order(seed, epoch, len(samples.inputs))
        mirrored = flips(seed, epoch, len(samples.inputs)) if settings.flip else np.zeros(len(samples.inputs), bool)

        def make(
            number: int, sequence: np.ndarray = sequence, mirrored: np.ndarray = mirrored
        ) -> tuple[np.ndarray, Batch]:
            chosen = sequence[number * settings.batch_size : (number + 1) * settings.batch_size]
            return chosen, samples.batch(chosen, mirrored[chosen], device)

        numbers = range(offset, steps_per_epoch)
        for number, (chosen, batch) in zip(numbers, ahead(make, numbers, samples.inputs.depth), strict=True):
            if hooks.stop():
                save()
                raise Stopped
            rate = learning_rate(settings, epoch, at.step)
            torch.manual_seed(step_seed(seed, at.step))
            values = _step(method, batch, solvers, rate, settings)
            _check_finite(values, at.step, epoch, samples.inputs.rows[chosen])
            at.step += 1
            steps_here += 1
            at.work_s = work_before + time.monotonic() - started
            at.window_steps += 1
            for name, value in values.items():
                at.window[name] = at.window.get(name, 0.0) + value
            if at.window_steps == LOG_EVERY or number == steps_per_epoch - 1:
                means = {name: value / at.window_steps for name, value in at.window.items()}
                speed = steps_here * settings.batch_size / max(time.monotonic() - started, 1e-9)
                hooks.reading(at.step, epoch, at.work_s, {**means, "lr": rate, "images_per_s": speed})
                hooks.progress(at.step, total, speed)
                at.window, at.window_steps = {}, 0
        if hooks.validate is not None:
            method.eval()
            with torch.inference_mode():
                readings = hooks.validate(method.learner)
            method.train()
            at.work_s = work_before + time.monotonic() - started
            hooks.reading(at.step, epoch, at.work_s, readings)
        save()
    at.cpu_s = max(at.cpu_s, cpu_before)
    method.eval()
    return at


def _step(
    method: Method, batch: Batch, solvers: Mapping[str, Any], rate: float, settings: Training
) -> dict[str, float]:
    """One update of the weights; returns the loss terms and the gradient's norm before clipping.

    With a NaN or infinite term the weights stay as they are.
    """
    for solver in solvers.values():
        for group in solver.param_groups:
            group["lr"] = rate
        solver.zero_grad(set_to_none=True)
    terms = method(batch)
    terms["loss"].backward()
    norm = torch.nn.utils.clip_grad_norm_(method.learner.parameters(), settings.clip_norm)
    values = {name: float(value.detach()) for name, value in terms.items()} | {"grad_norm": float(norm)}
    if not all(map(np.isfinite, values.values())):
        return values
    for solver in solvers.values():
        solver.step()
    return values


def _check_finite(values: Mapping[str, float], step: int, epoch: int, images: np.ndarray) -> None:
    bad = [name for name, value in values.items() if not np.isfinite(value)]
    if bad:
        raise NotFinite(
            f"{' and '.join(bad)} became NaN or infinite at step {step + 1} (epoch {epoch + 1}, images "
            f"{', '.join(map(str, images[:NAMED]))}{' ...' if len(images) > NAMED else ''}); the last checkpoint from before is "
            "kept: clone the run with a lower learning rate"
        )


def _check_same_setting(saved: Mapping[str, Any], facts: Mapping[str, Any], hooks: Hooks) -> None:
    """Refuse other data; say so when machine, versions or threads differ, because then bits may too."""
    if not saved:
        return
    if saved.get("data") != facts.get("data"):
        raise FairLabError(
            "the data set is not the one this run started with (its fingerprint differs); start a new run on the new data"
        )
    differing = [name for name in facts if name != "data" and saved.get(name) != facts[name]]
    if differing:
        hooks.note(f"not bitwise: resumed with another {', '.join(differing)}")
