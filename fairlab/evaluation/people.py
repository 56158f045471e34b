"""People behind the rates: errors of each person with their interval, and how few people make most of them.

Only pairs within groups count, as for the rates. A genuine pair is its person's; an impostor pair is both people's, so each
of the two makes half of a false match wherever errors are shared out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.special import betaincinv, gammaln

from fairlab.evaluation.error_pairs import Kind, wrong
from fairlab.evaluation.intervals import LEVEL
from fairlab.tables import ALL_GROUPS, NUMBER, TEXT, WHOLE, Table

BY_CHANCE = 0.05
"""A person whose errors pairs of equal difficulty would show less often than that is called beyond chance."""
WORST = (0.01, 0.05, 0.10)
"""Shares of the people, those with most errors first."""
DRAWS, DRAWN_PAIRS = 199, 20_000_000
"""Times that errors are shared out by chance; fewer, but 99 at least, where the pairs are so many that it takes seconds."""
ALONG = np.linspace(0, 1, 201)
"""Shares of the people at which a Lorenz curve has its points."""

PEOPLE = Table(
    identity=TEXT, group=TEXT, genuine_pairs=WHOLE, false_non_matches=WHOLE, fnmr=NUMBER, fnmr_low=NUMBER,
    fnmr_high=NUMBER, fnmr_p=NUMBER, impostor_pairs=WHOLE, false_matches=WHOLE, fmr=NUMBER, fmr_low=NUMBER,
    fmr_high=NUMBER, fmr_p=NUMBER, genuine_mean=NUMBER, impostor_mean=NUMBER,
)  # fmt: skip
"""A row is a person of a group. low, high: Clopper-Pearson, 95 %, over the person's pairs; p: how often as many errors fall
on so many pairs by chance; means: of the person's scores. Rates are fractions; NaN without pairs."""
SHARES = Table(
    group=TEXT, kind=TEXT, people=WHOLE, with_errors=WHOLE, errors=WHOLE, worst=NUMBER, share=NUMBER, by_chance=NUMBER,
    chance_p95=NUMBER, p=NUMBER,
)  # fmt: skip
"""A row is the share (0..1) of a group's errors that its worst people make, `worst` of them (0..1, those with most errors);
people: those with a pair of the kind; by_chance, chance_p95: mean and 95 % point of the share where the errors fall on pairs
at random; p: how often it is as large."""
LORENZ = Table(group=TEXT, kind=TEXT, people=NUMBER, errors=NUMBER, by_chance=NUMBER)
"""A row is a point of a Lorenz curve: this share of the people, the worst first, makes this share of the errors."""


@dataclass(frozen=True)
class Side:
    """The pairs (P,) of one kind within one group: codes of their people among `names` (n,); one code twice where genuine."""

    group: str
    kind: Kind
    names: np.ndarray
    first: np.ndarray
    second: np.ndarray
    wrong: np.ndarray
    scores: np.ndarray

    def each(self, values: np.ndarray | None = None) -> np.ndarray:
        """(n,) sums of a value of each pair (P,) over the pairs of each person; how many there are without values."""
        count = len(self.names)
        found = np.bincount(self.first, values, count)
        return found if self.kind == "false-non-match" else found + np.bincount(self.second, values, count)

    def anywhere(self, random: np.random.Generator) -> np.ndarray:
        """(n,) errors of each person where as many errors fall on pairs at random."""
        total, count = int(self.wrong.sum()), len(self.names)
        at = random.choice(len(self.wrong), total, replace=False, shuffle=False)
        found = np.bincount(self.first[at], minlength=count)
        return found if self.kind == "false-non-match" else found + np.bincount(self.second[at], minlength=count)

    @cached_property
    def pairs(self) -> np.ndarray:
        """(n,) pairs of each person."""
        return self.each().astype(np.int64)

    @cached_property
    def errors(self) -> np.ndarray:
        """(n,) errors of each person."""
        return self.each(self.wrong.astype(float)).astype(np.int64)


def sides_of(table: pd.DataFrame) -> list[Side]:
    """The pairs within groups of error_pairs.DECIDED by group and kind, false non-matches first."""
    table = table[(table["group_a"] == table["group_b"]).to_numpy()]
    groups = table["group_a"].to_numpy()
    found = []
    for group in pd.unique(groups):
        part = table[groups == group]
        both = np.concatenate([part["identity_a"].to_numpy(), part["identity_b"].to_numpy()])
        codes, names = pd.factorize(both, sort=True)
        first, second = codes[: len(part)], codes[len(part) :]
        genuine = part["genuine"].to_numpy(bool)
        kinds: tuple[Kind, ...] = ("false-non-match", "false-match")
        for kind in kinds:
            of = genuine if kind == "false-non-match" else ~genuine
            arrays = (first[of], second[of], wrong(part, kind)[of], part["score"].to_numpy()[of])
            found.append(Side(str(group), kind, np.asarray(names, dtype=object), *arrays))
    return found


def errors_by_person(sides: Sequence[Side]) -> pd.DataFrame:
    """The errors of every person: PEOPLE, in the order of groups and names."""
    by_kind = {(side.group, side.kind): side for side in sides}
    frames = []
    for group in dict.fromkeys(side.group for side in sides):
        missed, false = by_kind[group, "false-non-match"], by_kind[group, "false-match"]
        columns: dict[str, object] = {"identity": missed.names, "group": group}
        for side, pairs, errors, rate, mean in (
            (missed, "genuine_pairs", "false_non_matches", "fnmr", "genuine_mean"),
            (false, "impostor_pairs", "false_matches", "fmr", "impostor_mean"),
        ):
            low, high = clopper_pearson_each(side.errors, side.pairs)
            columns |= {pairs: side.pairs, errors: side.errors, rate: _over(side.errors, side.pairs)}
            columns |= {f"{rate}_low": low, f"{rate}_high": high, f"{rate}_p": chance_of(side)[0]}
            columns[mean] = _over(side.each(side.scores), side.pairs)
        frames.append(PEOPLE.of(columns))
    return PEOPLE.stack(frames)


