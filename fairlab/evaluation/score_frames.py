"""Scored pairs as a table of anybody's making: which columns mean what, what is wrong with which line, what is left out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError
from fairlab.evaluation.score_reading import names, numbers, read_frame
from fairlab.evaluation.verification import auc
from fairlab.reading.characters import look_alike
from fairlab.reading.column_names import GENUINE, PROBE, REFERENCE, WANTED, attributes_of_both, meanings
from fairlab.reading.table_text import one_of, plain
from fairlab.tables import ALL_GROUPS

DEFECTS = {
    "scores": "scores that are not finite numbers",
    "labels": "labels that are neither genuine (1, true) nor impostor (0, false)",
    "groups": "pairs without a group",
    "people": "pairs with an unnamed person",
    "contradictions": "labels that contradict the identities",
    "self_pairs": "images compared with themselves",
    "duplicates": "pairs that appear more than once, in either order",
    "two_groups": "pairs of people who are in two groups",
}
"""What can be wrong with a line. Each can be left out by name."""
FATAL = ("scores", "labels", "groups", "people", "contradictions")
"""Those that no number can be computed with; the others are listed, and counted in unless they are left out."""
SHOWN = 5


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


def scored_pairs(
    table: pd.DataFrame | Path | str,
    exclude: Collection[str] = (),
    attribute: str = "",
    score: str = "",
    distances: bool = False,
) -> ScoredPairs:
    """Check a table of scored pairs.

    Columns, by their usual names in any case (column_names): score (or the one named); label or genuine (not needed where
    identities tell); group, or for each image one: group1, group2 (or <attribute>1, <attribute>2 as BFW's att1, att2; or
    bob's probe_<attribute> and bio_ref_<attribute>); id1, id2 (or bob's subject ids) for intervals over people; img1, img2
    for finding duplicates; fold. exclude: names in DEFECTS, or "all". distances: a smaller score means more alike; the
    scores are then minus the distances. Raises FairLabError naming the first lines of what no number can be computed with
    and is not excluded.
    """
    name = "the table" if isinstance(table, pd.DataFrame) else str(table)
    notes: list[str] = []
    if isinstance(table, pd.DataFrame):
        frame = table.reset_index(drop=True)
        lines = np.arange(len(frame))
    else:
        frame, lines, notes = read_frame(table, [plain(word) for word in (score, attribute) if word])
    chosen = set(DEFECTS) if "all" in exclude else set(exclude)
    if chosen - set(DEFECTS):
        raise FairLabError(
            f"{sorted(chosen - set(DEFECTS))[0]!r} cannot be left out; choose from: {', '.join(DEFECTS)}, all"
        )
    if frame.empty:
        raise FairLabError(f"{name} has no rows; expected a row for each scored pair")
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise FairLabError(f"{name} has two columns {twice[0]!r}; expected one")
    known = meanings([str(column) for column in frame.columns])
    scores = numbers(frame[_score_column(frame, name, score, distances, known)])
    if distances:
        notes.append("the table holds distances: scores are minus these, so a threshold of -0.4 is a distance of 0.4")
    found = pd.DataFrame({"score": -scores if distances else scores, "line": lines})
    found["group"], found["other"] = _groups(frame, name, attribute, known)
    if alike := look_alike({*found["group"].unique(), *found["other"].unique()}):
        raise FairLabError(
            f"{name}: two groups look alike but are spelled differently, {alike}; spell both the same way"
        )
    if "id1" in known:
        for column in ("id1", "id2"):
            found[column] = names(frame[known[column]])
    bad: dict[str, np.ndarray] = {"scores": ~np.isfinite(found["score"].to_numpy())}
    bad["groups"] = _empty(found, ("group", "other"))
    anew = False
    if "id1" in known:
        bad["people"] = _empty(found, ("id1", "id2"))
        bad["two_groups"], anew = _in_two_groups(found, notes)
    else:
        notes.append(
            "the table does not name the people compared (id1, id2): intervals are over pairs, and too narrow if "
            "pairs share people"
        )
    label, unreadable, contradicted = _labels(frame, name, found, anew, known.get("label"))
    found["genuine"], bad["labels"] = label, unreadable
    bad["contradictions"] = contradicted & ~unreadable & ~bad.get("people", np.zeros(len(found), dtype=bool))
    if "img1" in known:
        _repeated(found, [names(frame[known[side]]) for side in ("img1", "img2")], bad)
    if "fold" in known:
        found["fold"] = names(frame[known["fold"]])
    return _without(found, bad, chosen, notes, name)


def _score_column(frame: pd.DataFrame, name: str, asked: str, distances: bool, known: dict[str, str]) -> str:
    """The column with the scores. Raises FairLabError, saying what is wanted and what is there."""
    there = one_of(map(str, frame.columns))
    if asked:
        column = next((str(item) for item in frame.columns if plain(str(item)) == plain(asked)), "")
        if not column:
            raise FairLabError(f"{name} has no column {asked!r} with scores; it has: {there}")
        return column
    usual = ("distance", "score") if distances else ("score",)
    column = next((known[what] for what in usual if what in known), "")
    if not column and "distance" in known:
        raise FairLabError(
            f"{name} has no column of scores, but one called {known['distance']!r}: if it holds distances, use "
            f"--distances"
        )
    if not column:
        raise FairLabError(f"{name} has no column 'score' with scores; expected {WANTED}; it has: {there}")
    return column


def _repeated(found: pd.DataFrame, images: list[pd.Series], bad: dict[str, np.ndarray]) -> None:
    """Note which pairs compare an image with itself, and which stand further up already, in either order."""
    keys = images
    if "id1" in found:  # images may be numbered for each person
        keys = [key + "\n" + found[column] for key, column in zip(keys, ("id1", "id2"), strict=True)]
    keys = [key + "\n" + found[column] for key, column in zip(keys, ("group", "other"), strict=True)]
    bad["self_pairs"] = (keys[0] == keys[1]).to_numpy()
    both = np.sort(np.array([pd.factorize(pd.concat(keys))[0]]).reshape(2, -1), axis=0)
    bad["duplicates"] = pd.DataFrame({"a": both[0], "b": both[1]}).duplicated().to_numpy()
    found["repeated"] = bad["duplicates"]


def suspected(scores: np.ndarray, genuine: np.ndarray) -> str:
    """A warning when genuine pairs score lower than impostor pairs, as distances do; "" otherwise, or without both kinds."""
    if genuine.all() or not genuine.any():
        return ""
    area = auc(scores, genuine)
    if area >= 0.5:
        return ""
    return (
        f"Warning: genuine pairs score lower than impostor pairs (AUC {area:.3f}), so all numbers below are wrong if these are "
        "distances. If smaller means more alike, use --distances."
    )


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
        raise FairLabError(f"line {lines[0]} of {one.name} is not the same pair as line {lines[1]} of {other.name}")
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
            raise FairLabError(
                f"{name} has {defect.count:,} {DEFECTS[kind]}: line {where}; fix them or exclude {kind!r}"
            )
        defects.append(defect)
        if defect.excluded:
            kept &= ~rows
    if ALL_GROUPS in found.loc[kept, ["group", "other"]].to_numpy():
        raise FairLabError(
            f"a group of {name} is called {ALL_GROUPS!r}, which FairLab uses for all groups together; rename it"
        )
    if not kept.any():
        raise FairLabError(f"{name} is empty once {', '.join(sorted(chosen))} are left out")
    return ScoredPairs(
        found[kept].reset_index(drop=True), tuple(defects), tuple(notes), name, tuple(sorted(chosen & set(bad)))
    )


def _empty(found: pd.DataFrame, columns: tuple[str, str]) -> np.ndarray:
    """(P,) pairs with nothing in one of the columns."""
    return np.logical_or(*((found[column] == "").to_numpy(dtype=bool) for column in columns))


def _groups(frame: pd.DataFrame, name: str, attribute: str, known: dict[str, str]) -> tuple[pd.Series, pd.Series]:
    """The groups of each pair's two images."""
    columns = {plain(str(column)): str(column) for column in reversed(frame.columns)}
    of_both = attributes_of_both([str(column) for column in frame.columns])
    if "group" in columns and not attribute:
        one = names(frame[columns["group"]])
        return one, one
    wanted = attribute or (of_both[0] if len(of_both) == 1 else "")
    if wanted in of_both:
        probe, reference = (names(frame[start + wanted]) for start in (PROBE, REFERENCE))
        return reference, probe
    if attribute and plain(attribute) in columns:
        one = names(frame[columns[plain(attribute)]])
        return one, one
    for one_side, other_side in (("1", "2"), ("_a", "_b")):
        pair = [plain(f"{attribute}{side}") for side in (one_side, other_side)]
        if attribute and set(pair) <= set(columns):
            first, second = (names(frame[columns[side]]) for side in pair)
            return first, second
    if not attribute and len(of_both) > 1:
        raise FairLabError(f"{name} has several attributes; name the one that gives the groups: {', '.join(of_both)}")
    if not attribute and "group1" in known:
        first, second = (names(frame[known[side]]) for side in ("group1", "group2"))
        return first, second
    if not attribute and "group" in known:
        one = names(frame[known["group"]])
        return one, one
    raise FairLabError(
        f"{name} has no column {attribute or 'group'!r}; expected 'group' (or race, ethnicity ...), 'group1' and "
        f"'group2', or bob's probe_<attribute> and bio_ref_<attribute>; it has: {one_of(map(str, frame.columns))}"
    )


def _labels(
    frame: pd.DataFrame, name: str, found: pd.DataFrame, anew: bool, column: str | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(genuine, unreadable, contradicting the identities), each (P,). anew: are people numbered anew in each group?"""
    same = (found["id1"] == found["id2"]).to_numpy(dtype=bool) if "id1" in found else None
    if same is not None and anew:
        same = same & (found["group"] == found["other"]).to_numpy(dtype=bool)
    nothing = np.zeros(len(frame), dtype=bool)
    if column is None:
        if same is None:
            raise FairLabError(
                f"{name} has neither a column 'label' (or 'genuine') nor two of identities (id1, id2); it has: "
                f"{one_of(map(str, frame.columns))}"
            )
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
        notes.append("most identities are in several groups: they are assumed to be numbered separately in each group")
        return np.zeros(len(found), dtype=bool), True
    return (found["id1"].isin(several) | found["id2"].isin(several)).to_numpy(), False
