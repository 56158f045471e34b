"""The job that measures what moved between two spaces of the same images: neighbours, same-person ranks, CKA."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.evaluation import neighbourhoods
from fairlab.evaluation.cka import SPREAD, spread_of
from fairlab.evaluation.neighbourhoods import NOBODY, Near, most_moved
from fairlab.jobs.job import Job
from fairlab.jobs.sample import whole_people
from fairlab.settings.study import Moved
from fairlab.store.embeddings import Embeddings, open_embeddings
from fairlab.store.index import index_over
from fairlab.store.moved import NEAR, moved_folder, moved_key, read_moved, write_moved
from fairlab.store.runs import read_run
from fairlab.tables import MOVED_IMAGES

SEARCHED, ASKED = 200_000, 2048
"""Images searched at once, exactly; images asked about at once."""
DEPTH = 100
"""So many neighbours are looked at for the same person."""
SHOWN = 200
"""Of so many images of each group that moved most the neighbours are kept."""


@dataclass(frozen=True)
class Common:
    """The images that both spaces have embedded: ids (M,) rising, their rows in each, and which of them are measured."""

    ids: np.ndarray
    rows: tuple[np.ndarray, np.ndarray]
    measured: np.ndarray
    """(Q,) places among ids, rising."""


def measure(job: Job) -> dict[str, Any]:
    """Measure what moved from the first parent's space to the second's; kept beside the second unless it is there already.

    Neighbours are searched exactly among all images that both have embedded. Of more than max_images, those of people who
    are drawn whole are measured. Raises FairLabError where the spaces have no image in common, or are of earlier data.
    """
    record, settings = job.record, job.record.config.moved or Moved()
    runs = [read_run(job.workspace, name) for name in record.parents]
    spaces = (open_embeddings(runs[0].folder, record.dataset), open_embeddings(runs[1].folder, record.dataset))
    folder, key = moved_folder(runs[1].folder, record.dataset), moved_key(*spaces, settings)
    if read_moved(folder, key) is not None:
        return {"key": key}
    for run, space in zip(runs, spaces, strict=True):
        own = space.facts.get("fingerprint", job.dataset.fingerprint)
        if own != job.dataset.fingerprint or space.ids[-1] >= len(job.dataset.images):
            raise FairLabError(
                f"{run.title} embedded an earlier state of data set {record.dataset}: embed it again with `fairlab "
                f"models embed {run.run_id} {record.dataset}`"
            )
    images = _common(spaces, job.dataset, settings.splits)
    ids, people, groups = (images[name].to_numpy() for name in ("image_id", "identity", "group"))
    sample = whole_people(people, groups, settings.max_images, settings.seed)
    common = Common(ids, (spaces[0].rows_of(ids), spaces[1].rows_of(ids)), sample.rows)
    depth = _depth(settings, len(ids))
    near = tuple(_search(job.between(0.45 * n, 0.45 * (n + 1)), spaces, common, n, depth) for n in (0, 1))
    job.between(0.9, 1.0).progress.begin("numbers")
    tables, facts = _tables(job, images, (near[0], near[1]), spaces, common)
    job.go_on()
    about = {
        "dataset": record.dataset,
        "before": runs[0].run_id,
        "after": runs[1].run_id,
        "depth": depth,
        "cut": sample.cut,
    }
    about |= {"vectors": [space.hash for space in spaces], "settings": settings.model_dump(mode="json")}
    write_moved(folder, key, tables, {**about, **facts})
    return {"key": key, "measured": len(sample.rows), "of": len(ids)}


def _common(spaces: tuple[Embeddings, Embeddings], data: Dataset, splits: Sequence[str]) -> pd.DataFrame:
    """The images (M rows) of these parts (none named: all) that both have embedded. Raises FairLabError for fewer than two."""
    images = data.images.iloc[np.intersect1d(spaces[0].ids, spaces[1].ids, assume_unique=True)]
    for split in splits:
        if split not in set(data.images["split"]):
            known = ", ".join(dict.fromkeys(data.images["split"]))
            raise FairLabError(f"data set {data.dataset_id} has no part {split!r}; it has: {known}")
    images = images[images["split"].isin(splits)] if splits else images
    if len(images) < 2:
        raise FairLabError(
            f"these models have embedded {len(images)} images of data set {data.dataset_id} in common, and it needs two: "
            "embed the same images with both"
        )
    return images


def _depth(settings: Moved, images: int) -> int:
    """How many neighbours of an image are looked at for its person, of so many images."""
    return min(max(DEPTH, settings.neighbours), images - 1)


def _search(job: Job, spaces: tuple[Embeddings, Embeddings], common: Common, side: int, depth: int) -> Near:
    """The neighbours of the measured images in one space, and the next one, among all: exact, block by block."""
    vectors, rows = spaces[side].vectors, common.rows[side]
    kept = min(depth + 1, len(rows) - 1)
    places = np.full((len(common.measured), kept), NOBODY, dtype=np.int64)
    cosines = np.full(places.shape, -np.inf, dtype=np.float32)
    job.progress.begin(f"neighbours in the {('first', 'second')[side]} space", "images")
    blocks = range(0, len(rows), SEARCHED)
    for number, start in enumerate(blocks):
        block = np.arange(start, min(start + SEARCHED, len(rows)))
        index = index_over(block, np.ascontiguousarray(vectors[rows[block]], dtype=np.float32))
        for at in range(0, len(places), ASKED):
            job.go_on()
            part = slice(at, at + ASKED)
            own = common.measured[part]
            scores, found = index.search(vectors[rows[own]], kept + 1)
            places[part], cosines[part] = _merged(places[part], cosines[part], found, scores, own)
            job.progress.advance(number * len(places) + at + len(own), len(blocks) * len(places))
    return Near(places, cosines)


def _merged(
    places: np.ndarray, cosines: np.ndarray, found: np.ndarray, scores: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest (Q, kept) of those known and those found in another block, nearest first, without the image itself."""
    every = np.concatenate([places, found], axis=1)
    value = np.concatenate([cosines, scores], axis=1)
    value = np.where((every == own[:, None]) | (every == NOBODY), -np.inf, value)
    order = np.argsort(-value, axis=1, kind="stable")[:, : places.shape[1]]
    value = np.take_along_axis(value, order, 1)
    return np.where(np.isfinite(value), np.take_along_axis(every, order, 1), NOBODY), value


