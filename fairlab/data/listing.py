"""What a data set reader is, and how a path finds its reader."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

from fairlab.errors import FairLabError
from fairlab.registry import Registry
from fairlab.settings.study import Source

Progress = Callable[[int, int], None]
Stop = Callable[[], bool]
PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
MAX_IMAGE_BYTES = 64 << 20
"""Larger files are no picture of a face."""
SHOWN = 5


@dataclass(frozen=True)
class Problem:
    """Something the data have wrong: said once, counted, with a few places."""

    what: str
    count: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.examples) > 0 else ""
        places = f" ({', '.join(self.examples)}{more})" if self.examples else ""
        return f"{self.what}: {self.count:,}{places}"


def problem(what: str, places: Sequence[object]) -> list[Problem]:
    """One problem with its first places; none when there are no places."""
    return [Problem(what, len(places), tuple(str(place) for place in places[:SHOWN]))] if len(places) else []


@dataclass(frozen=True)
class Listing:
    """What a reader found, before any image is decoded.

    images: a row per image, in the order of their ids: identity, group, location (text that the reader's `opener`
    understands), further attributes as `attribute.<name>`, and `split` where the data come in parts. pairs: image_a, image_b (row numbers), genuine, group, fold.
    landmarks: (N, 5, 2) x and y in the stored image, NaN where unknown. templates: tables.TEMPLATES with row numbers as
    image_id and template, where image_a and image_b name templates. without: images without landmarks of a face, as
    data.landmarks counts them; unenrolled: templates that cannot be compared, as data.enrolment counts them. doubtful: rows that a short
    look must not leave out. names: some names of files and who they say is shown.
    """

    images: pd.DataFrame
    attribute: str
    pairs: pd.DataFrame | None = None
    landmarks: np.ndarray | None = None
    problems: Sequence[Problem | str] = ()
    notes: Sequence[str] = ()
    templates: pd.DataFrame | None = None
    without: Mapping[str, Any] = field(default_factory=dict)
    unenrolled: Mapping[str, Any] = field(default_factory=dict)
    doubtful: Sequence[int] = ()
    names: str = ""


class Texts(Sequence[str]):
    """A column of text, a Python string only when asked for: five million of them would take half a gigabyte."""

    def __init__(self, column: pd.Series) -> None:
        self._values = pa.array(column)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, row: Any) -> Any:
        return self._values[int(row)].as_py()


class Reader(Protocol):
    """One kind of data on disk."""

    def detect(self, path: Path) -> str:
        """Why `path` is of this kind, as half a sentence; "" when it is not. Must be quick and never raise."""
        ...

    def listing(self, path: Path, source: Source, progress: Progress, stop: Stop) -> Listing:
        """All images and pairs. Raises FairLabError with file and line for what cannot be understood."""
        ...

    def opener(self, path: Path, locations: Sequence[str]) -> Callable[[int], bytes]:
        """read(row) -> encoded bytes of the image at locations[row]. Safe in threads and after a fork."""
        ...


READERS: Registry[type[Reader]] = Registry("kind of data", "fairlab.data.readers")
"""register(name, title=, order=): the first in `order` that recognises a path reads it. pixels=False: without images;
names=True: images are named by files, so that a template can read the names."""


def has_images(kind: str) -> bool:
    """Does this kind of data hold images, or only tables about some?"""
    return bool(READERS.facts(kind).get("pixels", True))


def reader(kind: str) -> Reader:
    """The reader of a kind. Raises FairLabError, listing the kinds, for an unknown one."""
    return READERS[kind]()


def detect_kind(path: Path) -> tuple[str, str]:
    """(kind, why) of what lies at `path`. Raises FairLabError, listing the kinds, when no reader knows it."""
    if not path.exists():
        raise FairLabError(f"{path} does not exist; check the path")
    for name in sorted(READERS, key=lambda item: READERS.facts(item)["order"]):
        why = reader(name).detect(path)
        if why:
            return name, why
    raise FairLabError(
        f"{path} is not in a format that FairLab reads: "
        f"{', '.join(str(READERS.facts(name)['title']) for name in READERS)}"
    )
