"""Pairs for a data set that came without: drawn as RFW's were, and kept with the data set as its list.

The run that draws them says how. Where the data set is made again, by hand or from an archive, they are drawn again so.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.amending import amend
from fairlab.data.dataset import INFO, PAIRS_FILE, Dataset, open_dataset
from fairlab.data.sampling import part_sizes
from fairlab.errors import FairLabError, Stopped
from fairlab.files import read_json, write_json
from fairlab.jobs.evaluate.assess import judged_vectors
from fairlab.jobs.job import Job
from fairlab.jobs.protocols.base import FINAL, final_images
from fairlab.jobs.protocols.hard_impostors import mine
from fairlab.jobs.protocols.lists import strangers
from fairlab.jobs.protocols.random_impostors import draw
from fairlab.machine.temporaries import sweep
from fairlab.reading.structured import as_read
from fairlab.settings.protocols import DrawnPairs
from fairlab.store.embeddings import has_embeddings
from fairlab.store.locks import no_starts
from fairlab.store.runs import RunRecord, read_run, read_status
from fairlab.tables import LISTED, PAIRS
from fairlab.workspace import Workspace

PEOPLE_EACH = 5
"""Fewer folds are made rather than folds of fewer people, in which few strangers could meet."""
IMAGES_EACH = 100
"""Images of a person that genuine pairs are drawn from, at most: of 10,000 images there are 50 million pairs."""
METHOD = "pairs"
"""Method of the runs that draw."""
RULE = 1
"""Raised when the same settings draw other pairs."""


Progress = Callable[[int, int], None]
Pick = Callable[[np.ndarray, np.ndarray, int, np.random.Generator], tuple[np.ndarray, np.ndarray]]
"""(image ids (n,), people (n,), how many, random) -> rows of impostor pairs."""


@dataclass(frozen=True)
class Drawn:
    """pairs: tables.LISTED; notes: what could not be drawn and why; facts: counts of each group."""

    pairs: pd.DataFrame
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


def carry_out(job: Job) -> dict[str, Any]:
    """A run's `drawing`; an earlier attempt that had kept its pairs is not repeated."""
    asked = job.record.config.drawing
    assert asked is not None
    sweep(job.workspace.datasets_folder)
    job.progress.begin("drawing pairs", "groups")
    data = open_dataset(job.workspace.dataset(asked.dataset))
    kept = data.info.get("drawn_pairs", {})
    if {**kept, **asked.pairs.model_dump(mode="json")} != kept:
        draw_pairs(job.workspace, asked.dataset, asked.pairs, job.progress.advance, job.stop)
        data = open_dataset(data.folder)
        kept = data.info["drawn_pairs"]
    for note in kept["notes"]:
        print(f"[fairlab] {note}", flush=True)
    return {"fingerprint": data.fingerprint, "pairs": len(data.pairs_of(FINAL))}


def drawn_by(workspace: Workspace, dataset_id: str, fingerprint: str = "") -> DrawnPairs | None:
    """How pairs were last drawn for a data set of this name (and fingerprint, if one is given); None for never."""
    for name in reversed(drawers(workspace, dataset_id)):
        asked = read_run(workspace, name).config.drawing
        if asked is not None and fingerprint in ("", read_status(workspace.run(name)).get("fingerprint")):
            return asked.pairs
    return None


def drawers(workspace: Workspace, dataset_id: str) -> list[str]:
    """The runs that have drawn pairs for a data set of this name, oldest first."""
    found = []
    for path in workspace.runs_folder.glob("*/run.json"):
        try:
            if read_json(path).get("method") != METHOD:
                continue
            record = read_run(workspace, path.parent.name)
            done = read_status(record.folder).get("status") == "done"
        except (FairLabError, AttributeError):
            continue  # a damaged run is named where runs are listed
        if done and record.config.drawing is not None and record.config.drawing.dataset == dataset_id:
            found.append((record.created_at, record.run_id))
    return [name for _, name in sorted(found)]


