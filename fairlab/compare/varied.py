"""The settings that a study varies, in its table: a column for each, and what the numbers do along one of them."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import pandas as pd

from fairlab.compare.model_rows import ENDS
from fairlab.errors import FairLabError
from fairlab.plan.axes import labels, text_of
from fairlab.settings.base import nearest
from fairlab.store.studies import StudyInfo
from fairlab.tables import NUMBER, TEXT, Table

PREFIX = "varied:"
"""Before the dotted name of a setting: its column in a comparison."""
LIKE = "like"
"""A model's title without the values of varied settings."""
MEASURES = ("mean", "std", "ser", "worst")
"""Columns of a comparison that are drawn along a setting: accuracy, and every measure of unfairness."""


def with_varied(table: pd.DataFrame, study: StudyInfo) -> pd.DataFrame:
    """A comparison with a column for every setting that the study varies, and `like`; as it is where nothing is varied.

    A setting of numbers has numbers, any other texts; missing where a model does not hang on it.
    """
    axes = study.config.grid.vary
    if not axes:
        return table
    columns: dict[str, list[Any]] = {LIKE: [], **{PREFIX + name: [] for name in axes}}
    for row in table[["run_id", "model"]].to_dict("records"):
        known = study.varied.get(row["run_id"])
        columns[LIKE].append(known.like if known else row["model"])
        for name in axes:
            columns[PREFIX + name].append(known.values.get(name) if known else None)
    for name, values in columns.items():
        plain = all(value is None or (isinstance(value, Real) and not isinstance(value, bool)) for value in values)
        typed = [value if value is None or plain else text_of(value) for value in values]
        columns[name] = pd.Series(typed, index=table.index, dtype=NUMBER if plain and name != LIKE else TEXT)
    return table.assign(**columns)


def axes_of(table: pd.DataFrame) -> list[str]:
    """The settings that a comparison has columns of, dotted, in the order of the study."""
    return [str(name).removeprefix(PREFIX) for name in table if str(name).startswith(PREFIX)]


def headings(table: pd.DataFrame) -> dict[str, str]:
    """The heading of each setting's column, e.g. {"varied:student.loss.margin_rad": "margin_rad"}."""
    return {PREFIX + name: label for name, label in labels(axes_of(table)).items()}


def shown(value: Any) -> str:
    """A varied setting's value in a cell; "" where the model does not hang on it."""
    return "" if pd.isna(value) else text_of(value)


def numeric(table: pd.DataFrame, setting: str) -> bool:
    """Are the values of a varied setting numbers, so that a line between them means something?"""
    return bool(pd.api.types.is_numeric_dtype(table[PREFIX + setting]))


def along(table: pd.DataFrame, setting: str) -> pd.DataFrame:
    """The numbers of a comparison along one varied setting, a row per model that hangs on it.

    Columns: line (models that differ in this setting alone share it), value (number or text), run_id, model, runs, and mean,
    std, ser, worst, each with _low and _high (points; 95 % intervals). Lines in the order of the table, values rising, or in the
    order of the study. Raises FairLabError for a setting that the study does not vary.
    """
    axes = axes_of(table)
    if setting not in axes:
        varied = f"it varies: {', '.join(axes)}" if axes else "it varies none (grid.vary)"
        raise FairLabError(f"the study does not vary {setting!r}; {varied}{nearest(setting, axes)}")
    kind = NUMBER if numeric(table, setting) else TEXT
    numbers = {f"{name}{end}": NUMBER for name in MEASURES for end, _ in ENDS}
    along = Table(line=TEXT, value=kind, run_id=TEXT, model=TEXT, runs="int64", **numbers)
    part = table[table[PREFIX + setting].notna()]
    others = [name for name in axes if name != setting]
    rows = [
        {
            "line": _line(row, others, labels(axes)),
            "value": row[PREFIX + setting],
            **{name: row[name] for name in ("run_id", "model", "runs", *numbers)},
        }
        for row in part.to_dict("records")
    ]
    found = along.build(rows)
    order = {line: place for place, line in enumerate(dict.fromkeys(found["line"]))}
    if kind == TEXT:
        places = {value: place for place, value in enumerate(dict.fromkeys(found["value"]))}
        keys = [(order[line], places[value]) for line, value in zip(found["line"], found["value"], strict=True)]
    else:
        keys = [(order[line], value) for line, value in zip(found["line"], found["value"], strict=True)]
    return found.iloc[sorted(range(len(found)), key=keys.__getitem__)].reset_index(drop=True)


def _line(row: dict[str, Any], others: Sequence[str], short: dict[str, str]) -> str:
    """What models share that differ in one setting alone: the plain title, and the values of all other varied settings."""
    values = [f"{short[name]} {shown(row[PREFIX + name])}" for name in others if not pd.isna(row[PREFIX + name])]
    return "; ".join([row[LIKE], *([", ".join(values)] if values else [])])
