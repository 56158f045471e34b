"""The loop: the same for every method, exact to the bit after any interruption on the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn, optim

from fairlab.errors import FairLabError, Stopped
from fairlab.methods.base import Batch, Method
from fairlab.settings.study import Training
from fairlab.training import checkpoint
from fairlab.training.augment import RandAugment
from fairlab.training.average import Average
from fairlab.training.loader import ImageInputs, Inputs, ahead, flips, order, step_seed
from fairlab.training.optim import build, learning_rate, optimisers
from fairlab.training.precision import check_precision, scaler, training_forward
from fairlab.training.step import update
from fairlab.training.targets import Targets
from fairlab.training.together import Together
from fairlab.training.world import ALONE, World, check_shares

LOG_EVERY = 10
"""Steps whose mean is one reading."""
ACCEPTED, SIZES = "accepted_data", ("images", "identities")
"""Of a run's facts: the fingerprint of other data that its user lets it go on with; what even these must have alike."""
CHANGED = "changed_between_attempts"
"""In a checkpoint's manifest: which facts differed at a resume, now or ever before."""
NAMED = 64
"""Images of a bad batch that the message names."""


class NotFinite(FairLabError):
    """A loss or gradient became NaN or infinite; the last checkpoint is from before."""


@dataclass(frozen=True)
class Samples:
    """What is learnt from: N inputs, their identities (N,) 0..C-1, and for distillation their targets.

    `groups` (N,), numbers of any kind, are needed for balance "groups" only.
    """

    inputs: Inputs
    identities: np.ndarray
    targets: Targets | None = None
    groups: np.ndarray | None = None

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
    world: World = ALONE,
) -> checkpoint.Progress:
    """Train `method` from the newest checkpoint in `folder` (or from its start) to the end.

    Saves after every pass and on stop. Bitwise the same whatever the interruptions, on the same machine, versions
    and thread count: order, mirroring, augmentation and torch's draws are functions of (seed, epoch or step). At the
    end the learner has the weights that the settings choose: the last or the best pass's (then the classifier too), as
    they are or their running mean.

    world: the joined processes that train together, all with the same arguments but for the hooks, of which only the
    first one's write and validate; it alone has the classifier at the end. Then the run is the same up to rounding.
    Raises Stopped, NotFinite, or FairLabError (too few images, settings that cannot
    work here, no room on the disk).
    """
    device = pick_device(settings)
    _check_possible(method, samples, settings, hooks, device)
    check_shares(settings.batch_size, world.size)
    if settings.compile and world.size > 1:
        settings = settings.model_copy(update={"compile": None})  # it cannot look through what processes exchange
        hooks.note("training.compile is left out: several processes share this run")
    steps_per_epoch = len(samples.inputs) // settings.step_images
    total = steps_per_epoch * settings.epochs
    method.to(device)
    if method.inputs == "images":
        method.learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.2-1.4x on CPU
    together = Together(method, world)
    solvers = _solvers(method, settings)
    kept = together.solvers(solvers)
    average = Average(method.learner, settings.ema_decay) if settings.ema_decay is not None and world.leads else None
    judged = method.learner if average is None else average.network
    more = checkpoint.More(lambda: _remembered(method, average), scaler=scaler(settings))
    at, saved, notes = checkpoint.load_latest(folder, method.learner, together.head, kept, more)
    together.check_same_start(at.step)
    for note in notes:
        hooks.note(note)
    facts = _check_same_setting(saved, facts, hooks)
    started, started_cpu, work_before, cpu_before = time.monotonic(), time.process_time(), at.work_s, at.cpu_s
    steps_here = 0

    def save() -> None:
        if world.any(not (_all_finite(method.learner) and _all_finite(together.head))):
            raise NotFinite(
                f"a weight became NaN or infinite at step {at.step}; the last checkpoint from before is kept: clone the run with "
                "a lower learning rate"
            )
        at.cpu_s = cpu_before + time.process_time() - started_cpu
        checkpoint.save(folder, method.learner, together.head, kept, at, facts, more, writes=world.leads)
        world.wait()

    method.train()
    with training_forward(method.learner, settings, device), together.training():
        while at.step < total:
            epoch, offset = divmod(at.step, steps_per_epoch)
            for number, (chosen, batches) in _batches(samples, settings, seed, epoch, offset, device, together):
                if world.any(hooks.stop()):
                    save()
                    raise Stopped
                rate = learning_rate(settings, epoch, at.step, total)
                torch.manual_seed(step_seed(seed, at.step))
                read = at.window_steps + 1 == LOG_EVERY or number == steps_per_epoch - 1
                values = update(method, batches, solvers, rate, settings, more.scaler, read, together)
                _check_finite(values, at.step, epoch, samples.inputs.rows[chosen])
                at.step += 1
                if average is not None:
                    average.add(method.learner, at.step)
                steps_here += 1
                at.work_s = work_before + time.monotonic() - started
                at.window_steps += 1
                apart = {name: values.pop(name) for name in list(values) if name.startswith("gradient/")}
                for name, value in values.items():
                    at.window[name] = at.window.get(name, 0.0) + value
                if read:
                    means = {name: value / at.window_steps for name, value in at.window.items()}
                    speed = steps_here * settings.step_images / max(time.monotonic() - started, 1e-9)
                    hooks.reading(at.step, epoch, at.work_s, {**means, **apart, "lr": rate, "images_per_s": speed})
                    hooks.progress(at.step, total, speed)
                    at.window, at.window_steps = {}, 0
            if hooks.validate is not None:
                method.eval()
                with torch.inference_mode():
                    readings = hooks.validate(judged) if world.leads else {}
                method.train()
                world.wait()
                at.work_s = work_before + time.monotonic() - started
                hooks.reading(at.step, epoch, at.work_s, readings)
                if settings.keep == "best":
                    accuracy = readings.get("validation_accuracy", -1.0)
                    if world.any(world.leads and (at.best_epoch is None or accuracy > at.best_accuracy)):
                        at.best_epoch, at.best_accuracy = epoch, accuracy
                        best = _copied(judged, together.head)
                        more.best = best if world.leads else {}
            save()
    at.cpu_s = max(at.cpu_s, cpu_before)
    if more.best and world.leads:
        method.learner.load_state_dict(more.best["learner"])
    elif average is not None:
        method.learner.load_state_dict(average.network.state_dict())
    together.finish()
    if more.best and world.leads and method.head is not None:
        method.head.load_state_dict(more.best["head"])
    method.eval()
    return at


