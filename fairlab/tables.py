"""The tables handed from stage to stage: their columns and types live here, and every table is built by `Table`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

TEXT = pd.Series(["text"]).dtype
"""str of pandas 3, object of pandas 2. A column of text that repeats may be a category instead."""
WHOLE, NUMBER, BOOL = "int64", "float64", "bool"
MAYBE, MAYBE_WHOLE = "boolean", "Int64"
"""Claims and whole numbers that may be unknown."""
ANY = "object"
"""What has no one type, e.g. the row number in a pixel file or a path."""


class Table(tuple[str, ...]):
    """The columns of a table, in order, each with its type; a tuple of their names.

    A table that is built here has its columns and types whatever its rows are, also when there are none.
    """

    types: dict[str, Any]

    def __new__(cls, /, **types: Any) -> Table:
        self = super().__new__(cls, types)
        self.types = types
        return self

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]:  # for copy and pickle
        return (), self.types

    def without(self, *names: str) -> Table:
        """The table with fewer columns."""
        return Table(**{name: kind for name, kind in self.types.items() if name not in names})

    def only(self, *names: str) -> Table:
        """The table with these of its columns, in the order given."""
        return Table(**{name: self.types[name] for name in names})

    def plus(self, **types: Any) -> Table:
        """The table with further columns behind its own."""
        return Table(**{**self.types, **types})

    def build(self, rows: Iterable[Any] = ()) -> pd.DataFrame:
        """A frame of rows, each a mapping of names (what it does not name is missing) or a sequence in our order.

        Raises ValueError for a name that is no column, TypeError or ValueError for a value of another type.
        """
        rows = list(rows)
        known = set(self)
        if rows and isinstance(rows[0], Mapping):
            unknown = {str(name) for row in rows for name in row.keys() - known}
            if unknown:
                raise ValueError(f"{', '.join(sorted(unknown))} is not a column of this table")
        return self._typed(pd.DataFrame(rows, columns=list(self)))

    def of(self, columns: Mapping[str, Any]) -> pd.DataFrame:
        """A frame of whole columns by name; a single value stands in every row. Raises ValueError for another name."""
        if set(columns) != set(self):
            raise ValueError(f"{', '.join(sorted(set(columns) ^ set(self)))}: not the columns of this table")
        return self._typed(pd.DataFrame({name: columns[name] for name in self}))

    def stack(self, frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
        """Frames of this table one under the other, also none."""
        frames = list(frames)
        return self._typed(pd.concat(frames, ignore_index=True)[list(self)]) if frames else self.build()

    def _typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        for name, kind in self.types.items():
            column = frame[name]
            if kind == BOOL and column.isna().any():  # a missing one would become True
                raise ValueError(f"{name} is neither true nor false in row {int(column.isna().to_numpy().argmax())}")
            if column.dtype != kind and not (kind is TEXT and isinstance(column.dtype, pd.CategoricalDtype)):
                frame[name] = column.astype(kind)
        return frame


def texts(rows: Iterable[Mapping[str, str]], *columns: str) -> pd.DataFrame:
    """A frame of words for people: these columns, then the others in the order in which the rows name them."""
    rows = list(rows)
    names = dict.fromkeys([*columns, *(name for row in rows for name in row)], TEXT)
    return Table(**names).build(rows)


def json_values(value: Any) -> Any:
    """Numbers, lists and mappings as JSON has them, to the last digit: NaN and infinite become null."""
    if isinstance(value, dict):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    return None if isinstance(value, float) and not np.isfinite(value) else value


def rows_as_json(table: pd.DataFrame) -> str:
    """A table as JSON, an object per row. pandas rounds to ten decimals: a p of 1e-12 would be 0."""
    return json.dumps(json_values(table.to_dict("records")), indent=1, allow_nan=False)


def rows_where(claims: Iterable[bool]) -> np.ndarray:
    """Which rows of a frame to keep, (N,) bool, from a claim about each: an empty list would choose columns instead."""
    return np.fromiter(claims, dtype=bool)


def matches(frame: pd.DataFrame, table: Table) -> bool:
    """Has the frame exactly these columns, of these types?"""
    return list(frame) == list(table) and all(
        frame[name].dtype == kind or (kind is TEXT and isinstance(frame[name].dtype, pd.CategoricalDtype))
        for name, kind in table.types.items()
    )


IMAGES = Table(image_id=WHOLE, dataset=TEXT, split=TEXT, identity=TEXT, group=TEXT, source=TEXT, location=ANY)
"""A row is an image. image_id: its row number in the data set (int64); identity, group, split, source: text;
location: row number in the pixel file, or a path. A further attribute is a column `attribute.<name>`."""

PAIRS = Table(pair_id=WHOLE, protocol=TEXT, image_a=WHOLE, image_b=WHOLE, genuine=BOOL, group=TEXT, fold=WHOLE)
"""A row is a comparison. protocol: which list it belongs to ("validation", "test"); image_a/b: image_id;
genuine: same identity?; fold: 0..9, contiguous blocks."""

LISTED = PAIRS.without("pair_id", "protocol")
"""Pairs that have no list and no number yet."""

TEMPLATES = Table(template=WHOLE, image_id=WHOLE, media=WHOLE, weight=NUMBER, name=TEXT)
"""A row is an image of a template, where a data set compares templates: several images of one person as one vector.
template: image_id of the template's first image, by which pairs name it in image_a/b; media: number of the photograph or
video within the template that the image is from; weight: of the image in it, e.g. a detector's score; name: the data's
own name of the template (text). An image is in one template at most."""

RUNS = Table(
    run_id=TEXT,
    study=TEXT,
    title=TEXT,
    role=TEXT,
    method=TEXT,
    preset=TEXT,
    status=TEXT,
    reason=TEXT,
    created_at=TEXT,
    finished_at=TEXT,
    parents=TEXT,
    config=TEXT,
    code_version=TEXT,
    seed=WHOLE,
    dataset=TEXT,
    train_s=NUMBER,
)
"""A row is a run. parents and config are JSON text; times are UTC ISO 8601; train_s: process CPU seconds."""

LIVE_RUNS = RUNS.plus(
    stage=TEXT, progress=NUMBER, eta_s=NUMBER, rate=NUMBER, unit=TEXT, bitwise=ANY, tags=TEXT, note=TEXT, star=BOOL
)
"""RUNS with how they stand: progress 0..1, eta_s and rate of those that work, NaN of others; bitwise: of resumed runs; and with
what a person says of them: tags (with ", " between them), note, star."""

EVENTS = Table(run_id=TEXT, step=WHOLE, epoch=NUMBER, name=TEXT, value=NUMBER, time_s=NUMBER)
"""A row is a reading. step counts from 1; time_s: seconds of work since the run's first start."""

