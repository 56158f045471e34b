"""The job that draws the maps of several spaces over the same images, each beside the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from fairlab.config import Projection
from fairlab.data.base import Dataset
from fairlab.errors import Stopped
from fairlab.projection import project, stratified_sample
from fairlab.store.embeddings import open_embeddings
from fairlab.store.projections import projection_key, read_projection, write_projection
from fairlab.store.runs import RunRecord, read_run
from fairlab.workspace import Workspace


class Pulse(Protocol):
    def begin(self, stage: str, base: float, share: float, unit: str = "images") -> None: ...
    def advance(self, done: int, total: int, rate: float = 0.0) -> None: ...


def draw(
    workspace: Workspace, record: RunRecord, dataset: Dataset, pulse: Pulse, stop: Callable[[], bool]
) -> dict[str, Any]:
    """Make the map of every parent's space; all start from the first common space's map, so that they compare.

    Maps that exist already (same embeddings, same settings, same reference) are kept.
    """
    settings = record.config.projection or Projection()
    spaces = [read_run(workspace, name) for name in record.parents]
    spaces.sort(key=lambda space: space.role != "adaptor")  # stable: adaptors first, the reference among them
    images = dataset.images
    chosen = stratified_sample(images["group"].to_numpy(), settings.max_points, settings.seed)
    reference: tuple[str, np.ndarray] | None = None
    pulse.begin("drawing maps", 0.0, 1.0, "maps")
    made = 0
    for number, space in enumerate(spaces):
        if stop():
            raise Stopped
        embeddings = open_embeddings(space.folder, record.dataset, "plain")
        aligned_to = reference[0] if reference else ""
        key = projection_key(embeddings, settings, aligned_to)
        known = read_projection(space.folder, key)
        if known is None:
            xy, facts = project(embeddings.vectors[chosen], settings, init=reference[1] if reference else None)
            facts |= {"aligned_to": aligned_to, "shown": len(chosen), "of": len(images), "dataset": record.dataset}
            write_projection(space.folder, key, space.run_id, embeddings.ids[chosen], xy, facts)
            made += 1
        else:
            xy = known.points[["x", "y"]].to_numpy(np.float32)
        reference = reference or (space.run_id, xy)
        pulse.advance(number + 1, len(spaces))
    return {"maps": len(spaces), "made": made}
