"""What goes with errors: how much of a group's gap in error rates remains when traits of the images are held equal.

A regression, logistic of the error or linear of the score, on the group and on traits of the pair; a group's rate with traits held equal is the mean of
what the model says if every pair, each group weighing alike, were of that group (standardisation, or g-computation: Robins,
Mathematical Modelling 1986). Intervals come from influence functions, summed over the people of each pair
(evaluation.clusters), so that a gap before and after is compared on the same people. This is association: a trait may stand
for another one that nobody measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError
from fairlab.evaluation.clusters import Clusters
from fairlab.evaluation.error_pairs import ErrorKind, wrong
from fairlab.evaluation.intervals import holm, normal_interval
from fairlab.tables import NUMBER, TEXT, WHOLE, Table

Outcome = Literal["error", "score"]
EACH = 10
"""Errors (and right pairs) that every coefficient needs, a rule of thumb (Peduzzi et al., J Clin Epidemiol 1996)."""
ROUNDS, STEADY = 50, 1e-8
"""Newton steps at most, and the length of a step, per standard deviation of a trait, at which they end. Where a trait parts some
pairs from all errors, every step adds as much again while the likelihood hardly grows: then there is no end."""

GAPS = Table(
    group=TEXT, pairs=WHOLE, people=WHOLE, errors=WHOLE, rate=NUMBER, gap=NUMBER, gap_low=NUMBER, gap_high=NUMBER,
    equal_rate=NUMBER, remains=NUMBER, remains_low=NUMBER, remains_high=NUMBER, goes=NUMBER, goes_low=NUMBER, goes_high=NUMBER,
    reason=TEXT,
)  # fmt: skip
"""A row is a group. rate: its errors among its pairs; gap: rate minus the mean rate of the other groups; equal_rate, remains:
the same with traits held equal; goes: gap - remains, what goes with the traits. Rates are fractions; of outcome "score" they are
mean scores. Intervals: 95 %, over people.
reason: why there is no number."""
EFFECTS = Table(
    trait=TEXT,
    of=TEXT,
    effect=NUMBER,
    low=NUMBER,
    high=NUMBER,
    p=NUMBER,
    p_adjusted=NUMBER,
    odds=NUMBER,
    mean=NUMBER,
    sd=NUMBER,
)
"""A row is a trait of pairs. of: "level", the mean of the two images, or "difference", how far they are apart; effect: change of
the error rate (a fraction) where the trait is one standard deviation (sd) higher and all else is equal, averaged over pairs;
odds: the ratio of the odds of an error, NaN of scores; p: of no effect (Wald), adjusted for the traits by Holm's rule."""
SHARES = Table(
    group=TEXT,
    trait=TEXT,
    alone=NUMBER,
    alone_low=NUMBER,
    alone_high=NUMBER,
    last=NUMBER,
    last_low=NUMBER,
    last_high=NUMBER,
)
"""A row is a trait in a group's gap. alone: what goes with it where it is the only trait; last: what goes with it beside all
others (fractions, as GAPS.goes). Traits that vary together share what goes with them, so the rows do not add up."""


@dataclass(frozen=True)
class Causes:
    """gaps: GAPS; effects: EFFECTS; shares: SHARES; pairs: that count; unknown: left out, for lack of a trait; notes: what is
    doubtful and why."""

    gaps: pd.DataFrame
    effects: pd.DataFrame
    shares: pd.DataFrame
    traits: tuple[str, ...]
    pairs: int
    unknown: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Pairs:
    """Pairs (P,) of one kind within groups: is each wrong, the outcome (that, or its score), its group's code, whose it is, and
    columns (P, K) of its traits.
    """

    wrong: np.ndarray
    values: np.ndarray
    linear: bool
    group: np.ndarray
    groups: tuple[str, ...]
    clusters: Clusters
    columns: np.ndarray
    of: tuple[tuple[str, str], ...]

    def only(self, traits: Sequence[str]) -> _Pairs:
        kept = [at for at, (name, _) in enumerate(self.of) if name in traits]
        return replace(self, columns=self.columns[:, kept], of=tuple(self.of[at] for at in kept))

    def mean(self, at: np.ndarray) -> np.ndarray:
        """What the model expects at a sum of its terms."""
        return at if self.linear else np.asarray(0.5 * (1 + np.tanh(at / 2)))

    def slope(self, at: np.ndarray) -> np.ndarray:
        """The derivative of mean()."""
        chance = self.mean(at)
        return np.ones_like(at) if self.linear else chance * (1 - chance)

    @property
    def genuine(self) -> tuple[bool, ...]:
        return (bool(self.clusters.genuine[0]),)


