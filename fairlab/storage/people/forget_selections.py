"""A data set's saved selections without some of its images: what stays is numbered anew, as the data set's images are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fairlab.data.dataset import Dataset
from fairlab.data.selections import MOST_NOTE, Selection, names, order_of, read_selection, write_selection
from fairlab.errors import FairLabError
from fairlab.storage.people.forget_names import Name
from fairlab.storage.people.forget_scope import Loss
from fairlab.workspace import Workspace

NAME_LETTERS = 90
"""Of a selection that was called after a person: a name has up to 100, and a number may follow."""


def losing(workspace: Workspace, loss: Loss) -> list[dict[str, Any]]:
    """The selections of a data set that lose images: dataset, selection, images (how many go), of (how many it has)."""
    found = []
    for kept in _fitting(workspace, loss.data):
        images = int(np.isin(kept.ids, loss.rows).sum())
        if images:
            about = {"dataset": kept.dataset_id, "selection": kept.name}
            found.append({**about, "images": images, "of": len(kept.ids)})
    return found


def write_without(workspace: Workspace, staged: Workspace, loss: Loss, now: Dataset, person: Name) -> list[Path]:
    """Write every selection that fits the data set into `staged`, without the images that go and without the names.

    now: the data set as it will be. Returns the files that go because the selection itself was called after a person.
    """
    order, going = order_of(now), []
    taken = set(names(workspace, now.dataset_id))
    for kept in _fitting(workspace, loss.data):
        numbers = loss.number[kept.ids]
        ids = numbers[numbers >= 0]
        name = person.without(kept.name)[:NAME_LETTERS]
        if name != kept.name:
            going.append(workspace.selections(now.dataset_id) / f"{kept.name}.json")
            while name in taken:
                name += "-2"
            taken.add(name)
        left = replace(
            kept,
            name=name,
            ids=ids,
            people=int(now.images["identity"].iloc[ids].nunique()),
            note=person.without(kept.note)[:MOST_NOTE],
            fingerprint=now.fingerprint,
            order=order,
            forgotten=kept.forgotten + len(kept.ids) - len(ids),
        )
        write_selection(staged, left)
    return going


def _fitting(workspace: Workspace, data: Dataset) -> list[Selection]:
    """The selections whose numbers mean these images; one of other data, or damaged, says of no image that it is there."""
    found, order = [], ""
    for name in names(workspace, data.dataset_id):
        try:
            kept = read_selection(workspace, data.dataset_id, name)
        except FairLabError:
            continue
        order = order or (order_of(data) if kept.fingerprint != data.fingerprint else "")
        fits = kept.fingerprint == data.fingerprint or kept.order == order
        if fits and (not len(kept.ids) or kept.ids[-1] < len(data.images)):
            found.append(kept)
    return found
