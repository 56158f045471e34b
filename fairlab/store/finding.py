"""Which of many runs or studies are looked for: words, tags, stars, and of runs their status and role."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

SEPARATOR = ", "
"""Between the tags of a run or study in a table; no tag holds a comma."""


def matching(
    runs: pd.DataFrame,
    words: str = "",
    statuses: Sequence[str] = (),
    roles: Sequence[str] = (),
    tags: Sequence[str] = (),
    starred: bool = False,
) -> pd.DataFrame:
    """The runs whose title, id, method, study, tags or note hold each of the words, with all of these tags.

    runs: tables.LIVE_RUNS. statuses, roles: of these, if any are named. starred: only those with a star.
    """
    kept = _said(runs, ("title", "run_id", "method", "study", "tags", "note"), words) & _labelled(runs, tags, starred)
    for column, wanted in (("status", statuses), ("role", roles)):
        if wanted:
            kept &= runs[column].isin(list(wanted))
    return runs[kept]


def matching_studies(
    table: pd.DataFrame, words: str = "", tags: Sequence[str] = (), starred: bool = False
) -> pd.DataFrame:
    """The studies (store.studies.STUDIES) whose title, id, preset, tags or note hold each of the words, with all these tags."""
    return table[_said(table, ("title", "study_id", "preset", "tags", "note"), words) & _labelled(table, tags, starred)]


def known_tags(table: pd.DataFrame) -> list[str]:
    """All tags of the rows of a table of runs or studies, sorted."""
    return sorted({tag for tags in table["tags"] for tag in tags.split(SEPARATOR) if tag})


def _said(table: pd.DataFrame, columns: Sequence[str], words: str) -> pd.Series:
    kept = pd.Series(True, index=table.index)
    wanted = words.lower().split()
    if wanted:
        text = table[columns[0]].str.cat([table[name] for name in columns[1:]], sep=" ").str.lower()
        for word in wanted:
            kept &= text.str.contains(word, regex=False)
    return kept


def _labelled(table: pd.DataFrame, tags: Sequence[str], starred: bool) -> pd.Series:
    kept = table["star"].astype(bool) if starred else pd.Series(True, index=table.index)
    if tags:
        wanted = set(tags)
        kept = kept & pd.Series(
            [wanted <= set(own.split(SEPARATOR)) for own in table["tags"]], index=table.index, dtype=bool
        )
    return kept
