"""Error against discard: how a group's error rate falls as the pairs of the worst images are left out.

A pair is as good as the worse of its two images (Grother and Tabassi, PAMI 2007; ISO/IEC 29794-1:2024, "error versus discard
characteristic"). The threshold of the scores stays where it is. A rate after a discard is one of fewer pairs, so it comes
with their counts and an interval over people at this cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError
from fairlab.evaluation.clusters import Clusters
from fairlab.evaluation.error_pairs import ErrorKind, wrong
from fairlab.evaluation.intervals import normal_interval, share_interval
from fairlab.tables import ALL_GROUPS, NUMBER, TEXT, WHOLE, Table

Rule = Literal["shared", "each"]
RULES: dict[Rule, str] = {
    "shared": "one limit of quality for all groups",
    "each": "the same share of every group's pairs",
}
"""How the limit below which a pair is left out is set."""
STEPS = 20
"""Cuts between nothing left out and the most, for curves and areas."""

CURVES = Table(
    group=TEXT, wanted=NUMBER, limit=NUMBER, left_out=NUMBER, pairs=WHOLE, errors=WHOLE, rate=NUMBER, low=NUMBER,
    high=NUMBER, ideal=NUMBER,
)  # fmt: skip
"""A row is a cut. wanted: share of the pairs (0..1) that the cut leaves out at most, of all groups (rule "shared") or of this
one ("each"); limit: pairs of lower quality are out; left_out: the group's own share (0..1); pairs, errors: those that stay, and
the wrong ones of them; rate: their error rate, a fraction, with a 95 % interval over people at this limit; ideal: the rate if
wrong pairs went first. ALL_GROUPS: the groups' pairs together."""
AREAS = Table(
    group=TEXT, pairs=WHOLE, people=WHOLE, errors=WHOLE, rate=NUMBER, area=NUMBER, low=NUMBER, high=NUMBER, ideal=NUMBER,
    gain=NUMBER, gain_low=NUMBER, gain_high=NUMBER, unknown=WHOLE,
)  # fmt: skip
"""A row is a group. rate: with all pairs; area: the mean rate over the cuts from 0 to the most (the partial area under the curve,
over its width); ideal: the same where wrong pairs go first; quality that tells nothing leaves it at `rate`. gain: rate - area.
Intervals: 95 %, over people, at the cuts as they are. unknown: pairs without a quality, which count nowhere."""
GAPS = Table(
    group=TEXT, wanted=NUMBER, left_out=NUMBER, others_left_out=NUMBER, before=NUMBER, after=NUMBER, change=NUMBER, low=NUMBER,
    high=NUMBER,
)  # fmt: skip
"""A row is a group at a cut. before, after: its rate minus the mean rate of the other groups, without and with the discard
(fractions); change: after - before, on the same people, with a 95 % interval; others_left_out: mean share of the others."""


@dataclass(frozen=True)
class Discard:
    """curves: CURVES; areas: AREAS; gaps: GAPS, at every cut; most: the largest share that is left out, 0..1;
    notes: what is left out and why.
    """

    curves: pd.DataFrame
    areas: pd.DataFrame
    gaps: pd.DataFrame
    most: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Group:
    """The pairs (P,) of a group of one kind, at rows of the table, with the quality of each, and whose they are."""

    name: str
    rows: np.ndarray
    wrong: np.ndarray
    quality: np.ndarray
    clusters: Clusters
    genuine: bool
    unknown: int

    def rate(self, kept: np.ndarray) -> float:
        return float(self.wrong[kept].mean()) if kept.any() else float("nan")

    def influence(self, kept: np.ndarray) -> np.ndarray:
        """What each pair adds to the rate of the pairs kept: of a ratio of means, (wrong - rate) kept / mean(kept)."""
        if not kept.any():
            return np.full(len(kept), np.nan)
        return np.asarray((self.wrong - self.rate(kept)) * kept / kept.mean())

    def variance(self, influence: np.ndarray) -> float:
        return self.clusters.variance(influence, (self.genuine,))


