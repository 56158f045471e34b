"""Images in LMDB, as training code packs them: a key for each image, its value the encoded image, alone or with a label.

Values are the image itself; a pickled or msgpack tuple of image and label (folder2lmdb and its kin), which is taken apart
and never run; or Caffe's Datum with an encoded image. Who is shown: the label of the value; else the value of
`label-000000001` beside `image-000000001`; else the folder in the key (`m.0abc/1.jpg`), or a name as other sets name files.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.data.attributes import with_columns
from fairlab.data.formats.lmdb_file import LmdbFile
from fairlab.data.formats.packs import STARTS
from fairlab.data.formats.pickles import Array, Span, Unreadable, read_pickle
from fairlab.data.formats.recordio import RecordFile
from fairlab.data.listing import MAX_IMAGE_BYTES, READERS, Listing, Progress, Stop, problem
from fairlab.data.names.patterns import by_custom, by_template, preview
from fairlab.data.readers.pair_files import pairs_from_list
from fairlab.errors import Damaged, FairLabError, Stopped
from fairlab.settings.study import Source

FILE = "data.mdb"
COUNTS = (b"__len__", b"__keys__", b"num-samples", b"num_samples", b"length", b"keys", b"__meta__")
"""Keys that hold no image."""
LABELS = ("label-", "identity-", "labels-")
_LABEL_BYTES = 200
Value = tuple[int, int, str]
"""Where an image lies inside its value, its size, and its label, "" for none."""


def lmdb_file(path: Path) -> Path | None:
    """The file itself, or data.mdb in a folder, or the folder's only .lmdb."""
    if path.is_file():
        return path if path.suffix.lower() in (".mdb", ".lmdb") else None
    inside = [path / FILE] if (path / FILE).is_file() else sorted(path.glob("*.lmdb/data.mdb"))
    inside = inside or [item for item in sorted(path.glob("*.lmdb")) if item.is_file()]
    return inside[0] if len(inside) == 1 else None


@READERS.register("lmdb", title="LMDB of images (data.mdb)", order=35, names=True)
class LmdbImages:
    """A key is an image, read where it lies; groups from a table or by a template of the keys."""

    def detect(self, path: Path) -> str:
        """A data.mdb, or a folder with one."""
        try:
            found = lmdb_file(path)
        except OSError:
            return ""
        return found.name if found else ""

    def listing(self, path: Path, source: Source, progress: Progress, stop: Stop) -> Listing:
        """Images in the order of their keys."""
        file = lmdb_file(path)
        if file is None:
            raise FairLabError(f"{path} is not an LMDB file and does not contain exactly one ({FILE})")
        images, others = _images(LmdbFile(file), progress, stop)
        if images.empty:
            raise FairLabError(
                f"{file} holds no encoded image as a value, alone, with a label (pickled or msgpack) or as Caffe's "
                f"Datum; values that are not images: {len(others):,}"
            )
        places, images["location"] = images["location"], images["key"]  # lists and tables name keys
        images, note, named = _people(file, images.drop(columns="key"), source)
        images, attribute, found = with_columns(images, source)
        pairs, more = pairs_from_list(file.parent, images, source) if source.pair_list else (None, [])
        images["location"] = places.reindex(images.pop("row")).to_numpy(dtype=object)
        problems = [*problem("values that are not images, left out", others), *found, *more]
        return Listing(images, attribute, pairs, None, problems, [f"LMDB in {file}", note], names=named)

    def opener(self, path: Path, locations: Sequence[str]) -> Callable[[int], bytes]:
        """Locations are byte+size; a read is one pread."""
        found = lmdb_file(path)
        if found is None:
            raise Damaged(f"{path} is neither an LMDB file nor a folder with exactly one")
        file = RecordFile(found)

        def read(row: int) -> bytes:
            offset, _, size = locations[row].partition("+")
            return file.read(int(offset), int(size))

        return read


def _images(lmdb: LmdbFile, progress: Progress, stop: Stop) -> tuple[pd.DataFrame, list[str]]:
    """(key, location, label of every image; keys of what is none)."""
    due = 0.0

    def tick(done: int) -> None:
        nonlocal due
        if time.monotonic() >= due:
            if stop():
                raise Stopped
            progress(done, lmdb.entries)
            due = time.monotonic() + 0.25

    rows: list[tuple[str, str, str]] = []
    others: list[str] = []
    labels: dict[str, str] = {}
    for key, offset, size in lmdb.items(tick):
        name = key.decode("utf-8", "backslashreplace")
        if key in COUNTS:
            continue
        kind = next((kind for kind in LABELS if name.startswith(kind)), "")
        if kind and size <= _LABEL_BYTES:
            labels[name.removeprefix(kind)] = (
                lmdb.file.read(offset, size).decode("utf-8", "backslashreplace").strip("\0 \n")
            )
            continue
        value = _value(lmdb.file.read(offset, size)) if 0 < size <= MAX_IMAGE_BYTES else None
        if value is None:
            others.append(name)
        else:
            rows.append((name, f"{offset + value[0]}+{value[1]}", value[2]))
    images = pd.DataFrame(rows, columns=["key", "location", "label"], dtype=object)
    if labels:
        beside = images["key"].str.removeprefix("image-").map(labels).fillna("")
        images["label"] = images["label"].where(images["label"] != "", beside)
    return images, others


