"""Saved selections: images of a data set under a name, with a note; a filter, a recipe and a file everywhere.

selections/<data set>/<name>.json in the workspace, one file each, beside the data sets: deleting a data set leaves them. A
selection holds numbers of images, no names. It knows the data by their fingerprint, or else by the order of their images:
pixels, pairs and shares may change, as long as every number still means the same image.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from filelock import FileLock
from pydantic import Field

from fairlab.data.dataset import Dataset, open_dataset
from fairlab.errors import Damaged, FairLabError, Refused
from fairlab.files import digest, there, write_json
from fairlab.formatting import some
from fairlab.reading.characters import unfit
from fairlab.settings.base import Name, Text
from fairlab.settings.kept import Count, FolderName, Kept, Time, read_checked
from fairlab.settings.recipe import Selected
from fairlab.tables import TEXT, WHOLE, Table
from fairlab.workspace import Workspace, is_name, now

MOST_IMAGES = 40_000_000
"""In one selection; as numbers they take 160 MB."""
MOST_NOTE = 2000
MOST_ORDERS = 16
_ORDERS: dict[tuple[str, str], str] = {}
"""Of data sets by folder and fingerprint: of 1.2 million images the hash takes two seconds, and a page asks at every look."""
SELECTIONS = Table(dataset=TEXT, selection=TEXT, images=WHOLE, identities=WHOLE, created_at=TEXT, note=TEXT, state=TEXT)
"""A row is a saved selection. images, identities: how many are in it; state: why it cannot be used, "" where it can."""
SIDES: dict[Selected, str] = {
    "only": "only these people",
    "without": "without these people",
    "only_images": "only these images",
    "without_images": "without these images",
}


class SelectionFile(Kept):
    """A selection as it lies in its file. ids: steps between the rising numbers, <u4, zlib, base64."""

    selection: FolderName
    dataset: FolderName
    fingerprint: Name
    order: Name
    created_at: Time
    images: int = Field(ge=0, le=MOST_IMAGES)
    identities: Count
    forgotten: Count = 0
    note: Text = ""
    ids: Annotated[str, Field(max_length=240_000_000)]


@dataclass(frozen=True, eq=False)
class Selection:
    """ids (N,) int64, rising: images of the data set with this fingerprint, or with its images in this order; people: whose
    they are, counted; forgotten: images that went when people were deleted.
    """

    name: str
    dataset_id: str
    ids: np.ndarray
    people: int
    note: str
    fingerprint: str
    order: str
    created_at: str
    forgotten: int = 0

    @property
    def hash(self) -> str:
        """Of the data's order and the ids: what is made of the selection is remembered by it."""
        return digest([self.order, hashlib.sha256(self.ids.astype("<i8").tobytes()).hexdigest()], 16)


@dataclass(frozen=True, eq=False)
class Chosen:
    """A selection and the side of it that counts."""

    selection: Selection
    selected: Selected = "only"

    def __post_init__(self) -> None:
        if self.selected not in SIDES:
            raise FairLabError(f"a selection has the sides {', '.join(SIDES)}, not {str(self.selected)[:40]!r}")

    @property
    def key(self) -> tuple[str, ...]:
        return self.selection.name, self.selection.hash, self.selected

    def __str__(self) -> str:
        return f"selection {self.selection.name!r}, {SIDES[self.selected]}"


def order_of(data: Dataset) -> str:
    """Hash of whose image stands in which row, and where it comes from: while it is the same, numbers of images are too."""
    key = (str(data.folder), data.fingerprint)
    if key not in _ORDERS:
        rows = data.images[["identity", "location"]].astype(str)
        hashed = pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes()
        while len(_ORDERS) >= MOST_ORDERS:
            _ORDERS.pop(next(iter(_ORDERS)), None)
        _ORDERS[key] = hashlib.sha256(hashed).hexdigest()[:32]
    return _ORDERS[key]


def names(workspace: Workspace, dataset_id: str) -> list[str]:
    """Names of the saved selections of a data set, sorted."""
    return sorted(path.stem for path in workspace.selections(dataset_id).glob("*.json") if is_name(path.stem))


