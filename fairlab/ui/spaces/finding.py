"""Filters and a search over the images of a data set: what the maps show, and people found by name."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import streamlit as st

from fairlab.compare.columns.base import ATTRIBUTE, PLAIN
from fairlab.data.dataset import Dataset
from fairlab.ui.frame import choices
from fairlab.ui.frame.page import plain
from fairlab.ui.frame.pickers import choose_many
from fairlab.ui.spaces import selection

WHERE, FIND, FOUND = "where", "find", "what was found on a map"
VALUES_AT_MOST = 200
"""A column of more values, such as the people, is searched by typing instead."""
NAMED_PEOPLE = 5


@dataclass(frozen=True)
class Found:
    """Images (N,) that a search found, and a sentence that says which."""

    ids: np.ndarray
    sentence: str


def find(data: Dataset, text: str) -> Found:
    """Images of the person of this name, else of all people whose name contains it, else the image of this number."""
    text = text.strip()
    people = data.images["identity"]
    names = pd.unique(people.to_numpy(dtype=str))
    lowered = [name.lower() for name in names]
    wanted = text.lower()
    hits = [name for name, low in zip(names, lowered, strict=True) if low == wanted]
    hits = hits or [
        name for name, low in zip(names, lowered, strict=True) if wanted and wanted in low and not _number(text)
    ]
    if hits:
        ids = np.flatnonzero(people.isin(hits).to_numpy())
        more = f" and {len(hits) - NAMED_PEOPLE:,} more" if len(hits) > NAMED_PEOPLE else ""
        return Found(ids, f"{len(ids):,} images of {', '.join(hits[:NAMED_PEOPLE])}{more}")
    number = text.lower().removeprefix("image").strip()
    if _number(number) and int(number) < len(people):
        return Found(np.array([int(number)], dtype=np.int64), f"image {int(number)}, {people.iloc[int(number)]}")
    nobody = np.empty(0, dtype=np.int64)
    return Found(
        nobody, f"No person's name contains {text[:60]!r}, and no image has this number (0 to {len(people) - 1:,})."
    )


def _number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18


def search(data: Dataset) -> None:
    """A field to type the name of a person or the number of an image, which selects."""
    st.text_input(
        "Find a person or image",
        key=FIND,
        placeholder="name or number, then Enter",
        help="Selects all images of the person; part of a name finds every person that contains it.",
        on_change=_search,
        args=(data,),
    )
    if said := st.session_state.pop(FOUND, ""):
        st.caption(plain(said))


def _search(data: Dataset) -> None:
    text = str(st.session_state.get(FIND, ""))
    if not text.strip():
        return
    found = find(data, text)
    st.session_state[FOUND] = found.sentence
    if len(found.ids):
        selection.select(data.dataset_id, found.ids)
        st.session_state[FIND] = ""
        if len(found.ids) == 1:
            choices.choose(selection.FACE, [str(found.ids[0])], data.dataset_id)


@st.cache_data(max_entries=8, show_spinner=False)
def _options(fingerprint: str, _data: Dataset) -> dict[str, str]:
    """What can be filtered by: "column=value" -> its name and count; numbers by their quarters."""
    found: dict[str, str] = {}
    for name in _data.images:
        if name not in PLAIN and not str(name).startswith(ATTRIBUTE):
            continue
        label = PLAIN.get(name, str(name).removeprefix(ATTRIBUTE))
        counts = _coarse(_data.images[name]).value_counts()
        if 2 <= len(counts) <= VALUES_AT_MOST:
            found |= {f"{name}={value}": f"{label}: {value} ({count:,})" for value, count in counts.items()}
    return found


def _coarse(column: pd.Series) -> pd.Series:
    """A column as text, "n/a" where there is none; more than four numbers as the quarter of the images that they are in."""
    texts = column.astype(object)
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        numbers = column.to_numpy(np.float64, na_value=np.nan)
        known = numbers[np.isfinite(numbers)]
        ends = np.unique(np.quantile(known, [0, 0.25, 0.5, 0.75, 1]) if len(known) else known)
        names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(ends)]
        if column.nunique() > 4 and len(set(names)) == len(names) > 0:
            texts = pd.cut(pd.Series(numbers, column.index), ends, labels=names, include_lowest=True).astype(object)
        else:
            texts = pd.Series([f"{number:.4g}" for number in numbers], column.index, dtype=object)
    return texts.where(column.notna(), "n/a").astype(str)


def kept(data: Dataset, wanted: list[str]) -> np.ndarray | None:
    """(N,) bool: images that have one of the values named of every column named ("column=value"); None for all."""
    if not wanted:
        return None
    by_column: dict[str, list[str]] = {}
    for item in wanted:
        name, _, value = item.partition("=")
        by_column.setdefault(name, []).append(value)
    masks = [_coarse(data.images[name]).isin(values).to_numpy() for name, values in by_column.items()]
    return np.logical_and.reduce(masks)


def filters(data: Dataset) -> np.ndarray | None:
    """A field of values to show only: images that remain (N,) bool, None for all."""
    names = _options(data.fingerprint, data)
    wanted = choose_many(
        "Show only",
        list(names),
        WHERE,
        names,
        of=data.dataset_id,
        placeholder="all images",
        help="Values of one column add up; of several columns, an image needs one of each.",
    )
    return kept(data, wanted)