def draw_again(job: Job) -> dict[str, Any]:
    """For a data set that has just been made: the pairs that were drawn for the same data before, here or before an archive.

    Returns facts for the status of the run that made it; "pairs_missing" says why they cannot be drawn now.
    """
    data = job.dataset
    settings = drawn_by(job.workspace, data.dataset_id, data.fingerprint)
    if settings is None or len(data.pairs_of(FINAL)):
        return {}
    job.progress.begin("drawing pairs again", "groups")
    try:
        draw_pairs(job.workspace, data.dataset_id, settings, job.progress.advance, job.stop)
    except FairLabError as error:
        print(f"[fairlab] the pairs drawn for these data before could not be drawn again: {error}", flush=True)
        return {"pairs_missing": str(error)}
    print(f"[fairlab] the pairs of these data are drawn again, with seed {settings.seed} as before", flush=True)
    return {"pairs_seed": settings.seed}


def draw_pairs(
    workspace: Workspace,
    dataset_id: str,
    settings: DrawnPairs,
    progress: Progress = lambda _done, _total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Drawn:
    """Draw pairs of a data set's images and keep them as its list "test", so that every protocol works on them.

    The fingerprint stays, as images and people do; numbers name the list that they are of. Raises FairLabError for a data
    set that has such a list, and where no group has a genuine and an impostor pair; Stopped before anything is kept.
    """
    data = open_dataset(workspace.dataset(dataset_id))
    drawn = drawn_pairs(workspace, data, settings, progress, stop)
    with no_starts(workspace):
        data = open_dataset(workspace.dataset(dataset_id))
        before = other_pairs(data)
        listed = drawn.pairs.assign(
            pair_id=np.arange(len(drawn.pairs)) + (int(before["pair_id"].max()) + 1 if len(before) else 0),
            protocol=FINAL,
        )
        pairs = PAIRS.stack([before, listed[list(PAIRS)]])
        kept = {"rule": RULE, **settings.model_dump(mode="json"), "groups": drawn.facts, "notes": drawn.notes}
        info = {**read_json(data.folder / INFO), "drawn_pairs": as_read(kept)}

        def write(folder: Path) -> None:
            write_json(folder / INFO, info)
            pairs.to_parquet(folder / PAIRS_FILE, index=False)

        amend(data, write, [INFO, PAIRS_FILE])
    return drawn


def other_pairs(data: Dataset) -> pd.DataFrame:
    """The data set's other lists. Raises FairLabError when it has a final one."""
    known = len(data.pairs_of(FINAL))
    if known:
        raise FairLabError(
            f"data set {data.dataset_id} has {known:,} {FINAL} pairs already; further pairs of its images are drawn by "
            "`fairlab evaluate RUN --protocol random_impostors` (or hard_impostors)"
        )
    return data.pairs


def drawn_pairs(
    workspace: Workspace,
    data: Dataset,
    settings: DrawnPairs,
    progress: Progress = lambda _done, _total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Drawn:
    """The pairs that would be drawn; nothing is written.

    Of every group: people are dealt to folds that share nobody; in each fold as many genuine as impostor pairs, as many
    of both as there are where there are fewer. Groups without either are left out and named. Raises as draw_pairs.
    """
    other_pairs(data)
    images = final_images(data)
    pick: Pick = _random
    miner = miner_of(workspace, data.dataset_id, settings)
    if miner is not None:
        vectors, ids, _ = judged_vectors(miner, data)
        images, pick = images[images["image_id"].isin(ids)], _mined(vectors, ids)
    tables, notes, facts = [], [], {}
    for number, group in enumerate(data.groups):
        progress(number, len(data.groups))
        if stop():
            raise Stopped
        of = images[images["group"].astype(str) == group]
        table = _of_group(of, group, settings, pick)
        reason = _lacking(of) if table is None else ""
        if table is None:
            notes.append(f"{data.attribute} {group} has no pairs: {reason}")
            continue
        count = int(table["genuine"].sum())
        facts[group] = {"genuine": count, "impostor": len(table) - count, "folds": int(table["fold"].nunique())}
        if count < settings.genuine:
            notes.append(
                f"{group}: {count:,} genuine and as many impostor pairs instead of {settings.genuine:,}: there are no "
                f"more"
            )
        tables.append(table)
    if not tables:
        raise FairLabError(
            f"no pairs can be drawn for data set {data.dataset_id}: {notes[0] if notes else 'it has no images'}. Its images "
            "can be embedded and looked at (`fairlab models embed RUN " + data.dataset_id + "`)"
        )
    return Drawn(LISTED.stack(tables), notes, facts)


def miner_of(workspace: Workspace, dataset_id: str, settings: DrawnPairs) -> RunRecord | None:
    """The model that picks impostors; None for chance. Raises FairLabError when it has no embeddings of the data set."""
    if not settings.mined_by:
        return None
    miner = read_run(workspace, settings.mined_by)
    if not has_embeddings(miner.folder, dataset_id, "plain"):
        raise FairLabError(
            f"{miner.title} has no embeddings of {dataset_id} to pick impostors by; run `fairlab models embed {miner.run_id} "
            f"{dataset_id}` first"
        )
    return miner


def _lacking(of: pd.DataFrame) -> str:
    """Why no pair can be drawn of these images."""
    each = of["identity"].value_counts()
    people = int((each > 0).sum())
    if people < 2:
        return f"it has {people} people with images, and impostor pairs need two"
    if int(each.max()) < 2:
        return "each person has one image, and genuine pairs need two"
    return f"its {people} people cannot be put into two folds that both have genuine and impostor pairs"


def _random(
    _ids: np.ndarray, people: np.ndarray, count: int, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    return draw(people, count, random)


def _mined(vectors: np.ndarray, known: np.ndarray) -> Pick:
    def pick(
        ids: np.ndarray, people: np.ndarray, count: int, _random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        unit = np.asarray(vectors[np.searchsorted(known, ids)], dtype=np.float32)
        return mine(unit, people, count)

    return pick


def _of_group(of: pd.DataFrame, group: str, settings: DrawnPairs, pick: Pick) -> pd.DataFrame | None:
    """The group's pairs, fold by fold, genuine first; None where fewer than two folds have both kinds."""
    of = of.sort_values(["identity", "image_id"])
    names, people = np.unique(of["identity"].to_numpy(dtype=str), return_inverse=True)
    ids = of["image_id"].to_numpy()
    random = np.random.Generator(np.random.PCG64([settings.seed, zlib.crc32(group.encode("utf-8", "replace"))]))
    several = np.bincount(people, minlength=len(names)) > 1
    order = random.permutation(len(names))
    order = order[np.argsort(~several[order], kind="stable")]  # who gives genuine pairs is dealt first, to every fold
    folds = min(settings.folds, max(len(names) // PEOPLE_EACH, 2), max(int(several.sum()), 1))
    fold_of = np.empty(len(names), np.int64)
    fold_of[order] = np.arange(len(names)) % folds
    tables: list[pd.DataFrame] = []
    for fold, count in enumerate(part_sizes(settings.genuine, folds)):
        rows = np.flatnonzero(fold_of[people] == fold)
        one, other = _genuine(people[rows], count, random)
        count = min(len(one), strangers(people[rows]))
        if not count:
            continue
        first, second = pick(ids[rows], np.unique(people[rows], return_inverse=True)[1], count, random)
        both = rows[np.concatenate([one[:count], first])], rows[np.concatenate([other[:count], second])]
        genuine = np.repeat([True, False], count)
        tables.append(
            LISTED.of(
                {
                    "image_a": ids[both[0]],
                    "image_b": ids[both[1]],
                    "genuine": genuine,
                    "group": group,
                    "fold": len(tables),
                }
            )
        )
    return LISTED.stack(tables) if len(tables) > 1 else None


def _genuine(people: np.ndarray, count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """At most `count` pairs of rows of one person each, evenly over people: everybody's first, then their second ..."""
    found = []
    for person in np.unique(people):
        rows = random.permutation(np.flatnonzero(people == person))[:IMAGES_EACH]
        one, other = np.triu_indices(len(rows), 1)
        turn = random.permutation(len(one))[:count]
        low, high = np.minimum(rows[one[turn]], rows[other[turn]]), np.maximum(rows[one[turn]], rows[other[turn]])
        found.append(np.stack([np.arange(len(turn)), np.full(len(turn), person), low, high]))
    turn, _, low, high = np.concatenate(found, axis=1) if found else np.empty((4, 0), np.int64)
    order = np.lexsort((random.permutation(len(turn)), turn))[:count]
    return low[order], high[order]
