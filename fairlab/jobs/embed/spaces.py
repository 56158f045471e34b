"""A model's space over a data set: its network, the inputs it takes, the stored embeddings and their index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError, Stopped
from fairlab.jobs.embed.embedding import Network, agreed, embed_view, embedded
from fairlab.jobs.embed.landmarks import landmarks_for
from fairlab.jobs.job import Job
from fairlab.machine.staying import check
from fairlab.plan import choices
from fairlab.plan.records import check_model
from fairlab.settings.study import Run
from fairlab.store.embeddings import open_embeddings
from fairlab.store.index import build_index
from fairlab.store.records import read_weights
from fairlab.store.runs import SPACES, RunRecord, read_run
from fairlab.workspace import Workspace

VIEWS = ("plain", "flip")
RAW = "raw"
"""What an adaptor's facts say under "blocks" where its parents' embeddings keep their length."""


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
    parents: Sequence[RunRecord],
    dataset: Dataset,
    rows: np.ndarray,
    own: np.ndarray | None = None,
    raw: bool = False,
) -> Any:
    """The parents' embeddings side by side, as a network's inputs.

    own: as own_teachers, for networks that look at it; raw: embeddings of the length that the parents gave them.
    """
    from fairlab.training.loader import EmbeddingInputs, OfTheirLength

    def vectors(parent: RunRecord, view: str) -> Any:
        store = open_embeddings(parent.folder, dataset.dataset_id, view)
        return OfTheirLength(store.vectors, store.norms) if raw else store.vectors

    plain, flipped = ([vectors(parent, view) for parent in parents] for view in VIEWS)
    return EmbeddingInputs(plain, flipped, rows, own)


def own_teachers(parents: Sequence[RunRecord], dataset: Dataset, groups: Sequence[str] = ()) -> np.ndarray:
    """Of every image the number of the parent that was trained on its group alone, (N,) int.

    groups: the group of each parent, where an imported adaptor says so; empty: as the parents were trained. Groups are
    matched by name, so also in a data set that the parents were not trained on; parents of groups that it does not
    have, or of no one group, are nobody's own. Raises FairLabError unless each group has exactly one.
    """
    of_image = dataset.images["group"].to_numpy()
    own = np.full(len(of_image), -1)
    taught: list[tuple[str, ...]] = [(group,) for group in groups] or [parent.config.data.groups for parent in parents]
    for group in dict.fromkeys(of_image):
        numbers = [number for number, of in enumerate(taught) if of == (group,)]
        if len(numbers) != 1:
            raise FairLabError(
                f"group {group!r} of data set {dataset.dataset_id} needs exactly one teacher that was trained on it alone; "
                f"{len(numbers)} of the parents were: {', '.join(parent.title for parent in parents)}"
            )
        own[of_image == group] = numbers[0]
    return own


def embed(job: Job, looking: Network) -> None:
    """Store a space's embeddings of all images, as they are and mirrored, and index them; a whole view is kept.

    The processes of the job call this together and share the work; all return when everything is there. What was cut
    short goes on where it was.
    """
    space, dataset = looking.space, job.dataset
    about = getattr(looking.inputs, "preprocessing", None)  # what looks at others' embeddings has none
    facts = {
        "run_id": space.run_id,
        "fingerprint": dataset.fingerprint,
        "parents": list(space.parents),
        "flip": looking.flip,
        "image_px": dataset.image_px,
        "preprocessing": about.to_json() if about is not None else None,
        **looking.facts,
    }
    for view in VIEWS:
        part = job.part(0.45)
        part.progress.begin("embedding")
        embed_view(part, looking, view, facts)
    if job.world.leads:
        job.progress.part(0.1, "indexing")
        build_index(open_embeddings(space.folder, dataset.dataset_id, "plain"))
    job.world.wait()


def embed_elsewhere(job: Job, space: RunRecord) -> None:
    """Embed the job's data set with a model that was not trained on it; what it builds on comes first.

    The processes of the job call this together, as embed. Raises FairLabError for a run that is no model.
    """
    check_model(space)
    if not _missing(job, space):
        return
    dataset, parents = job.dataset, model_parents(job.workspace, space)
    learner, about = network(space, dataset, parents)
    everything, facts, flip = np.arange(len(dataset.images)), dict[str, Any](), "sum"
    if about["kind"] in ("backbone", "onnx"):
        from fairlab.training.loader import ImageInputs

        way = preprocessing_of_model(about)
        points, facts = landmarks_for(space, about, dataset, way.image_px)
        inputs: Any = ImageInputs(dataset.pixels_at(way.image_px), everything, way, points)
        flip = way.flip
    else:
        share = 1 / (len(parents) + 1)
        for parent in parents:
            embed_elsewhere(job.part(share), parent)
        own = own_teachers(parents, dataset, groups_of(space)) if needs_group(space) else None
        raw = about.get("blocks") == RAW
        facts = {"blocks": RAW} if raw else {}
        inputs, job = inputs_from_parents(parents, dataset, everything, own, raw), job.part(share)
    device = _device(space)
    with _alone(job, space):
        embed(job, Network(space, learner.to(device), inputs, device, flip, facts))


def embed_parents(job: Job, share: float) -> float:
    """See to it that all models that a run builds on have embeddings of its data set; the share of the progress it took.

    0 where all had them: models that came from elsewhere, or of other data, have not. Raises FairLabError for a parent
    that is no model, or one without a network.
    """
    parents = model_parents(job.workspace, job.record)
    for parent in parents:
        check_model(parent)
    missing = [parent for parent in parents if _missing(job, parent)]
    for parent in missing:
        embed_elsewhere(job.part(share / len(missing)), parent)
    return share if missing else 0.0


def _missing(job: Job, space: RunRecord) -> bool:
    """Does the space lack a view of the job's data set? As the leader sees it: a shared folder may show others something
    else for a while.
    """
    return agreed(job.world, job.world.leads and not all(embedded(space, job.dataset, view) for view in VIEWS))


def needs_group(space: RunRecord) -> bool:
    """Does this model's network look at an image's group? Which adaptor came from a file, its weights say."""
    config = space.config
    name = config.adaptor.name if config.adaptor else config.method
    if config.model is not None:
        name = str(read_weights(space.folder).get("settings", {}).get("name"))
    return bool(choices.common_spaces().get(name, {}).get("needs_group"))


def groups_of(space: RunRecord) -> tuple[str, ...]:
    """Whose teacher each parent of an imported adaptor is, where its import says so."""
    return space.config.model.groups if space.config.model is not None else ()


@contextmanager
def _alone(job: Job, space: RunRecord) -> Iterator[None]:
    """Two runs that build on one model must not both write its embeddings; the second finds them made."""
    check(space.folder)  # a lock makes its folder
    lock = FileLock(space.folder / "embedding.lock", timeout=1)
    stopped = False
    while job.world.leads and not lock.is_locked and not stopped:
        try:
            lock.acquire()
        except Timeout:
            stopped = job.stop()
    if agreed(job.world, stopped):
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
