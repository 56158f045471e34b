"""That no person of a cohort is in the test or in the model's training data: otherwise a repair is refused.

Rules L1 and L6: genuine scores of people whom a network has seen are too good, and people of the test must not choose how
it is scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.data.holding_out import held_out_identities
from fairlab.data.inspect.verdicts import verdict
from fairlab.errors import FairLabError
from fairlab.files import there
from fairlab.jobs.data.overlap import shared_people
from fairlab.jobs.repair.cohort import Chosen
from fairlab.store.runs import SPACES, RunRecord, read_run
from fairlab.workspace import Workspace

Check = dict[str, Any]
"""against, people (of the cohort whose names can be compared), shared (0, or it was refused), note (what could not be checked)."""


def check(workspace: Workspace, model: RunRecord, test: Dataset, pairs: pd.DataFrame, cohort: Chosen) -> list[Check]:
    """Compare the cohort with the people of the test pairs and with the training data of a model and all its parents.

    Returns a row for each of these. Raises FairLabError, naming somebody, for the first in which a person of the cohort is.
    """
    judged = np.unique(pairs[["image_a", "image_b"]].to_numpy(np.int64))
    if test.templates is not None:
        people = set(test.images["identity"].iloc[judged])
        judged = np.flatnonzero(test.images["identity"].isin(people).to_numpy())
    found = [_checked(workspace, cohort, test, judged, f"the test pairs of {test.dataset_id}")]
    seen: set[tuple[str, tuple[str, ...], float | None, int]] = set()
    for trained in ancestors(workspace, model):
        data = trained.config.data
        if trained.elsewhere:
            found.append(_unknown(f"the training data of {trained.title}", "it was trained elsewhere"))
            continue
        key = (trained.dataset, data.splits, data.held_out, trained.seed if data.held_out is not None else 0)
        if trained.config.training is None or key in seen:
            continue
        seen.add(key)
        where = f"the training data of {trained.title} ({', '.join(data.splits)} of {trained.dataset})"
        if not there(workspace.dataset(trained.dataset) / "dataset.json"):
            found.append(_unknown(where, "the data set is no longer here"))
            continue
        source = open_dataset(workspace.dataset(trained.dataset))
        left_out = held_out_identities(source.images, data, trained.seed)
        rows = source.images["split"].isin(data.splits) & ~source.images["identity"].isin(left_out)
        found.append(_checked(workspace, cohort, source, np.flatnonzero(rows.to_numpy(bool)), where))
    return found


def ancestors(workspace: Workspace, model: RunRecord) -> Iterator[RunRecord]:
    """A model, the models that it was made from, and theirs."""
    waiting, met = [model], {model.run_id}
    while waiting:
        record = waiting.pop(0)
        yield record
        for name in record.parents:
            if name and name not in met and there(workspace.run(name) / "run.json"):
                met.add(name)
                parent = read_run(workspace, name)
                if parent.role in SPACES:
                    waiting.append(parent)


def _unknown(against: str, why: str) -> Check:
    return {"against": against, "people": 0, "shared": 0, "note": f"could not be checked: {why}"}


def _checked(workspace: Workspace, cohort: Chosen, other: Dataset, rows: np.ndarray, against: str) -> Check:
    """Raises FairLabError for a person in both, by name or by the verdict of an overlap check where there is one."""
    ours = cohort.dataset
    if ours.dataset_id == other.dataset_id:
        names = set(other.images["identity"].iloc[rows].astype(str))
        mine = cohort.people["identity"].astype(str)
        shared = sorted(mine[mine.isin(names)])
        people, note = len(mine), ""
    else:
        facts = shared_people(other, ours, (rows, cohort.members))
        shared, people = [name for name, _ in facts["examples"]], int(facts["comparable"])
        known = verdict(workspace, other.dataset_id, ours.dataset_id) or verdict(
            workspace, ours.dataset_id, other.dataset_id
        )
        if known is not None and known.found and not known.stale and not shared:
            raise FairLabError(
                f"the overlap check of {other.dataset_id} and {ours.dataset_id} found people or images in both, so {ours.dataset_id} "
                f"cannot be the cohort: it would share people with {against}. Choose other people"
            )
        command = f"fairlab data overlap {other.dataset_id} {ours.dataset_id}"
        note = "" if people else f"their names cannot be compared; `{command}` compares the images"
        note = (
            "no overlap by the check of their images" if known is not None and not known.stale and not people else note
        )
    if shared:
        raise FairLabError(
            f"{len(shared)}{' or more' if len(shared) >= 10 else ''} people of the cohort ({cohort.source}) are in {against}, for "
            f"example {shared[0]!r}: choose a cohort of other people"
        )
    return {"against": against, "people": people, "shared": 0, "note": note}
