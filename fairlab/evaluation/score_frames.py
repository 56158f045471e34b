"""Scored pairs as a table of anybody's making: which columns mean what, what is wrong with which line, what is left out."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.errors import Damaged, FairLabError
from fairlab.tables import ALL_GROUPS

GENUINE = {
    "1": True,
    "1.0": True,
    "true": True,
    "genuine": True,
    "0": False,
    "0.0": False,
    "false": False,
    "impostor": False,
}
"""What a label may say."""
ID_COLUMNS = (("id1", "id2"), ("identity_a", "identity_b"), ("probe_subject_id", "bio_ref_subject_id"))
IMAGE_COLUMNS = (
    ("img1", "img2"),
    ("image_a", "image_b"),
    ("p1", "p2"),
    ("probe_template_id", "bio_ref_template_id"),
    ("probe_key", "bio_ref_key"),
)
LABEL_COLUMNS = ("label", "genuine")
PROBE, REFERENCE = "probe_", "bio_ref_"
NO_ATTRIBUTE = {"subject_id", "template_id", "key", "reference_id"}
"""Of bob's columns probe_X and bio_ref_X, those that are no attribute of a person."""

DEFECTS = {
    "scores": "scores that are no finite number",
    "labels": "labels that are neither genuine (1, true) nor impostor (0, false)",
    "groups": "pairs without a group",
    "people": "pairs of which a person has no name",
    "contradictions": "labels that contradict the identities",
    "self_pairs": "images compared with themselves",
    "duplicates": "pairs that stand in the table more than once, in either order",
    "two_groups": "pairs of people who stand in two groups",
}
"""What can be wrong with a line. Each can be left out by name."""
FATAL = ("scores", "labels", "groups", "people", "contradictions")
"""Those that no number can be computed with; the others are listed, and counted in unless they are left out."""
SHOWN = 5
PARQUET = (".parquet", ".pq")


@dataclass(frozen=True)
class Defect:
    """lines: the first of the lines (or rows) where it is so; excluded: was it left out?"""

    kind: str
    count: int
    lines: tuple[int, ...]
    excluded: bool

    def __str__(self) -> str:
        where = ", ".join(map(str, self.lines)) + (" ..." if self.count > len(self.lines) else "")
        return f"{self.count:,} {DEFECTS[self.kind]} (line {where}), {'left out' if self.excluded else 'counted in'}"


@dataclass(frozen=True)
class ScoredPairs:
    """Checked pairs. frame: score (float64), genuine (bool), group, other (the second image's group, equal to group but
    for comparisons across groups), line; id1, id2 where the table names people; fold where it has folds; repeated (bool:
    the same two images stand further up) where it names images.
    """

    frame: pd.DataFrame
    defects: tuple[Defect, ...] = ()
    notes: tuple[str, ...] = ()
    name: str = "the table"
    excluded: tuple[str, ...] = field(default=())

    @property
    def named(self) -> bool:
        """Does the table say who is compared?"""
        return "id1" in self.frame