def discard(
    table: pd.DataFrame, quality: np.ndarray, kind: ErrorKind, rule: Rule = "shared", most: float = 0.2
) -> Discard:
    """The curves of every group, and of all, from decided pairs.

    table: error_pairs.DECIDED (P rows), of which pairs within a group count; quality: (P,) of each pair, larger is better, NaN
    unknown. Pairs of equal quality go together, so that a cut leaves out at most what is wanted. Raises FairLabError for
    `most` outside 0..1, and where no pair of the kind has a quality or all have the same.
    """
    if not 0 < most < 1:
        raise FairLabError(f"the share that is left out at most lies between 0 and 1, not {most:g}")
    quality = np.asarray(quality, np.float64)
    groups = _groups(table, quality, kind)
    without = [group for group in groups if not len(group.wrong)]
    groups = [group for group in groups if len(group.wrong)]
    if not groups:
        raise FairLabError(f"no {_words(kind)} pair has a known quality")
    notes = [f"{group.name} is left out: none of its {group.unknown:,} pairs has a known quality" for group in without]
    pooled = np.concatenate([group.quality for group in groups])
    if pooled.min() == pooled.max():
        what = f"all {_words(kind)} pairs have the same quality, {pooled[0]:g}"
        raise FairLabError(f"{what}, so there is no order to leave them out in")
    wanted = np.linspace(0, most, STEPS + 1)
    cuts = [_cuts(group, _limits(pooled if rule == "shared" else group.quality, wanted)) for group in groups]
    gaps = GAPS.build(_gaps(cuts, wanted)) if len(cuts) > 1 else GAPS.build()
    if len(groups) > 1:
        cuts.append(_together(_group(ALL_GROUPS, table, quality, kind, _within(table, kind, groups)), cuts))
    curves = CURVES.stack(_curve(cut, wanted) for cut in cuts)
    return Discard(curves, AREAS.build(map(_area, cuts)), gaps, most, tuple(notes))


@dataclass(frozen=True)
class _Cuts:
    """A group, its limits (C,), and which of its pairs stay at each of them, (C, P)."""

    group: _Group
    limits: np.ndarray
    kept: np.ndarray


def _cuts(group: _Group, limits: np.ndarray) -> _Cuts:
    return _Cuts(group, limits, group.quality >= limits[:, None])


def _together(whole: _Group, cuts: Sequence[_Cuts]) -> _Cuts:
    """All groups' pairs, of which those stay that stay in their own group; a limit only where it is the same for all."""
    kept = np.zeros((len(cuts[0].limits), len(whole.wrong)), dtype=bool)
    for cut in cuts:
        kept[:, np.searchsorted(whole.rows, cut.group.rows)] = cut.kept
    same = np.all([cut.limits == cuts[0].limits for cut in cuts], axis=0)
    return _Cuts(whole, np.where(same, cuts[0].limits, np.nan), kept)


def _words(kind: ErrorKind) -> str:
    return "genuine" if kind == "false-non-match" else "impostor"


def _groups(table: pd.DataFrame, quality: np.ndarray, kind: ErrorKind) -> list[_Group]:
    within, names = _within(table, kind), table["group_a"].to_numpy()
    return [_group(str(name), table, quality, kind, within & (names == name)) for name in pd.unique(names[within])]


def _within(table: pd.DataFrame, kind: ErrorKind, groups: Sequence[_Group] | None = None) -> np.ndarray:
    """(P,) pairs of the kind within a group, or within one of these."""
    within = (table["group_a"] == table["group_b"]).to_numpy() & _of_kind(table, kind)
    return within if groups is None else within & table["group_a"].isin([group.name for group in groups]).to_numpy()


def _of_kind(table: pd.DataFrame, kind: ErrorKind) -> np.ndarray:
    genuine = table["genuine"].to_numpy(bool)
    return genuine if kind == "false-non-match" else ~genuine


def _group(name: str, table: pd.DataFrame, quality: np.ndarray, kind: ErrorKind, of: np.ndarray) -> _Group:
    known = of & np.isfinite(quality)
    part = table[known]
    both = np.concatenate([part["identity_a"].to_numpy(), part["identity_b"].to_numpy()])
    codes, people = pd.factorize(both)
    genuine = np.full(len(part), kind == "false-non-match")
    clusters = Clusters(codes[: len(part)], codes[len(part) :], genuine, len(people))
    unknown = int(of.sum() - known.sum())
    rows = np.flatnonzero(known)
    return _Group(
        name, rows, wrong(part, kind).astype(float), quality[known], clusters, kind == "false-non-match", unknown
    )