def clopper_pearson_each(errors: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exact binomial 95 % intervals (n,) of errors (n,) among counts (n,), as intervals.clopper_pearson; NaN for count 0."""
    tail = (1 - LEVEL) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(errors == 0, 0.0, betaincinv(np.maximum(errors, 1), counts - errors + 1, tail))
        high = np.where(errors == counts, 1.0, betaincinv(errors + 1, np.maximum(counts - errors, 1), 1 - tail))
    return np.where(counts > 0, low, np.nan), np.where(counts > 0, high, np.nan)


def tail_of(pairs: int, errors: int, own: int) -> np.ndarray:
    """(own + 2,) P(X >= k), k = 0 .. own + 1, of the errors that fall on `own` of so many pairs by chance: hypergeometric."""
    k = np.arange(max(0, own + errors - pairs), min(own, errors) + 1)

    def choose(n: int, of: np.ndarray) -> np.ndarray:
        found: np.ndarray = gammaln(n + 1) - gammaln(of + 1) - gammaln(n - of + 1)
        return found

    logs = choose(errors, k) + choose(pairs - errors, own - k) - choose(pairs, np.array(own))
    chance = np.zeros(own + 2)
    chance[k] = np.exp(logs)
    return np.clip(np.cumsum(chance[::-1])[::-1], 0, 1)


def chance_of(side: Side) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(p, least, chance), each (n,): how often as many errors fall on a person by chance; how many it takes to be called
    beyond chance; how often chance alone reaches that. NaN and more than there are pairs for a person without pairs.
    """
    count = len(side.names)
    p, least, chance = np.full(count, np.nan), np.ones(count, dtype=np.int64), np.zeros(count)
    total = int(side.wrong.sum())
    for own in np.unique(side.pairs[side.pairs > 0]):
        tail = tail_of(len(side.wrong), total, int(own))
        of = side.pairs == own
        enough = int(np.argmax(tail <= BY_CHANCE))
        p[of], least[of], chance[of] = tail[side.errors[of]], enough, tail[enough]
    return p, least, chance


def draws_of(sides: Sequence[Side], seed: int) -> tuple[int, Iterator[list[np.ndarray]]]:
    """(how many, the draws): in each, the errors (n,) of every side's people where its errors fall on pairs at random."""
    pairs = sum(len(side.wrong) for side in sides)
    draws = int(np.clip(DRAWN_PAIRS // max(pairs, 1), 99, DRAWS))
    random = np.random.default_rng(seed)

    def each() -> Iterator[list[np.ndarray]]:
        for _ in range(draws):
            yield [side.anywhere(random) for side in sides]

    return draws, each()


def concentration(sides: Sequence[Side], seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(SHARES, LORENZ) of every group, and of ALL_GROUPS where there are several; each draw keeps a group's number of errors."""
    parts: list[tuple[str, Kind, list[int]]] = [(side.group, side.kind, [at]) for at, side in enumerate(sides)]
    for kind in dict.fromkeys(side.kind for side in sides):
        of = [at for at, side in enumerate(sides) if side.kind == kind]
        if len(of) > 1:
            parts.append((ALL_GROUPS, kind, of))
    able = [side.pairs > 0 for side in sides]
    seen = [_curve([sides[at].errors[able[at]] for at in of]) for _, _, of in parts]
    draws, each = draws_of(sides, seed)
    drawn = np.array([[_curve([errors[at][able[at]] for at in of]) for _, _, of in parts] for errors in each])
    shares, curves = [], []
    for number, (group, kind, of) in enumerate(parts):
        own, by_chance = [sides[at] for at in of], drawn[:, number]
        counts = (
            sum(int(able[at].sum()) for at in of),
            sum(int((side.errors > 0).sum()) for side in own),
            sum(int(side.wrong.sum()) for side in own),
        )
        for worst in WORST:
            at = int(np.searchsorted(ALONG, worst))
            share, chance = seen[number][at], by_chance[:, at]
            p = (1 + int((chance >= share - 1e-9).sum())) / (1 + draws) if counts[2] else np.nan
            shares.append((group, kind, *counts, worst, share, chance.mean(), np.quantile(chance, 0.95), p))
        curves.append(LORENZ.of(dict(zip(LORENZ, (group, kind, ALONG, seen[number], by_chance.mean(0)), strict=True))))
    return SHARES.build(shares), LORENZ.stack(curves)


def _curve(errors: Sequence[np.ndarray]) -> np.ndarray:
    """The share of all errors that the worst people make, those at ALONG; NaN without errors.

    A part of a person makes that part of the person's errors. People with equally many lie on one straight line.
    """
    with_so_many = np.bincount(np.concatenate(errors))[::-1]  # people by their errors, most errors first
    made = np.cumsum(with_so_many * np.arange(len(with_so_many))[::-1])
    if not made.any():
        return np.full(len(ALONG), np.nan)
    people = np.cumsum(with_so_many)
    return np.interp(ALONG, np.append(0, people / people[-1]), np.append(0, made / made[-1]))


def _over(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """total / count, NaN where there is none."""
    return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
