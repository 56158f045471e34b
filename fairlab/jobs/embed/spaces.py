"""A model's space over a data set: its network, the inputs it takes, the stored embeddings and their index."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from filelock import FileLock, Timeout

from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError, Stopped
from fairlab.jobs.embed.embedding import agreed, embed_view, embedded
from fairlab.jobs.embed.landmarks import landmarks_for
from fairlab.machine.staying import check
from fairlab.plan import choices
from fairlab.plan.records import check_model
from fairlab.settings.study import Run
from fairlab.store.embeddings import open_embeddings
from fairlab.store.index import build_index
from fairlab.store.runs import SPACES, RunRecord, read_run
from fairlab.training.world import ALONE, World
from fairlab.workspace import Workspace

VIEWS = ("plain", "flip")
Stop = Callable[[], bool]


class Pulse(Protocol):
    def begin(self, stage: str, base: float, share: float, unit: str = "images") -> None: ...
    def advance(self, done: int, total: int, rate: float = 0.0) -> None: ...


def rebuild_facts(config: Run, dataset: Dataset, dims: tuple[int, ...], embedding_dim: int) -> dict[str, Any]:
    """What is needed to build the network of a run again from its weights file; embedding_dim: what it ended up with."""
    if config.backbone is not None:
        settings = config.backbone.model_dump(mode="json")
        facts = {"kind": "backbone", "settings": settings, "image_px": dataset.image_px}
        return facts if embedding_dim == config.backbone.embedding_dim else {**facts, "project_to": embedding_dim}
    assert config.adaptor is not None
    return {"kind": "adaptor", "settings": config.adaptor.model_dump(mode="json"), "input_dims": list(dims)}


def model_parents(workspace: Workspace, record: RunRecord) -> list[RunRecord]:
    """The models that a run builds on; not the runs that made its data or embedded them."""
    parents = [read_run(workspace, name) for name in record.parents if name]
    return [parent for parent in parents if parent.role in SPACES]


def inputs_from_parents(
    parents: Sequence[RunRecord], dataset: Dataset, rows: np.ndarray, with_group: bool = False
) -> Any:
    """The parents' embeddings side by side, as a network's inputs; `with_group`: and whose own teacher each parent is.

    Raises FairLabError when that is asked for and a group has no teacher of its own.
    """
    from fairlab.training.loader import EmbeddingInputs

    plain, flipped = (
        [open_embeddings(parent.folder, dataset.dataset_id, view).vectors for parent in parents] for view in VIEWS
    )
    return EmbeddingInputs(plain, flipped, rows, own_teachers(parents, dataset) if with_group else None)


def own_teachers(parents: Sequence[RunRecord], dataset: Dataset) -> np.ndarray:
    """Of every image the number of the parent that was trained on its group alone, (N,) int.

    Groups are matched by name, so also in a data set that the parents were not trained on; parents of groups that it
    does not have, or of no one group, are nobody's own. Raises FairLabError unless each group has exactly one.
    """
    of_image = dataset.images["group"].to_numpy()
    own = np.full(len(of_image), -1)
    for group in dict.fromkeys(of_image):
        numbers = [number for number, parent in enumerate(parents) if parent.config.data.groups == (group,)]
        if len(numbers) != 1:
            raise FairLabError(
                f"group {group!r} of data set {dataset.dataset_id} needs exactly one teacher that was trained on it alone; "
                f"{len(numbers)} of the parents were: {', '.join(parent.title for parent in parents)}"
            )
        own[of_image == group] = numbers[0]
    return own


def embed(
    space: RunRecord,
    dataset: Dataset,
    learner: Any,
    inputs: Any,
    device: Any,
    pulse: Pulse,
    stop: Stop,
    base: float = 0.9,
    share: float = 0.07,
    flip: str = "sum",
    world: World = ALONE,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Store a space's embeddings of all images, as they are and mirrored, and index them; a whole view is kept.

    flip: how the two views are to be judged, see Preprocessing; kept beside the vectors, as is `more`. world: the processes
    that call this together and share the work; all return when everything is there. What was cut short goes on where it was.
    """
    about = getattr(inputs, "preprocessing", None)  # what looks at others' embeddings has none
    facts = {
        "run_id": space.run_id,
        "fingerprint": dataset.fingerprint,
        "parents": list(space.parents),
        "flip": flip,
        "image_px": dataset.image_px,
        "preprocessing": about.to_json() if about is not None else None,
        **(more or {}),
    }
    for number, view in enumerate(VIEWS):
        pulse.begin("embedding", base + 0.45 * share * number, 0.45 * share)
        embed_view(space, dataset, view, learner, inputs, device, facts, pulse, stop, world)
    if world.leads:
        pulse.begin("indexing", base + 0.9 * share, 0.1 * share)
        build_index(open_embeddings(space.folder, dataset.dataset_id, "plain"))
    world.wait()