SCORES = Table(run_id=TEXT, pair_id=WHOLE, score=NUMBER)
"""A row is a scored pair. score: cosine of the two fused embeddings, higher = more alike."""

METRICS = Table(
    run_id=TEXT,
    protocol=TEXT,
    group=TEXT,
    metric=TEXT,
    operating_point=TEXT,
    value=NUMBER,
    low=NUMBER,
    high=NUMBER,
    genuine_pairs=WHOLE,
    impostor_pairs=WHOLE,
)
"""A row is a number. group: a group's name or ALL_GROUPS; low/high: 95 % interval; value NaN = "n/a"."""

PROJECTION = Table(run_id=TEXT, image_id=WHOLE, x="float32", y="float32")
"""A row is a point of a map."""

MOVED_IMAGES = Table(
    image_id=WHOLE, identity=TEXT, group=TEXT, overlap=NUMBER, rank_before=MAYBE_WHOLE, rank_after=MAYBE_WHOLE
)
"""A row is an image measured in two spaces. overlap: of its neighbours, 0..1, NaN where these are undefined; rank_before,
rank_after: place of the nearest other image of the same person among all other images, from 1, and one more than the
depth of the search where it is farther; missing where the person has no other image."""

MOVED_NUMBERS = Table(
    group=TEXT, measure=TEXT, value=NUMBER, low=NUMBER, high=NUMBER, images=WHOLE, people=WHOLE, reason=TEXT
)
"""A row is a number of two spaces, of a group or ALL_GROUPS. measure: see evaluation.neighbourhoods.MEASURES; low/high:
95 % interval over people; value NaN = "n/a"; reason: why there is no value, or no interval."""

ALL_GROUPS = "all"