@dataclass(frozen=True)
class _Fit:
    """beta: G levels, then K slopes; influence (P, G + K) of every pair on beta."""

    beta: np.ndarray
    influence: np.ndarray


def causes(table: pd.DataFrame, traits: dict[str, np.ndarray], kind: ErrorKind, outcome: Outcome = "error") -> Causes:
    """What goes with the errors of one kind, or with the scores of the pairs in which it can happen.

    table: error_pairs.DECIDED (P rows), of which pairs within a group count; traits: by name, (P, 2) of the two images, NaN
    unknown. Raises FairLabError without a trait, for one that does not vary, and where no pair knows all of them.
    """
    if not traits:
        raise FairLabError("name a trait at least")
    pairs, unknown = _pairs(table, traits, kind, outcome == "score")
    lost = [
        name for name in pd.unique(table["group_a"].to_numpy()[_within(table, kind)]) if str(name) not in pairs.groups
    ]
    notes = (*(f"{name} is left out: no pair of it knows all traits" for name in lost), *_notes(pairs, unknown, kind))
    reason = _too_few(pairs)
    full = None if reason else _fit(pairs)
    if full is None and not reason:
        reason = "a trait or a group parts the errors from the other pairs, so that no effect is finite"
    gaps = _gaps(pairs, full, reason)
    effects = EFFECTS.build() if full is None else _effects(pairs, full)
    shares = SHARES.build() if full is None or len(pairs.groups) < 2 else _shares(pairs, full, tuple(traits))
    return Causes(gaps, effects, shares, tuple(traits), len(pairs.wrong), unknown, notes)


def _within(table: pd.DataFrame, kind: ErrorKind) -> np.ndarray:
    """(P,) the pairs of a kind of error within groups."""
    genuine = table["genuine"].to_numpy(bool)
    same = (table["group_a"] == table["group_b"]).to_numpy()
    return np.asarray(same & (genuine if kind == "false-non-match" else ~genuine))


def _pairs(table: pd.DataFrame, traits: dict[str, np.ndarray], kind: ErrorKind, linear: bool) -> tuple[_Pairs, int]:
    of = _within(table, kind)
    sides = {name: np.asarray(values, np.float64)[of] for name, values in traits.items()}
    known = np.all([np.isfinite(values).all(axis=1) for values in sides.values()], axis=0)
    if not known.any():
        raise FairLabError(f"of {int(of.sum()):,} pairs none has both images' {', '.join(traits)}")
    part = table[of][known]
    columns, names = [], []
    for name, values in sides.items():
        level, apart = values[known].mean(axis=1), np.abs(values[known][:, 0] - values[known][:, 1])
        if np.ptp(values[known]) == 0:
            raise FairLabError(f"the trait {name!r} is {values[known].flat[0]:g} in all pairs: nothing can go with it")
        for what, column in (("level", level), ("difference", apart)):
            if np.ptp(column) > 0:
                columns.append(column)
                names.append((name, what))
    if not columns:
        raise FairLabError(f"{', '.join(traits)}: the same in all {len(part):,} pairs, so nothing can go with it")
    both = np.concatenate([part["identity_a"].to_numpy(), part["identity_b"].to_numpy()])
    codes, people = pd.factorize(both)
    clusters = Clusters(
        codes[: len(part)], codes[len(part) :], np.full(len(part), kind == "false-non-match"), len(people)
    )
    group, groups = pd.factorize(part["group_a"].to_numpy())
    errors = wrong(part, kind).astype(float)
    values = part["score"].to_numpy(np.float64) if linear else errors
    columns_of = np.stack(columns, 1)
    found = _Pairs(errors, values, linear, group, tuple(map(str, groups)), clusters, columns_of, tuple(names))
    return found, int(of.sum() - known.sum())


