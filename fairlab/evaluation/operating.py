"""Everything at one operating point: the rates of every group there, what is unfair about them, and how sure that is.

Where a threshold is set at an FMR, intervals are of the rate at the threshold that this FMR has among all people, so the
threshold moves in every draw (see moving). Only the rate that the threshold is set by has none such: it is the target by
definition. Its interval says what the true FMR at the very threshold in use may be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd

from fairlab.errors import FairLabError
from fairlab.evaluation import verification
from fairlab.evaluation.groups import GroupPairs
from fairlab.evaluation.intervals import chance_points, share_interval, share_of_chance, variance_of
from fairlab.evaluation.metrics import FAIRNESS_METRICS, Rates
from fairlab.evaluation.moving import Steps, move, targets_around
from fairlab.evaluation.spread import Around, Noise, worth
from fairlab.tables import ALL_GROUPS, METRICS

LEAST_FALSE = 1.5
"""A threshold set by fewer false matches (one, or none) may lie anywhere: what rates are at its FMR is not known."""
Rule = Literal["pooled", "own", "threshold"]
PREFIX: dict[str, Rule] = {"fmr": "pooled", "own_fmr": "own", "threshold": "threshold"}
NUMBERS = METRICS.without("run_id", "protocol")
"""Columns of a table of numbers of one run on one protocol."""


@dataclass(frozen=True)
class OperatingPoint:
    """Where the threshold stands. rule "pooled": one threshold, where all groups' impostors together reach FMR `value`;
    "own": a threshold for each group, at its own FMR `value`, as papers have it; "threshold": `value` itself.
    """

    rule: Rule
    value: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.value) if self.rule == "threshold" else 0 <= self.value <= 1):
            what = "a threshold is a finite number" if self.rule == "threshold" else "an FMR lies between 0 and 1"
            raise FairLabError(f"{what}, not {self.value:g}")

    @property
    def name(self) -> str:
        """As tables name it: "fmr=0.01", "own_fmr=0.01", "threshold=0.3"."""
        prefix = next(prefix for prefix, rule in PREFIX.items() if rule == self.rule)
        return f"{prefix}={float(self.value)!r}" if self.rule == "threshold" else f"{prefix}={self.value:g}"

    @classmethod
    def of(cls, name: str) -> OperatingPoint:
        """The point of a name. Raises FairLabError for no such name."""
        prefix, _, value = name.partition("=")
        try:
            return cls(PREFIX[prefix], float(value))
        except (KeyError, ValueError) as error:
            raise FairLabError(
                f"{name!r} is not an operating point; expected fmr=0.01, own_fmr=0.01 or threshold=0.3"
            ) from error


class Scored(Protocol):
    """The pairs of a group, as far as a threshold hangs on them: scores (P,) and whether each is genuine (P,)."""

    @property
    def name(self) -> str: ...
    @property
    def scores(self) -> np.ndarray: ...
    @property
    def genuine(self) -> np.ndarray: ...


@dataclass(frozen=True)
class AtPoint:
    """The groups at an operating point. thresholds (G,), NaN for a group that has none; counts per group; fmr, fnmr
    (draws, G): rates with people redrawn and the threshold set anew; fixed: the same at the thresholds as they are (the two
    are one for a given threshold); steps, step (draws,): thresholds around a pooled one, and which each draw takes; missing: why
    the point cannot be measured, or "".
    """

    point: OperatingPoint
    groups: Sequence[GroupPairs]
    thresholds: np.ndarray
    counts: tuple[verification.Counts, ...]
    fmr: np.ndarray
    fnmr: np.ndarray
    fixed: tuple[np.ndarray, np.ndarray]
    steps: Steps | None = None
    step: np.ndarray | None = None
    missing: str = ""

    @property
    def errors(self) -> np.ndarray:
        """(2, G) false matches and false non-matches."""
        return np.array([[found.false_matches, found.false_non_matches] for found in self.counts]).T

    @property
    def pairs(self) -> np.ndarray:
        """(2, G) impostor and genuine pairs."""
        return np.array([[found.impostor, found.genuine] for found in self.counts]).T

    @property
    def rates(self) -> np.ndarray:
        """(2, G) FMR and FNMR; NaN without pairs."""
        return np.divide(self.errors, self.pairs, out=np.full(self.pairs.shape, np.nan), where=self.pairs > 0)

    @property
    def along(self) -> np.ndarray:
        """(K,) FMRs of all groups together at the steps of a pooled threshold."""
        return self.steps.together(self.pairs[0] / self.pairs[0].sum()) if self.steps is not None else np.empty(0)

    @property
    def people(self) -> np.ndarray:
        """(G,) how many people each group's pairs show."""
        return np.array([group.bootstrap.identities for group in self.groups])

    @property
    def sets_fmr(self) -> bool:
        """Is a group's FMR itself what its threshold is set by? Then it says nothing about the group."""
        return self.point.rule == "own" or (self.point.rule == "pooled" and int((self.pairs[0] > 0).sum()) == 1)


