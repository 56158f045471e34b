"""Numbers of runs side by side: as they were stored, and the paired difference of each from one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from fairlab.compare import paired_runs
from fairlab.compare.paired_runs import FROM_BASELINE
from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.intervals import p_words
from fairlab.evaluation.metrics import FAIRNESS_METRICS
from fairlab.evaluation.operating import OperatingPoint
from fairlab.store.runs import RunRecord
from fairlab.tables import ALL_GROUPS, texts
from fairlab.ui.frame import cached, caveats
from fairlab.ui.frame.numbers import cell, download, name_of, protocol_titles
from fairlab.ui.frame.page import plain
from fairlab.ui.frame.pickers import choose
from fairlab.workspace import Workspace

NOBODY = ""
RATES = {"accuracy": "accuracy, points", "fmr": "FMR, %", "fnmr": "FNMR, %"}
FAIRNESS = "fairness"
KINDS = {**RATES, FAIRNESS: "differences between groups"}


def numbers_panel(lab: Workspace, records: Sequence[RunRecord], titles: Mapping[str, str]) -> None:
    """The stored numbers on one list of pairs, and paired differences from a chosen run."""
    lists = paired_runs.judged_lists(records)
    if not lists:
        st.caption("None of these runs has numbers yet; evaluate them on the Models page.")
        return
    sets = list(dict.fromkeys(dataset for dataset, _ in lists))
    boxes = st.columns(4)
    with boxes[0]:
        dataset_id = choose("On the data set", sets, "on", {})
    with boxes[1]:
        known = [protocol for dataset, protocol in lists if dataset == dataset_id]
        protocol = choose(
            "Pairs", known, "pairs", {"test": "test pairs", "validation": "validation pairs"} | protocol_titles()
        )
    table = paired_runs.numbers(records, dataset_id, protocol)
    with boxes[2]:
        kind = choose("Numbers", list(KINDS), "numbers", KINDS)
    with boxes[3]:
        points = [point for point in dict.fromkeys(table["operating_point"]) if point.startswith("fmr=")] or [
            "fmr=0.01"
        ]
        point = choose("At FMR", points, "point", {item: f"{name_of(item)} of all together" for item in points})
    data = cached.dataset(lab, dataset_id) if dataset_id in cached.datasets(lab) else None
    if data is not None:
        caveats.show(data, [record for record in records if record.run_id in set(table["run_id"])])
    st.table(stored(table, titles, kind, point), border="horizontal", hide_index=True)
    st.caption(plain(f"{counts(table)}. 95 % intervals over people; n/a: not measurable on these pairs."))
    download(table, f"numbers-{dataset_id}-{protocol}")
    _paired(records, titles, data, (protocol, kind, point))


def stored(table: pd.DataFrame, titles: Mapping[str, str], kind: str, point: str) -> pd.DataFrame:
    """Numbers for people, a row per run: of each group and all together, or every measure of fairness. table: METRICS."""
    factor, digits = (1.0, 3) if kind == FAIRNESS else (100.0, 1 if kind == "accuracy" else 2)
    wanted = [*FAIRNESS_METRICS] if kind == FAIRNESS else [kind, "mean_accuracy"] if kind == "accuracy" else [kind]
    part = table[table["metric"].isin(wanted) & table["operating_point"].isin(["", point])]
    rows = []
    for run_id, title in titles.items():
        cells = {"Run": plain(title)}
        for row in part[part["run_id"] == run_id].to_dict("records"):
            cells[_column(row, kind)] = cell(row["value"], row["low"], row["high"], digits, factor)
        if len(cells) == 1:
            cells["Note"] = "no such numbers on these pairs"
        rows.append(cells)
    return texts(rows, "Run").fillna("")


def counts(table: pd.DataFrame) -> str:
    """How many pairs of each group the numbers rest on, in words. table: METRICS of one list of pairs."""
    own = table[(table["metric"].isin(["accuracy", "fmr"])) & (table["group"] != ALL_GROUPS)].drop_duplicates("group")
    each = [f"{row.group} {row.genuine_pairs:,} and {row.impostor_pairs:,}" for row in own.itertuples()]
    return f"Genuine and impostor pairs: {', '.join(each) or 'not known'}"


def _column(row: Mapping[str, object], kind: str) -> str:
    if kind == FAIRNESS:
        return plain(FAIRNESS_METRICS[str(row["metric"])].title)
    together = "mean of groups" if kind == "accuracy" else "all together"
    return together if row["group"] == ALL_GROUPS else plain(row["group"])


def _paired(
    records: Sequence[RunRecord], titles: Mapping[str, str], data: Dataset | None, shown: tuple[str, str, str]
) -> None:
    """Differences from a run that the user chooses; nothing is computed before."""
    protocol, kind, point = shown
    against = choose("Paired differences from", [NOBODY, *titles], "baseline", {NOBODY: "none", **titles})
    if against == NOBODY:
        return
    if data is None:
        st.info("The data set of these numbers is not in this workspace, so its pairs cannot be compared.")
        return
    table = differences(records, against, data, protocol, point)
    st.table(compared(table, titles, kind), border="horizontal", hide_index=True)
    st.caption(
        f"Each run minus {plain(titles[against])}: the same pairs, the same resampled people, each at its own threshold by "
        f"the rule above; 95 % intervals and two-sided p. Bold: p below 0.05; about 1 in 20 will be bold by chance."
    )
    download(table, f"differences-from-{against}")


def differences(records: Sequence[RunRecord], against: str, data: Dataset, protocol: str, point: str) -> pd.DataFrame:
    """Every run minus the run `against` (FROM_BASELINE), each kept until the numbers of either change."""
    stamps = {record.run_id: cached.stamp_of_numbers(record.folder, data.dataset_id) for record in records}
    base = next(record for record in records if record.run_id == against)
    tables = []
    for record in records:
        if record.run_id != against:
            key = (
                str(record.folder),
                against,
                data.dataset_id,
                protocol,
                point,
                stamps[record.run_id],
                stamps[against],
            )
            tables.append(_difference(key, record, base, data))
    return FROM_BASELINE.stack(tables)


@st.cache_data(max_entries=200, show_spinner="Comparing runs: same pairs, same resampled people ...")
def _difference(key: tuple[str, ...], _record: RunRecord, _base: RunRecord, _data: Dataset) -> pd.DataFrame:
    _, against, _, protocol, point, *_ = key
    try:
        baseline = _baseline((str(_base.folder), _data.dataset_id, protocol, key[-1]), _base, _data)
    except FairLabError as error:
        return paired_runs.nothing(_record, against, str(error))
    return paired_runs.difference(_record, baseline, _data, protocol, OperatingPoint.of(point))


@st.cache_resource(max_entries=2, show_spinner=False)
def _baseline(key: tuple[str, ...], _base: RunRecord, _data: Dataset) -> paired_runs.Baseline:
    return paired_runs.baseline_of(_base, _data, key[2])


def compared(table: pd.DataFrame, titles: Mapping[str, str], kind: str) -> pd.DataFrame:
    """Paired differences for people, a row per run; what has no number says why. table: FROM_BASELINE."""
    rows = []
    for run_id, part in table.groupby("run_id", sort=False, observed=True):
        cells = {"Run": plain(titles[str(run_id)])}
        if part["difference"].isna().all() and len(part) == 1:
            cells["Note"] = f"n/a: {plain(part['why'].iloc[0])}"
        wanted = part["metric"].isin([*FAIRNESS_METRICS]) if kind == FAIRNESS else part["metric"] == kind
        for row in part[wanted & part["difference"].notna()].to_dict("records"):
            factor, digits = (1.0, 3) if kind == FAIRNESS else (100.0, 2)
            text = cell(row["difference"], row["low"], row["high"], digits, factor, signed=True, strong=row["p"] < 0.05)
            p = p_words(row["p"], row["draws"])
            cells[_column(row, kind)] = f"{text} :small[:gray[{plain(f'p {p}') if p else 'no interval'}]]"
        rows.append(cells)
    return texts(rows, "Run").fillna("")
