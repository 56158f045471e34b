"""The hardest impostors of all comparisons, as pairs of faces at an operating point: those that were kept while all were counted."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fairlab.compare.pairs import Where, pairs_behind, with_faces
from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.all_pairs.blocks import grid
from fairlab.evaluation.error_pairs import DECIDED, Wanted, chosen
from fairlab.evaluation.operating import OperatingPoint
from fairlab.store.results import read_protocol
from fairlab.store.runs import RunRecord
from fairlab.tables import NUMBER, TEXT, WHOLE, Table

COUNTED = "all_pairs"
"""The protocol that compares every image with every other one."""
ROUNDING = 1.5e-7
"""How far a step of the grid may be from the number that it stands for (blocks.grid)."""
KEPT = Table(group_a=TEXT, group_b=TEXT, threshold=NUMBER, false_matches=WHOLE, impostor_pairs=WHOLE, kept=WHOLE)
"""A row is two groups at an operating point: all false matches counted, of all impostor pairs, and how many are kept as pairs."""


def any_pairs(
    record: RunRecord, where: Where, wanted: Wanted, second: RunRecord | None = None, most: int | None = None
) -> pd.DataFrame:
    """compare.pairs.pairs_behind of a list of pairs, hardest_pairs of all comparisons; raises FairLabError as they do."""
    if where.protocol != COUNTED:
        return pairs_behind(record, where, wanted, second, most)
    if second is not None or where.by:
        raise FairLabError(
            "all comparisons are counted by the data set's own groups, for one model: leave out the others"
        )
    found = hardest_pairs(record, where.dataset, where.point, wanted)
    return found.head(most) if most is not None else found


def hardest_pairs(record: RunRecord, dataset: Dataset, point: OperatingPoint, wanted: Wanted) -> pd.DataFrame:
    """The false matches wanted among the impostors kept, the worst first: compare.pairs.PAIRS_BEHIND and the attributes.

    pair_id: the place among all that are kept, from 0. Raises FairLabError for another kind, and where the run was not
    evaluated by all comparisons (or before they were kept).
    """
    if wanted.kind != "false-match" or wanted.among != "here":
        raise FairLabError("of all comparisons only the hardest impostors are kept: choose false-match, of one model")
    table = read_protocol(record.folder, dataset.dataset_id, COUNTED, "hardest")
    at = thresholds(read_protocol(record.folder, dataset.dataset_id, COUNTED, "counts"), point)
    within = (table["group_a"] == table["group_b"]).to_numpy()
    if point.rule == "own":
        table = table[within].reset_index()
    else:
        table = table.reset_index()
    threshold = table["group_a"].map(at).to_numpy(float)
    images = {side: table[f"image_{side}"].to_numpy() for side in "ab"}
    if any(len(rows) and (rows.min() < 0 or rows.max() >= len(dataset.images)) for rows in images.values()):
        raise FairLabError(f"the hardest impostors of {record.run_id} are of other data than {dataset.dataset_id}")
    names = dataset.images["identity"].astype(str).to_numpy()
    score = table["score"].to_numpy(float)
    columns = (table["index"], False, score >= threshold, score, threshold, score - threshold)
    people = (names[images["a"]], names[images["b"]])
    values = (*columns, table["group_a"].to_numpy(), table["group_b"].to_numpy(), *people)
    found = chosen(DECIDED.of(dict(zip(DECIDED, values, strict=True))), wanted)
    place = pd.Index(table["index"]).get_indexer(found["pair_id"])
    return with_faces(found, {side: rows[place] for side, rows in images.items()}, dataset)


def thresholds(counts: pd.DataFrame, point: OperatingPoint) -> dict[str, float]:
    """The threshold of every group at a point, from the counts of all comparisons (all_pairs.report.COUNTS): on the grid,
    set on the impostors within groups; a fixed threshold is moved to the next step. Infinite where no step is strict
    enough. Raises FairLabError without impostors.
    """
    own = counts[((counts["group_a"] == counts["group_b"]) & ~counts["genuine"]).to_numpy()]
    groups = list(dict.fromkeys(counts["group_a"])) + list(dict.fromkeys(counts["group_b"]))
    if point.rule == "threshold":
        return dict.fromkeys(groups, _next_step(point.value))
    if point.rule == "pooled":
        return dict.fromkeys(groups, _threshold(own, point.value))
    return {str(group): _threshold(part, point.value) for group, part in own.groupby("group_a", observed=True)}


def _next_step(threshold: float) -> float:
    """The smallest step of the grid that is no less than a threshold; steps are off by rounding in single precision."""
    steps = np.append(grid().astype(np.float64), np.inf)
    return float(steps[np.searchsorted(steps, threshold - ROUNDING)])


def _threshold(counts: pd.DataFrame, target: float) -> float:
    """The smallest step of the grid with FMR at most `target`, as AllPairs.threshold_at."""
    total = int(counts["pairs"].sum())
    if not total:
        raise FairLabError("there is no impostor pair within a group, so no threshold can be set")
    steps = grid().astype(np.float64)
    at = np.searchsorted(steps, counts["threshold"].to_numpy(float))
    found = np.bincount(at, counts["pairs"].to_numpy(float), len(steps))
    reached = np.cumsum(found[::-1])[::-1]
    allowed = np.flatnonzero(reached <= target * total)
    return float(steps[allowed[0]]) if len(allowed) else float("inf")


def kept_of(record: RunRecord, dataset: Dataset, point: OperatingPoint) -> pd.DataFrame:
    """How many false matches of every two groups there are, and how many of them are kept: KEPT.

    Where each group has its own threshold, pairs of two groups are left out. Raises FairLabError as hardest_pairs.
    """
    counts = read_protocol(record.folder, dataset.dataset_id, COUNTED, "counts")
    at, rows = thresholds(counts, point), []
    listed = hardest_pairs(record, dataset, point, Wanted())
    kept = listed.groupby(["group_a", "group_b"], observed=True).size().to_dict()
    impostors = counts[~counts["genuine"].to_numpy(bool)]
    for (one, two), part in impostors.groupby(["group_a", "group_b"], sort=False, observed=True):
        if one != two and point.rule == "own":
            continue
        reached = int(part["pairs"].to_numpy()[part["threshold"].to_numpy() >= at[one]].sum())
        both = int(kept.get((one, two), 0)) + (int(kept.get((two, one), 0)) if one != two else 0)
        rows.append((one, two, at[one], reached, int(part["pairs"].sum()), both))
    return KEPT.build(rows)
