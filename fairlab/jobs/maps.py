"""The job that draws the maps of several spaces over the same images, each beside the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

import numpy as np

from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.files import digest
from fairlab.jobs.job import Job
from fairlab.jobs.progress import Span
from fairlab.jobs.projection import by_landmarks_from, project, usable
from fairlab.jobs.sample import Sample, whole_people
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
    sample = _sample(dataset, ids, settings.max_points, settings.seed)
    ids, landmarks, part = ids[sample.rows], None, part if len(sample.rows) == len(ids) else _name(ids[sample.rows])
    if by_landmarks_from(len(ids), settings):
        landmarks = _sample(dataset, ids, settings.landmarks, settings.seed).rows
        part = f"landmarks {_name(ids[landmarks])} {part}"
    about = {"shown": len(ids), "of": len(dataset.images), "dataset": record.dataset, **_people(sample)}
    reference: tuple[str, np.ndarray] | None = None
    made, notes = 0, list[str]()
    for number, (space, embeddings) in enumerate(zip(spaces, known, strict=True)):
        job.go_on()
        beside, init = reference or ("", None)
        key = projection_key(embeddings, settings, beside, part)
        there = read_projection(space.folder, key)
        span = job.progress.between(number / len(spaces), (number + 1) / len(spaces), "drawing maps", "images")
        if there is None or not there.whole:
            tell = _Told(job, span)
            xy, facts = project(embeddings.vectors[embeddings.rows_of(ids)], settings, init, landmarks, tell)
            facts |= {"aligned_to": beside if facts.pop("aligned") else "", **about}
            write_projection(space.folder, key, space.run_id, ids, xy, facts)
            made += 1
        else:
            xy, facts = there.points[["x", "y"]].to_numpy(np.float32), there.facts
        if reference is None and not facts.get("degenerate") and usable(xy):
            reference = space.run_id, xy
        notes += [f"{space.title}: {note}" for note in remarks(facts)]
        span.advance(1, 1)
    for note in notes:
        print(f"[fairlab] {note}", flush=True)
    return {"maps": len(spaces), "made": made, "notes": notes}


STAGES = {
    "laying out landmarks": 0.08,
    "placing images": 0.12,
    "finding neighbours": 0.45,
    "moving images to their neighbours": 0.3,
    "measuring trustworthiness": 0.05,
}
"""Share of the time of each stage of a layout by landmarks: an estimate, which only the progress bar rests on."""


class _Told:
    """Where a layout is told to: the next stretch of the job's progress for each stage, and the way to stop it."""

    def __init__(self, job: Job, span: Span) -> None:
        self.job, self.span, self.stage, self.part = job, span, "", span

    def __call__(self, stage: str, done: int, of: int) -> None:
        self.job.go_on()
        if stage != self.stage:
            self.stage, self.part = stage, self.span.part(STAGES[stage], stage)
        self.part.advance(done, of)


def _sample(dataset: Dataset, ids: np.ndarray, count: int, seed: int) -> Sample:
    people, groups = (dataset.images[name].to_numpy()[ids] for name in ("identity", "group"))
    return whole_people(people, groups, count, seed)


def _name(ids: np.ndarray) -> str:
    """What tells one set of images (rising) from another in a map's key."""
    return digest(ids.tolist(), 16)


def _people(sample: Sample) -> dict[str, int]:
    return {"people": sample.people, "people_of": sample.people_of, "people_cut": sample.cut}


def _common(known: Sequence[Embeddings], spaces: Sequence[RunRecord], dataset_id: str) -> tuple[np.ndarray, str]:
    """(ids, rising, of the images that all spaces have embedded; a digest of them where some space lacks some, else "").

    Raises FairLabError when there are none.
    """
    ids = reduce(np.intersect1d, [embeddings.ids for embeddings in known])
    if not len(ids):
        titles = ", ".join(space.title for space in spaces)
        raise FairLabError(f"no image of data set {dataset_id} is embedded by all of these models: {titles}")
    whole = all(len(embeddings.ids) == len(ids) for embeddings in known)
    return ids, "" if whole else _name(ids)


def remarks(facts: Mapping[str, Any]) -> list[str]:
    """What a map's facts say against it, as sentences."""
    reason = facts.get("trust_reason")
    return [*facts.get("notes", ()), *([f"trustworthiness n/a: {reason}"] if reason else [])]