def at_point(groups: Sequence[GroupPairs], point: OperatingPoint) -> AtPoint:
    """The groups' errors at a point, with their people redrawn. Raises FairLabError where no threshold can be set at all."""
    thresholds, missing = thresholds_of(groups, point)
    counts, drawn = [], ([], [])  # type: tuple[list[verification.Counts], tuple[list[np.ndarray], list[np.ndarray]]]
    for group, threshold in zip(groups, thresholds, strict=True):
        counts.append(verification.count_errors(group.scores, group.genuine, threshold))
        for found, redrawn in zip(drawn, group.bootstrap.errors(group.scores >= threshold), strict=True):
            found.append(redrawn)
    fixed = np.array(drawn[0]).T, np.array(drawn[1]).T
    steps, step = None, None
    fmr, fnmr = fixed
    if point.rule == "pooled":
        impostors = np.array([found.impostor for found in counts], dtype=float)
        steps = _steps(groups, float(thresholds[0]), point.value, fixed[0], impostors)
        fmr, fnmr, step = move(steps, impostors / impostors.sum(), point.value, *fixed)
        if (
            sum(found.fmr * group.trials[1] for found, group in zip(counts, groups, strict=True) if found.impostor)
            < LEAST_FALSE
        ):
            fmr, fnmr = np.full_like(fmr, np.nan), np.full_like(fnmr, np.nan)
    elif point.rule == "own":
        fmr, fnmr = fixed[0].copy(), fixed[1].copy()
        for number, group in enumerate(groups):
            one = slice(number, number + 1)
            alone = fixed[0][:, one]
            around = _steps([group], float(thresholds[number]), point.value, alone, np.ones(1))
            _, fnmr[:, one], _ = move(around, np.ones(1), point.value, alone, fixed[1][:, one])
            fmr[:, number] = counts[number].fmr
            if counts[number].fmr * group.trials[1] < LEAST_FALSE:
                fnmr[:, number] = np.nan
    return AtPoint(point, groups, thresholds, tuple(counts), fmr, fnmr, fixed, steps, step, missing)


def _steps(
    groups: Sequence[GroupPairs], threshold: float, target: float, fmr: np.ndarray, impostors: np.ndarray
) -> Steps:
    """Rates of the groups at thresholds around the one that was set."""
    some = impostors > 0
    together = np.average(fmr[:, some], axis=1, weights=impostors[some])
    scores = np.concatenate([group.scores[~group.genuine] for group in groups])
    near = verification.thresholds_at_fmr(scores, targets_around(target, together))
    thresholds = np.unique(np.append(near, threshold))
    rates = [verification.rates(group.scores, group.genuine, thresholds) for group in groups]
    at = int(np.searchsorted(thresholds, threshold))
    return Steps(thresholds, np.array([rate[0] for rate in rates]), np.array([rate[1] for rate in rates]), at)


def thresholds_of(groups: Sequence[Scored], point: OperatingPoint) -> tuple[np.ndarray, str]:
    """(thresholds (G,) of the groups at a point, why the point cannot be measured or ""). Raises FairLabError where a
    threshold is set by impostors and a group, or all of them, have none.
    """
    if point.rule == "threshold":
        return np.full(len(groups), float(point.value)), ""
    impostors = [group.scores[~group.genuine] for group in groups]
    if point.rule == "pooled":
        together = np.concatenate(impostors)
        at = verification.threshold_at_fmr(together, point.value)
        return np.full(len(groups), at), verification.why_not_measurable(point.value, len(together))
    few = [group.name for group, own in zip(groups, impostors, strict=True) if len(own) == 0]
    if few:
        raise FairLabError(f"group {few[0]} has no impostor pair, so it has no threshold of its own")
    why = [verification.why_not_measurable(point.value, len(own)) for own in impostors]
    thresholds = np.array([verification.threshold_at_fmr(own, point.value) for own in impostors])
    return thresholds, next((text for text in why if text), "")