def _batches(
    samples: Samples,
    settings: Training,
    seed: int,
    epoch: int,
    offset: int,
    device: torch.device,
    together: Together,
) -> Iterator[tuple[int, tuple[np.ndarray, list[Batch]]]]:
    """The steps of pass `epoch` from `offset` on: (number, (positions, one batch for each part of the step)).

    Positions are those of the step; a batch has the images that are this process's to pass.
    """
    count = len(samples.inputs)
    classes = {"identities": samples.identities, "groups": samples.groups}.get(settings.balance or "")
    sequence = order(seed, epoch, count, classes)
    mirrored = flips(seed, epoch, count) if settings.flip else np.zeros(count, bool)
    if settings.randaugment is not None and isinstance(samples.inputs, ImageInputs):
        magnitude = 16 if settings.randaugment_magnitude is None else settings.randaugment_magnitude
        change = RandAugment(seed, epoch, count, settings.randaugment, magnitude)
        samples = replace(samples, inputs=samples.inputs.changed(change))

    def make(number: int) -> tuple[np.ndarray, list[Batch]]:
        chosen = sequence[number * settings.step_images : (number + 1) * settings.step_images]
        parts = [together.mine(part) for part in np.split(chosen, settings.accumulate or 1)]
        return chosen, [samples.batch(part, mirrored[part], device) for part in parts]

    numbers = range(offset, count // settings.step_images)
    yield from zip(numbers, ahead(make, numbers, samples.inputs.depth), strict=True)


def _solvers(method: Method, settings: Training) -> dict[str, optim.Optimizer]:
    """An optimiser each for network, classifier, and what else a method trains."""
    solvers = optimisers(method.learner, method.head, settings)
    taken = {id(weight) for part in (method.learner, method.head) if part is not None for weight in part.parameters()}
    others = [weight for weight in method.parameters() if weight.requires_grad and id(weight) not in taken]
    return {**solvers, "method": build(others, settings)} if others else solvers


def _remembered(method: Method, average: Average | None) -> dict[str, dict[str, Tensor]]:
    """What a checkpoint holds beside network and classifier: their mean, and what else the method learns or counts.

    A network inside the method that is frozen, e.g. a teacher, is no part of it.
    """
    left_out = {"learner", "head"}
    for name, child in method.named_children():
        weights = list(child.parameters())
        if weights and not any(weight.requires_grad for weight in weights):
            left_out.add(name)
    own = {name: tensor for name, tensor in method.state_dict().items() if name.partition(".")[0] not in left_out}
    return {
        **({"method": own} if own else {}),
        **({} if average is None else {"average": dict(average.network.state_dict())}),
    }


def _copied(judged: nn.Module, head: checkpoint.Stateful | None) -> dict[str, checkpoint.Tensors]:
    """These weights, to be remembered: network and classifier."""
    parts = {"learner": judged.state_dict(), **({} if head is None else {"head": head.state_dict()})}
    return {
        name: {key: tensor.clone() for key, tensor in checkpoint.plain(part).items()} for name, part in parts.items()
    }


def _check_possible(method: Method, samples: Samples, settings: Training, hooks: Hooks, device: torch.device) -> None:
    """Raise FairLabError, in one sentence, for settings that cannot work with this method, data or machine."""
    check_precision(settings, device)
    if len(samples.inputs) < settings.step_images:
        takes = f"a batch takes {settings.batch_size}"
        if settings.accumulate is not None:
            takes = f"a step takes {settings.accumulate} batches of {settings.batch_size}"
        raise FairLabError(
            f"a pass has no step: there are {len(samples.inputs)} images and {takes}; lower training.batch_size"
        )
    if settings.randaugment is not None and not isinstance(samples.inputs, ImageInputs):
        raise FairLabError(
            "training.randaugment changes images, and this run learns from stored embeddings; leave it empty here"
        )
    if settings.balance == "groups" and samples.groups is None:
        raise FairLabError("training.balance 'groups' needs the groups of the images, and these came without")
    if settings.keep == "best" and hooks.validate is None:
        raise FairLabError(
            "training.keep 'best' chooses the pass on validation people, and there are none: hold some training "
            "identities out with data.held_out, e.g. 0.1, or keep the last pass"
        )


def _check_finite(values: Mapping[str, float], step: int, epoch: int, images: np.ndarray) -> None:
    bad = [name for name, value in values.items() if not np.isfinite(value)]
    if bad:
        raise NotFinite(
            f"{' and '.join(bad)} became NaN or infinite at step {step + 1} (epoch {epoch + 1}, images "
            f"{', '.join(map(str, images[:NAMED]))}{' ...' if len(images) > NAMED else ''}); the last checkpoint from before is "
            "kept: clone the run with a lower learning rate"
        )


def _all_finite(part: checkpoint.Stateful | None) -> bool:
    """An update may overflow although its gradients were finite; the loss of the next step would be too late for a checkpoint."""
    values = () if part is None else part.state_dict().values()
    tensors = [value for value in values if torch.is_tensor(value) and value.is_floating_point()]
    return not tensors or bool(torch.stack([value.isfinite().all() for value in tensors]).all())


def _check_same_setting(saved: Mapping[str, Any], facts: Mapping[str, Any], hooks: Hooks) -> dict[str, Any]:
    """Refuse other data; say so when machine, versions or threads differ, because then bits may too.

    Returns what the next checkpoints are to say: a run that was once resumed elsewhere stays so.
    """
    if not saved:
        return dict(facts)
    if saved.get("data") != facts.get("data"):
        if facts.get(ACCEPTED) != facts.get("data"):
            raise FairLabError(
                "the data set is not the one this run started with (its fingerprint differs); start a new run on the new "
                "data, or continue with the changed data, which is recorded: `fairlab runs resume RUN --other-data`"
            )
        sizes = [(name, saved[name], facts[name]) for name in SIZES if name in saved and saved[name] != facts[name]]
        if sizes:
            name, before, after = sizes[0]
            raise FairLabError(
                f"the data set has {after:,} {name} for this run and had {before:,} when it started: it cannot "
                f"continue with these; start a new run"
            )
    was, here = {"devices": 1, **saved}, {"devices": 1, **facts}
    now = [name for name in here if name not in (ACCEPTED, *SIZES) and was.get(name) != here[name]]
    differing = [*saved.get(CHANGED, ()), *(name for name in now if name not in saved.get(CHANGED, ()))]
    if differing:
        hooks.note(f"not bitwise: resumed with another {', '.join(differing)}")
    return {**facts, CHANGED: differing} if differing else dict(facts)
