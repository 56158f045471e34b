"""The job that measures traits of all images of a data set from their pixels, as networks see them."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.kept_beside import check_own
from fairlab.data.measured import FROM_PIXELS, as_traits, measure, sizes
from fairlab.data.traits import Trait, check_names, keep_traits, traits_of
from fairlab.errors import FairLabError, Refused
from fairlab.files import read_json, write_atomic, write_json
from fairlab.jobs.job import Job
from fairlab.machine.temporaries import sweep
from fairlab.store.locks import CUT_SHORT, cut_short, no_starts
from fairlab.workspace import Workspace

METHOD = "traits"
"""Method of the runs that measure."""
KEPT_AT_ONCE = 20_000
"""Images whose numbers are kept together: what a killed job repeats at most."""
PIXELS_AT_ONCE = 4_000_000
"""Pixels looked at together: memory stays below 200 MB, whatever the number of images."""


def carry_out(job: Job) -> dict[str, Any]:
    """Carry out a run's `measuring` and keep the traits with the data set; goes on where an earlier attempt stopped."""
    asked = job.record.config.measuring
    assert asked is not None
    sweep(job.workspace.datasets_folder)
    data = open_dataset(job.workspace.dataset(asked.dataset))
    check_measurable(data)
    job.progress.begin("measuring images")
    folder = job.record.folder / "measured"
    traits = as_traits(data, _values(job, data, folder))
    traits += _of_generator(data)
    keep_with(job.workspace, data, traits, "measured")
    shutil.rmtree(folder, ignore_errors=True)
    return {"fingerprint": data.fingerprint, "images": len(data.images), "traits": [trait.name for trait in traits]}


def check_measurable(data: Dataset) -> None:
    """Raise FairLabError for a data set without images or whose images are its lenders', Refused for names that are taken."""
    check_own(data, "traits", "measure them for")
    if not data.has_images:
        raise FairLabError(
            f"data set {data.dataset_id} came as a table: it has no images to measure; import traits with "
            f"`fairlab data traits {data.dataset_id} --table FILE`"
        )
    named = [*FROM_PIXELS, *(trait.name for trait in (sizes(data),) if trait is not None)]
    check_names(data, [(name, "measured") for name in named])


def keep_with(workspace: Workspace, data: Dataset, traits: list[Trait], doing: str) -> None:
    """Keep traits that were `doing` (measured, read) of `data`. Raises Refused when it changed meanwhile."""
    name = data.dataset_id
    with no_starts(workspace):
        if cut_short(workspace):
            raise Refused(f"{CUT_SHORT}, then try again")
        now = open_dataset(workspace.dataset(name))
        if now.fingerprint != data.fingerprint or len(now.images) != len(data.images):
            raise Refused(f"data set {name} changed while its traits were {doing}; try again")
        keep_traits(now, traits)


def _of_generator(data: Dataset) -> list[Trait]:
    """Of demo data that were made before generators' traits were kept."""
    if data.info.get("kind") != "demo":
        return []
    from fairlab.data.demo.factors import traits_again  # its head and textures: only demo data wait for them

    there = traits_of(data)
    return [trait for trait in traits_again(data) if trait.name not in there]


def _values(job: Job, data: Dataset, folder: Path) -> np.ndarray:
    """(N, 4) measured.measure of all images; what an earlier attempt kept is not looked at again."""
    if not (folder / "stamp.json").exists() or read_json(folder / "stamp.json", str) != data.fingerprint:
        shutil.rmtree(folder, ignore_errors=True)  # of other data
        folder.mkdir(parents=True)
        write_json(folder / "stamp.json", data.fingerprint)
    count, step = len(data.images), max(PIXELS_AT_ONCE // data.image_px**2, 1)
    pixels, values = data.pixels, np.empty((count, len(FROM_PIXELS)))
    for start in range(0, count, KEPT_AT_ONCE):
        end = min(start + KEPT_AT_ONCE, count)
        path = folder / f"{start:010d}.npy"
        if path.exists():
            values[start:end] = np.load(path, allow_pickle=False)
            continue
        for first in range(start, end, step):
            job.go_on()
            last = min(first + step, end)
            values[first:last] = measure(np.asarray(pixels[first:last]))
            job.progress.advance(last, count)
        write_atomic(path, partial(_save, values[start:end]))
    return values


def _save(values: np.ndarray, path: Path) -> None:
    with open(path, "wb") as handle:
        np.save(handle, values)
