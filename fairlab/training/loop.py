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
from fairlab.methods.base import COUNTS, Batch, Method
from fairlab.settings.study import Training
from fairlab.training import checkpoint
from fairlab.training.augment import RandAugment
from fairlab.training.average import Average
from fairlab.training.loader import ImageInputs, Inputs, ahead, flips, order, step_seed
from fairlab.training.optim import build, learning_rate, optimisers
from fairlab.training.precision import check_precision, scaler, training_forward
from fairlab.training.sampler import Sampler
from fairlab.training.step import Updates, seed_step
from fairlab.training.targets import Targets
from fairlab.training.together import Together
from fairlab.training.world import ALONE, World, check_shares

LOG_EVERY = 10
"""Steps whose mean is one reading."""
ACCEPTED, SIZES = "accepted_data", ("images", "identities")
"""Of a run's facts: the fingerprint of other data that its user lets it go on with; what even these must have alike."""
APART = "gradient/"
"""Readings whose names begin so are of one step, not means of several."""
CHANGED = "changed_between_attempts"
"""In a checkpoint's manifest: which facts differed at a resume, now or ever before."""
NAMED = 64
"""Images of a bad batch that the message names."""


class NotFinite(FairLabError):
    """A loss or gradient became NaN or infinite; the last checkpoint is from before."""


@dataclass(frozen=True)
class Samples:
    """What is learnt from: N inputs, their identities (N,) 0..C-1, and for distillation their targets.

    `groups` (N,), whole numbers, are needed for balance "groups" and for readings per group, which bear their names.
    `margin_factors` (N,): what each image's margin is multiplied by, of losses with margin_factor.
    """

    inputs: Inputs
    identities: np.ndarray
    targets: Targets | None = None
    groups: np.ndarray | None = None
    group_names: tuple[str, ...] = ()
    margin_factors: np.ndarray | None = None

    def batch(self, positions: np.ndarray, flip: np.ndarray, device: torch.device, general: int | None = None) -> Batch:
        """The samples at `positions` (B,), mirrored where `flip` (B,) says so; general: as Batch has it."""
        inputs = self.inputs.batch(positions, flip, device)
        identities = torch.from_numpy(self.identities[positions]).to(device)
        targets, lengths = (None, None) if self.targets is None else self.targets.batch(positions, flip, inputs)
        groups = None if self.groups is None else torch.from_numpy(self.groups[positions]).long().to(device)
        images = None if general is None else torch.from_numpy(positions).to(device)
        given = self.margin_factors
        factors = None if given is None else torch.from_numpy(given[positions]).float().to(device)
        return Batch(inputs, identities, targets, lengths, groups, general, images, factors)


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


@dataclass(frozen=True)
class Course:
    """What a training goes by, and where it is kept."""

    settings: Training
    seed: int
    folder: Path
    """Of the checkpoints."""
    facts: Mapping[str, Any]
    """What the checkpoints say of data, versions and machine; compared when the run is resumed."""


def train(method: Method, samples: Samples, course: Course, hooks: Hooks, world: World = ALONE) -> checkpoint.Progress:
    """Train `method` from the newest checkpoint of the course (or from its start) to the end.

    Saves after every pass and on stop. Bitwise the same whatever the interruptions, on the same machine, versions
    and thread count: order, mirroring, augmentation and torch's draws are functions of (seed, epoch or step). At the
    end the learner has the weights that the settings choose: the last or the best pass's (then the classifier too), as
    they are or their running mean.

    world: the joined processes that train together, all with the same arguments but for the hooks, of which only the
    first one's write and validate; it alone has the classifier at the end. Then the run is the same up to rounding.
    Raises Stopped, NotFinite, or FairLabError (too few images, settings that cannot
    work here, no room on the disk).
    """
    return Trainer(method, samples, course, hooks, world).run()


