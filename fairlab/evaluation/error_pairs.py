"""The pairs behind the rates: what was decided on each at an operating point, and how far its score is from the threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError
from fairlab.evaluation.operating import OperatingPoint, thresholds_of
from fairlab.evaluation.score_frames import ScoredPairs
from fairlab.tables import BOOL, MAYBE, NUMBER, TEXT, WHOLE, Table

Kind = Literal["false-match", "false-non-match", "nearest"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Errors, the worst first; or all pairs, those nearest to the threshold first."""
ErrorKind = Literal["false-match", "false-non-match"]
Among = Literal["here", "only-here", "both", "only-there"]
AMONG: tuple[Among, ...] = get_args(Among)
"""Errors of the first model; of it and not of the second; of both; of the second and not of the first."""

DECIDED = Table(
    pair_id=WHOLE, genuine=BOOL, match=BOOL, score=NUMBER, threshold=NUMBER, distance=NUMBER, group_a=TEXT, group_b=TEXT,
    identity_a=TEXT, identity_b=TEXT,
)  # fmt: skip
"""A row is a pair at an operating point. match: is its score at or above the threshold? distance: score - threshold."""
BESIDE = DECIDED.plus(score_there=NUMBER, threshold_there=NUMBER, distance_there=NUMBER, right_there=MAYBE)
"""The same with what a second model says of the pair; missing without one. right_there: did it decide rightly?"""
CHANGES = Table(group=TEXT, kind=TEXT, only_here=WHOLE, both=WHOLE, only_there=WHOLE, pairs=WHOLE)
"""A row is a kind of error of a group: pairs wrong only in the first model, in both, only in the second, and all pairs."""


@dataclass(frozen=True)
class Wanted:
    """Which pairs. group: of one of the two people, with other_group of the other; person: one of the two, exactly named."""

    kind: Kind = "false-match"
    group: str = ""
    other_group: str = ""
    person: str = ""
    among: Among = "here"

    def __post_init__(self) -> None:
        for name, known in (("kind", KINDS), ("among", AMONG)):
            if getattr(self, name) not in known:
                raise FairLabError(f"there is no {name} {getattr(self, name)!r}; choose from: {', '.join(known)}")
        if self.kind == "nearest" and self.among != "here":
            raise FairLabError("the pairs nearest to the threshold are not errors: leave out 'among'")
        if self.other_group and not self.group:
            raise FairLabError("a pair of groups needs both: name the first group too")


@dataclass(frozen=True)
class _Group:
    name: str
    scores: np.ndarray
    genuine: np.ndarray


def decided(pairs: ScoredPairs, point: OperatingPoint) -> pd.DataFrame:
    """Every pair at an operating point: DECIDED, in the order of the pairs.

    Thresholds are set on the pairs within groups, as for the rates. A pair of two groups is decided at the one
    threshold; where each group has its own it is left out. Raises FairLabError without names of people, without a pair
    within a group, and where no threshold can be set.
    """
    if not pairs.named:
        raise FairLabError(f"{pairs.name} does not name the people compared (id1, id2): its errors belong to nobody")
    frame = pairs.frame
    within = (frame["group"] == frame["other"]).to_numpy()
    groups = [
        _Group(str(name), part["score"].to_numpy(), part["genuine"].to_numpy(bool))
        for name, part in frame[within].groupby("group", sort=False, observed=True)
    ]
    if not groups:
        raise FairLabError(f"{pairs.name} has no pairs within a group")
    thresholds, _ = thresholds_of(groups, point)
    if point.rule == "own":
        frame = frame[within]
        at = frame["group"].map(dict(zip((group.name for group in groups), thresholds, strict=True))).to_numpy(float)
    else:
        at = np.full(len(frame), thresholds[0])
    scores = frame["score"].to_numpy(np.float64)
    columns = (frame["line"], frame["genuine"], scores >= at, scores, at, scores - at)
    names = (frame[name].to_numpy() for name in ("group", "other", "id1", "id2"))
    return DECIDED.of(dict(zip(DECIDED, (*(np.asarray(column) for column in columns), *names), strict=True)))


