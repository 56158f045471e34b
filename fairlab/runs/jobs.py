"""What a run of each role does, from its parents' files to its own: train, embed, index, evaluate, map."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from fairlab import __version__
from fairlab.data.base import Dataset, open_dataset
from fairlab.data.demo import build_demo
from fairlab.data.recipes import build_recipe
from fairlab.data.sampling import identity_labels, training_rows
from fairlab.errors import FairLabError, Stopped
from fairlab.files import digest
from fairlab.runs import adding, assess, cross, importing, maps, overlap, spaces, tables
from fairlab.store.embeddings import open_embeddings
from fairlab.store.events import EventWriter
from fairlab.store.runs import RunRecord, read_run
from fairlab.workspace import Workspace

Stop = Callable[[], bool]


class Pulse(Protocol):
    """Where a job says how far it is."""

    def begin(self, stage: str, base: float, share: float, unit: str = "images") -> None: ...
    def advance(self, done: int, total: int, rate: float = 0.0) -> None: ...


def carry_out(workspace: Workspace, record: RunRecord, attempt: int, pulse: Pulse, stop: Stop) -> dict[str, Any]:
    """Do the whole job of a run; returns facts for its status. Raises Stopped or FairLabError."""
    if stop():  # asked while this process was starting; what comes next may take seconds to load
        raise Stopped
    if record.role == "dataset":
        return _make_data(workspace, record, pulse, stop)
    if record.role == "model":
        return _bring_in(workspace, record, pulse, stop)
    dataset = open_dataset(workspace.dataset(record.dataset))
    if record.role == "projection":
        return maps.draw(workspace, record, dataset, pulse, stop)
    if record.role in ("embedding", "evaluation"):
        return _look_elsewhere(workspace, record, dataset, pulse, stop)
    return _make_space(workspace, record, dataset, attempt, pulse, stop)


def _bring_in(workspace: Workspace, record: RunRecord, pulse: Pulse, stop: Stop) -> dict[str, Any]:
    """A model from a file: its network, or only what it said of some images."""
    if record.method == "inspect":
        return importing.inspect(record, pulse, stop)
    if record.method in tables.METHODS:
        return tables.METHODS[record.method](workspace, record, pulse)
    return importing.add(record, pulse, stop)


def _make_data(workspace: Workspace, record: RunRecord, pulse: Pulse, stop: Stop) -> dict[str, Any]:
    if record.method == "inspect":
        return adding.inspect(record, pulse, stop)
    if record.config.overlap is not None:
        return overlap.check(workspace, record, pulse, stop)
    if record.config.recipe is not None:
        made = build_recipe(record.config.recipe, workspace.dataset(record.dataset), record.dataset)
        return {"images": len(made.images), "fingerprint": made.fingerprint}
    if record.config.source is not None:
        return adding.add(workspace, record, pulse, stop)
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
    """Train what is to be trained, then embed every image, index and evaluate."""
    import torch

    from fairlab.methods.base import METHODS
    from fairlab.models.checkpoints import save_model
    from fairlab.training.loop import pick_device

    config = record.config
    if config.training is not None:
        torch.set_num_threads(config.training.threads)
    parents = spaces.model_parents(workspace, record)
    rows = training_rows(dataset.images, config.data, config.seed)
    labels, names = identity_labels(dataset.images.iloc[rows])
    dims = tuple(open_embeddings(parent.folder, record.dataset, "plain").vectors.shape[1] for parent in parents)
    torch.manual_seed(config.seed)
    method = METHODS[record.method](config, classes=len(names), image_px=dataset.image_px, teacher_dims=dims)
    facts: dict[str, Any] = {"classes": len(names), "training_images": len(rows), "parents": list(record.parents)}
    if config.training is not None:
        pulse.begin("training", 0.0, 0.9)
        facts |= _train(record, dataset, parents, method, rows, labels, attempt, pulse, stop)
        save_model(
            record.folder / "weights",
            method.learner,
            method.head,
            {**spaces.rebuild_facts(config, dataset, dims), "identities": names},
        )
    device = pick_device(config.training) if config.training else torch.device("cpu")
    everything = _inputs(dataset, parents, method.inputs, np.arange(len(dataset.images)))
    method.to(device)
    spaces.embed(record, dataset, method.learner, everything, device, pulse, stop)
    pulse.begin("evaluating", 0.97, 0.03)
    if len(dataset.pairs):
        facts |= assess.evaluate_run(record, dataset)
    else:  # a training set alone is a normal thing to have
        facts["not_evaluated"] = f"data set {record.dataset} has no pairs"
        print(f"[fairlab] not evaluated: data set {record.dataset} has no pairs", flush=True)
    return facts


def _look_elsewhere(
    workspace: Workspace, record: RunRecord, dataset: Dataset, pulse: Pulse, stop: Stop
) -> dict[str, Any]:
    """Embed a data set with the parents, whatever they were trained on, and for an evaluation judge them on its pairs."""
    judging = record.role == "evaluation"
    if judging and dataset.pairs.empty:
        raise FairLabError(f"data set {dataset.dataset_id} has no pairs to judge a model on; embed it and look instead")
    if record.method == cross.METHOD:
        return cross.verify(workspace, record, dataset, pulse, stop)
    share = 1 / max(len(record.parents), 1)
    facts: dict[str, Any] = {"images": len(dataset.images)}
    for number, name in enumerate(record.parents):
        model = read_run(workspace, name)
        if model.method in tables.METHODS:  # no network: nothing but what it once said
            facts |= tables.again(model, dataset, record.config.evaluation if judging else None)
            continue
        spaces.embed_elsewhere(workspace, model, dataset, pulse, stop, share * number, share * 0.9)
        if judging:
            pulse.begin("evaluating", share * (number + 0.9), share * 0.1, "runs")
            facts |= assess.evaluate_run(model, dataset, record.config.evaluation)
    return facts


def _inputs(dataset: Dataset, parents: list[RunRecord], kind: str, rows: np.ndarray) -> Any:
    """The network's inputs for these images: pixels, or the parents' embeddings side by side."""
    from fairlab.training.loader import ImageInputs

    if kind == "images":
        return ImageInputs(dataset.pixels, rows)
    return spaces.inputs_from_parents(parents, dataset, rows)


def _train(
    record: RunRecord,
    dataset: Dataset,
    parents: list[RunRecord],
    method: Any,
    rows: np.ndarray,
    labels: np.ndarray,
    attempt: int,
    pulse: Pulse,
    stop: Stop,
) -> dict[str, Any]:
    import torch

    from fairlab.training.loop import Hooks, Samples, train

    config, training = record.config, record.config.training
    assert training is not None
    targets = open_embeddings(parents[0].folder, record.dataset, "plain") if method.needs_targets else None
    samples = Samples(
        _inputs(dataset, parents, method.inputs, rows),
        labels,
        targets.vectors if targets is not None else None,
        rows if targets is not None else None,
    )
    facts = {
        "data": dataset.fingerprint,
        "config": digest(config.model_dump(mode="json")),
        "torch": torch.__version__,
        "fairlab": __version__,
        "threads": training.threads,
        "machine": platform.machine() + " " + platform.processor(),
        "device": training.device,
    }
    bitwise = True

    def note(text: str) -> None:
        nonlocal bitwise
        bitwise = bitwise and not text.startswith("not bitwise")
        print(f"[fairlab] {text}", flush=True)

    validate = assess.Validation(dataset, lambda images: _inputs(dataset, parents, method.inputs, images))
    with EventWriter(record.folder, attempt) as events:

        def reading(step: int, epoch: int, work_s: float, values: Mapping[str, float]) -> None:
            events.write(step, epoch, work_s, values)
            if "validation_accuracy" in values or step % 100 == 0:
                print(
                    f"[fairlab] step {step} epoch {epoch + 1} " + " ".join(f"{k}={v:.4g}" for k, v in values.items()),
                    flush=True,
                )

        hooks = Hooks(stop, reading, pulse.advance, note, validate if validate.possible else None)
        train(method, samples, training, config.seed, record.folder / "checkpoints", hooks, facts)
    return {"bitwise": bitwise}