class Trainer:
    """A training under way: where it stands, what it has read since the last reading, and what it keeps."""

    def __init__(self, method: Method, samples: Samples, course: Course, hooks: Hooks, world: World) -> None:
        self.method, self.samples, self.hooks, self.world, self.seed = method, samples, hooks, world, course.seed
        self.folder, self.device = course.folder, pick_device(course.settings)
        self.settings = course.settings
        _check_possible(method, samples, self.settings, hooks, self.device)
        check_shares(self.settings.batch_size, world.size)
        if self.settings.compile and world.size > 1:
            self.settings = self.settings.model_copy(
                update={"compile": False}
            )  # it cannot look through what processes exchange
            hooks.note("training.compile is left out: several processes share this run")
        self.sampler = Sampler(self.settings, self.seed, samples.identities)
        method.general_identity |= self.settings.identity_rows == "general"
        self.steps_per_epoch = self.sampler.steps_per_epoch
        self.total = self.steps_per_epoch * self.settings.epochs
        method.to(self.device)
        if method.inputs == "images":
            method.learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # 1.2-1.4x on CPU
        self.together = Together(method, world)
        method.stage(0, self.settings.epochs)  # refuses a training that is too short for it
        solvers = _solvers(method, self.settings)
        averages = self.settings.ema_decay > 0 and world.leads
        self.average = Average(method.learner, self.settings.ema_decay) if averages else None
        self.judged = method.learner if self.average is None else self.average.network
        self.state = checkpoint.State(
            method.learner,
            self.together.head,
            self.together.solvers(solvers),
            lambda: _remembered(method, self.average),
            scaler=scaler(self.settings),
        )
        self.updates = Updates(method, solvers, self.settings, self.state.scaler, self.together, samples.group_names)
        self._resume(course.facts)

    def _resume(self, facts: Mapping[str, Any]) -> None:
        """Go on from the newest checkpoint. Raises FairLabError where it is of other data."""
        self.at, saved, notes = checkpoint.load_latest(self.folder, self.state)
        self.together.check_same_start(self.at.step)
        for note in notes:
            self.hooks.note(note)
        self.facts = _check_same_setting(saved, facts, self.hooks)
        self._started, self._started_cpu, self._steps = time.monotonic(), time.process_time(), 0
        self._work_before, self._cpu_before = self.at.work_s, self.at.cpu_s

    def run(self) -> checkpoint.Progress:
        """Train to the end; returns where the training stands then."""
        self.method.train()
        with training_forward(self.method.learner, self.settings, self.device), self.together.training():
            while self.at.step < self.total:
                epoch, offset = divmod(self.at.step, self.steps_per_epoch)
                self.train_pass(epoch, offset)
                if self.hooks.validate is not None:
                    self.validate(self.hooks.validate, epoch)
                self.save()
        self.finish()
        return self.at

    def train_pass(self, epoch: int, offset: int) -> None:
        """The steps of pass `epoch` from `offset` on. Raises Stopped, with a checkpoint, when asked to."""
        self.method.begin(self.method.stage(epoch, self.settings.epochs))
        for number, (chosen, batches) in self._batches(epoch, offset):
            if self.world.any(self.hooks.stop()):
                self.save()
                raise Stopped
            rate = learning_rate(self.settings, epoch, self.at.step, self.total)
            seed_step(step_seed(self.seed, self.at.step), self.device)
            read = self.at.window_steps + 1 == LOG_EVERY or number == self.steps_per_epoch - 1
            values = self.updates.update(batches, rate, read)
            _check_finite(values, self.at.step, epoch, self.samples.inputs.rows[chosen])
            self.at.step += 1
            if self.average is not None:
                self.average.add(self.method.learner, self.at.step)
            self._count(values)
            if read:
                apart = {name: value for name, value in values.items() if name.startswith(APART)}
                self._read(epoch, {**apart, "lr": rate})

    def _count(self, values: Mapping[str, float]) -> None:
        """Add a step's values to the window of the next reading."""
        at = self.at
        self._steps += 1
        self._work()
        at.window_steps += 1
        for name, value in values.items():
            if not name.startswith(APART):
                at.window[name] = at.window.get(name, 0.0) + value

    def _work(self) -> None:
        self.at.work_s = self._work_before + time.monotonic() - self._started

    def _read(self, epoch: int, values: Mapping[str, float]) -> None:
        """One reading: the means of the window, the sums of what is counted, and these values of its last step."""
        at = self.at
        means = {
            name: value if name.startswith(COUNTS) else value / at.window_steps for name, value in at.window.items()
        }
        speed = self._steps * self.settings.step_images / max(time.monotonic() - self._started, 1e-9)
        self.hooks.reading(at.step, epoch, at.work_s, {**means, **values, "images_per_s": speed})
        self.hooks.progress(at.step, self.total, speed)
        at.window, at.window_steps = {}, 0

    def validate(self, check: Callable[[nn.Module], Mapping[str, float]], epoch: int) -> None:
        """Judge the network after pass `epoch`, and remember its weights where the best pass is kept and this one is it."""
        at = self.at
        self.method.eval()
        with torch.inference_mode():
            readings = check(self.judged) if self.world.leads else {}
        self.method.train()
        self.world.wait()
        self._work()
        self.hooks.reading(at.step, epoch, at.work_s, readings)
        if self.settings.keep == "best":
            accuracy = readings.get("validation_accuracy", -1.0)
            better = self.world.leads and (at.best_epoch is None or accuracy > at.best_accuracy)
            if self.world.any(better):
                at.best_epoch, at.best_accuracy = epoch, accuracy
                best = _copied(self.judged, self.state.head)
                self.state.best = best if self.world.leads else {}

    def save(self) -> None:
        """Write a checkpoint of this step. Raises NotFinite, and keeps the one before, for weights that are not."""
        finite = _all_finite(self.method.learner) and _all_finite(self.state.head)
        if self.world.any(not finite):
            raise NotFinite(
                f"a weight became NaN or infinite at step {self.at.step}; the last checkpoint from before is kept: clone the "
                "run with a lower learning rate"
            )
        self.at.cpu_s = self._cpu_before + time.process_time() - self._started_cpu
        checkpoint.save(self.folder, self.state, self.at, self.facts, self.world.leads)
        self.world.wait()

    def finish(self) -> None:
        """Give the method the weights that the settings choose."""
        method, best = self.method, self.state.best
        self.at.cpu_s = max(self.at.cpu_s, self._cpu_before)
        if best and self.world.leads:
            method.learner.load_state_dict(best["learner"])
        elif self.average is not None:
            method.learner.load_state_dict(self.average.network.state_dict())
        self.together.finish()
        if best and self.world.leads and method.head is not None:
            method.head.load_state_dict(best["head"])
        method.eval()

    def _batches(self, epoch: int, offset: int) -> Iterator[tuple[int, tuple[np.ndarray, list[Batch]]]]:
        """The steps of pass `epoch` from `offset` on: (number, (positions, one batch for each part of the step)).

        Positions are those of the step; a batch has the images that are this process's to pass.
        """
        settings, samples, count = self.settings, self.samples, len(self.samples.inputs)
        classes = {"identities": samples.identities, "groups": samples.groups}.get(settings.balance)
        sequence = order(self.seed, epoch, count, classes)
        mirrored = flips(self.seed, epoch, count) if settings.flip else np.zeros(count, bool)
        if settings.randaugment and isinstance(samples.inputs, ImageInputs):
            change = RandAugment(self.seed, epoch, count, settings.randaugment, settings.randaugment_magnitude)
            samples = replace(samples, inputs=samples.inputs.changed(change))

        def make(number: int) -> tuple[np.ndarray, list[Batch]]:
            parts = self.sampler.parts(sequence, epoch, number)
            shares, general = [self.together.mine(part) for part in parts], self.sampler.general
            return np.concatenate(parts), [
                samples.batch(share, mirrored[share], self.device, general) for share in shares
            ]

        numbers = range(offset, self.steps_per_epoch)
        yield from zip(numbers, ahead(make, numbers, samples.inputs.depth), strict=True)


