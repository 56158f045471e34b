"""WebDataset shards: tar archives in which key.jpg, key.cls and perhaps key.json, one behind the other, are a sample.

The identity is in the .cls (a number or any text), or in the .json as `identity`, `label` or `cls`; whatever else the
.json says in a word or a number is an attribute. The package webdataset is not needed for it: a shard is a plain tar
archive, and webdataset reads those as a stream, while images here are asked for by number, in any order. So the archive
is read once and where every image lies is written down; a read is then one pread, and nothing is unpacked. (Tests write
shards with webdataset and with Python's tarfile.)

webdataset takes what is before the first dot of a name for the key, which would cut m.0abc_0001.jpg behind the m; here
it is what is before the last one. `key.seg.png` behind a member `key.*` is still a further field of that sample.
"""

from __future__ import annotations

import re
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fairlab.data.attributes import MAX_VALUES, with_columns
from fairlab.data.formats.recordio import RecordFile
from fairlab.data.formats.tars import BLOCK, FILE, FOLDER, Archive, Member, is_header, size_in
from fairlab.data.listing import PICTURES, READERS, SHOWN, Listing, Problem, Progress, Stop
from fairlab.data.readers.pair_files import pairs_from_list
from fairlab.errors import Damaged, FairLabError, Stopped
from fairlab.reading.structured import parse_json
from fairlab.settings.study import Source

LABEL_BYTES, FACTS_BYTES, IMAGE_BYTES = 1 << 10, 1 << 20, 64 << 20
"""Larger members are no label, no facts, no picture of a face."""
MAX_FIELDS = 256
"""Different fields of .json that are kept as attributes."""
NAMES = ("identity", "label", "cls")
"""Where a .json has the identity, the first that is there."""
_NUMBER = re.compile(r"(.*?)-?(\d+)\.tar$")
_PACKED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


def shard_files(path: Path) -> list[Path]:
    """The archives at `path`: the file itself, or those of a folder, sorted; compressed ones too, to say so."""
    candidates = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    return [file for file in candidates if file.name.lower().endswith((".tar", *_PACKED)) and file.is_file()]


@READERS.register("shards", title="WebDataset shards (.tar)", order=40)
class Shards:
    """Identity by .cls or .json, groups and attributes by .json or from a table."""

    def detect(self, path: Path) -> str:
        """A .tar, or a folder of shards with numbers and no folder in it that the archive may have been unpacked to."""
        try:
            files = shard_files(path)
            if path.is_dir() and any(entry.is_dir() for entry in path.iterdir() if not entry.name.startswith(".")):
                files = [file for file in files if _NUMBER.match(file.name)]
        except OSError:
            return ""
        return ", ".join(file.name for file in files[:4]) + (" ..." if len(files) > 4 else "") if files else ""

    def listing(self, path: Path, source: Source, progress: Progress, stop: Stop) -> Listing:
        """Images in the order of shards and samples."""
        files = shard_files(path)
        if not files:
            raise FairLabError(f"{path} is not a tar archive and contains none (.tar files)")
        samples = _Samples(bool(source.pair_list or source.groups_table))
        sizes = [file.stat().st_size for file in files]
        for number, file in enumerate(files):
            _read(Archive(file), number, samples, _ticker(sum(sizes[:number]), sum(sizes), progress, stop))
        if not samples.offsets:
            said = "; ".join(map(str, samples.problems))
            raise FairLabError(
                f"{path} holds no sample of one image with an identity (key.jpg beside key.cls or key.json)"
                f"{': ' if said else ''}{said}; an archive of folders must be unpacked with tar -xf"
            )
        shards = pd.Series([file.name for file in files], dtype=object)
        images = samples.table(shards)
        if samples.names:  # tables and lists name images as the archive does
            images["place"], images["location"] = images["location"], samples.names
        images, attribute, problems = with_columns(images, source)
        pairs, found = (
            pairs_from_list(path if path.is_dir() else path.parent, images, source) if source.pair_list else (None, [])
        )
        if samples.names:
            images["location"] = images.pop("place")
        notes = [f"{len(files):,} shards, e.g. {files[0].name}", *samples.notes(), *_gaps(files)]
        return Listing(images, attribute, pairs, None, [*samples.problems, *problems, *found], notes)

    def opener(self, path: Path, locations: Sequence[str]) -> Callable[[int], bytes]:
        """Locations are shard:byte:size; a read is one pread."""
        folder = path if path.is_dir() else path.parent
        opened: dict[str, RecordFile] = {}

        def read(row: int) -> bytes:
            name, offset, size = locations[row].rsplit(":", 2)
            if name not in opened:
                if not (folder / name).is_file():
                    raise Damaged(f"{folder} no longer holds {name}")
                opened[name] = RecordFile(folder / name)
            data = opened[name].read(int(offset) - BLOCK, BLOCK + int(size))
            header = data[:BLOCK]
            if len(data) != BLOCK + int(size) or not is_header(header) or size_in(header) not in (0, int(size)):
                raise Damaged(f"{folder / name} no longer has the same image at byte {offset}; add the data again")
            return data[BLOCK:]

        return read


