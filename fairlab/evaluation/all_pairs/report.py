"""The numbers of all comparisons: rates within every group and across groups at one threshold, with intervals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fairlab.evaluation.all_pairs.at_points import AtPoint
from fairlab.evaluation.all_pairs.counts import AllPairs, Arranged, MakeEngine, count_all
from fairlab.evaluation.all_pairs.hardest import hardest_table, least_scores, most_of
from fairlab.evaluation.all_pairs.intervals import redraw
from fairlab.evaluation.all_pairs.passes import Passes, at_numbers, thresholds_of
from fairlab.evaluation.all_pairs.shares import ALONE, Sharing
from fairlab.evaluation.groups import Asked
from fairlab.evaluation.intervals import FEW_IDENTITIES, share_interval, variance_of
from fairlab.evaluation.operating import LEAST_FALSE
from fairlab.evaluation.report import CURVE
from fairlab.evaluation.rows import Rows
from fairlab.evaluation.verification import why_not_measurable
from fairlab.tables import BOOL, NUMBER, TEXT, WHOLE, Table

MATRIX = Table(
    run_id=TEXT, operating_point=TEXT, threshold=NUMBER, group_a=TEXT, group_b=TEXT, fmr=NUMBER, low=NUMBER, high=NUMBER,
    false_matches=WHOLE, impostor_pairs=WHOLE,
)  # fmt: skip
"""A row is the FMR of people of group_a taken for people of group_b, at the threshold of an operating point."""
COUNTS = Table(group_a=TEXT, group_b=TEXT, genuine=BOOL, threshold=NUMBER, pairs=WHOLE)
"""A row is how many comparisons score at or above a threshold of the grid and below the next; rows of 0 are left out."""


@dataclass(frozen=True)
class AllResults:
    """metrics: tables.METRICS; curves: report.CURVE; matrix: MATRIX; counts: COUNTS; hardest: hardest.HARDEST, with rows of
    the vectors for images; notes: what could not be measured.
    """

    metrics: pd.DataFrame
    curves: pd.DataFrame
    matrix: pd.DataFrame
    counts: pd.DataFrame
    hardest: pd.DataFrame
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
    thresholds = thresholds_of(found, settings.fmr_targets)
    least, kept = least_scores(found, most_of(len(arranged.groups)))
    redrawn = redraw(
        vectors,
        arranged,
        at_numbers(found, thresholds.points),
        thresholds.own,
        settings.bootstrap,
        settings.seed,
        make_engine(vectors, arranged.order, len(arranged.groups)),
        lambda done, total: progress(total + done, 2 * total),
        stop,
        sharing,
        least,
    )
    if len(redrawn.hardest) != kept.sum():
        raise AssertionError("the two passes over all comparisons do not agree on the hardest impostors")
    passes, rows, matrix = Passes(arranged, found, thresholds, redrawn), Rows(run_id, protocol), []
    notes = _left_out(passes, settings.fmr_targets)
    for number in range(len(thresholds.targets)):
        point = AtPoint(passes, number, settings.seed)
        notes += point.write(rows)
        matrix += [dict(zip(MATRIX, (run_id, *row), strict=True)) for row in point.matrix()]
    curves = [_curve(run_id, protocol, passes, group) for group in range(len(arranged.groups))]
    hardest = hardest_table(
        redrawn.hardest, arranged.order, arranged.group_of, arranged.groups, np.arange(len(vectors), dtype=np.int64)
    )
    counts = _counts(found, arranged.groups)
    return AllResults(rows.table(), CURVE.stack(curves), MATRIX.build(matrix), counts, hardest, notes)


def _left_out(passes: Passes, fmr_targets: tuple[float, ...]) -> list[str]:
    """Sentences on who and what is too few, or left out."""
    arranged, found, thresholds = passes.arranged, passes.found, passes.thresholds
    notes = [
        f"{name}: only {people} identities, intervals are indicative"
        for name, people in zip(arranged.groups, passes.people, strict=True)
        if people < FEW_IDENTITIES
    ]
    if arranged.left_out:
        notes.append(
            f"{len(arranged.left_out)} people with images in two groups were left out, "
            f"{sum(arranged.left_out.values())} images: {', '.join(list(arranged.left_out)[:20])}"
        )
    total = int(passes.impostors.sum())
    notes += [why_not_measurable(target, total) for target in fmr_targets if target not in thresholds.targets]
    if len(found.thresholds) in thresholds.points:
        notes.append("more impostors than allowed score 1: no threshold of the grid is strict enough")
    return notes


def _curve(run_id: str, protocol: str, passes: Passes, group: int) -> pd.DataFrame:
    """The group's ROC, at FMRs from one false match up to 1, with a band for the TMR."""
    found, redrawn, points = passes.found, passes.redrawn, passes.thresholds.curves[group]
    genuine, impostors = passes.counts(group)
    if not points or not genuine:
        return CURVE.build()
    first, people = 2 * len(passes.thresholds.targets), int(passes.people[group])
    misses = redrawn.misses[group, first : first + len(points)]
    matches = found.matches(found.within[group])[points]
    drawn = [
        passes.own_fmr.drawn_fnmr(group, at, first + number) * (1.0 if matches[number] >= LEAST_FALSE else np.nan)
        for number, at in enumerate(points)
    ]
    ends = [
        share_interval(missed / genuine, variance_of(rates), people, genuine)
        for missed, rates in zip(misses, drawn, strict=True)
    ]
    high, low = 1 - np.array(ends).T
    name, thresholds = passes.arranged.groups[group], found.thresholds[points]
    columns = (run_id, protocol, name, thresholds, matches / impostors, 1 - misses / genuine, low, high)
    return CURVE.of(dict(zip(CURVE, (*columns, genuine, impostors), strict=True)))


def _counts(found: AllPairs, names: tuple[str, ...]) -> pd.DataFrame:
    """COUNTS: all that are not 0."""
    parts = [(name, name, True, found.genuine[group]) for group, name in enumerate(names)]
    parts += [(names[a], names[b], False, found.impostors[a, b]) for b in range(len(names)) for a in range(b + 1)]
    tables = []
    for one, other, genuine, counts in parts:
        some = np.flatnonzero(counts)
        values = (one, other, genuine, found.thresholds[some], counts[some])
        tables.append(COUNTS.of(dict(zip(COUNTS, values, strict=True))))
    return COUNTS.stack(tables)
