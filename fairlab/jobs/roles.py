"""What a run of each role does, from its parents' files to its own: train, embed, index, evaluate, map."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from fairlab import __version__
from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.holding_out import held_out_identities
from fairlab.data.recipes import build_recipe
from fairlab.data.sampling import identity_labels, training_rows
from fairlab.errors import FairLabError, Stopped
from fairlab.files import digest
from fairlab.jobs import maps
from fairlab.jobs.data import adding, drawing, overlap
from fairlab.jobs.embed import spaces
from fairlab.jobs.evaluate import assess, by_protocol, cross
from fairlab.jobs.models import importing, tables
from fairlab.jobs.train.teaching import Lessons
from fairlab.machine.temporaries import sweep
from fairlab.plan.records import METHOD, WITHOUT_NETWORK
from fairlab.store.events import EventWriter
from fairlab.store.runs import RunRecord, read_status
from fairlab.training.world import ALONE, World, from_environment
from fairlab.workspace import Workspace

Stop = Callable[[], bool]


class Pulse(Protocol):
    """Where a job says how far it is."""

    def begin(self, stage: str, base: float, share: float, unit: str = "images") -> None: ...
    def advance(self, done: int, total: int, rate: float = 0.0) -> None: ...


def carry_out(workspace: Workspace, record: RunRecord, attempt: int, pulse: Pulse, stop: Stop) -> dict[str, Any]:
    """Do the whole job of a run; returns facts for its status. Raises Stopped or FairLabError.

    In a process that is not the run's first: its part of what is shared, and no facts.
    """
    world, elsewhere = from_environment(), record.role in ("embedding", "evaluation")
    shared = elsewhere or record.config.training is not None
    if not world.leads and not shared:
        return {}
    if (world.size == 1 or not shared) and stop():  # asked while this process was starting, and the next takes seconds
        raise Stopped  # those that share a run agree once they have met, or one would wait for another that has left
    if record.role == "dataset":
        return _make_data(workspace, record, pulse, stop)
    if record.role == "model":
        return _bring_in(workspace, record, pulse, stop)
    dataset = open_dataset(workspace.dataset(record.dataset))
    if dataset.marked and world.leads:
        print(f"[fairlab] {dataset.marked}", flush=True)
    if record.role == "projection":
        return maps.draw(workspace, record, dataset, pulse, stop)
    if elsewhere:
        with world.joined(_best_device() if world.size > 1 else "cpu"):
            _agree(world, stop)
            return _look_elsewhere(workspace, record, dataset, pulse, stop, world)
    return _make_space(workspace, record, dataset, attempt, pulse, stop)


def _agree(world: World, stop: Stop) -> None:
    """Raise Stopped in all processes when one of them was asked to stop."""
    if world.any(stop()):
        raise Stopped


def _best_device() -> str:
    from fairlab.settings.study import Training
    from fairlab.training.loop import pick_device

    return pick_device(Training()).type


def _bring_in(workspace: Workspace, record: RunRecord, pulse: Pulse, stop: Stop) -> dict[str, Any]:
    """A model from a file: its network, or only what it said of some images."""
    if record.method == "inspect":
        return importing.inspect(record, pulse, stop)
    if record.method in WITHOUT_NETWORK:
        told = tables.METHODS[record.method](workspace, record, pulse)
    else:
        told = importing.add(record, pulse, stop)
    chosen_on = record.config.model.chosen_on if record.config.model else None
    return told if chosen_on is None else {**told, "chosen_on": chosen_on}


def _make_data(workspace: Workspace, record: RunRecord, pulse: Pulse, stop: Stop) -> dict[str, Any]:
    if record.method == "inspect":
        return adding.inspect(record, pulse, stop)
    sweep(workspace.datasets_folder)  # pixels that killed jobs left
    if record.config.overlap is not None:
        return overlap.check(workspace, record, pulse, stop)
    if record.config.drawing is not None:
        return drawing.carry_out(workspace, record, pulse, stop)
    facts = _data_of(workspace, record, pulse, stop)
    return facts | drawing.draw_again(workspace, open_dataset(workspace.dataset(record.dataset)), pulse, stop)


def _data_of(workspace: Workspace, record: RunRecord, pulse: Pulse, stop: Stop) -> dict[str, Any]:
    """The data set that a run makes: of others, of files, or of generated faces."""
    if record.config.recipe is not None:
        made = build_recipe(record.config.recipe, workspace.dataset(record.dataset), record.dataset)
        return {"images": len(made.images), "fingerprint": made.fingerprint}
    if record.config.source is not None:
        return adding.add(workspace, record, pulse, stop)
    from fairlab.data.demo.build import build_demo  # its textures load scipy's image filters: only this job waits

    demo = record.config.demo
    if demo is None:
        raise FairLabError(f"{record.run_id} says neither which faces to generate nor which data to add")
    pulse.begin("rendering faces", 0.0, 1.0)
    folder = workspace.dataset(record.dataset)
    if not (folder / "manifest.json").exists():
        started = time.monotonic()

        def progress(done: int, total: int) -> None:
            pulse.advance(done, total, done / max(time.monotonic() - started, 1e-9))

        build_demo(demo, folder, record.dataset, progress, stop)
        if stop() and not (folder / "manifest.json").exists():
            raise Stopped
    dataset = open_dataset(folder, verify=True)
    return {"images": len(dataset.images), "fingerprint": dataset.fingerprint}


def _make_space(
    workspace: Workspace, record: RunRecord, dataset: Dataset, attempt: int, pulse: Pulse, stop: Stop
) -> dict[str, Any]:
    """Train what is to be trained, then embed every image, index and evaluate.

    Several processes share training and embedding; the rest is the first one's.
    """
    from fairlab.training.loop import pick_device

    training, world, kind = record.config.training, ALONE, "cpu"
    if training is not None:
        world, kind = from_environment(), pick_device(training).type
    judge = _judge(workspace, record, dataset)
    with world.joined(kind):
        _agree(world, stop)
        facts = _train_and_embed(workspace, record, dataset, judge, attempt, pulse, stop, world)
    if not world.leads:
        return {}
    pulse.begin("evaluating", 0.99, 0.01)
    if len(judge.pairs):
        facts |= assess.evaluate_run(record, judge)
    else:  # a training set alone is a normal thing to have
        facts["not_evaluated"] = f"data set {judge.dataset_id} has no pairs"
        print(f"[fairlab] not evaluated: data set {judge.dataset_id} has no pairs", flush=True)
    return facts


def _train_and_embed(
    workspace: Workspace,
    record: RunRecord,
    dataset: Dataset,
    judge: Dataset,
    attempt: int,
    pulse: Pulse,
    stop: Stop,
    world: World,
) -> dict[str, Any]:
    import torch

    from fairlab.methods.base import METHODS
    from fairlab.models.files.checkpoints import save_model
    from fairlab.training.loop import pick_device

    config = record.config
    if config.training is not None:
        torch.set_num_threads(config.training.threads)
    rows = training_rows(dataset.images, config.data, config.seed)
    labels, names = identity_labels(dataset.images.iloc[rows])
    online = config.distillation is not None and config.distillation.online
    done = 0.0 if online else spaces.embed_parents(workspace, record, dataset, pulse, stop, 0.2, world)
    lessons = Lessons(workspace, record, dataset, rows, labels, names)
    parents, dims = lessons.parents, lessons.dims
    more = {} if lessons.inherited is None else {"inherited": lessons.inherited}
    torch.manual_seed(config.seed)
    build = METHODS[record.method]
    method = build(config, classes=len(names), image_px=dataset.image_px, teacher_dims=dims, **more)
    facts: dict[str, Any] = {"classes": len(names), "training_images": len(rows), "parents": list(record.parents)}
    if config.training is not None:
        pulse.begin("training", done, 0.9 - done)
        facts |= _train(workspace, record, dataset, lessons, method, rows, labels, attempt, pulse, stop, world)
        if world.leads:
            whose = {"identities": names, "data": dataset.fingerprint}
            about = {**spaces.rebuild_facts(config, dataset, dims, method.embedding_dim), **whose}
            save_model(record.folder / "weights", method.learner, method.head, about)
        world.wait()
    device = pick_device(config.training) if config.training else torch.device("cpu")
    everything = _inputs(dataset, parents, method, np.arange(len(dataset.images)))
    method.to(device)
    spaces.embed(record, dataset, method.learner, everything, device, pulse, stop, world=world)
    if judge is not dataset:
        facts["judged_on"] = judge.dataset_id
        spaces.embed_elsewhere(workspace, record, judge, pulse, stop, 0.97, 0.02, world)
    return facts


def _judge(workspace: Workspace, record: RunRecord, dataset: Dataset) -> Dataset:
    """The data set whose pairs a run is judged on."""
    name = record.config.data.judge
    return open_dataset(workspace.dataset(name)) if name and name != record.dataset else dataset


def _look_elsewhere(
    workspace: Workspace, record: RunRecord, dataset: Dataset, pulse: Pulse, stop: Stop, world: World = ALONE
) -> dict[str, Any]:
    """Embed a data set with the parents, whatever they were trained on, and for an evaluation judge them on its pairs.

    world: the processes that call this together; embedding and all comparisons are shared, the leader does the rest.
    """
    if record.method == by_protocol.METHOD:
        return by_protocol.judge(workspace, record, dataset, pulse, stop, world)
    judging = record.role == "evaluation"
    if judging and dataset.pairs.empty:
        raise FairLabError(
            f"data set {dataset.dataset_id} has no pairs to evaluate a model on; embed it and view its maps instead"
        )
    if record.method == METHOD:
        return cross.verify(workspace, record, dataset, pulse, stop, world)
    models = spaces.model_parents(workspace, record)
    share = 1 / max(len(models), 1)
    facts: dict[str, Any] = {"images": len(dataset.images)}
    for number, model in enumerate(models):
        if model.method in WITHOUT_NETWORK:  # no network: nothing but what it once said
            if not world.leads:
                continue
            facts |= tables.again(model, dataset, record.config.evaluation if judging else None)
            continue
        spaces.embed_elsewhere(workspace, model, dataset, pulse, stop, share * number, share * 0.9, world)
        if judging and world.leads:
            pulse.begin("evaluating", share * (number + 0.9), share * 0.1, "runs")
            facts |= assess.evaluate_run(model, dataset, record.config.evaluation)
    return facts


def _inputs(dataset: Dataset, parents: list[RunRecord], method: Any, rows: np.ndarray, px: int = 0) -> Any:
    """The network's inputs for these images: pixels (`px` wide, or as the data has them), or the parents' embeddings side
    by side.
    """
    from fairlab.training.loader import ImageInputs

    if method.inputs == "images":
        return ImageInputs(dataset.pixels_at(px) if px else dataset.pixels, rows)
    return spaces.inputs_from_parents(parents, dataset, rows, method.needs_group)


def _train(
    workspace: Workspace,
    record: RunRecord,
    dataset: Dataset,
    lessons: Lessons,
    method: Any,
    rows: np.ndarray,
    labels: np.ndarray,
    attempt: int,
    pulse: Pulse,
    stop: Stop,
    world: World,
) -> dict[str, Any]:
    import torch

    from fairlab.training.loop import ACCEPTED, Hooks, Samples, train

    config, training = record.config, record.config.training
    assert training is not None
    parents = lessons.parents
    samples = Samples(
        _inputs(dataset, parents, method, rows),
        labels,
        lessons.targets() if method.needs_targets else None,
        groups=dataset.images["group"].iloc[rows].factorize()[0],
    )
    facts = {
        "data": dataset.fingerprint,
        ACCEPTED: read_status(record.folder).get(ACCEPTED),
        "images": len(rows),
        "identities": len(np.unique(labels)),
        "config": digest(config.model_dump(mode="json", exclude_none=True)),  # a setting that is new is None
        "torch": torch.__version__,
        "fairlab": __version__,
        "threads": training.threads,
        "machine": platform.machine() + " " + platform.processor(),
        "device": training.device,
        "devices": world.size,
    }
    bitwise = True

    def note(text: str) -> None:
        nonlocal bitwise
        bitwise = bitwise and not text.startswith("not bitwise")
        print(f"[fairlab] {text}", flush=True)

    watched = dataset
    if config.data.held_out is None and not len(dataset.pairs_of("validation")):
        watched = _judge(workspace, record, dataset)

    def inputs(images: np.ndarray) -> Any:
        return _inputs(watched, parents, method, images, dataset.image_px)

    validate = assess.Validation(watched, inputs, config.data, config.seed)
    checkpoints, check = record.folder / "checkpoints", validate if validate.possible else None
    if not world.leads:
        silent = Hooks(stop, lambda *_: None, lambda *_: None, lambda _: None, check)
        train(method, samples, training, config.seed, checkpoints, silent, facts, world)
        return {}
    with EventWriter(record.folder, attempt) as events:

        def reading(step: int, epoch: int, work_s: float, values: Mapping[str, float]) -> None:
            events.write(step, epoch, work_s, values)
            if "validation_accuracy" in values or step % 100 == 0:
                print(
                    f"[fairlab] step {step} epoch {epoch + 1} " + " ".join(f"{k}={v:.4g}" for k, v in values.items()),
                    flush=True,
                )

        hooks = Hooks(stop, reading, pulse.advance, note, check)
        at = train(method, samples, training, config.seed, checkpoints, hooks, facts, world)
    told: dict[str, Any] = {"bitwise": bitwise}
    if config.data.held_out is not None:
        told["held_out_identities"] = len(held_out_identities(dataset.images, config.data, config.seed))
    if at.best_epoch is not None:  # never a test set: RFW or any other protocol is touched once, at the end
        told |= {"chosen_pass": at.best_epoch + 1, "chosen_on": "validation", "chosen_among": validate.people}
        told["chosen_accuracy"] = at.best_accuracy
    return told
