"""The job that draws the maps of several spaces over the same images, each beside the first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from fairlab.config import Projection
from fairlab.data.base import Dataset
from fairlab.errors import Stopped
from fairlab.projection import project, stratified_sample, usable
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

    Maps that exist already (same embeddings, same settings, same reference) are kept. A map of hardly any different
    vectors is no reference: the next one is.
    """
    settings = record.config.projection or Projection()
    spaces = [read_run(workspace, name) for name in record.parents]
    spaces.sort(key=lambda space: space.role != "adaptor")  # stable: adaptors first, the reference among them
    images = dataset.images
    chosen = stratified_sample(images["group"].to_numpy(), settings.max_points, settings.seed)
    reference: tuple[str, np.ndarray] | None = None
    pulse.begin("drawing maps", 0.0, 1.0, "maps")
    made, notes = 0, list[str]()
    for number, space in enumerate(spaces):
        if stop():
            raise Stopped
        embeddings = open_embeddings(space.folder, record.dataset, "plain")
        aligned_to = reference[0] if reference else ""
        key = projection_key(embeddings, settings, aligned_to)
        known = read_projection(space.folder, key)
        if known is None or not known.whole:
            xy, facts = project(embeddings.vectors[chosen], settings, init=reference[1] if reference else None)
            facts |= {
                "aligned_to": aligned_to if facts.pop("aligned") else "",
                "shown": len(chosen),
                "of": len(images),
                "dataset": record.dataset,
            }
            write_projection(space.folder, key, space.run_id, embeddings.ids[chosen], xy, facts)
            made += 1
        else:
            xy, facts = known.points[["x", "y"]].to_numpy(np.float32), known.facts
        if not facts.get("degenerate") and usable(xy):
            reference = reference or (space.run_id, xy)
        notes += [f"{space.title}: {note}" for note in remarks(facts)]
        pulse.advance(number + 1, len(spaces))
    for note in notes:
        print(f"[fairlab] {note}", flush=True)
    return {"maps": len(spaces), "made": made, "notes": notes}


def remarks(facts: Mapping[str, Any]) -> list[str]:
    """What a map's facts say against it, as sentences."""
    reason = facts.get("trust_reason")
    return [*facts.get("notes", ()), *([f"trustworthiness n/a: {reason}"] if reason else [])]
