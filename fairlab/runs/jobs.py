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
from fairlab.files import digest, write_manifest
from fairlab.runs import adding, assess, maps, overlap
from fairlab.store.embeddings import EmbeddingWriter, has_embeddings, open_embeddings
from fairlab.store.events import EventWriter
from fairlab.store.index import build_index
from fairlab.store.runs import RunRecord, read_run
from fairlab.workspace import Workspace

VIEWS = ("plain", "flip")
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
    dataset = open_dataset(workspace.dataset(record.dataset))
    if record.role == "projection":
        return maps.draw(workspace, record, dataset, pulse, stop)
    if record.role == "embedding":
        return _embed_elsewhere(workspace, record, dataset, pulse, stop)
    if record.role == "evaluation":
        return assess.again(workspace, record, dataset, pulse)
    return _make_space(workspace, record, dataset, attempt, pulse, stop)


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
    parents = [read_run(workspace, name) for name in record.parents if name]
    parents = [parent for parent in parents if parent.role != "dataset"]
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
            {**_rebuild(config, dataset, dims), "identities": names},
        )
    device = pick_device(config.training) if config.training else torch.device("cpu")
    everything = _inputs(dataset, parents, method.inputs, np.arange(len(dataset.images)))
    method.to(device)
    _embed(record, dataset, method.learner, everything, device, pulse, stop)
    pulse.begin("evaluating", 0.97, 0.03)
    if len(dataset.pairs):
        facts |= assess.evaluate_run(record, dataset)
    else:  # a training set alone is a normal thing to have
        facts["not_evaluated"] = f"data set {record.dataset} has no pairs"
        print(f"[fairlab] not evaluated: data set {record.dataset} has no pairs", flush=True)
    names_now = [str(path.relative_to(record.folder)) for path in sorted(record.folder.rglob("*")) if _final(path)]
    write_manifest(record.folder, names_now, run_id=record.run_id)
    return facts


def _final(path: Any) -> bool:
    """Files of a finished run that never change again."""
    kept = {".safetensors", ".npy", ".parquet"}
    return path.suffix in kept and "checkpoints" not in path.parts and "projections" not in path.parts


def _rebuild(config: Any, dataset: Dataset, dims: tuple[int, ...]) -> dict[str, Any]:
    """What is needed to build the network again from its weights file."""
    if config.backbone is not None:
        return {"kind": "backbone", "settings": config.backbone.model_dump(mode="json"), "image_px": dataset.image_px}
    return {"kind": "adaptor", "settings": config.adaptor.model_dump(mode="json"), "input_dims": list(dims)}


def _inputs(dataset: Dataset, parents: list[RunRecord], kind: str, rows: np.ndarray) -> Any:
    """The network's inputs for these images: pixels, or the parents' embeddings side by side."""
    from fairlab.training.loader import EmbeddingInputs, ImageInputs

    if kind == "images":
        return ImageInputs(dataset.pixels, rows)
    plain, flipped = (
        [open_embeddings(parent.folder, dataset.dataset_id, view).vectors for parent in parents] for view in VIEWS
    )
    return EmbeddingInputs(plain, flipped, rows)


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


def _embed(
    space: RunRecord, dataset: Dataset, learner: Any, inputs: Any, device: Any, pulse: Pulse, stop: Stop
) -> None:
    """Store a space's embeddings of all images, as they are and mirrored, and index them; a whole view is kept."""
    from fairlab.training.extract import extract

    facts = {"run_id": space.run_id, "fingerprint": dataset.fingerprint, "parents": list(space.parents)}
    for number, view in enumerate(VIEWS):
        pulse.begin("embedding", 0.9 + 0.03 * number, 0.03)
        if has_embeddings(space.folder, dataset.dataset_id, view):
            continue
        with EmbeddingWriter(space.folder, dataset.dataset_id, view, inputs.rows, facts) as sink:
            if not extract(learner, inputs, view == "flip", device, sink, pulse.advance, stop):
                raise Stopped
    pulse.begin("indexing", 0.96, 0.01)
    build_index(open_embeddings(space.folder, dataset.dataset_id, "plain"))


def _embed_elsewhere(
    workspace: Workspace, record: RunRecord, dataset: Dataset, pulse: Pulse, stop: Stop
) -> dict[str, Any]:
    """Embed a data set that the parent run was not trained on."""
    import torch

    from fairlab.models.checkpoints import load_learner

    space = read_run(workspace, record.parents[0])
    parents = [read_run(workspace, name) for name in space.parents]
    parents = [parent for parent in parents if parent.role != "dataset"]
    learner, facts = load_learner(space.folder / "weights")
    kind = "images" if facts["kind"] == "backbone" else "embeddings"
    if kind == "images" and facts["image_px"] != dataset.image_px:
        raise FairLabError(
            f"{space.run_id} takes images of {facts['image_px']} px, data set {dataset.dataset_id} has {dataset.image_px} px"
        )
    if kind == "embeddings":
        for parent in parents:
            if not has_embeddings(parent.folder, dataset.dataset_id, "plain"):
                raise FairLabError(
                    f"{parent.run_id} has no embeddings of {dataset.dataset_id}: run "
                    f"`fairlab embed {parent.run_id} {dataset.dataset_id}` first"
                )
    inputs = _inputs(dataset, parents, kind, np.arange(len(dataset.images)))
    _embed(space, dataset, learner, inputs, torch.device("cpu"), pulse, stop)
    return {"images": len(dataset.images)}
