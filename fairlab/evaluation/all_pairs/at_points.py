"""Rates of all comparisons at one operating point: within groups, across groups, and over groups."""

from __future__ import annotations

from typing import Any

import numpy as np

from fairlab.evaluation.all_pairs.moving import MovedPoint, moved_point
from fairlab.evaluation.all_pairs.passes import Passes, at_numbers, rate_ends, turned
from fairlab.evaluation.metrics import Rates
from fairlab.evaluation.operating import around_rates, over_groups
from fairlab.evaluation.rows import UNKNOWN, Rows
from fairlab.evaluation.verification import measurable
from fairlab.tables import ALL_GROUPS


class AtPoint:
    """Operating point `number` of the passes: wrong, of (G, G): false matches and impostor pairs; misses (G,)."""

    def __init__(self, passes: Passes, number: int, seed: int) -> None:
        self.passes, self.number, self.seed = passes, number, seed
        self.target, self.at = passes.thresholds.targets[number], passes.thresholds.points[number]
        self.name = f"fmr={self.target:g}"
        self.threshold = float(at_numbers(passes.found, [self.at])[0])
        self.wrong, self.of = passes.found.between(self.at)
        if not np.array_equal(self.wrong, passes.redrawn.false_matches[..., number]):
            raise AssertionError("the two passes over all comparisons do not agree")
        self.misses = passes.redrawn.misses[:, number]
        self.moved = moved_point(passes.found, self.at, self.target, passes.redrawn, number)
        self.same = np.eye(len(passes.people), dtype=bool)
        self.sets_fmr = int((passes.impostors > 0).sum()) == 1
        """Is the threshold set by the FMR of one group alone?"""

    def write(self, rows: Rows) -> list[str]:
        """Add the numbers; returns sentences on what could not be measured."""
        total = (int(self.passes.genuine.sum()), int(self.passes.impostors.sum()))
        rows.add(ALL_GROUPS, "threshold", (self.threshold, np.nan, np.nan), total, self.name)
        notes = [note for group in range(len(self.passes.people)) for note in self._group(rows, group)]
        self._everybody(rows, total)
        return notes + self._fairness(rows, total)

    def _group(self, rows: Rows, group: int) -> list[str]:
        passes, moved, name = self.passes, self.moved, self.passes.arranged.groups[group]
        counts, people = passes.counts(group), int(passes.people[group])
        false = moved.fixed[:, group] if self.sets_fmr else moved.fmr[:, group]
        fmr = rate_ends(int(self.wrong[group, group]), counts[1], people, false)
        fnmr = rate_ends(int(self.misses[group]), counts[0], people, moved.fnmr[:, group])
        rows.add(name, "fmr", fmr, counts, self.name)
        rows.add(name, "fnmr", fnmr, counts, self.name)
        rows.add(name, "tar", turned(fnmr), counts, self.name)
        notes = self._own(rows, group)
        others = self.of[group] * ~self.same[group]
        if others.any():
            strangers, met = int(self.wrong[group][others > 0].sum()), int(others.sum())
            ends = rate_ends(strangers, met, people, _together(moved.cells[:, group], others))
            rows.add(name, "fmr_across", ends, (0, met), self.name)
        return notes

    def _own(self, rows: Rows, group: int) -> list[str]:
        """TAR as papers give it: with a threshold of the group's own."""
        passes, name, counts = self.passes, self.passes.arranged.groups[group], self.passes.counts(group)
        if not measurable(self.target, counts[1]):
            rows.add(name, "tar_own_threshold", UNKNOWN, counts, self.name)
            return [f"{name}: TAR at its own FMR {self.target:g} is not measurable with {counts[1]} impostor pairs"]
        column = len(passes.thresholds.points) + self.number
        drawn = passes.own_fmr.drawn_fnmr(group, passes.found.threshold_at(self.target, group), column)
        missed = int(passes.redrawn.misses[group, column])
        ends = turned(rate_ends(missed, counts[0], int(passes.people[group]), drawn))
        rows.add(name, "tar_own_threshold", ends, counts, self.name)
        return []

    def _everybody(self, rows: Rows, total: tuple[int, int]) -> None:
        passes, moved, people = self.passes, self.moved, int(self.passes.people.sum())
        for name, errors, pairs, values in (
            ("fmr", np.diagonal(self.wrong), passes.impostors, moved.fixed),
            ("fnmr", self.misses, passes.genuine, moved.fnmr),
        ):
            ends = rate_ends(errors.sum(), pairs.sum(), people, _together(values, pairs))
            rows.add(ALL_GROUPS, name, ends, total, self.name)
        upper = np.triu(self.of * ~self.same)
        if upper.any():
            drawn = _together(moved.cells.reshape(len(moved.cells), -1), upper.ravel())
            strangers, met = int(np.triu(self.wrong, 1).sum()), int(upper.sum())
            rows.add(ALL_GROUPS, "fmr_across", rate_ends(strangers, met, people, drawn), (0, met), self.name)

    def _fairness(self, rows: Rows, total: tuple[int, int]) -> list[str]:
        """The registered metrics of FMR and FNMR over groups, with what a fair model would show."""
        passes, moved = self.passes, self.moved
        errors, pairs = np.array([np.diagonal(self.wrong), self.misses]), np.array([passes.impostors, passes.genuine])
        if not pairs.all():
            return []  # a group without a rate: nothing can be said over groups
        certain = {
            kind: bool(((errors[at] > 0) & (errors[at] < pairs[at])).all()) for at, kind in enumerate(("fmr", "fnmr"))
        }

        def add(metric: str, value: float, low: float, high: float) -> None:
            rows.add(ALL_GROUPS, metric, (value, low, high), total, self.name)

        about = around_rates(errors, pairs, (moved.fmr, moved.fnmr), passes.people, self.seed)
        over_groups("rates", about, lambda values: Rates(*np.split(values, 2, axis=-1), *pairs), certain, add)
        if all(certain.values()) or len(passes.people) == 1:
            return []
        return [f"at {self.name} a group shows no error of a kind: measures that need it have no interval"]

    def matrix(self) -> list[tuple[Any, ...]]:
        """(point, threshold, group_a, group_b, fmr, low, high, false matches, impostor pairs) of each two groups."""
        names, people = self.passes.arranged.groups, self.passes.people
        cells = self._cells(self.moved)
        rows = []
        for a, one in enumerate(names):
            for b, other in enumerate(names):
                errors, pairs = int(self.wrong[a, b]), int(self.of[a, b])
                both = int(people[a] if a == b else people[a] + people[b])
                ends = rate_ends(errors, pairs, both, cells[:, a, b])
                rows.append((self.name, self.threshold, one, other, *ends, errors, pairs))
        return rows

    def _cells(self, moved: MovedPoint) -> np.ndarray:
        return np.where(self.same, moved.fixed[:, None], moved.cells) if self.sets_fmr else moved.cells


def _together(redrawn: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Redrawn rates (draws,) of several kinds (draws, K) together, each in its share of the pairs (K,)."""
    some = pairs > 0
    return np.average(redrawn[:, some], axis=1, weights=pairs[some]) if some.any() else np.empty(0)
