"""What a protocol gets and gives. Adding one: a file here with a function registered in PROTOCOLS.

Facts at registration: title (on the pages), sentence (what it is, for --help and pages), source, needs_pairs (does the
data set need a pair list of its own?), scored (False: its comparisons are counted, not kept one by one), settings (names of the settings that it looks at), shared (True: several processes can share the work), version (raised when its
numbers change, so that stored ones are made anew).
Registered here are lists of pairs made from the data, all comparisons, and identification (1:N), with tables of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.jobs.evaluate.assess import judged_vectors
from fairlab.jobs.job import Job
from fairlab.registry import Registry
from fairlab.settings.study import Evaluation, Protocols
from fairlab.store.runs import RunRecord

FINAL = "test"
"""The data set's pair list for final numbers."""


@dataclass(frozen=True)
class Asked:
    """A model that has embedded the data set, and how its numbers are to be made.

    The processes of the job call a protocol together if it is registered as shared; all others the leader calls alone.
    """

    job: Job
    """Its progress is what this protocol covers."""
    model: RunRecord
    evaluation: Evaluation
    settings: Protocols
    key: str = ""
    """Hash of all that decides the protocol's numbers: what a killed run has kept is of the same key, or not taken."""

    @property
    def dataset(self) -> Dataset:
        return self.job.dataset


@dataclass(frozen=True)
class Outcome:
    """metrics: tables.METRICS; curves: report.CURVE; scores: tables.SCORES; pairs: tables.PAIRS, none where everybody is
    compared; tables: further ones by name; notes: sentences for people; facts: counts and choices for the manifest.
    """

    metrics: pd.DataFrame
    curves: pd.DataFrame
    scores: pd.DataFrame
    pairs: pd.DataFrame
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


Judge = Callable[[Asked], Outcome]
PROTOCOLS: Registry[Judge] = Registry("protocol", "fairlab.jobs.protocols")


def embedded_images(asked: Asked) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, int]:
    """(final_images that the model has embedded, its vectors (M, D), their image ids (M,), how many lack one).

    Raises FairLabError when none is embedded.
    """
    images = final_images(asked.dataset)
    vectors, ids, _ = judged_vectors(asked.model, asked.dataset)
    there = images["image_id"].isin(ids)
    if not there.any():
        raise FairLabError(
            f"{asked.model.run_id} has embedded none of the images of {asked.dataset.dataset_id}'s test part"
        )
    return images[there], vectors, ids, int((~there).sum())


def without(missing: int, images: int) -> list[str]:
    """The note on images that are left out, if there are any."""
    return [f"{missing} of {images + missing} images have no embedding and were left out"] if missing else []


def told(asked: Asked) -> Callable[[int, int], None]:
    """Where a protocol says how many of its comparisons are done."""
    started, before = time.monotonic(), -1

    def progress(done: int, total: int) -> None:
        nonlocal before
        before = done if before < 0 else before  # a killed run's count is nobody's speed
        asked.job.progress.advance(done, total, (done - before) / max(time.monotonic() - started, 1e-9))

    return progress


def final_pairs(dataset: Dataset) -> pd.DataFrame:
    """The data set's final pair list (tables.PAIRS). Raises FairLabError without one."""
    pairs = dataset.pairs_of(FINAL)
    if pairs.empty:
        raise FairLabError(f"data set {dataset.dataset_id} has no {FINAL} pairs to start from; see `fairlab data list`")
    return pairs


def final_images(dataset: Dataset) -> pd.DataFrame:
    """The images (tables.IMAGES) of the parts that final numbers are of: those of the final pair list's images, or the
    part "test", or all of a data set that has neither.
    """
    images, pairs = dataset.images, dataset.pairs_of(FINAL)
    if len(pairs):
        paired = images["image_id"].isin(np.unique(pairs[["image_a", "image_b"]].to_numpy()))
        parts = set(images.loc[paired, "split"])
    else:
        parts = {FINAL} & set(images["split"]) or set(images["split"])
    return images[images["split"].isin(parts)].reset_index(drop=True)