def _notes(pairs: _Pairs, unknown: int, kind: ErrorKind) -> tuple[str, ...]:
    notes = []
    if unknown:
        notes.append(f"{unknown:,} pairs are left out: a trait of one of their images is unknown")
    errors, right = int(pairs.wrong.sum()), int((1 - pairs.wrong).sum())
    what = "false non-matches" if kind == "false-non-match" else "false matches"
    few, what = (len(pairs.wrong), "pairs") if pairs.linear else min((errors, what), (right, "pairs without an error"))
    wanted = EACH * (len(pairs.groups) + pairs.columns.shape[1])
    if few < wanted:
        notes.append(
            f"{few:,} {what} are few for {pairs.columns.shape[1]} columns of traits and {len(pairs.groups)} groups: "
            f"{wanted:,} would be enough; read the intervals, or choose fewer traits or another operating point"
        )
    return tuple(notes)


def _too_few(pairs: _Pairs) -> str:
    for code, name in enumerate(pairs.groups if not pairs.linear else ()):
        part = pairs.wrong[pairs.group == code]
        if part.min() == part.max():
            how = "no errors" if part.max() == 0 else "only errors"
            return f"group {name} has {how} at this operating point, so that its level is not finite"
    return ""


def _design(pairs: _Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """((P, G + K) group indicators and standardised traits, means (K,), standard deviations (K,))."""
    mean, spread = pairs.columns.mean(0), pairs.columns.std(0)
    of_group = (pairs.group[:, None] == np.arange(len(pairs.groups))).astype(float)
    return np.hstack([of_group, (pairs.columns - mean) / np.where(spread > 0, spread, 1)]), mean, spread


def _fit(pairs: _Pairs) -> _Fit | None:
    """Least squares, or maximum likelihood by Newton's steps; None where no finite maximum is reached: separation, or traits
    that say the same.
    """
    design, _, _ = _design(pairs)
    count, groups = len(design), len(pairs.groups)
    beta = np.zeros(design.shape[1])
    if not pairs.linear:
        rates = np.array([pairs.wrong[pairs.group == code].mean() for code in range(groups)])
        beta[:groups] = np.log(rates / (1 - rates))
    for _ in range(ROUNDS):
        at = design @ beta
        away = pairs.values - pairs.mean(at)
        hessian = (design * pairs.slope(at)[:, None]).T @ design / count
        if not np.isfinite(hessian).all() or np.linalg.cond(hessian) > 1e12:
            return None
        scores, inverse = design * away[:, None], np.linalg.inv(hessian)
        step = inverse @ scores.mean(0)
        if np.abs(step).max() < STEADY:
            return _Fit(beta, scores @ inverse)
        beta = beta + step
    return None


def _equal(pairs: _Pairs, fit: _Fit) -> tuple[np.ndarray, np.ndarray]:
    """(rates (G,) with traits held equal, influence (P, G) of every pair on them)."""
    design, _, _ = _design(pairs)
    groups, count = len(pairs.groups), len(design)
    weights = (count / groups / np.bincount(pairs.group, minlength=groups))[
        pairs.group
    ]  # mean 1; each group weighs alike
    traits = design[:, groups:]
    rates, influence = np.empty(groups), np.empty((count, groups))
    for code in range(groups):
        at = fit.beta[code] + traits @ fit.beta[groups:]
        chance, slope = pairs.mean(at), weights * pairs.slope(at)
        rates[code] = (weights * chance).mean()
        gradient = np.zeros(groups + traits.shape[1])
        gradient[code] = slope.mean()
        gradient[groups:] = (traits * slope[:, None]).mean(0)
        own = np.array([chance[pairs.group == other].mean() for other in range(groups)])
        influence[:, code] = weights * (chance - own[pairs.group]) + fit.influence @ gradient
    return rates, influence


def _observed(pairs: _Pairs) -> tuple[np.ndarray, np.ndarray]:
    """(rates (G,) as they are, influence (P, G))."""
    groups, count = len(pairs.groups), len(pairs.wrong)
    inside = pairs.group[:, None] == np.arange(groups)
    rates = (inside * pairs.values[:, None]).sum(0) / inside.sum(0)
    return rates, inside * (pairs.values[:, None] - rates) * (count / inside.sum(0))


def _contrasts(groups: int) -> np.ndarray:
    """(G, G): row g is the gap of group g, itself minus the mean of the others."""
    away = np.full((groups, groups), -1 / max(groups - 1, 1))
    np.fill_diagonal(away, 1)
    return away


def _interval(pairs: _Pairs, value: float, influence: np.ndarray) -> tuple[float, float]:
    return normal_interval(value, pairs.clusters.variance(influence, pairs.genuine), pairs.clusters.people)


def _gaps(pairs: _Pairs, fit: _Fit | None, reason: str) -> pd.DataFrame:
    rates, seen = _observed(pairs)
    equal, held = (np.full(len(rates), np.nan), np.full(seen.shape, np.nan)) if fit is None else _equal(pairs, fit)
    away = _contrasts(len(rates))
    rows: list[dict[str, Any]] = []
    for code, name in enumerate(pairs.groups):
        mine = pairs.group == code
        people = len(np.unique(np.concatenate([pairs.clusters.first[mine], pairs.clusters.second[mine]])))
        row: dict[str, Any] = {"group": name, "pairs": int(mine.sum()), "people": people}
        row |= {
            "errors": int(pairs.wrong[mine].sum()),
            "rate": rates[code],
            "equal_rate": equal[code],
            "reason": reason,
        }
        of = away[code]
        for key, influence, value in (
            ("gap", seen @ of, float(of @ rates)),
            ("remains", held @ of, float(of @ equal)),
            ("goes", (seen - held) @ of, float(of @ (rates - equal))),
        ):
            alone = len(rates) == 1
            low, high = _interval(pairs, value, influence) if np.isfinite(value) and not alone else (np.nan, np.nan)
            row |= {key: np.nan if alone else value, f"{key}_low": low, f"{key}_high": high}
        rows.append(row)
    return GAPS.build(rows)


def _effects(pairs: _Pairs, fit: _Fit) -> pd.DataFrame:
    from scipy.stats import norm

    design, mean, spread = _design(pairs)
    groups = len(pairs.groups)
    at_all = design @ fit.beta
    slope = pairs.slope(at_all)
    bend = np.zeros_like(slope) if pairs.linear else slope * (1 - 2 * pairs.mean(at_all))
    rows = []
    for at, (name, what) in enumerate(pairs.of):
        beta = fit.beta[groups + at]
        variance = pairs.clusters.variance(fit.influence[:, groups + at], pairs.genuine)
        effect = float(slope.mean() * beta)
        gradient = (design * bend[:, None]).mean(0) * beta
        gradient[groups + at] += slope.mean()
        low, high = _interval(pairs, effect, slope * beta + fit.influence @ gradient)
        p = float(2 * norm.sf(abs(beta) / np.sqrt(variance))) if variance > 0 else np.nan
        odds = np.nan if pairs.linear else float(np.exp(beta))
        rows.append((name, what, effect, low, high, p, np.nan, odds, mean[at], spread[at]))
    table = EFFECTS.build(rows)
    table["p_adjusted"] = holm(table["p"].to_numpy())
    return table


def _shares(pairs: _Pairs, full: _Fit, traits: tuple[str, ...]) -> pd.DataFrame:
    rates, seen = _observed(pairs)
    everything = _equal(pairs, full)
    away = _contrasts(len(rates))
    rows = []
    for trait in traits:
        alone = _held(pairs.only([trait]))
        without = [name for name in traits if name != trait]
        others = _held(pairs.only(without)) if without else (rates, seen)
        for code, group in enumerate(pairs.groups):
            of = away[code]
            row: list[Any] = [group, trait]
            for first, second in (((rates, seen), alone), (others, everything)):
                if first is None or second is None:
                    row += [np.nan] * 3
                    continue
                value = float(of @ (first[0] - second[0]))
                row += [value, *_interval(pairs, value, (first[1] - second[1]) @ of)]
            rows.append(tuple(row))
    return SHARES.build(rows)


def _held(pairs: _Pairs) -> tuple[np.ndarray, np.ndarray] | None:
    fit = _fit(pairs)
    return None if fit is None else _equal(pairs, fit)
