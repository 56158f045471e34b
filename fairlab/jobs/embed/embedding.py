"""One view of a data set embedded by a model: in parts where it is large, by one process or by several together."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fairlab import __version__
from fairlab.data.dataset import Dataset
from fairlab.errors import Stopped
from fairlab.files import MANIFEST, read_json, read_manifest, write_json
from fairlab.jobs.job import Job
from fairlab.machine.temporaries import sweep
from fairlab.store.embedding_parts import EmbeddingParts
from fairlab.store.embeddings import EmbeddingWriter, has_embeddings, open_embeddings
from fairlab.store.runs import RunRecord
from fairlab.training.world import World

LOOK_S = 2.0
"""How often the leading process looks what the others have done."""


@dataclass(frozen=True)
class Network:
    """The network of a space, ready to look at all images of a data set."""

    space: RunRecord
    """The model whose embeddings they become."""
    learner: Any
    inputs: Any
    device: Any
    flip: str = "sum"
    """How the two views are to be judged together, see models.preprocessing.Preprocessing."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else is to be kept beside the vectors."""

    def view(self, name: str) -> Any:
        """What it sees of a view, "plain" or "flip" (training.extract.View)."""
        from fairlab.training.extract import View

        return View(self.learner, self.inputs, name == "flip", self.device)


def agreed(world: World, flag: bool) -> bool:
    """True in all processes when it is in one; they wait for each other first, however long one of them takes."""
    world.wait()
    return world.any(flag)


def embedded(space: RunRecord, dataset: Dataset, view: str = "plain") -> bool:
    """Has the space embeddings of these very images? Not of an earlier data set of the same name."""
    if not has_embeddings(space.folder, dataset.dataset_id, view):
        return False
    return open_embeddings(space.folder, dataset.dataset_id, view).facts.get("fingerprint") == dataset.fingerprint


def embed_view(job: Job, network: Network, view: str, facts: Mapping[str, Any]) -> None:
    """Store one view ("plain" or "flip") of the job's data set with these facts unless it is there.

    All processes of the job call it together. A view of one part is made by the leader alone and written at once. Raises
    Stopped in all when one was asked to.
    """
    from fairlab.training.extract import PART

    space, dataset, world = network.space, job.dataset, job.world
    key = _key(network, dataset, facts)
    parts = EmbeddingParts(space.folder, dataset.dataset_id, view, network.inputs.rows, PART, key)
    if world.leads:
        sweep(parts.target.parent)
    if not agreed(world, world.leads and not embedded(space, dataset, view)):
        if world.leads:
            parts.discard()  # killed after all was put together
        return
    if parts.count == 1:
        finished = _at_once(job, network, view, facts) if world.leads else True
    else:
        finished = _in_parts(job, network, view, parts)
    if agreed(world, not finished):
        raise Stopped
    if world.leads and parts.count > 1:
        parts.merge(dict(facts))
    elif world.leads:
        parts.discard()  # of data that were larger
    world.wait()


def _at_once(job: Job, network: Network, view: str, facts: Mapping[str, Any]) -> bool:
    """Make the whole view; False when stopped before."""
    from fairlab.training.extract import extract

    folder, rows = network.space.folder, network.inputs.rows
    try:
        with EmbeddingWriter(folder, job.dataset.dataset_id, view, rows, dict(facts)) as sink:
            if not extract(network.view(view), sink, job.progress.advance, job.stop):
                raise Stopped
    except Stopped:
        return False
    return True


def _in_parts(job: Job, network: Network, view: str, parts: EmbeddingParts) -> bool:
    """Make this process's share of the missing parts; False when stopped before."""
    from fairlab.training.extract import extract_parts

    world, total = job.world, len(network.inputs)
    todo = parts.folder / "todo.json"
    if world.leads:  # one process decides what is whole, so that no part is made twice or not at all
        write_json(todo, parts.prepare())
    world.wait()
    missing = read_json(todo, list)
    started, before, looked, others = time.monotonic(), total - _rows(parts, missing), 0.0, 0
    own = missing[world.rank :: world.size]
    mine = _Own(parts)

    def progress(done: int) -> None:
        nonlocal looked, others
        now = time.monotonic()
        if world.size > 1 and now - looked > LOOK_S:
            looked, others = now, parts.rows_there() - before - mine.rows
        made = max(others, 0) + done
        job.progress.advance(min(before + made, total), total, made / max(now - started, 1e-9))

    return extract_parts(network.view(view), own, mine.save, progress if world.leads else _silent, job.stop)


class _Own:
    """Saves parts and counts their rows."""

    def __init__(self, parts: EmbeddingParts) -> None:
        self.parts, self.rows = parts, 0

    def save(self, number: int, vectors: Any, norms: Any) -> None:
        self.parts.save(number, vectors, norms)
        self.rows += len(vectors)


def _silent(_done: int) -> None: ...


def _rows(parts: EmbeddingParts, numbers: list[int]) -> int:
    return sum(rows.stop - rows.start for rows in map(parts.rows, numbers))


def _key(network: Network, dataset: Dataset, facts: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides the vectors: images, weights or what the network looks at instead, and what computes them."""
    from fairlab.training.extract import computed_by

    space = network.space
    weights = space.folder / "weights"
    return {
        "facts": dict(facts),
        "weights": read_manifest(weights)["files"] if (weights / MANIFEST).exists() else {},
        "parents": [_hashes(space.folder.with_name(name), dataset.dataset_id) for name in space.parents if name],
        "fairlab": __version__,
        **computed_by(network.device),
    }


def _hashes(folder: Any, dataset_id: str) -> list[str]:
    views = [view for view in ("plain", "flip") if has_embeddings(folder, dataset_id, view)]
    return [open_embeddings(folder, dataset_id, view).hash for view in views]