def numbers_at(at: AtPoint, seed: int) -> tuple[pd.DataFrame, list[str]]:
    """(NUMBERS, notes) of a point: per group fmr, fnmr and tar, for ALL_GROUPS threshold (if there is one for all), fmr,
    fnmr, the fairness metrics of rates with `<metric>_fair_p95` and `<metric>_p`. Notes say what has no interval and why.
    """
    rows: list[dict[str, Any]] = []
    notes: list[str] = []
    errors, pairs = at.errors, at.pairs
    total = (int(pairs[1].sum()), int(pairs[0].sum()))

    def add(group: str, metric: str, value: float, low: float, high: float, counts: tuple[int, int] = total) -> None:
        rows.append(dict(zip(NUMBERS, (group, metric, at.point.name, value, low, high, *counts), strict=True)))

    if at.point.rule != "own":
        add(ALL_GROUPS, "threshold", float(at.thresholds[0]), np.nan, np.nan)
    set_by = at.fixed[0] if at.sets_fmr else at.fmr
    for number, (group, found) in enumerate(zip(at.groups, at.counts, strict=True)):
        counts, people = group.counts, group.bootstrap.identities
        if at.point.rule == "own":
            add(group.name, "threshold", float(at.thresholds[number]), np.nan, np.nan, counts)
        between = share_interval(found.fmr, variance_of(set_by[:, number]), people, group.trials[1])
        add(group.name, "fmr", found.fmr, *between, counts)
        low, high = share_interval(found.fnmr, variance_of(at.fnmr[:, number]), people, group.trials[0])
        add(group.name, "fnmr", found.fnmr, low, high, counts)
        add(group.name, "tar", 1 - found.fnmr, 1 - high, 1 - low, counts)
    everyone = int(at.people.sum())
    for kind, name in enumerate(("fmr", "fnmr")):
        wrong, of, some = errors[kind], pairs[kind], pairs[kind] > 0
        drawn = at.fixed[0] if name == "fmr" else at.fnmr
        together = np.average(drawn[:, some], axis=1, weights=of[some]) if some.any() else np.empty(0)
        rate = wrong.sum() / of.sum() if some.any() else np.nan
        trials = sum(group.trials[1 - kind] for group in at.groups)
        add(ALL_GROUPS, name, rate, *share_interval(rate, variance_of(together), everyone, trials))
    several = len(at.groups) > 1
    if not pairs.all():
        notes.append(
            f"at {at.point.name} a group has no genuine or no impostor pairs: the measures that need them are n/a"
        )
    certain = {
        kind: bool(((errors[at_] > 0) & (errors[at_] < pairs[at_])).all()) for at_, kind in enumerate(("fmr", "fnmr"))
    }
    if not all(certain.values()) and several:
        notes.append(f"at {at.point.name} a group shows no error of a kind: the measures over groups have no interval")
    given: frozenset[str] = frozenset()
    if at.point.rule == "own" and several:
        given = frozenset(["fmr"])
        notes.append(
            f"at {at.point.name} every group's FMR is set to {at.point.value:g}: measures of FMR alone are "
            f"meaningless and have no interval"
        )

    def taken(values: np.ndarray) -> Rates:
        return Rates(*np.split(values, 2, axis=-1), *pairs)

    over_groups("rates", around(at, seed), taken, certain, lambda *row: add(ALL_GROUPS, *row), given)
    return NUMBERS.build(rows), notes


def around(at: AtPoint, seed: int) -> Around:
    """FMRs, then FNMRs, of the groups (2G,), and what chance does to them together."""
    return around_rates(at.errors, at.pairs, (at.fmr, at.fnmr), at.people, seed)


def around_rates(
    errors: np.ndarray, pairs: np.ndarray, redrawn: tuple[np.ndarray, np.ndarray], people: np.ndarray, seed: int
) -> Around:
    """As around(), of errors and pairs (2, G), redrawn FMRs and FNMRs (draws, G) and the groups' people (G,)."""
    rates = np.divide(errors, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        fair = errors.sum(1) / pairs.sum(1)
    count = [worth(rates[kind], redrawn[kind], pairs[kind], people) for kind in (0, 1)]
    noise = Noise.of(np.concatenate(redrawn, axis=1), np.concatenate(count), seed)
    return Around(rates.ravel(), np.repeat(fair, rates.shape[1]), noise, 2)


def over_groups(
    of: str,
    about: Around,
    taken: Callable[[np.ndarray], Any],
    certain: dict[str, bool] | bool,
    add: Callable[[str, float, float, float], None],
    given: frozenset[str] = frozenset(),
) -> None:
    """Every metric `of` "accuracy" or "rates", with its interval; `<metric>_fair_p95`, what a fair model would show; `<metric>_p`.

    taken: what the metric takes, of rates (..., K) as `about` holds them. The fair row holds the 95 % point, and as low
    and high the 2.5 % point and the median; p: the share of fair models that show as much. certain: does every group show an
    error (of the kinds a metric looks at)? A group without one sets no lower limit, so there is no interval. given: kinds of
    rates that are set and not measured; measures of those alone have neither.
    """
    for name, metric in FAIRNESS_METRICS.items():
        if metric.of != of:
            continue

        def measure(rates: np.ndarray, metric: Any = metric) -> np.ndarray:
            return np.asarray(metric(taken(rates)))

        value = float(measure(about.seen))
        sure = certain if isinstance(certain, bool) else all(certain[kind] for kind in metric.kinds)
        if not metric.has_fair_value:
            add(name, value, *(1 - np.array(about.largest())[::-1] if sure else (np.nan, np.nan)))
            continue
        if metric.kinds and given.issuperset(metric.kinds):
            add(name, value, np.nan, np.nan)
            continue
        add(name, value, *(about.interval(measure, value) if sure else (np.nan, np.nan)))
        by_chance, fair = measure(about.fair_draws), float(measure(about.fair))
        low, middle, high = chance_points(by_chance, fair)
        add(f"{name}_fair_p95", high, low, middle)
        add(f"{name}_p", share_of_chance(value, by_chance, fair), np.nan, np.nan)