def chosen(table: pd.DataFrame, wanted: Wanted, second: pd.DataFrame | None = None) -> pd.DataFrame:
    """The pairs wanted of a DECIDED table, and what a second model (DECIDED, of the same pairs) says of them: BESIDE.

    The worst come first: errors by their distance to the threshold of the model that errs. Of equals, in the order of
    their numbers. Raises FairLabError where the second model has other pairs, or there is none to compare with.
    """
    if second is None and wanted.among != "here":
        raise FairLabError("name a second model to choose pairs by what it says of them")
    if second is not None and not np.array_equal(table["pair_id"], second["pair_id"]):
        raise FairLabError("the two models were not evaluated on the same pairs")
    kept = _of(table, wanted)
    away = table["distance"].to_numpy()
    if wanted.kind == "nearest":
        order = np.abs(away)
    else:
        order = -np.abs(away)
        here = wrong(table, wanted.kind)
        there = None if second is None else wrong(second, wanted.kind)
        if there is None or wanted.among == "here":
            kept &= here
        else:
            kept &= {"only-here": here & ~there, "both": here & there, "only-there": there & ~here}[wanted.among]
            if second is not None and wanted.among == "only-there":
                order = -np.abs(second["distance"].to_numpy())
    rows = np.flatnonzero(kept)
    rows = rows[np.lexsort((table["pair_id"].to_numpy()[rows], order[rows]))]
    return beside(table, second, rows)


def beside(table: pd.DataFrame, second: pd.DataFrame | None, rows: np.ndarray) -> pd.DataFrame:
    """Rows of a DECIDED table, and what a second model (DECIDED, of the same pairs) says of them: BESIDE."""
    own = table.iloc[rows].reset_index(drop=True)
    there: dict[str, object] = dict.fromkeys(("score_there", "threshold_there", "distance_there"), np.nan)
    there["right_there"] = None
    if second is not None:
        other = second.iloc[rows].reset_index(drop=True)
        there = {f"{name}_there": other[name] for name in ("score", "threshold", "distance")}
        there["right_there"] = (other["match"] == other["genuine"]).astype(MAYBE)
    return BESIDE.of({**{name: own[name] for name in DECIDED}, **there})


def wrong(table: pd.DataFrame, kind: Kind) -> np.ndarray:
    """(P,) the pairs of a DECIDED table that are errors of a kind."""
    genuine, match = table["genuine"].to_numpy(bool), table["match"].to_numpy(bool)
    return match & ~genuine if kind == "false-match" else genuine & ~match


def of_groups(table: pd.DataFrame, group: str, other_group: str = "") -> np.ndarray:
    """(N,) rows (group_a, group_b) with this group on one side, and the other group on the other side if it is named."""
    one, two = (table[f"group_{side}"].to_numpy() for side in "ab")
    if not other_group:
        return np.asarray((one == group) | (two == group))
    return np.asarray((one == group) & (two == other_group) | (one == other_group) & (two == group))


def _of(table: pd.DataFrame, wanted: Wanted) -> np.ndarray:
    """(P,) the pairs of the groups and the person wanted. Raises FairLabError for a name that is not among the pairs."""
    kept = np.ones(len(table), dtype=bool)
    sides = [table[f"group_{side}"].to_numpy() for side in "ab"]
    for name in (wanted.group, wanted.other_group):
        if name and not any((side == name).any() for side in sides):
            known = ", ".join(sorted({str(value) for side in sides for value in pd.unique(side)})[:20])
            raise FairLabError(f"no pair has the group {name[:80]!r}; the groups are: {known}")
    if wanted.group:
        kept &= of_groups(table, wanted.group, wanted.other_group)
    if wanted.person:
        mine = np.logical_or(*(table[f"identity_{side}"].to_numpy() == wanted.person for side in "ab"))
        if not mine.any():
            raise FairLabError(f"no pair has the person {wanted.person[:80]!r}; names are exact, capitals too")
        kept &= mine
    return kept


def changes(table: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """How many pairs of each group are wrong in one model and right in the other: CHANGES, of pairs within groups.

    Both tables are DECIDED, of the same pairs. Raises FairLabError where they are not.
    """
    if not np.array_equal(table["pair_id"], second["pair_id"]):
        raise FairLabError("the two models were not evaluated on the same pairs")
    within = (table["group_a"] == table["group_b"]).to_numpy()
    genuine, groups = table["genuine"].to_numpy(bool), table["group_a"].to_numpy()
    rows = []
    for group in pd.unique(groups[within]):
        of_group = within & (groups == group)
        for kind in KINDS[:2]:
            of = of_group & (genuine == (kind == "false-non-match"))
            here, there = wrong(table, kind)[of], wrong(second, kind)[of]
            counts = ((here & ~there).sum(), (here & there).sum(), (there & ~here).sum(), of.sum())
            rows.append((str(group), kind, *map(int, counts)))
    return CHANGES.build(rows)
