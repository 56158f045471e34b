"""The numbers of all comparisons: rates within every group and across groups at one threshold, with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fairlab.evaluation.all_pairs.counts import AllPairs, Arranged, MakeEngine, count_all
from fairlab.evaluation.all_pairs.intervals import Redrawn, redraw
from fairlab.evaluation.all_pairs.moving import MovedPoint, OwnFmr, moved_point
from fairlab.evaluation.all_pairs.shares import ALONE, Sharing
from fairlab.evaluation.groups import Asked
from fairlab.evaluation.intervals import FEW_IDENTITIES, share_interval, variance_of
from fairlab.evaluation.metrics import Rates
from fairlab.evaluation.operating import LEAST_FALSE, around_rates, over_groups
from fairlab.evaluation.report import CURVE, CURVE_POINTS
from fairlab.evaluation.verification import measurable, why_not_measurable
from fairlab.tables import ALL_GROUPS, BOOL, METRICS, NUMBER, TEXT, WHOLE, Table

MATRIX = Table(
    run_id=TEXT, operating_point=TEXT, threshold=NUMBER, group_a=TEXT, group_b=TEXT, fmr=NUMBER, low=NUMBER, high=NUMBER,
    false_matches=WHOLE, impostor_pairs=WHOLE,
)  # fmt: skip
"""A row is the FMR of people of group_a taken for people of group_b, at the threshold of an operating point."""
COUNTS = Table(group_a=TEXT, group_b=TEXT, genuine=BOOL, threshold=NUMBER, pairs=WHOLE)
"""A row is how many comparisons score at or above a threshold of the grid and below the next; rows of 0 are left out."""


@dataclass(frozen=True)
class AllResults:
    """metrics: tables.METRICS; curves: report.CURVE; matrix: MATRIX; counts: COUNTS; notes: what could not be measured."""

    metrics: pd.DataFrame
    curves: pd.DataFrame
    matrix: pd.DataFrame
    counts: pd.DataFrame
    notes: list[str]


def evaluate_all(
    run_id: str,
    protocol: str,
    vectors: np.ndarray,
    arranged: Arranged,
    settings: Asked,
    make_engine: MakeEngine,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    stop: Callable[[], bool] = lambda: False,
    sharing: Sharing = ALONE,
) -> AllResults:
    """Compare all arranged rows of the unit vectors (N, D) twice: to find the thresholds, and for intervals there.

    At each operating point "fmr=x" (threshold set on the impostors within all groups together, on the grid): per group
    fmr, fnmr, tar, tar_own_threshold, and fmr_across (its people against those of all other groups); for all groups
    threshold, fmr, fnmr, fmr_across and the fairness metrics of rates. sharing: the processes that call this together; all
    return the same. Raises FairLabError, and Stopped when asked to.
    """
    found = count_all(
        vectors,
        arranged,
        make_engine(vectors, arranged.order, len(arranged.groups)),
        lambda done, total: progress(done, 2 * total),
        stop,
        sharing,
    )
    writer = _Writer(run_id, protocol, arranged, found, settings)
    redrawn = redraw(
        vectors,
        arranged,
        found_thresholds(found, writer.points),
        writer.own_thresholds(),
        settings.bootstrap,
        settings.seed,
        make_engine(vectors, arranged.order, len(arranged.groups)),
        lambda done, total: progress(total + done, 2 * total),
        stop,
        sharing,
    )
    return writer.results(redrawn)


def found_thresholds(found: AllPairs, points: list[int]) -> np.ndarray:
    """The grid's thresholds by their numbers; infinite behind the last."""
    return np.append(found.thresholds, np.inf)[points]