def read_selection(workspace: Workspace, dataset_id: str, name: str) -> Selection:
    """A saved selection, whether or not its data set is there. Raises FairLabError naming those that there are, Damaged."""
    known = names(workspace, dataset_id)
    if name not in known:
        has = f"it has: {some(known)}" if known else "it has none"
        raise FairLabError(f"data set {dataset_id} has no saved selection {name[:80]!r}; {has}")
    path = workspace.selections(dataset_id) / f"{name}.json"
    kept = read_checked(SelectionFile, path)
    ids = _decoded(kept.ids, kept.images)
    if ids is None or (kept.selection, kept.dataset) != (name, dataset_id):
        raise Damaged(f"{path} is damaged: it is not a selection as FairLab writes it; delete the file")
    facts = (kept.identities, kept.note, kept.fingerprint, kept.order, kept.created_at, kept.forgotten)
    return Selection(name, dataset_id, ids, *facts)


def save_selection(workspace: Workspace, data: Dataset, name: str, ids: np.ndarray, note: str = "") -> Selection:
    """Keep images of a data set under a new name.

    ids: numbers of images, in any order; one that stands there twice counts once. Raises FairLabError for a name or a note
    that cannot be kept, no image, and numbers that the data set does not have, Refused where the name is taken.
    """
    note = " ".join(note.split())
    _check_words(name, note)
    found = _checked_ids(data, ids)
    people = int(data.images["identity"].iloc[found].nunique())
    made = Selection(name, data.dataset_id, found, people, note, data.fingerprint, order_of(data), now())
    with FileLock(workspace.home / "settings.lock", timeout=30):
        taken = {other.casefold(): other for other in names(workspace, data.dataset_id)}
        if name.casefold() in taken:
            raise Refused(
                f"data set {data.dataset_id} already has a selection {taken[name.casefold()]!r}: choose another name, or "
                "delete that one"
            )
        write_selection(workspace, made)
    return made


def write_selection(workspace: Workspace, made: Selection) -> None:
    """Write a selection's file, in place of an earlier one; its owner alone can read it."""
    facts = {
        "selection": made.name,
        "dataset": made.dataset_id,
        "fingerprint": made.fingerprint,
        "order": made.order,
        "created_at": made.created_at,
        "images": len(made.ids),
        "identities": made.people,
        "forgotten": made.forgotten,
        "note": made.note,
        "ids": _encoded(made.ids),
    }
    write_json(workspace.selections(made.dataset_id) / f"{made.name}.json", facts)


def delete_selection(workspace: Workspace, dataset_id: str, name: str) -> None:
    """Delete a saved selection; the images stay. Raises FairLabError where there is none of that name."""
    if name not in names(workspace, dataset_id):
        read_selection(workspace, dataset_id, name)
    (workspace.selections(dataset_id) / f"{name}.json").unlink(missing_ok=True)


def why_not(selection: Selection, data: Dataset | None) -> str:
    """Why a selection cannot be used, as words after its name; "" where it can. data: the data set, None where it is gone."""
    if data is None:
        return "its data set is gone"
    if data.fingerprint != selection.fingerprint and order_of(data) != selection.order:
        return "it was saved of other data of this name, so its numbers mean other images"
    if len(selection.ids) and selection.ids[-1] >= len(data.images):
        return f"it names image {selection.ids[-1]:,} of {len(data.images):,}, so its file is damaged"
    if not len(selection.ids):
        gone = f" (all {selection.forgotten:,} were deleted with their people)" if selection.forgotten else ""
        return f"it has no images{gone}"
    return ""


def open_selection(workspace: Workspace, data: Dataset, name: str) -> Selection:
    """A selection that can be used with a data set. Raises FairLabError where there is none, or it cannot, with why."""
    found = read_selection(workspace, data.dataset_id, name)
    if fault := why_not(found, data):
        raise FairLabError(f"selection {name!r} of data set {data.dataset_id} cannot be used: {fault}")
    return found


