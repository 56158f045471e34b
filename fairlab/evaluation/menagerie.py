"""Doddington's zoo: kinds of people who cause errors, each beside the number that chance alone would call so.

Goats, lambs and wolves: Doddington et al., ICSLP 1998. Chameleons, phantoms, doves and worms: Yager & Dunstone, The
Biometric Menagerie, IEEE TPAMI 32(2), 2010. The cosine is symmetric, so a person who is imitated (a lamb) imitates
(a wolf): here they are one kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fairlab.evaluation.people import PEOPLE, Side, chance_of, draws_of, errors_by_person, tail_of
from fairlab.tables import NUMBER, TEXT, WHOLE, Table

GOAT, LAMB = "goat", "lamb or wolf"
QUARTERS = {
    "chameleon": ("high", "high"),
    "phantom": ("low", "low"),
    "dove": ("high", "low"),
    "worm": ("low", "high"),
}
"""Highest or lowest quarter of the mean genuine and of the mean impostor scores (Yager & Dunstone 2010)."""
ANIMALS = {
    GOAT: "more false non-matches than chance puts on so many pairs, at 5 %",
    LAMB: "more false matches than chance puts on so many pairs, at 5 %",
    "chameleon": "high genuine and high impostor scores",
    "phantom": "low genuine and low impostor scores",
    "dove": "high genuine and low impostor scores",
    "worm": "low genuine and high impostor scores",
}
"""What makes a person one of a kind."""
ZOO = Table(group=TEXT, animal=TEXT, people=WHOLE, of=WHOLE, by_chance=NUMBER, p=NUMBER)
"""A row is a kind of people of a group: how many, of how many who can be one, how many by chance, and how often chance
shows as many. NaN where nobody can be one."""
DIFFER = Table(group=TEXT, scores=TEXT, people=WHOLE, pairs=WHOLE, statistic=NUMBER, p=NUMBER)
"""A row tests whether people of a group differ in their genuine or impostor scores: Kruskal-Wallis H over people, p by
permuting the pairs' scores; NaN for fewer than two people or pairs."""
ZOO_PEOPLE = PEOPLE.plus(zoo=TEXT)
"""PEOPLE, with the kinds that a person is of, with commas between."""


@dataclass(frozen=True)
class Menagerie:
    """people: ZOO_PEOPLE; zoo: ZOO; differ: DIFFER."""

    people: pd.DataFrame
    zoo: pd.DataFrame
    differ: pd.DataFrame


def menagerie(sides: Sequence[Side], seed: int = 0) -> Menagerie:
    """Who is of which kind among the people of people.sides_of(), group by group."""
    people = errors_by_person(sides)
    zoo, members = [], []
    called = _called(sides, seed)
    for group in dict.fromkeys(side.group for side in sides):
        own = people[people["group"] == group]
        kinds = {animal: who for (of, animal), (who, _) in called.items() if of == group}
        zoo += [row for (of, _), (_, row) in called.items() if of == group]
        crossed, rows = _quarters(group, own)
        zoo += rows
        members.append(_names({**kinds, **crossed}, len(own)))
    columns = {name: people[name] for name in PEOPLE}
    table = ZOO_PEOPLE.of({**columns, "zoo": np.concatenate(members) if members else []})
    return Menagerie(table, ZOO.build(zoo), differ(sides, seed))


def _called(sides: Sequence[Side], seed: int) -> dict[tuple[str, str], tuple[np.ndarray, tuple[object, ...]]]:
    """By (group, GOAT or LAMB): who is called so (n,), and the row of ZOO."""
    limits = [chance_of(side) for side in sides]
    who = [
        (side.errors >= least) & (side.pairs > 0) & bool(side.wrong.any())
        for side, (_, least, _) in zip(sides, limits, strict=True)
    ]
    draws, each = draws_of(sides, seed)
    reached = np.zeros(len(sides))
    for errors in each:
        reached += [
            int(((own >= least) & (side.pairs > 0)).sum()) >= int(some.sum())
            for own, side, (_, least, _), some in zip(errors, sides, limits, who, strict=True)
        ]
    found: dict[tuple[str, str], tuple[np.ndarray, tuple[object, ...]]] = {}
    for side, some, (_, _, chance), often in zip(sides, who, limits, reached, strict=True):
        animal = GOAT if side.kind == "false-non-match" else LAMB
        possible = int((side.pairs > 0).sum()) if side.wrong.any() else 0
        expected, p = (float(chance.sum()), (1 + often) / (1 + draws)) if possible else (np.nan, np.nan)
        found[side.group, animal] = some, (side.group, animal, int(some.sum()), possible, expected, p)
    return found


