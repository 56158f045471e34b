"""The job that draws the maps of several spaces over the same images, each beside the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from fairlab.errors import FairLabError
from fairlab.files import digest
from fairlab.jobs.job import Job
from fairlab.jobs.projection import project, stratified_sample, usable
from fairlab.settings.study import Projection
from fairlab.store.embeddings import Embeddings, open_embeddings
from fairlab.store.projections import projection_key, read_projection, write_projection
from fairlab.store.runs import RunRecord, read_run


def draw(job: Job) -> dict[str, Any]:
    """Make the map of every parent's space; all start from the first common space's map, so that they compare.

    Maps that exist already (same embeddings, same settings, same reference) are kept. A map of hardly any different
    vectors is no reference: the next one is.
    """
    record, dataset = job.record, job.dataset
    settings = record.config.projection or Projection()
    spaces = [read_run(job.workspace, name) for name in record.parents]
    spaces.sort(key=lambda space: space.role != "adaptor")  # stable: adaptors first, the reference among them
    known = [open_embeddings(space.folder, record.dataset, "plain") for space in spaces]
    ids, part = _common(known, spaces, record.dataset)
    groups = dataset.images["group"].to_numpy()[ids]
    ids = ids[stratified_sample(groups, settings.max_points, settings.seed)]
    about = {"shown": len(ids), "of": len(dataset.images), "dataset": record.dataset}
    reference: tuple[str, np.ndarray] | None = None
    job.progress.begin("drawing maps", "maps")
    made, notes = 0, list[str]()
    for number, (space, embeddings) in enumerate(zip(spaces, known, strict=True)):
        job.go_on()
        beside, init = reference or ("", None)
        key = projection_key(embeddings, settings, beside, part)
        there = read_projection(space.folder, key)
        if there is None or not there.whole:
            xy, facts = project(embeddings.vectors[embeddings.rows_of(ids)], settings, init)
            facts |= {"aligned_to": beside if facts.pop("aligned") else "", **about}
            write_projection(space.folder, key, space.run_id, ids, xy, facts)
            made += 1
        else:
            xy, facts = there.points[["x", "y"]].to_numpy(np.float32), there.facts
        if reference is None and not facts.get("degenerate") and usable(xy):
            reference = space.run_id, xy
        notes += [f"{space.title}: {note}" for note in remarks(facts)]
        job.progress.advance(number + 1, len(spaces))
    for note in notes:
        print(f"[fairlab] {note}", flush=True)
    return {"maps": len(spaces), "made": made, "notes": notes}


def _common(known: Sequence[Embeddings], spaces: Sequence[RunRecord], dataset_id: str) -> tuple[np.ndarray, str]:
    """(ids, rising, of the images that all spaces have embedded; a digest of them where some space lacks some, else "").

    Raises FairLabError when there are none.
    """
    ids = reduce(np.intersect1d, [embeddings.ids for embeddings in known])
    if not len(ids):
        titles = ", ".join(space.title for space in spaces)
        raise FairLabError(f"no image of data set {dataset_id} is embedded by all of these models: {titles}")
    whole = all(len(embeddings.ids) == len(ids) for embeddings in known)
    return ids, "" if whole else digest(ids.tolist(), 16)


def remarks(facts: Mapping[str, Any]) -> list[str]:
    """What a map's facts say against it, as sentences."""
    reason = facts.get("trust_reason")
    return [*facts.get("notes", ()), *([f"trustworthiness n/a: {reason}"] if reason else [])]