def _ticker(before: int, total: int, progress: Progress, stop: Stop) -> Callable[[int], None]:
    """Tells the bytes read, and hears a stop, four times a second."""
    due = 0.0

    def tick(at: int) -> None:
        nonlocal due
        now = time.monotonic()
        if now >= due:
            if stop():
                raise Stopped
            progress(before + at, total)
            due = now + 0.25

    return tick


class _Sample:
    """The members of one key that stand together."""

    __slots__ = ("facts", "images", "key", "labels")

    def __init__(self, key: str) -> None:
        self.key = key
        self.images: list[Member] = []
        self.labels: list[bytes] = []
        self.facts: list[bytes] = []


def _read(archive: Archive, shard: int, samples: _Samples, tick: Callable[[int], None]) -> None:
    """Add the samples of an archive."""
    sample = _Sample("")
    for member in archive.members(tick):
        folder, slash, name = member.name.rpartition("/")
        if member.kind != FILE:
            if member.kind != FOLDER:
                samples.count(f"{member.kind}, left out", f"{archive.path.name}: {member.name}")
            continue
        stem, _, ending = name.rpartition(".")
        key, ending = folder + slash + stem, ending.lower()
        if name.startswith(".") or not stem or (sample.key and key.startswith(sample.key + ".")):
            ending = ""
        picture = f".{ending}" in PICTURES
        if not picture and ending not in ("cls", "json"):
            samples.count("further members, left out", f"{archive.path.name}: {member.name}")
            continue
        if key != sample.key:
            samples.add(sample, shard, archive.path.name)
            sample = _Sample(key)
        if picture:
            sample.images.append(member)
        elif ending == "cls":
            sample.labels.append(archive.read(member.offset, min(member.size, LABEL_BYTES + 1)))
        else:
            sample.facts.append(archive.read(member.offset, min(member.size, FACTS_BYTES + 1)))
    samples.add(sample, shard, archive.path.name)


class _Column:
    """One word per image, as numbers; the words are kept once."""

    def __init__(self, before: int) -> None:
        self.codes = array("i", [-1]) * before
        self.words: dict[str, int] = {}

    def add(self, word: str) -> None:
        self.codes.append(self.words.setdefault(word, len(self.words)))

    def series(self, lacking: str) -> pd.Series:
        words = np.array([*self.words, lacking], dtype=object)  # -1 is the last
        return pd.Series(words[np.frombuffer(self.codes, np.int32)], dtype=object)