def _limits(quality: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """(C,) for each share the highest limit with no more pairs below it; -inf leaves none out."""
    values, counts = np.unique(quality, return_counts=True)
    below = np.concatenate([[0], np.cumsum(counts)[:-1]])  # pairs below each value
    at = np.searchsorted(below, wanted * len(quality) + 1e-9, side="right") - 1
    return np.where(at > 0, values[at], -np.inf)


def _ideal(errors: int, pairs: int, left_out: np.ndarray) -> np.ndarray:
    """(C,) rates where wrong pairs go first."""
    gone = np.round(left_out * pairs)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(pairs > gone, np.maximum(errors - gone, 0) / (pairs - gone), np.nan))


def _curve(cut: _Cuts, wanted: np.ndarray) -> pd.DataFrame:
    rows, group = [], cut.group
    total = len(group.wrong)
    for share, limit, kept in zip(wanted, cut.limits, cut.kept, strict=True):
        rate, pairs = group.rate(kept), int(kept.sum())
        variance = group.variance(group.influence(kept)) if pairs else np.nan
        low, high = share_interval(rate, variance, group.clusters.people, pairs)
        out = 1 - pairs / total
        ideal = _ideal(int(group.wrong.sum()), total, np.array([out]))[0]
        errors = int(group.wrong[kept].sum())
        rows.append((group.name, share, limit, out, pairs, errors, rate, low, high, ideal))
    return CURVES.build(rows)


def _weights(cuts: int) -> np.ndarray:
    """(C,) of the trapezoid rule over equal steps, adding up to 1."""
    weights = np.ones(cuts)
    weights[[0, -1]] = 0.5
    return weights / weights.sum()


def _area(cut: _Cuts) -> dict[str, object]:
    group, kept = cut.group, cut.kept
    weights = _weights(len(kept))
    rates = np.array([group.rate(each) for each in kept])
    area = float(weights @ rates)
    influences = np.array([group.influence(each) for each in kept])
    people, total, errors = group.clusters.people, len(group.wrong), int(group.wrong.sum())
    rate = group.rate(kept[0])
    low, high = share_interval(area, group.variance(weights @ influences), people, total)
    gain = rate - area
    reach = normal_interval(gain, group.variance(influences[0] - weights @ influences), people)
    out = 1 - kept.mean(axis=1)
    return {
        "group": group.name, "pairs": total, "people": people, "errors": errors, "rate": rate, "area": area, "low": low,
        "high": high, "ideal": float(weights @ _ideal(errors, total, out)), "gain": gain, "gain_low": reach[0],
        "gain_high": reach[1], "unknown": group.unknown,
    }  # fmt: skip


def _gaps(cuts: Sequence[_Cuts], wanted: np.ndarray) -> list[tuple[object, ...]]:
    """Of every group and cut: its gap to the others. Groups are different people, so that their variances add up."""
    rows: list[tuple[object, ...]] = []
    people = min(cut.group.clusters.people for cut in cuts)
    for at, share in enumerate(wanted):
        before = np.array([cut.group.rate(cut.kept[0]) for cut in cuts])
        after = np.array([cut.group.rate(cut.kept[at]) for cut in cuts])
        out = np.array([1 - cut.kept[at].mean() for cut in cuts])
        spread = np.array([_moved(cut, at) for cut in cuts])
        for place, cut in enumerate(cuts):
            of = np.full(len(cuts), -1 / (len(cuts) - 1))
            of[place] = 1
            change = float(of @ (after - before))
            low, high = normal_interval(change, float(of**2 @ spread), people) if at else (0.0, 0.0)
            others = float(np.delete(out, place).mean())
            rows.append((cut.group.name, share, out[place], others, of @ before, of @ after, change, low, high))
    return rows


def _moved(cut: _Cuts, at: int) -> float:
    """Variance of the change of a group's rate from nothing left out to a cut."""
    group = cut.group
    return group.variance(group.influence(cut.kept[at]) - group.influence(cut.kept[0]))
