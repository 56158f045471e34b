"""Numbers of any runs on one list of pairs, and how each differs from one of them: same pairs, same redrawn people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from fairlab.compare.scored import scored
from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.fairness_report import groups_of
from fairlab.evaluation.groups import GroupPairs
from fairlab.evaluation.operating import OperatingPoint
from fairlab.evaluation.paired import DIFFERENCES, paired_report, with_scores
from fairlab.evaluation.score_frames import ScoredPairs, same_pairs
from fairlab.settings.study import Evaluation
from fairlab.store.results import judged_on, pairs_of, read_results, results_facts
from fairlab.store.runs import RunRecord
from fairlab.tables import METRICS, TEXT, Table

FROM_BASELINE = Table(run_id=TEXT, baseline=TEXT, **DIFFERENCES.types, why=TEXT)
"""A row is a metric of a run minus that of the baseline, on the same pairs; why: the reason where there is no number."""
MOST_PAIRS = 400_000
"""With more pairs, redrawing people for each pair of runs takes minutes."""
DERIVED = ("_fair_p95", "_p")
"""Ends of the names of numbers that only say how another is to be read."""


def judged_lists(records: Sequence[RunRecord]) -> list[tuple[str, str]]:
    """(data set, list of pairs or protocol) on which at least one of the runs has numbers; most runs first, then as found."""
    found: dict[tuple[str, str], int] = {}
    for record in records:
        for dataset in judged_on(record.folder):
            for protocol in dict.fromkeys(read_results(record.folder, dataset, "metrics")["protocol"]):
                found[dataset, protocol] = found.get((dataset, protocol), 0) + 1
    return sorted(found, key=lambda key: (-found[key], key[1] != "test"))


def numbers(records: Sequence[RunRecord], dataset_id: str, protocol: str) -> pd.DataFrame:
    """The stored numbers (tables.METRICS) of these runs on one list of pairs, run by run; none of a run without any."""
    tables = []
    for record in records:
        if dataset_id not in judged_on(record.folder):
            continue
        table = read_results(record.folder, dataset_id, "metrics")
        plain = ~table["metric"].str.endswith(DERIVED) & ~table["metric"].str.contains("/", regex=False)
        tables.append(table[(table["protocol"] == protocol) & plain])
    return METRICS.stack(tables)


@dataclass(frozen=True)
class Baseline:
    """A run that others are held against: its scored pairs, with its people redrawn once for all of them."""

    record: RunRecord
    pairs: ScoredPairs
    groups: list[GroupPairs]


def baseline_of(record: RunRecord, dataset: Dataset, protocol: str) -> Baseline:
    """Draw the people behind a run's pairs, as often as when it was judged. Raises FairLabError without scored pairs."""
    count = len(pairs_of(record.folder, dataset, protocol))
    if count > MOST_PAIRS:
        raise FairLabError(
            f"{count:,} pairs are too many to resample people for here: `fairlab fairness RUN --against "
            f"{record.run_id}` takes any number"
        )
    asked = Evaluation.model_validate(results_facts(record.folder, dataset.dataset_id)["settings"])
    pairs = scored(record, dataset, protocol)
    return Baseline(record, pairs, groups_of(pairs, asked.bootstrap, asked.seed))


def difference(
    record: RunRecord, against: Baseline, dataset: Dataset, protocol: str, point: OperatingPoint
) -> pd.DataFrame:
    """A run minus the baseline, FROM_BASELINE: accuracies, FMR and FNMR of each group, every measure of fairness.

    Both at a threshold of their own by the same rule. One row with the reason where the two have no scores of the same pairs.
    """
    try:
        other = same_pairs(against.pairs, scored(record, dataset, protocol))
        table = paired_report(with_scores(against.groups, other), against.groups, point)
    except FairLabError as error:
        return nothing(record, against.record.run_id, str(error))
    return FROM_BASELINE.of(
        {**table, "run_id": record.run_id, "baseline": against.record.run_id, "why": reasons(table)}
    )


def nothing(record: RunRecord, baseline: str, why: str) -> pd.DataFrame:
    """That there is no difference to tell, with the reason: FROM_BASELINE with one row."""
    return FROM_BASELINE.build(
        [{"run_id": record.run_id, "baseline": baseline, "group": "all", "metric": "accuracy", "why": why}]
    )


def reasons(table: pd.DataFrame) -> list[str]:
    """Of each row of DIFFERENCES why it has no number or no interval; "" where it has both."""
    undefined = "not measurable on these pairs"
    unsure = "no interval: not defined in 1 of 20 resampled sets of people, or set by the rule of the threshold"
    known = np.isfinite(table["difference"]), np.isfinite(table["low"])
    return ["" if interval else unsure if number else undefined for number, interval in zip(*known, strict=True)]


def differences(
    records: Sequence[RunRecord], baseline: str, dataset: Dataset, protocol: str, point: OperatingPoint
) -> pd.DataFrame:
    """Every run minus the run `baseline`, which is among them: FROM_BASELINE. Raises FairLabError for another baseline."""
    named = {record.run_id: record for record in records}
    if baseline not in named:
        raise FairLabError(f"the baseline {baseline!r} is not one of the runs: {', '.join(named)}")
    others = [record for record in records if record.run_id != baseline]
    try:
        against = baseline_of(named[baseline], dataset, protocol)
    except FairLabError as error:
        return FROM_BASELINE.stack([nothing(record, baseline, str(error)) for record in others])
    return FROM_BASELINE.stack([difference(record, against, dataset, protocol, point) for record in others])