def _tables(
    job: Job, images: pd.DataFrame, near: tuple[Near, Near], spaces: tuple[Embeddings, Embeddings], common: Common
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """(numbers, images and near of store.moved.TABLES; facts of them)."""
    settings, chosen = job.record.config.moved or Moved(), common.measured
    k, others = settings.neighbours, len(images) - 1
    vectors = [np.asarray(space.vectors[rows[chosen]]) for space, rows in zip(spaces, common.rows, strict=True)]
    whose = pd.factorize(images["identity"])[0]
    why = _reasons(vectors, k, others, int(whose.max()) + 1)
    overlap = neighbourhoods.overlaps(*near, k)
    tied = int(np.isnan(overlap).sum())
    looked = [item.first(_depth(settings, len(images))) for item in near]
    ranks = [pd.array(neighbourhoods.same_person_rank(item, whose[chosen], whose), dtype="Int64") for item in looked]
    alone = (np.bincount(whose)[whose[chosen]] < 2) | ("rank" in why)
    for rank in ranks:
        rank[alone] = pd.NA
    shown = images.iloc[chosen]
    table = MOVED_IMAGES.of(
        {
            "image_id": shown["image_id"].to_numpy(),
            "identity": shown["identity"].astype(str).to_numpy(),
            "group": shown["group"].astype(str).to_numpy(),
            "overlap": np.nan if "overlap" in why else overlap,
            "rank_before": ranks[0],
            "rank_after": ranks[1],
        }
    )
    numbers = neighbourhoods.numbers(table, vectors[0], vectors[1], why, settings.seed)
    facts = {
        "k": k,
        "measured": len(chosen),
        "of": len(images),
        "people": int(shown["identity"].nunique()),
        "tied": 0 if "overlap" in why else tied,
        "chance": neighbourhoods.overlap_by_chance(k, others) if k < others else None,
    }
    return {"numbers": numbers, "images": table, "near": _kept(table, near, common, k)}, facts


def _reasons(vectors: list[np.ndarray], k: int, others: int, people: int) -> dict[str, str]:
    """Why no image has an "overlap" or a "rank", of those that have none."""
    for name, side in zip(("first", "second"), vectors, strict=True):
        if spread_of(side) < SPREAD:
            return dict.fromkeys(("overlap", "rank"), f"all vectors of the {name} space are equal")
    found = {}
    if k >= others:
        found["overlap"] = f"{k} neighbours of {others + 1:,} images are all others: choose at most {others - 1:,}"
    if people < 2:
        found["rank"] = "the images show one person only, so that every neighbour is right"
    return found


def _kept(table: pd.DataFrame, near: tuple[Near, Near], common: Common, k: int) -> pd.DataFrame:
    """NEAR of the images of each group that moved most."""
    most = most_moved(table).groupby("group", sort=False).head(SHOWN)
    rows = np.searchsorted(table["image_id"].to_numpy(), np.sort(most["image_id"].to_numpy()))
    parts = []
    for space, item in zip(("before", "after"), near, strict=True):
        places, cosines = item.places[rows, :k], item.cosines[rows, :k]
        there = places != NOBODY
        image, rank = np.nonzero(there)
        ids = table["image_id"].to_numpy()[rows][image]
        columns = {"image_id": ids, "space": space, "rank": rank + 1}
        parts.append(NEAR.of({**columns, "neighbour": common.ids[places[there]], "score": cosines[there]}))
    return NEAR.stack(parts)