def list_selections(workspace: Workspace, dataset_id: str = "") -> pd.DataFrame:
    """SELECTIONS of one data set or of all, those of data sets that are gone too."""
    folders = sorted(
        path.name for path in workspace.selections_folder.glob("*") if path.is_dir() and is_name(path.name)
    )
    rows = []
    for owner in [dataset_id] if dataset_id else folders:
        data = _there(workspace, owner)
        for name in names(workspace, owner):
            try:
                found = read_selection(workspace, owner, name)
            except FairLabError as error:
                rows.append((owner, name, 0, 0, "", "", str(error)))
                continue
            about = (len(found.ids), found.people, found.created_at, found.note)
            rows.append((owner, name, *about, why_not(found, data)))
    return SELECTIONS.build(rows)


def _there(workspace: Workspace, dataset_id: str) -> Dataset | None:
    folder = workspace.dataset(dataset_id)
    if not there(folder / "dataset.json"):
        return None
    try:
        return open_dataset(folder)
    except FairLabError:
        return None


def inside(data: Dataset, chosen: Chosen) -> np.ndarray:
    """(N,) bool: is each image of the data set on the chosen side of the selection?"""
    mask = np.zeros(len(data.images), bool)
    mask[chosen.selection.ids] = True
    if chosen.selected in ("only", "without"):
        people, _ = pd.factorize(data.images["identity"])
        picked = np.zeros(int(people.max()) + 1, bool)
        picked[people[mask]] = True
        mask = picked[people]
    return mask if chosen.selected in ("only", "only_images") else ~mask


def ids_of_people(data: Dataset, people: list[str]) -> np.ndarray:
    """All images of these people, rising. Raises FairLabError naming the first whom the data set does not have."""
    identity = data.images["identity"].astype(str)
    known = set(identity)
    strangers = [name for name in people if name not in known]
    if strangers:
        more = f" ({len(strangers):,} of {len(people):,} names are not there)" if len(strangers) > 1 else ""
        raise FairLabError(f"data set {data.dataset_id} has no person called {strangers[0][:80]!r}{more}")
    return np.flatnonzero(identity.isin(people).to_numpy())


def _check_words(name: str, note: str) -> None:
    if not is_name(name):
        raise FairLabError(
            f"{name[:80]!r} cannot be the name of a selection: use up to 100 letters, digits, '.', '_' and '-', beginning "
            "with a letter or digit; put other words into the note"
        )
    if len(note) > MOST_NOTE:
        raise FairLabError(f"a note has up to {MOST_NOTE:,} letters, this one has {len(note):,}")
    if fault := unfit(note):
        raise FairLabError(f"the note holds {fault}; write it without")


def _checked_ids(data: Dataset, ids: np.ndarray) -> np.ndarray:
    given = np.asarray(ids)
    if not given.size:
        raise FairLabError("a selection needs at least one image; this one has none")
    if given.dtype.kind not in "iu":
        raise FairLabError(f"images are named by whole numbers, not by {given.dtype}")
    found = np.unique(given).astype(np.int64)
    if found[0] < 0 or found[-1] >= len(data.images):
        wrong = found[0] if found[0] < 0 else found[-1]
        raise FairLabError(f"data set {data.dataset_id} has images 0 to {len(data.images) - 1:,}, and no image {wrong}")
    if len(found) > MOST_IMAGES:
        raise FairLabError(f"a selection has up to {MOST_IMAGES:,} images, not {len(found):,}")
    return found


def _encoded(ids: np.ndarray) -> str:
    return base64.b64encode(zlib.compress(np.diff(ids, prepend=0).astype("<u4").tobytes(), 6)).decode()


def _decoded(text: str, count: int) -> np.ndarray | None:
    """(count,) rising ids of _encoded(); None for another text. No more is unpacked than `count` numbers take."""
    try:
        unpack = zlib.decompressobj()
        raw = unpack.decompress(base64.b64decode(text, validate=True), 4 * count + 1)
    except (ValueError, zlib.error, binascii.Error):
        return None
    if len(raw) != 4 * count:
        return None
    ids = np.cumsum(np.frombuffer(raw, "<u4").astype(np.int64))
    return ids if not np.any(np.diff(ids) <= 0) else None