def read_frame(path: Path | str) -> pd.DataFrame:
    """A CSV, TSV or Parquet file as it is, texts as texts. Raises FairLabError, Damaged."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise FairLabError(f"there is no file {path}; right would be a CSV of scored pairs")
    try:
        if path.suffix.lower() in PARQUET:
            return pd.read_parquet(path)
        separator = "\t" if path.suffix.lower() in (".tsv", ".tab") else ","
        return pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, skip_blank_lines=False)
    except (ValueError, OSError, pd.errors.ParserError) as error:
        what = str(error).strip().partition("\n")[0]
        raise Damaged(f"{path} cannot be read as a table: {what}") from error


def _open_end(path: Path) -> bool:
    """Does a text file end in the middle of a line? A number that was cut is still a number, so nobody else sees it."""
    if path.suffix.lower() in PARQUET:
        return False
    with open(path, "rb") as handle:
        handle.seek(-1, os.SEEK_END)
        return handle.read(1) not in b"\r\n"


def scored_pairs(
    table: pd.DataFrame | Path | str, exclude: Collection[str] = (), attribute: str = "", score: str = "score"
) -> ScoredPairs:
    """Check a table of scored pairs.

    Columns: score (or the one named); label or genuine (not needed where identities tell); group, or for each image one:
    group1, group2 (or <attribute>1, <attribute>2 as BFW's att1, att2; or bob's probe_<attribute> and
    bio_ref_<attribute>); id1, id2 (or bob's subject ids) for intervals over people; img1, img2 for
    finding duplicates; fold. exclude: names in DEFECTS, or "all". Raises FairLabError naming the first lines of what
    no number can be computed with and is not excluded.
    """
    name = "the table" if isinstance(table, pd.DataFrame) else str(table)
    frame = (table if isinstance(table, pd.DataFrame) else read_frame(table)).reset_index(drop=True)
    chosen = set(DEFECTS) if "all" in exclude else set(exclude)
    if chosen - set(DEFECTS):
        raise FairLabError(
            f"{sorted(chosen - set(DEFECTS))[0]!r} cannot be left out; choose of: {', '.join(DEFECTS)}, all"
        )
    if frame.empty:
        raise FairLabError(f"{name} has no rows; right would be a row for each scored pair")
    if score not in frame:
        raise FairLabError(f"{name} has no column {score!r} with scores; it has: {', '.join(map(str, frame.columns))}")
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise FairLabError(f"{name} has two columns {twice[0]!r}; right would be one")
    ids = _pair_of(frame, ID_COLUMNS)
    found = pd.DataFrame({"score": pd.to_numeric(frame[score], errors="coerce").astype(np.float64)})
    first = 0 if isinstance(table, pd.DataFrame) else 2  # a file's first row stands below the line of names
    found["line"] = np.arange(len(frame)) + first
    found["group"], found["other"] = _groups(frame, name, attribute)
    for column, source in zip(("id1", "id2"), ids or (), strict=False):
        found[column] = _names(frame[source])
    notes: list[str] = []
    if not isinstance(table, pd.DataFrame) and _open_end(Path(table).expanduser()):
        notes.append(f"the last line ({len(frame) + 1}) has no end: was the file cut off, perhaps within a number?")
    bad: dict[str, np.ndarray] = {"scores": ~np.isfinite(found["score"].to_numpy())}
    bad["groups"] = _empty(found, ("group", "other"))
    anew = False
    if ids:
        bad["people"] = _empty(found, ("id1", "id2"))
        bad["two_groups"], anew = _in_two_groups(found, notes)
    else:
        notes.append(
            "the table does not say who is compared (id1, id2): intervals are over pairs, and too narrow where pairs share people"
        )
    label, unreadable, contradicted = _labels(frame, name, found, anew)
    found["genuine"], bad["labels"] = label, unreadable
    bad["contradictions"] = contradicted & ~unreadable & ~bad.get("people", np.zeros(len(found), dtype=bool))
    images = _pair_of(frame, IMAGE_COLUMNS)
    if images:
        keys = [_names(frame[column]) for column in images]
        if ids:  # images may be numbered for each person
            keys = [key + "\n" + found[column] for key, column in zip(keys, ("id1", "id2"), strict=True)]
        keys = [key + "\n" + found[column] for key, column in zip(keys, ("group", "other"), strict=True)]
        bad["self_pairs"] = (keys[0] == keys[1]).to_numpy()
        both = np.sort(np.array([pd.factorize(pd.concat(keys))[0]]).reshape(2, -1), axis=0)
        bad["duplicates"] = pd.DataFrame({"a": both[0], "b": both[1]}).duplicated().to_numpy()
        found["repeated"] = bad["duplicates"]
    if "fold" in frame:
        found["fold"] = frame["fold"].astype(str)
    return _without(found, bad, chosen, notes, name)


def same_pairs(one: ScoredPairs, other: ScoredPairs) -> np.ndarray:
    """The scores (P,) of the other, whose pairs must be the same, line by line. Raises FairLabError where they are not."""
    columns = [name for name in one.frame if name not in ("score", "line", "repeated")]
    if set(columns) - set(other.frame) or len(one.frame) != len(other.frame):
        raise FairLabError(
            f"{one.name} and {other.name} do not hold the same pairs: {len(one.frame)} and {len(other.frame)}"
        )
    differs = (one.frame[columns].to_numpy(str) != other.frame[columns].to_numpy(str)).any(axis=1)
    if differs.any():
        at = int(np.argmax(differs))
        lines = [pairs.frame["line"].iloc[at] for pairs in (one, other)]
        raise FairLabError(f"line {lines[0]} of {one.name} is another pair than line {lines[1]} of {other.name}")
    scores: np.ndarray = other.frame["score"].to_numpy(np.float64)
    return scores


def _without(
    found: pd.DataFrame, bad: dict[str, np.ndarray], chosen: set[str], notes: list[str], name: str
) -> ScoredPairs:
    defects = []
    kept = np.ones(len(found), dtype=bool)
    for kind in DEFECTS:
        rows = bad.get(kind, np.zeros(0, dtype=bool))
        if not rows.any():
            continue
        defect = Defect(kind, int(rows.sum()), tuple(found["line"][rows].head(SHOWN).tolist()), kind in chosen)
        if kind in FATAL and not defect.excluded:
            where = ", ".join(map(str, defect.lines)) + (" ..." if defect.count > SHOWN else "")
            raise FairLabError(f"{name} has {defect.count:,} {DEFECTS[kind]}: line {where}; mend or exclude {kind!r}")
        defects.append(defect)
        if defect.excluded:
            kept &= ~rows
    if ALL_GROUPS in found.loc[kept, ["group", "other"]].to_numpy():
        raise FairLabError(f"a group of {name} is called {ALL_GROUPS!r}, FairLab's word for all groups; rename it")
    if not kept.any():
        raise FairLabError(f"nothing of {name} is left once {', '.join(sorted(chosen))} are left out")
    return ScoredPairs(
        found[kept].reset_index(drop=True), tuple(defects), tuple(notes), name, tuple(sorted(chosen & set(bad)))
    )


def _pair_of(frame: pd.DataFrame, candidates: Sequence[tuple[str, str]]) -> tuple[str, str] | None:
    return next((pair for pair in candidates if set(pair) <= set(frame.columns)), None)


def _names(column: pd.Series) -> pd.Series:
    """As text, "" where there is none. 3.0 is 3: whole numbers turn into floats where one is missing."""
    if column.dtype.kind == "f" and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    return column.astype("string").fillna("").astype(object)


def _empty(found: pd.DataFrame, columns: tuple[str, str]) -> np.ndarray:
    """(P,) pairs with nothing in one of the columns."""
    return np.logical_or(*((found[column] == "").to_numpy(dtype=bool) for column in columns))


def _groups(frame: pd.DataFrame, name: str, attribute: str) -> tuple[pd.Series, pd.Series]:
    """The groups of each pair's two images."""
    if "group" in frame and not attribute:
        one = _names(frame["group"])
        return one, one
    known = [
        str(column)[len(PROBE) :]
        for column in frame.columns
        if str(column).startswith(PROBE) and REFERENCE + str(column)[len(PROBE) :] in frame
    ]
    known = [item for item in known if item not in NO_ATTRIBUTE]
    wanted = attribute or (known[0] if len(known) == 1 else "")
    if wanted in known:
        probe, reference = (_names(frame[start + wanted]) for start in (PROBE, REFERENCE))
        return reference, probe
    if attribute and attribute in frame:
        one = _names(frame[attribute])
        return one, one
    for stem in (attribute,) if attribute else ("group", "att"):
        if {f"{stem}1", f"{stem}2"} <= set(frame.columns):
            first, second = (_names(frame[f"{stem}{side}"]) for side in "12")
            return first, second
    if known:
        raise FairLabError(f"{name} has several attributes; name the one that gives the groups: {', '.join(known)}")
    raise FairLabError(
        f"{name} has no column {attribute or 'group'!r}; right would be 'group', or bob's probe_<attribute> and "
        f"bio_ref_<attribute>; it has: {', '.join(map(str, frame.columns))}"
    )


def _labels(
    frame: pd.DataFrame, name: str, found: pd.DataFrame, anew: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(genuine, unreadable, contradicting the identities), each (P,). anew: are people numbered anew in each group?"""
    column = next((column for column in LABEL_COLUMNS if column in frame), None)
    same = (found["id1"] == found["id2"]).to_numpy(dtype=bool) if "id1" in found else None
    if same is not None and anew:
        same = same & (found["group"] == found["other"]).to_numpy(dtype=bool)
    nothing = np.zeros(len(frame), dtype=bool)
    if column is None:
        if same is None:
            raise FairLabError(f"{name} has neither a column 'label' (or 'genuine') nor two of identities (id1, id2)")
        return same, nothing, nothing
    codes, values = pd.factorize(frame[column].astype(str).str.strip().str.lower())
    meaning = [GENUINE.get(str(value)) for value in values]
    genuine = np.array([bool(value) for value in meaning], dtype=bool)[codes]
    unreadable = np.array([value is None for value in meaning], dtype=bool)[codes]
    return genuine, unreadable, nothing if same is None else same != genuine


def _in_two_groups(found: pd.DataFrame, notes: list[str]) -> tuple[np.ndarray, bool]:
    """(P,) pairs with a person who stands in two groups, none where people are numbered anew in each group; are they?"""
    sides = [
        found[[person, group]].set_axis(["person", "group"], axis=1)
        for person, group in (("id1", "group"), ("id2", "other"))
    ]
    seen = pd.concat(sides).drop_duplicates()
    seen = seen[(seen != "").all(axis=1)]
    several = seen.loc[seen["person"].duplicated(), "person"].unique()
    if len(several) > seen["person"].nunique() / 2:
        notes.append("most identities stand in several groups: they are taken to be numbered anew in each group")
        return np.zeros(len(found), dtype=bool), True
    return (found["id1"].isin(several) | found["id2"].isin(several)).to_numpy(), False
