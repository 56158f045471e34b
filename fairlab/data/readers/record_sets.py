"""What a train.rec means: which records are images, whose face each shows, and what the files beside it add.

Two layouts, told apart by the record with key 0. classic: it holds two labels and no image; the images have the keys
1 .. n-1, and from n on there may be one record per identity whose two labels are the first key of its images and the
one behind the last. flat: every record is an image. An image's identity is its first label.
Source: written so by insightface's recognition tools and by MXNet's im2rec.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from fairlab.data.formats.recordio import HEADER_BYTES, NOTHING, OTHER, Progress, RecordFile, Stop, index_keys, scan
from fairlab.errors import Damaged, FairLabError

CLASSIC, FLAT = "classic", "flat"
_EXACT = 1 << 24
"""Up to here float32, the type of labels, holds every whole number."""
_INDEX = "if there was an .idx next to the file, restore it"
_LINES = 1 << 18  # of a list at a time; a whole list of 17 million paths would not fit into memory


@dataclass(frozen=True)
class RecordSet:
    """The images of a .rec file, ordered by key: row r of every array is one image. May be pickled and forked."""

    file: RecordFile
    layout: str
    """CLASSIC or FLAT."""
    keys: np.ndarray
    """(N,) int64, rising: the image's number in the .idx and the .lst."""
    identities: np.ndarray
    """(N,) int64: whose face, 0 .. identity_count - 1; the first where a record holds several labels."""
    offsets: np.ndarray
    """(N,) int64: byte where the record begins."""
    sizes: np.ndarray
    """(N,) int64: bytes it takes."""
    identity_count: int
    """As the file `property` says, else one more than the highest identity."""
    identity_names: Mapping[int, str]
    """Folder names from train.tsv or train.lst; empty without such a list."""
    image_px: tuple[int, int] | None
    """Height and width as `property` says; the images are not opened for it."""
    notes: tuple[str, ...]
    """What was unusual, a sentence each."""
    empty: tuple[int, ...] = ()
    """Keys of records that should hold an image and hold nothing."""
    doubtful: tuple[int, ...] = ()
    """Rows whose bytes begin neither as JPEG nor as PNG."""

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, row: int) -> bytes:
        """The encoded image of a row. Raises FairLabError (no such row) or Damaged."""
        return self._data(row)[1]

    def labels(self, row: int) -> np.ndarray:
        """All labels of a row, (L,) float32 with L >= 1; the first is its identity."""
        return self._data(row)[0]

    def _data(self, row: int) -> tuple[np.ndarray, bytes]:
        if not 0 <= row < len(self):
            raise FairLabError(f"{self.file.path} has no image in row {row}; rows go from 0 to {len(self) - 1}")
        data = self.file.data(int(self.offsets[row]), int(self.sizes[row]))
        count = int.from_bytes(data[:4], "little")
        begin = HEADER_BYTES + 4 * count
        if len(data) <= begin:
            raise Damaged(f"record {self.keys[row]} of {self.file.path} no longer holds an image; open it again")
        return np.frombuffer(data[HEADER_BYTES:begin] if count else data[4:8], "<f4"), data[begin:]


@dataclass(frozen=True)
class _Records:
    """All records of a file by rising key, and how to name one."""

    path: Path
    keys: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    flags: np.ndarray
    labels: np.ndarray
    contents: np.ndarray

    def refuse(self, wrong: np.ndarray, text: str) -> None:
        """Raise Damaged for the first record that is `wrong` (N,) bool; {} in `text` is its first label."""
        if wrong.any():
            row = int(np.argmax(wrong))
            label = text.format(f"{self.labels[row, 0]:.9g}")
            raise Damaged(f"record {self.keys[row]} of {self.path} (at byte {self.offsets[row]}) {label}")


def open_records(path: Path, progress: Progress | None = None, stop: Stop | None = None) -> RecordSet:
    """Open a .rec file, or the folder that holds exactly one, with the .idx, property and list beside it.

    Reads the file once from front to back and checks it; see recordio.scan for `progress` and `stop` (raises
    Stopped). Raises FairLabError or Damaged, naming file and record: no or several .rec, a broken chain, a record
    without its image, a label that is not a whole number from 0 to below the number of identities.
    What can be mended is, and said in `notes`: an .idx that is missing or does not fit is made anew from the ids in
    the records; keys or identities that nobody has; counts that do not agree.
    """
    path = _only_record_file(path)
    file = RecordFile(path)  # before the scan: a file that changes meanwhile will be refused when it is read
    notes: list[str] = []
    records = _by_key(path, progress, stop, notes)
    layout, images, identity_rows, empty = _find_images(records, notes)
    announced, image_px = _property(path.parent / "property", int(images.sum()), notes)
    if layout == CLASSIC and identity_rows.any() and announced is None:
        announced = int(identity_rows.sum())
    elif layout == CLASSIC and identity_rows.any() and announced != identity_rows.sum():
        notes.append(f"property says {announced} identities; {path.name} has records of {identity_rows.sum()}.")
    identities, count = _identities(records, images, announced, notes)
    keys = records.keys[images]
    _compare_ranges(keys, identities, records.labels[identity_rows], notes)
    names = _names(path, keys, identities, notes)
    where = (records.offsets[images], records.sizes[images])
    odd = tuple(np.flatnonzero(records.contents[images] == OTHER).tolist())
    nothing = tuple(records.keys[empty].tolist())
    return RecordSet(file, layout, keys, identities, *where, count, names, image_px, tuple(notes), nothing, odd)