def _solvers(method: Method, settings: Training) -> dict[str, optim.Optimizer]:
    """An optimiser each for network, classifier, and what else a method trains."""
    solvers = optimisers(method.learner, method.head, settings)
    taken = {id(weight) for part in (method.learner, method.head) if part is not None for weight in part.parameters()}
    others = [weight for weight in method.parameters() if weight.requires_grad and id(weight) not in taken]
    return {**solvers, "method": build(others, settings)} if others else solvers


def _remembered(method: Method, average: Average | None) -> dict[str, dict[str, Tensor]]:
    """What a checkpoint holds beside network and classifier: their mean, and what else the method learns or counts.

    A network inside the method that never learns, e.g. a teacher, is no part of it.
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
    if len(samples.inputs) < settings.epoch_images:
        general = " general images" if settings.pair_identities else ""
        takes = f"a batch takes {settings.general_rows}{general}"
        if settings.accumulate > 1:
            takes = f"a step takes {settings.accumulate} batches of {settings.general_rows}{general}"
        raise FairLabError(
            f"an epoch has no step: there are {len(samples.inputs)} images and {takes}; lower training.batch_size"
        )
    if settings.randaugment and not isinstance(samples.inputs, ImageInputs):
        raise FairLabError(
            "training.randaugment changes images, and this run learns from stored embeddings; leave it at 0 here"
        )
    if settings.balance == "groups" and samples.groups is None:
        raise FairLabError("training.balance 'groups' needs the groups of the images, and these came without")
    if settings.keep == "best" and hooks.validate is None:
        raise FairLabError(
            "training.keep 'best' chooses the epoch on validation people, and there are none: hold some training "
            "identities out with data.held_out, e.g. 0.1, or keep the last epoch"
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
    if saved.get("shares") != facts.get("shares"):
        raise FairLabError(
            "the soft group shares are not those this run started with (their fingerprint differs): import the same table "
            "again, or start a new run on the new shares"
        )
    was, here = {"devices": 1, **saved}, {"devices": 1, **facts}
    now = [name for name in here if name not in (ACCEPTED, *SIZES) and was.get(name) != here[name]]
    differing = [*saved.get(CHANGED, ()), *(name for name in now if name not in saved.get(CHANGED, ()))]
    if differing:
        hooks.note(f"not bitwise: {', '.join(differing)} changed since it started")
    return {**facts, CHANGED: differing} if differing else dict(facts)