class _Writer:
    """What is reported, from the counts of the first pass and the redrawn rates of the second."""

    def __init__(self, run_id: str, protocol: str, arranged: Arranged, found: AllPairs, settings: Asked) -> None:
        self.run_id, self.protocol, self.arranged, self.found, self.settings = (
            run_id,
            protocol,
            arranged,
            found,
            settings,
        )
        self.genuine, self.impostors = found.genuine.sum(1), found.within.sum(1)
        self.rows: list[dict[str, Any]] = []
        self.notes = [
            f"{name}: only {people} identities, intervals are indicative"
            for name, people in zip(arranged.groups, np.diff(arranged.first_person), strict=True)
            if people < FEW_IDENTITIES
        ]
        if arranged.left_out:
            self.notes.append(
                f"{len(arranged.left_out)} people with images in two groups were left out, "
                f"{sum(arranged.left_out.values())} images: {', '.join(list(arranged.left_out)[:20])}"
            )
        total = int(self.impostors.sum())
        self.targets = [target for target in settings.fmr_targets if measurable(target, total)]
        self.notes += [
            why_not_measurable(target, total) for target in settings.fmr_targets if target not in self.targets
        ]
        self.points = [found.threshold_at(target) for target in self.targets]
        if len(found.thresholds) in self.points:
            self.notes.append("more impostors than allowed score 1: no threshold of the grid is strict enough")

    def own_thresholds(self) -> np.ndarray:
        """(G, L) where genuine pairs are looked at: the common thresholds, each group's own, and those of its curve."""
        columns = len(self.points) * 2 + CURVE_POINTS
        own = np.full((len(self.arranged.groups), columns), np.nan)
        own[:, : len(self.points)] = found_thresholds(self.found, self.points)
        self.curve_points: list[list[int]] = []
        for group, impostors in enumerate(self.impostors):
            curve: list[int] = []
            if impostors:
                strict = [self.found.threshold_at(target, group) for target in self.targets]
                own[group, len(strict) : 2 * len(strict)] = found_thresholds(self.found, strict)
                wanted = np.geomspace(1, impostors, CURVE_POINTS) / impostors
                inside = {self.found.threshold_at(min(target, 1.0), group) for target in wanted}
                curve = sorted(inside - {len(self.found.thresholds)}, reverse=True)
                own[group, 2 * len(strict) : 2 * len(strict) + len(curve)] = self.found.thresholds[curve]
            self.curve_points.append(curve)
        return own

    def add(
        self, group: str, metric: str, value: float, low: float, high: float, counts: tuple[int, int], point: str
    ) -> None:
        values = (self.run_id, self.protocol, group, metric, point, value, low, high, *(int(count) for count in counts))
        self.rows.append(dict(zip(METRICS, values, strict=True)))

    def results(self, redrawn: Redrawn) -> AllResults:
        self.people = np.diff(self.arranged.first_person)
        self.own_fmr = OwnFmr(self.found, self.points, redrawn)
        matrices = [self._point(number, redrawn) for number in range(len(self.targets))]
        curves = [self._curve(group, redrawn) for group in range(len(self.arranged.groups))]
        return AllResults(
            METRICS.build(self.rows),
            CURVE.stack(curves),
            MATRIX.build([row for rows in matrices for row in rows]),
            self._counts(),
            self.notes,
        )

    def _point(self, number: int, redrawn: Redrawn) -> list[dict[str, Any]]:
        """Rates at one operating point; returns the rows of its matrix."""
        target, at, groups = self.targets[number], self.points[number], self.arranged.groups
        point, threshold = f"fmr={target:g}", float(found_thresholds(self.found, [at])[0])
        wrong, of = self.found.between(at)
        if not np.array_equal(wrong, redrawn.false_matches[..., number]):
            raise AssertionError("the two passes over all comparisons do not agree")
        total = (int(self.genuine.sum()), int(self.impostors.sum()))
        self.add(ALL_GROUPS, "threshold", threshold, np.nan, np.nan, total, point)
        misses = redrawn.misses[:, number]
        moved = moved_point(self.found, at, target, redrawn, number)
        across = of * ~np.eye(len(groups), dtype=bool)
        sets_fmr = int((self.impostors > 0).sum()) == 1  # then the threshold is set by this group's FMR alone
        for group, name in enumerate(groups):
            counts, people = (int(self.genuine[group]), int(self.impostors[group])), int(self.people[group])
            false = moved.fixed[:, group] if sets_fmr else moved.fmr[:, group]
            self._rate(name, "fmr", (wrong[group, group], counts[1], people), false, counts, point)
            for metric in ("fnmr", "tar"):
                missed = (misses[group], counts[0], people)
                self._rate(name, metric, missed, moved.fnmr[:, group], counts, point)
            self._own(group, number, redrawn, point)
            if across[group].any():
                others = _together(moved.cells[:, group], across[group])
                strangers, met = int(wrong[group][across[group] > 0].sum()), int(across[group].sum())
                self._rate(name, "fmr_across", (strangers, met, people), others, (0, met), point)
        everyone = int(self.people.sum())
        for name, errors, pairs, values in (
            ("fmr", np.diagonal(wrong), self.impostors, moved.fixed),
            ("fnmr", misses, self.genuine, moved.fnmr),
        ):
            some = (errors.sum(), pairs.sum(), everyone)
            self._rate(ALL_GROUPS, name, some, _together(values, pairs), total, point)
        upper = np.triu(across)
        if upper.any():
            drawn = _together(moved.cells.reshape(len(moved.cells), -1), upper.ravel())
            strangers, met = int(np.triu(wrong, 1).sum()), int(upper.sum())
            self._rate(ALL_GROUPS, "fmr_across", (strangers, met, everyone), drawn, (0, met), point)
        self._fairness(np.array([np.diagonal(wrong), misses]), moved, total, point)
        cells = (
            moved.cells
            if not sets_fmr
            else np.where(np.eye(len(groups), dtype=bool), moved.fixed[:, None], moved.cells)
        )
        return [
            dict(
                zip(
                    MATRIX,
                    (self.run_id, point, threshold, one, other, *self._cell(cells[:, a, b], a, b, wrong, of)),
                    strict=True,
                )
            )
            for a, one in enumerate(groups)
            for b, other in enumerate(groups)
        ]

    def _rate(
        self,
        group: str,
        metric: str,
        errors: tuple[int, int, int],
        redrawn: np.ndarray,
        counts: tuple[int, int],
        point: str,
    ) -> None:
        """One rate of (errors, pairs, people) with its interval; a TAR is one minus its error rate."""
        wrong, pairs, people = errors
        value = wrong / pairs if pairs else np.nan
        low, high = share_interval(value, variance_of(redrawn), people, int(pairs))
        ends = (1 - value, 1 - high, 1 - low) if metric.startswith("tar") else (value, low, high)
        self.add(group, metric, *ends, counts, point)

    def _own(self, group: int, number: int, redrawn: Redrawn, point: str) -> None:
        """TAR as papers give it: with a threshold of the group's own."""
        name, counts = self.arranged.groups[group], (int(self.genuine[group]), int(self.impostors[group]))
        if not measurable(self.targets[number], counts[1]):
            self.notes.append(
                f"{name}: TAR at its own FMR {self.targets[number]:g} is not measurable with {counts[1]} impostor pairs"
            )
            self.add(name, "tar_own_threshold", np.nan, np.nan, np.nan, counts, point)
            return
        column = len(self.points) + number
        drawn = self.own_fmr.drawn_fnmr(group, self.found.threshold_at(self.targets[number], group), column)
        missed = (redrawn.misses[group, column], counts[0], int(self.people[group]))
        self._rate(name, "tar_own_threshold", missed, drawn, counts, point)

    def _cell(
        self, redrawn: np.ndarray, a: int, b: int, wrong: np.ndarray, of: np.ndarray
    ) -> tuple[float, float, float, int, int]:
        errors, pairs = int(wrong[a, b]), int(of[a, b])
        people = int(self.people[a] if a == b else self.people[a] + self.people[b])
        value = errors / pairs if pairs else np.nan
        return value, *share_interval(value, variance_of(redrawn), people, pairs), errors, pairs

    def _fairness(self, errors: np.ndarray, moved: MovedPoint, total: tuple[int, int], point: str) -> None:
        """The registered metrics of FMR and FNMR over groups, with what a fair model would show; errors (2, G)."""
        pairs = np.array([self.impostors, self.genuine])
        if not pairs.all():
            return  # a group without a rate: nothing can be said over groups
        certain = {
            kind: bool(((errors[at] > 0) & (errors[at] < pairs[at])).all()) for at, kind in enumerate(("fmr", "fnmr"))
        }
        if not all(certain.values()) and len(self.arranged.groups) > 1:
            self.notes.append(f"at {point} a group shows no error of a kind: measures that need it have no interval")

        def add(metric: str, value: float, low: float, high: float) -> None:
            self.add(ALL_GROUPS, metric, value, low, high, total, point)

        about = around_rates(errors, pairs, (moved.fmr, moved.fnmr), self.people, self.settings.seed)
        over_groups("rates", about, lambda values: Rates(*np.split(values, 2, axis=-1), *pairs), certain, add)

    def _curve(self, group: int, redrawn: Redrawn) -> pd.DataFrame:
        """The group's ROC, at FMRs from one false match up to 1, with a band for the TMR."""
        points, genuine, impostors = self.curve_points[group], int(self.genuine[group]), int(self.impostors[group])
        if not points or not genuine:
            return CURVE.build()
        first, people = 2 * len(self.targets), int(self.people[group])
        misses = redrawn.misses[group, first : first + len(points)]
        matches = self.found.matches(self.found.within[group])[points]
        drawn = [
            self.own_fmr.drawn_fnmr(group, at, first + number) * (1.0 if matches[number] >= LEAST_FALSE else np.nan)
            for number, at in enumerate(points)
        ]
        ends = [
            share_interval(missed / genuine, variance_of(rates), people, genuine)
            for missed, rates in zip(misses, drawn, strict=True)
        ]
        high, low = 1 - np.array(ends).T
        fmr = matches / impostors
        name, thresholds = self.arranged.groups[group], self.found.thresholds[points]
        columns = (self.run_id, self.protocol, name, thresholds, fmr, 1 - misses / genuine, low, high)
        return CURVE.of(dict(zip(CURVE, (*columns, genuine, impostors), strict=True)))

    def _counts(self) -> pd.DataFrame:
        """All counts that are not 0."""
        names = self.arranged.groups
        parts = [(name, name, True, self.found.genuine[group]) for group, name in enumerate(names)]
        parts += [
            (names[a], names[b], False, self.found.impostors[a, b]) for b in range(len(names)) for a in range(b + 1)
        ]
        tables = []
        for one, other, genuine, counts in parts:
            some = np.flatnonzero(counts)
            values = (one, other, genuine, self.found.thresholds[some], counts[some])
            tables.append(COUNTS.of(dict(zip(COUNTS, values, strict=True))))
        return COUNTS.stack(tables)


def _together(redrawn: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Redrawn rates (draws,) of several kinds (draws, K) together, each in its share of the pairs (K,)."""
    some = pairs > 0
    return np.average(redrawn[:, some], axis=1, weights=pairs[some]) if some.any() else np.empty(0)