def _only_record_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(entry for entry in path.glob("*.rec") if entry.is_file())
    if len(found) != 1:
        listed = "no .rec file" if not found else f"{len(found)} .rec files ({found[0].name}, {found[1].name} ...)"
        raise FairLabError(f"{path} holds {listed}; choose a folder with exactly one, or the file itself")
    return found[0]


def _by_key(path: Path, progress: Progress | None, stop: Stop | None, notes: list[str]) -> _Records:
    scanned = scan(path, progress, stop)
    keys, why = index_keys(path.with_suffix(".idx"), scanned)
    distinct = bool(scanned.keys.min() >= 0) and len(np.unique(scanned.keys)) == len(scanned)
    if keys is None and distinct:
        keys = scanned.keys
        notes.append(
            f"{why}: the keys were taken from the ids in {path.name}; records missing at the end of the file would go "
            f"unnoticed."
        )
    elif keys is None:
        keys = np.arange(len(scanned), dtype=np.int64)
        notes.append(f"{why}, and {path.name} has duplicate ids: the records are numbered in file order.")
    elif distinct and (keys != scanned.keys).any():
        differ = int((keys != scanned.keys).sum())
        notes.append(f"{differ} records have an id that differs from their key in the .idx; the .idx was used.")
    order = np.argsort(keys, kind="stable")
    columns = (scanned.offsets, scanned.sizes, scanned.flags, scanned.labels, scanned.contents)
    return _Records(path, keys[order], *(column[order] for column in columns))


def _find_images(records: _Records, notes: list[str]) -> tuple[str, np.ndarray, np.ndarray, np.ndarray]:
    """Layout, which records are images (N,) bool, which stand for an identity (N,) bool (classic only), and which should
    hold an image and are empty (N,) bool.

    Where the images end is read from the records' keys. Record 0 says it too, but as a float32: Glint360K has
    17.1 million images, and float32 counts by twos beyond 2^24.
    """
    bare = records.contents == NOTHING
    classic = bool(records.keys[0] == 0 and records.flags[0] == 2 and bare[0])
    head = np.zeros(len(bare), bool)
    head[0] = classic
    images = ~bare
    identity_rows = bare & ~head & classic & (records.flags == 2)
    if 2 * (records.flags[images] == 2).sum() > images.sum():  # images have two labels, and so have empty ones
        identity_rows[: int(np.flatnonzero(images)[-1])] = False
    elif not classic:  # a classic set whose record 0 or whose keys are lost
        records.refuse(
            bare & (records.flags == 2), "holds no image but two labels, like a record of an identity; " + _INDEX
        )
    empty = bare & ~head & ~identity_rows
    if 2 * empty.sum() > len(bare) or not (images | identity_rows).any():
        records.refuse(
            empty,
            "holds no image, as most records: in the flat layout every record does, in the classic one the record with key"
            " 0 holds two labels and no image; " + _INDEX,
        )
    if not images.any():
        raise FairLabError(f"{records.path} holds no image; choose the .rec file of a training set")
    end = int(records.keys[identity_rows][0]) if identity_rows.any() else int(records.keys[-1]) + 1
    records.refuse(images & (records.keys >= end), f"is an image, but the records of identities begin at key {end}")
    records.refuse(empty & (records.keys >= end), "should hold two labels, the first and the last key of an identity")
    if classic and np.float32(end) != records.labels[0, 0]:
        notes.append(f"record 0 says that the images end before key {records.labels[0, 0]:.9g}; the keys say {end}.")
    first, keys = int(classic), records.keys[images]
    missing = (
        int(max(keys[-1] + 1, end if classic else 0)) - first - len(keys) - int((empty & (records.keys < end)).sum())
    )
    if missing:
        notes.append(
            f"the images' keys should run from {first} to {end - 1 if classic else keys[-1]}; {missing} are missing."
        )
    return (CLASSIC if classic else FLAT), images, identity_rows, empty


def _property(path: Path, images: int, notes: list[str]) -> tuple[int | None, tuple[int, int] | None]:
    """(number of identities, (height, width)) as `property` says; (None, None) when there is no such file.

    Line 1 is `identities,height,width`; builders of the flat layout add a line with the number of records, some
    further ones that mean nothing to us.
    """
    if not path.is_file():
        return None, None
    try:
        with open(path, encoding="utf-8") as handle:
            lines = handle.read(4096).split("\n")
        identities, height, width = (int(part) for part in lines[0].split(","))
        if min(identities, height, width) < 1:
            raise ValueError(lines[0])
    except (OSError, ValueError) as error:
        raise Damaged(
            f"{path} should begin with identities,height,width, such as 85742,112,112; correct or remove it"
        ) from error
    second = lines[1].strip() if len(lines) > 1 else ""
    if second.isdecimal() and int(second) != images:
        notes.append(f"property says {second} images; there are {images}.")
    return identities, (height, width)


