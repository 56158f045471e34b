"""Which image a name means, as lists of pairs and tables of other people name files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fairlab.data.listing import PICTURES
from fairlab.reading.table_text import composed

_ENDING = r"\.(?:" + "|".join(ending[1:] for ending in PICTURES) + r")$"


def rows_of(names: Sequence[str], images: pd.DataFrame) -> np.ndarray:
    """The row of each file name in `images`, -1 where there is none.

    A name fits the location itself, or its last two parts (identity/file), with or without its ending: lists are
    older than the folders they are used on, and name .jpg what was stored as .png. A name without a folder, or whose
    file begins with its folder's name (Al_Gore/Al_Gore_0001.jpg), fits that file in any folder. Last, a name fits the file
    in which a face detector wrote `_0`, its first face, behind it. What several files fit, none does.
    """
    wanted = composed(pd.Series(list(names), dtype=object).str.lstrip("/"))
    location = composed(images["location"].astype(object))
    found = np.full(len(wanted), -1)
    for cut, of_names in (
        (_whole, _whole),
        (_last_two, _last_two),
        (_stem, _stem),
        (_file, _bare),
        (_bare_stem, _bare),
    ):
        _fit(found, of_names(wanted) if cut is not _bare_stem else _without_ending(_bare(wanted)), cut(location))
    if (found < 0).any():
        rows = np.flatnonzero(_without_ending(location).str.endswith("_0").to_numpy(bool))
        if len(rows):
            first = location.iloc[rows]
            for of_names, cut in ((_stem, _stem), (_bare_stem, _bare_stem)):
                listed = of_names(wanted) if cut is _stem else _without_ending(_bare(wanted))
                _fit(found, listed, cut(first).str.removesuffix("_0"), rows)
    return found


def _fit(found: np.ndarray, names: pd.Series, known: pd.Series, rows: np.ndarray | None = None) -> None:
    """Write the rows of `known`, which may be those named, to the names that have none yet; NaN names fit nothing."""
    if not (found < 0).any() or not len(known):
        return
    unique = (~known.duplicated(keep=False)).to_numpy(bool)  # an ambiguous short name is no name
    place = pd.Index(known[unique]).get_indexer(names)
    chosen = (np.arange(len(known)) if rows is None else rows)[unique]
    fits = (found < 0) & (place >= 0) & names.notna().to_numpy(bool)
    found[fits] = chosen[place[fits]]


def _whole(text: pd.Series) -> pd.Series:
    return text


def _last_two(text: pd.Series) -> pd.Series:
    return text.str.extract(r"([^/]+/[^/]+)$", expand=False).fillna(text)


def _without_ending(text: pd.Series) -> pd.Series:
    return text.str.replace(_ENDING, "", case=False, regex=True)


def _stem(text: pd.Series) -> pd.Series:
    return _without_ending(_last_two(text))


def _file(text: pd.Series) -> pd.Series:
    return text.str.rpartition("/")[2]


def _bare_stem(text: pd.Series) -> pd.Series:
    return _without_ending(_file(text))


def _bare(names: pd.Series) -> pd.Series:
    """The file of a name that means it wherever it is; missing for a name that means one folder."""
    parts = names.str.extract(r"(?:([^/]+)/)?([^/]+)$")
    folder, file = parts[0].fillna("").tolist(), parts[1].fillna("").tolist()
    means_it = [name.startswith(below) for below, name in zip(folder, file, strict=True)]
    return parts[1].where(pd.Series(means_it, index=names.index, dtype=bool))