class _Samples:
    """All images found; no Python object is kept for one of them, but for their names where a list needs those."""

    def __init__(self, named: bool) -> None:
        self.shards, self.offsets, self.sizes = array("i"), array("q"), array("q")
        self.identity = _Column(0)
        self.attributes: dict[str, _Column | None] = {}
        self.names: list[str] = []
        self._named = named
        self._nested: dict[str, None] = {}
        self._too_many = False
        self._counts: dict[str, tuple[int, list[str]]] = {}

    def count(self, what: str, place: str) -> None:
        number, places = self._counts.get(what, (0, []))
        self._counts[what] = number + 1, [*places, place] if number < SHOWN else places

    @property
    def problems(self) -> list[Problem]:
        return [Problem(what, number, tuple(places)) for what, (number, places) in self._counts.items()]

    def notes(self) -> list[str]:
        dropped = [name for name, column in self.attributes.items() if column is None]
        said = [f".json fields with more than {MAX_VALUES:,} values are not used as attributes: {', '.join(dropped)}"]
        nested = [f".json fields that hold lists or objects are not read: {', '.join(self._nested)}"]
        more = [f"the .json files have more than {MAX_FIELDS} different fields: only the first {MAX_FIELDS} are read"]
        return said * bool(dropped) + nested * bool(self._nested) + more * self._too_many

    def add(self, sample: _Sample, shard: int, name: str) -> None:
        """A finished sample; what keeps it from being used is counted."""
        if not sample.key:
            return
        place = f"{name}: {sample.key}"
        if len(sample.images) != 1:
            self.count(f"samples with {'two images' if sample.images else 'no image'}, left out", place)
            return
        image = sample.images[0]
        if image.size > IMAGE_BYTES or image.size == 0:
            self.count(f"images of no or more than {IMAGE_BYTES:,} bytes, left out", place)
            return
        if len(sample.labels) > 1 or len(sample.facts) > 1:
            self.count("samples with two .cls or two .json, left out", place)
            return
        facts = _facts(sample.facts[0]) if sample.facts else {}
        label = _label(sample.labels[0]) if sample.labels else ""
        if facts is None or label is None:
            self.count(f"samples whose {'.json' if facts is None else '.cls'} cannot be read, left out", place)
            return
        told = next((_word(facts[key]) for key in NAMES if _word(facts.get(key))), "")
        if label and any(_word(facts.get(key)) not in ("", label) for key in NAMES[1:]):
            self.count("samples whose .json and .cls have different labels; the .cls was used", place)
        identity = label or told
        if not identity or re.fullmatch(r"-\d+", identity):
            self.count("samples without an identity (no .cls, or a number below 0), left out", place)
            return
        self.shards.append(shard)
        self.offsets.append(image.offset)
        self.sizes.append(image.size)
        self.identity.add(identity)
        if self._named:
            self.names.append(sample.key + image.name[image.name.rindex(".") :])
        self._keep({key: value for key, value in facts.items() if label or key not in NAMES})

    def _keep(self, facts: dict[str, Any]) -> None:
        """The attributes of the image added last."""
        before = len(self.offsets) - 1
        for key, value in facts.items():
            if isinstance(value, list | dict):
                if len(self._nested) < MAX_FIELDS:
                    self._nested[key] = None
            elif key not in self.attributes and len(self.attributes) < MAX_FIELDS:
                self.attributes[key] = _Column(before)
            elif key not in self.attributes:
                self._too_many = True
        for key, column in self.attributes.items():
            if column is not None:
                column.add(_word(facts.get(key)))
                if len(column.words) > MAX_VALUES:
                    self.attributes[key] = None

    def table(self, shards: pd.Series) -> pd.DataFrame:
        """location, identity and the attributes, a row per image."""
        where = shards[np.frombuffer(self.shards, np.int32)].reset_index(drop=True)
        for numbers in (self.offsets, self.sizes):
            where = where + ":" + pd.Series(np.frombuffer(numbers, np.int64)).astype(str)
        images = pd.DataFrame({"location": where.astype(object), "identity": self.identity.series("")})
        columns = [
            column.series("").rename(f"attribute.{key}")
            for key, column in self.attributes.items()
            if column is not None
        ]
        return pd.concat([images, *columns], axis=1)  # at once: thousands of single inserts would fragment it


def _label(content: bytes) -> str | None:
    """The text of a .cls; None when it is no single line of text."""
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError:
        return None
    return text if len(content) <= LABEL_BYTES and text.isprintable() else None


def _facts(content: bytes) -> dict[str, Any] | None:
    """The fields of a .json; None when it is no object, has a field twice, or text that no table could hold."""

    def single(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) < len(items):
            raise ValueError("a field appears twice")
        return found

    if len(content) > FACTS_BYTES:
        return None
    try:
        found = parse_json(content, "", pairs=single)
        for key, value in found.items():
            (key + _word(value)).encode("utf-8")
    except (Damaged, ValueError):  # UnicodeError is a ValueError
        return None
    return found


def _word(value: Any) -> str:
    """A value as text; "" for nothing and for lists and objects."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | str) and value == value:
        return str(value).strip()
    return ""


def _gaps(files: Sequence[Path]) -> list[str]:
    """Numbers that lack in the names of the shards."""
    found: dict[str, list[int]] = {}
    for file in files:
        match = _NUMBER.match(file.name)
        if match:
            found.setdefault(match[1], []).append(int(match[2]))
    said = []
    for name, numbers in found.items():
        lacking = max(numbers) + 1 - len(set(numbers)) - (min(numbers) if min(numbers) <= 1 else 0)
        if len(numbers) > 1 and lacking:
            said.append(f"{lacking:,} numbers of the shards {name}-*.tar are missing")
    return said