def _identities(
    records: _Records, images: np.ndarray, announced: int | None, notes: list[str]
) -> tuple[np.ndarray, int]:
    """Identity of every image (N,) int64, and how many identities there are."""
    labels = records.labels[:, 0]
    records.refuse(images & ~np.isfinite(labels), "has the label {}; it should be a whole number")
    records.refuse(images & (labels < 0), "has the label {}; labels count from 0")
    records.refuse(images & (labels != np.floor(labels)), "has the label {}; it should be a whole number")
    records.refuse(images & (labels >= _EXACT), f"has the label {{}}; float32 numbers identities only below {_EXACT}")
    if announced is not None:
        text = f"has the label {{}}, but there are {announced} identities, numbered 0 to {announced - 1}"
        records.refuse(images & (labels >= announced), text)
    identities = labels[images].astype(np.int64)
    seen = np.zeros(int(identities.max()) + 1, bool)
    seen[identities] = True
    count = len(seen) if announced is None else announced
    lacking = count - int(seen.sum())
    if lacking:
        example = len(seen) if seen.all() else int(np.argmin(seen))
        notes.append(f"{lacking} of {count} identities have no image, for example identity {example}.")
    return identities, count


def _compare_ranges(keys: np.ndarray, identities: np.ndarray, ranges: np.ndarray, notes: list[str]) -> None:
    """Note the images whose label is another than that of the identity record (C, 2) whose keys they lie in."""
    if not len(ranges) or not (ranges < _EXACT).all():  # float32 does not hold the keys of larger sets
        return
    begin, end = np.searchsorted(keys, ranges[:, 0]), np.searchsorted(keys, ranges[:, 1])
    if begin[0] != 0 or end[-1] != len(keys) or (begin[1:] != end[:-1]).any() or (end < begin).any():
        notes.append("the records of identities do not cover the images in order; they were not used.")
        return
    differ = np.repeat(np.arange(len(ranges)), end - begin) != identities
    if differ.any():
        text = f"{differ.sum()} images have a label that differs from the record of their identity"
        notes.append(f"{text}, the first with key {keys[np.argmax(differ)]}; their own labels were used.")


def _names(rec: Path, keys: np.ndarray, identities: np.ndarray, notes: list[str]) -> dict[int, str]:
    """Identity -> folder name of its images, from train.tsv or train.lst; {} when there is none, or it does not fit.

    Lines are tab-separated: key, label, path (MXNet's .lst) or key, path, label (CVLface's .tsv).
    """
    listed = next((rec.with_suffix(end) for end in (".tsv", ".lst") if rec.with_suffix(end).is_file()), None)
    if listed is None:
        return {}
    parents: dict[int, str] = {}
    try:
        for part in pd.read_csv(listed, sep="\t", header=None, dtype=str, quoting=3, chunksize=_LINES, na_filter=False):
            label_column, path_column = _columns(part)
            key = pd.to_numeric(part[0], errors="coerce").to_numpy(np.float64)
            row = np.minimum(np.searchsorted(keys, key), len(keys) - 1)
            known = keys[row] == key  # a list may name images that were not packed; a heading has no key
            said = pd.to_numeric(part[label_column], errors="coerce").to_numpy(np.float64)
            wrong = known & (said != identities[row])
            if wrong.any():
                notes.append(
                    f"{listed.name} and {rec.name} disagree on the label of image {keys[row[np.argmax(wrong)]]}; the "
                    f"list was not used."
                )
                return {}
            first = pd.DataFrame({"identity": identities[row], "path": part[path_column]})[known]
            for identity, path in first.drop_duplicates("identity").itertuples(index=False):
                parents.setdefault(int(identity), PurePosixPath(path.replace("\\", "/")).parent.as_posix())
    except (ValueError, OSError):
        notes.append(f"{listed.name} does not have a key, label and path in every line; it was not used.")
        return {}
    names = {identity: PurePosixPath(parent).name for identity, parent in parents.items()}
    if len(set(names.values())) < len(names):  # one name under two parents: Asian/m.01 and Indian/m.01
        names = parents
    if len(set(names.values())) < len(names) or "" in names.values() or "." in names.values():
        notes.append(f"{listed.name} does not give every identity its own folder; its names were not used.")
        return {}
    return names


def _columns(part: pd.DataFrame) -> tuple[int, int]:
    """(label, path) columns of a piece of a list. Raises ValueError when there are none."""
    if part.shape[1] < 3:
        raise ValueError("a list has at least three columns")
    last = part.iloc[-1]  # not the first, which may be a heading
    return (1, part.shape[1] - 1) if _is_number(last[1]) else (2, 1)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