def embed_elsewhere(
    workspace: Workspace,
    space: RunRecord,
    dataset: Dataset,
    pulse: Pulse,
    stop: Stop,
    base: float = 0.0,
    share: float = 1.0,
    world: World = ALONE,
) -> None:
    """Embed a data set with a model that was not trained on it; what it builds on comes first. world: as in embed.

    Raises FairLabError for a run that is no model.
    """
    check_model(space)
    if not agreed(world, world.leads and not all(embedded(space, dataset, view) for view in VIEWS)):
        return  # as the leader sees it: a shared folder may show others something else for a while
    parents = model_parents(workspace, space)
    learner, facts = network(space, dataset, parents)
    everything, more = np.arange(len(dataset.images)), dict[str, int]()
    if facts["kind"] in ("backbone", "onnx"):
        from fairlab.training.loader import ImageInputs

        about = preprocessing_of_model(facts)
        points, more = landmarks_for(space, facts, dataset, about.image_px)
        inputs: Any = ImageInputs(dataset.pixels_at(about.image_px), everything, about, points)
        flip = about.flip
    else:
        part = share / (len(parents) + 1)
        for number, parent in enumerate(parents):
            embed_elsewhere(workspace, parent, dataset, pulse, stop, base + part * number, part, world)
        base, share = base + part * len(parents), part
        inputs, flip = inputs_from_parents(parents, dataset, everything, needs_group(space.config)), "sum"
    device = _device(space)
    with _alone(space, stop, world):
        embed(space, dataset, learner.to(device), inputs, device, pulse, stop, base, share, flip, world, more)


def embed_parents(
    workspace: Workspace,
    record: RunRecord,
    dataset: Dataset,
    pulse: Pulse,
    stop: Stop,
    share: float,
    world: World = ALONE,
) -> float:
    """See to it that all models that a run builds on have embeddings of its data set; the share of the progress it took.

    0 where all had them: models that came from elsewhere, or of other data, have not. Raises FairLabError for a parent
    that is no model, or one without a network.
    """
    parents = model_parents(workspace, record)
    for parent in parents:
        check_model(parent)
    missing = [
        parent
        for parent in parents
        if agreed(world, world.leads and not all(embedded(parent, dataset, view) for view in VIEWS))
    ]
    part = share / max(len(missing), 1)
    for number, parent in enumerate(missing):
        embed_elsewhere(workspace, parent, dataset, pulse, stop, part * number, part, world)
    return share if missing else 0.0


def needs_group(config: Run) -> bool:
    """Does this run's network look at an image's group?"""
    name = config.adaptor.name if config.adaptor else config.method
    return bool(choices.common_spaces().get(name, {}).get("needs_group"))


@contextmanager
def _alone(space: RunRecord, stop: Stop, world: World) -> Iterator[None]:
    """Two runs that build on one model must not both write its embeddings; the second finds them made."""
    check(space.folder)  # a lock makes its folder
    lock = FileLock(space.folder / "embedding.lock", timeout=1)
    stopped = False
    while world.leads and not lock.is_locked and not stopped:
        try:
            lock.acquire()
        except Timeout:
            stopped = stop()
    if agreed(world, stopped):
        raise Stopped
    try:
        yield
    finally:
        lock.release()


def preprocessing_of_model(facts: Mapping[str, Any]) -> Any:
    """The Preprocessing in a model's facts; of a network of ours, RGB in -1..1 at the size it was trained on."""
    from fairlab.models.preprocessing import Preprocessing, preprocessing_from_json

    if "preprocessing" in facts:
        return preprocessing_from_json(facts["preprocessing"], "model.json")
    return Preprocessing(image_px=facts["image_px"])


def network(space: RunRecord, dataset: Dataset, parents: Sequence[RunRecord]) -> tuple[Any, dict[str, Any]]:
    """The network of a model and its facts; a baseline without weights is built from its method."""
    from fairlab.methods.base import METHODS
    from fairlab.models.files.checkpoints import load_learner

    if (space.folder / "weights").exists() or space.config.training is not None or not parents:
        learner, facts = load_learner(space.folder / "weights")
        return learner, facts
    dims = tuple(open_embeddings(parent.folder, space.dataset, "plain").vectors.shape[1] for parent in parents)
    method = METHODS[space.method](space.config, classes=2, image_px=dataset.image_px, teacher_dims=dims)
    return method.learner, {"kind": "adaptor"}


def _device(space: RunRecord) -> Any:
    from fairlab.settings.study import Training
    from fairlab.training.loop import pick_device

    return pick_device(space.config.training or Training())