def _value(content: bytes) -> Value | None:
    """The image in a value; None when there is none."""
    if content.startswith(STARTS):
        return 0, len(content), ""
    if content[:1] in (b"\x80", b"(", b"]"):
        return _pickled(content)
    if content[:1] in (b"\x92", b"\x93"):
        return _packed(content)
    return _datum(content)


def _pickled(content: bytes) -> Value | None:
    try:
        held, _ = read_pickle(io.BytesIO(content), len(content))
    except (FairLabError, Unreadable):
        return None
    found, label = None, ""
    for item in held if isinstance(held, tuple | list) else ():
        span = item.data if isinstance(item, Array) else item
        if isinstance(span, Span) and span.coding == "raw" and content.startswith(STARTS, span.start):
            found = found or (span.start, span.length)
        elif isinstance(item, int) and not isinstance(item, bool):
            label = label or str(item)
        elif isinstance(item, Array) and item.shape == () and item.kind is not None:
            label = label or str(item.numbers(io.BytesIO(content))[0])
        elif isinstance(item, Span) and item.text and item.length <= _LABEL_BYTES:
            label = label or content[item.start : item.start + item.length].decode("utf-8", "backslashreplace")
    return (*found, label) if found else None


def _packed(content: bytes) -> Value | None:
    """msgpack: an array of bytes and a whole number or text."""
    head = {0xC4: 1, 0xC5: 2, 0xC6: 4}.get(content[1] if len(content) > 1 else 0, 0)
    size = int.from_bytes(content[2 : 2 + head], "big")
    start = 2 + head
    if not head or not content.startswith(STARTS, start) or start + size >= len(content):
        return None
    mark, rest = content[start + size], content[start + size + 1 :]
    if mark < 0x80:
        return start, size, str(mark)
    if 0xCC <= mark <= 0xCF:
        return start, size, str(int.from_bytes(rest[: 1 << (mark - 0xCC)], "big"))
    if 0xA0 <= mark <= 0xBF:
        return start, size, rest[: mark - 0xA0].decode("utf-8", "backslashreplace")
    return None


def _datum(content: bytes) -> Value | None:
    """Caffe's Datum: data (field 4), label (5), encoded (7), as protobuf writes fields."""
    at, found, label, encoded = 0, None, "", False
    while at < len(content):
        key, at = _varint(content, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(content, at)
            label, encoded = (str(value) if number == 5 else label), encoded or (number == 7 and value == 1)
        elif kind == 2:
            size, at = _varint(content, at)
            if at < 0 or at + size > len(content):
                return None
            found = (at, size) if number == 4 else found
            at += size
        elif kind == 5:
            at += 4
        else:
            return None
        if at < 0:
            return None
    starts = found is not None and content.startswith(STARTS, found[0])
    return (*found, label) if found is not None and starts and encoded else None


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """(number, the byte behind it); the byte is -1 when there is none."""
    value = 0
    for shift in range(0, 70, 7):
        if not 0 <= at < len(content):
            return 0, -1
        byte = content[at]
        value, at = value | (byte & 127) << shift, at + 1
        if byte < 128:
            return value, at
    return 0, -1


def _people(file: Path, images: pd.DataFrame, source: Source) -> tuple[pd.DataFrame, str, str]:
    """(images with identity and row, how that is known, a preview of names)."""
    images = images.assign(row=np.arange(len(images)))
    keys, labels = images["location"], images.pop("label")
    if source.identity_pattern or not (labels != "").all():
        folders = keys.str.rpartition("/")[0]
        if source.identity_pattern or not (folders != "").all():
            told = (
                [by_template(source.identity_pattern, keys.tolist())]
                if source.identity_pattern
                else by_custom(keys.tolist())
            )
            if not told or not told[0].says_identity:
                raise FairLabError(
                    f"{file} has images without labels, and their keys do not give the identity, e.g. "
                    f"{keys.iloc[0]!r}; give "
                    "identity_pattern, e.g. {identity}_{number}"
                )
            fields = told[0].fields
            for name in fields.columns.difference(["fits", "identity"], sort=False):
                images[f"attribute.{name}"] = fields[name]
            images = images.assign(identity=fields["identity"])[fields["fits"].to_numpy(bool)].reset_index(drop=True)
            return images, told[0].how, preview(images["location"].tolist(), images["identity"].tolist())
        return images.assign(identity=folders), "identities from the folders in the keys", ""
    return images.assign(identity=labels), "identities from the labels of the values", ""
