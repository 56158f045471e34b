"""The people behind a run's rates: errors of each, shares of the worst, kinds of people, from the run's stored scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from fairlab.compare.pairs import Where
from fairlab.compare.scored import scored
from fairlab.errors import FairLabError
from fairlab.evaluation.error_pairs import decided
from fairlab.evaluation.menagerie import menagerie
from fairlab.evaluation.people import concentration, sides_of
from fairlab.store.runs import RunRecord

TABLES = ("people", "shares", "lorenz", "zoo", "differ")


@dataclass(frozen=True)
class PeopleBehind:
    """people: menagerie.ZOO_PEOPLE; shares: people.SHARES; lorenz: people.LORENZ; zoo: menagerie.ZOO; differ: menagerie.DIFFER."""

    people: pd.DataFrame
    shares: pd.DataFrame
    lorenz: pd.DataFrame
    zoo: pd.DataFrame
    differ: pd.DataFrame

    def table(self, name: str, kind: str = "false-match", group: str = "") -> pd.DataFrame:
        """One of TABLES. kind: errors by which people are ordered, the worst first; group: only its rows.

        Raises FairLabError for another table, kind or group.
        """
        if name not in TABLES:
            raise FairLabError(f"there is no table {name!r}; choose from: {', '.join(TABLES)}")
        if kind not in ("false-match", "false-non-match"):
            raise FairLabError(f"people are ordered by false-match or false-non-match, not by {kind!r}")
        table: pd.DataFrame = getattr(self, name)
        known = list(dict.fromkeys(table["group"]))
        if group and group not in known:
            raise FairLabError(f"there is no group {group[:80]!r} here; the groups are: {', '.join(known)}")
        if group:
            table = table[(table["group"] == group).to_numpy()]
        return worst_first(table, kind) if name == "people" else table.reset_index(drop=True)


def worst_first(people: pd.DataFrame, kind: str) -> pd.DataFrame:
    """People by their errors of a kind, then by the rate, then by name."""
    errors, rate = ("false_matches", "fmr") if kind == "false-match" else ("false_non_matches", "fnmr")
    order = np.lexsort((people["identity"], -people[rate].fillna(-1.0), -people[errors]))
    return people.iloc[order].reset_index(drop=True)


def people_behind(record: RunRecord, where: Where, seed: int = 0) -> PeopleBehind:
    """The people of a run's pairs at an operating point. Raises FairLabError where the run has no scores on these pairs."""
    return of_decisions(decided(scored(record, where.dataset, where.protocol, where.by), where.point), seed)


def of_decisions(table: pd.DataFrame, seed: int = 0) -> PeopleBehind:
    """The same of pairs that have been decided (error_pairs.DECIDED)."""
    sides = sides_of(table)
    shares, lorenz = concentration(sides, seed)
    kinds = menagerie(sides, seed)
    return PeopleBehind(kinds.people, shares, lorenz, kinds.zoo, kinds.differ)