def _quarters(group: str, people: pd.DataFrame) -> tuple[dict[str, np.ndarray], list[tuple[object, ...]]]:
    """The kinds that cross quarters of the two mean scores: who (n,), and rows of ZOO.

    By chance the two means say nothing of each other, so the people in quarters of k and m among n are hypergeometric: k * m
    / n are expected. Yager & Dunstone take n / 16 and the binomial, which it is nearly. People whose mean equals that of
    the next person outside a quarter are not in it: their order would say who is.
    """
    means = people[["genuine_mean", "impostor_mean"]].to_numpy(float)
    both = np.flatnonzero(np.isfinite(means).all(axis=1))
    quarter = len(both) // 4
    sides = []
    for column in means[both].T:
        ordered = np.sort(column)
        ends = (ordered[quarter], ordered[-quarter - 1]) if quarter else (-np.inf, np.inf)
        sides.append({"low": both[column < ends[0]], "high": both[column > ends[1]]})
    kinds: dict[str, np.ndarray] = {}
    rows: list[tuple[object, ...]] = []
    for animal, (genuine, impostor) in QUARTERS.items():
        one, other = sides[0][genuine], sides[1][impostor]
        some = np.intersect1d(one, other)
        kinds[animal] = np.isin(np.arange(len(people)), some)
        expected, p = np.nan, np.nan
        if quarter:
            expected = len(one) * len(other) / len(both)
            p = float(tail_of(len(both), len(one), len(other))[len(some)])
        rows.append((group, animal, len(some), len(both) if quarter else 0, expected, p))
    return kinds, rows


def _names(kinds: dict[str, np.ndarray], people: int) -> np.ndarray:
    """(n,) the kinds of each person as a text."""
    found = np.full(people, "", dtype=object)
    for animal in ANIMALS:
        some = kinds[animal]
        found[some] = [f"{before}, {animal}" if before else animal for before in found[some]]
    return found


def differ(sides: Sequence[Side], seed: int = 0) -> pd.DataFrame:
    """Do people differ in their scores by more than chance? DIFFER, a row per group and kind of scores."""
    random, rows = np.random.default_rng(seed), []
    draws, _ = draws_of(sides, seed)
    for side in sides:
        scores = "genuine" if side.kind == "false-non-match" else "impostor"
        statistic, p = np.nan, np.nan
        some = int((side.pairs > 0).sum())
        if some > 1 and len(side.scores) > 1 and np.ptp(side.scores) > 0:
            ranks = pd.Series(side.scores).rank().to_numpy()
            statistic, own = kruskal_wallis(side, ranks), _between(side, ranks)
            reached = sum(_between(side, random.permutation(ranks)) >= own * (1 - 1e-12) for _ in range(draws))
            p = (1 + reached) / (1 + draws)
        rows.append((side.group, scores, some, len(side.scores), statistic, p))
    return DIFFER.build(rows)


def kruskal_wallis(side: Side, ranks: np.ndarray) -> float:
    """Kruskal-Wallis H over people of the ranks (P,) of their pairs, corrected for ties; an impostor pair counts for both people."""
    total, mean = int(side.pairs.sum()), float(ranks.mean())
    spread = float(side.each((ranks - mean) ** 2).sum() / (total - 1))
    return (_between(side, ranks) - total * mean**2) / spread


def _between(side: Side, ranks: np.ndarray) -> float:
    """Sum over people of their ranks' sum squared, over their pairs: what alone of H hangs on who has which rank."""
    pairs = np.maximum(side.pairs, 1)
    return float((side.each(ranks) ** 2 / pairs).sum())
