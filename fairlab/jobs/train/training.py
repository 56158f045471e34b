"""The training of a run: what it learns from and is watched on, what its checkpoints remember, and its readings."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fairlab import __version__
from fairlab.data.dataset import Dataset
from fairlab.data.holding_out import held_out_identities
from fairlab.data.shares import Shares, margin_factors, needed_shares
from fairlab.errors import FairLabError
from fairlab.files import digest
from fairlab.jobs.embed import spaces
from fairlab.jobs.evaluate import assess
from fairlab.jobs.job import Job
from fairlab.jobs.train.teaching import Lessons
from fairlab.settings.loss import AngleLoss
from fairlab.store.events import EventWriter
from fairlab.store.runs import RunRecord, read_status

PRINTED_EVERY = 100
"""Steps between the readings that the log shows."""


def train(job: Job, lessons: Lessons, method: Any, judge: Dataset) -> dict[str, Any]:
    """Train `method` to the end; returns facts for the run's status, none where the process does not lead.

    judge: where the people to validate on come from when the data set has none.
    """
    from fairlab.training import loop

    job.progress.begin("training")
    config, training, dataset = job.record.config, job.record.config.training, job.dataset
    assert training is not None
    groups, names = dataset.images["group"].iloc[lessons.rows].factorize()
    samples = loop.Samples(
        inputs_of(dataset, lessons.parents, method, lessons.rows),
        lessons.labels,
        lessons.targets() if method.needs_targets else None,
        groups=groups,
        group_names=tuple(map(str, names)),
        margin_factors=_margin_factors(job, lessons),
    )
    course = loop.Course(training, config.seed, job.record.folder / "checkpoints", _facts(job, lessons))
    validate = _validation(job, lessons, method, judge)
    check = validate if validate.possible else None
    if not job.world.leads:
        silent = loop.Hooks(job.stop, lambda *_: None, lambda *_: None, lambda _: None, check)
        loop.train(method, samples, course, silent, job.world)
        return {}
    with EventWriter(job.record.folder, job.attempt) as events:
        log = _Log(events)
        hooks = loop.Hooks(job.stop, log.reading, job.progress.advance, log.note, check)
        at = loop.train(method, samples, course, hooks, job.world)
    outcome: dict[str, Any] = {"bitwise": log.bitwise}
    if config.data.held_out is not None:
        outcome["held_out_identities"] = len(held_out_identities(dataset.images, config.data, config.seed))
    if at.best_epoch is not None:  # never a test set: RFW or any other protocol is touched once, at the end
        outcome |= {"chosen_pass": at.best_epoch + 1, "chosen_on": "validation", "chosen_among": validate.people}
        outcome["chosen_accuracy"] = at.best_accuracy
    return outcome


def _shares(job: Job) -> Shares | None:
    """The soft group shares that the run's margins follow; None where they do not. Raises FairLabError without shares."""
    loss = job.record.config.loss
    if not isinstance(loss, AngleLoss) or loss.margin_factor == "none":
        return None
    return needed_shares(job.dataset, f"loss.margin_factor = {loss.margin_factor}")


def _margin_factors(job: Job, lessons: Lessons) -> np.ndarray | None:
    """What each training image's margin is multiplied by (N,); None where the loss has one margin for all.

    Raises FairLabError for data without shares, and for an identity whose images have none.
    """
    shares = _shares(job)
    if shares is None:
        return None
    known = np.bincount(lessons.labels, shares.known[lessons.rows], len(lessons.names))
    if not known.all():
        lacking = [name for name, count in zip(lessons.names, known, strict=True) if not count]
        raise FairLabError(
            f"loss.margin_factor = shares: {len(lacking):,} identities to train on have no image with soft group shares, e.g. "
            f"{lacking[0]!r}; import a table that names them, or train on a data set without them"
        )
    return margin_factors(np.asarray(shares.values[lessons.rows]), lessons.labels)


def inputs_of(dataset: Dataset, parents: Sequence[RunRecord], method: Any, rows: np.ndarray, px: int = 0) -> Any:
    """The network's inputs for these images: pixels (`px` wide, or as the data has them), or the parents' embeddings side
    by side.
    """
    from fairlab.training.loader import ImageInputs

    if method.inputs == "images":
        return ImageInputs(dataset.pixels_at(px) if px else dataset.pixels, rows)
    own = spaces.own_teachers(parents, dataset) if method.needs_group else None
    return spaces.inputs_from_parents(parents, dataset, rows, own)


def _facts(job: Job, lessons: Lessons) -> dict[str, Any]:
    """What a checkpoint remembers of data, settings and machine, to be compared when the run is resumed."""
    import torch

    from fairlab.training.loop import ACCEPTED

    training, shares = job.record.config.training, _shares(job)
    assert training is not None
    return {
        **({} if shares is None else {"shares": shares.fingerprint}),
        "data": job.dataset.fingerprint,
        ACCEPTED: read_status(job.record.folder).get(ACCEPTED),
        "images": len(lessons.rows),
        "identities": len(np.unique(lessons.labels)),
        "config": digest(job.record.config.model_dump(mode="json", exclude_defaults=True)),
        "torch": torch.__version__,
        "fairlab": __version__,
        "threads": training.threads,
        "machine": platform.machine() + " " + platform.processor(),
        "device": training.device,
        "devices": job.world.size,
    }


def _validation(job: Job, lessons: Lessons, method: Any, judge: Dataset) -> assess.Validation:
    """The check after every pass, on the data set's own people where it has some to validate on."""
    config, dataset = job.record.config, job.dataset
    has_people = config.data.held_out is not None or len(dataset.pairs_of("validation")) > 0
    watched = dataset if has_people else judge

    def inputs(images: np.ndarray) -> Any:
        return inputs_of(watched, lessons.parents, method, images, dataset.image_px)

    return assess.Validation(watched, inputs, config.data, config.seed)


class _Log:
    """Where the training says what it reads and notes: the run's events, and some of it the log of the process."""

    def __init__(self, events: EventWriter) -> None:
        self.events, self.bitwise = events, True

    def note(self, text: str) -> None:
        self.bitwise = self.bitwise and not text.startswith("not bitwise")
        print(f"[fairlab] {text}", flush=True)

    def reading(self, step: int, epoch: int, work_s: float, values: Mapping[str, float]) -> None:
        from fairlab.methods.base import COUNTS

        self.events.write(step, epoch, work_s, values)
        if "validation_accuracy" in values or step % PRINTED_EVERY == 0:
            shown = {name: value for name, value in values.items() if not name.startswith(COUNTS)}
            print(
                f"[fairlab] step {step} epoch {epoch + 1} " + " ".join(f"{k}={v:.4g}" for k, v in shown.items()),
                flush=True,
            )
