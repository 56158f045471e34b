"""Two models on the same pairs at the operating point: what differs beyond chance, and what the pairs could not show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.evaluation.intervals import p_words
from fairlab.evaluation.metrics import FAIRNESS_METRICS
from fairlab.evaluation.operating import OperatingPoint
from fairlab.evaluation.paired import paired_report, power_sentences
from fairlab.store.runs import RunRecord
from fairlab.tables import ALL_GROUPS, texts
from fairlab.ui.frame.numbers import cell, download
from fairlab.ui.frame.page import plain
from fairlab.ui.frame.pickers import choose
from fairlab.ui.judge import evidence
from fairlab.ui.judge.evidence import Evidence
from fairlab.workspace import Workspace

NOBODY = ""
RATES = {"accuracy": "Accuracy, points", "fmr": "FMR, points", "fnmr": "FNMR, points"}


def against(
    lab: Workspace,
    found: Evidence,
    point: OperatingPoint,
    models: Sequence[RunRecord],
    titles: Mapping[str, str],
    data: Dataset,
    by: Sequence[str],
) -> None:
    """A second model, and how the first differs from it."""
    others = [model.run_id for model in models if model.run_id != found.run_id]
    if not others:
        st.caption("No other model was evaluated on these data.")
        return
    other = choose("Compare with", [NOBODY, *others], "against", {NOBODY: "none", **titles})
    if other == NOBODY:
        return
    record = next(model for model in models if model.run_id == other)
    try:
        theirs = evidence.evidence(lab, record, data, found.protocol, by, found.chosen)
        table = _differences((*found.key, *theirs.key, point.name), found, theirs, point)
    except FairLabError as error:
        st.warning(plain(error), icon=":material/warning:")
        return
    left, right = st.columns([3, 2])
    with left:
        st.table(_by_group(table), border="horizontal", hide_index=True)
    with right:
        st.table(_measures(table), border="horizontal", hide_index=True)
    st.caption(
        f"{plain(titles[found.run_id])} minus {plain(titles[other])}: the same pairs, the same resampled people, each "
        f"at its own threshold by the rule above; 95 % intervals and two-sided p. Bold: p below 0.05; about 1 in 20 "
        f"will be bold by chance."
    )
    for sentence in power_sentences(table):
        st.caption(plain(sentence))
    download(table, f"differences-{found.run_id}-{other}")


@st.cache_data(max_entries=32, show_spinner=False)
def _differences(key: tuple[str, ...], _ours: Evidence, _theirs: Evidence, _point: OperatingPoint) -> pd.DataFrame:
    return paired_report(_ours.groups, _theirs.groups, _point)


def _by_group(table: pd.DataFrame) -> pd.DataFrame:
    """Differences of the rates, a row per group."""
    rows = []
    for group, part in table[table["metric"].isin(RATES)].groupby("group", sort=False):
        row = {"Group": "mean of groups" if group == ALL_GROUPS else plain(group)}
        own = part.set_index("metric")
        for metric, title in RATES.items():
            row[title] = _shown(own.loc[metric], 2, 100) if metric in own.index else ""
        rows.append(row)
    return texts(rows, "Group", *RATES.values())


def _measures(table: pd.DataFrame) -> pd.DataFrame:
    """Differences of the measures over groups."""
    part = table[(table["group"] == ALL_GROUPS) & ~table["metric"].isin(RATES)]
    rows = [
        {"Measure": plain(FAIRNESS_METRICS[str(row["metric"])].title), "Difference": _shown(row, 3, 1)}
        for _, row in part.iterrows()
    ]
    return texts(rows, "Measure", "Difference")


def _shown(row: pd.Series, digits: int, factor: float) -> str:
    text = cell(row["difference"], row["low"], row["high"], digits, factor, signed=True, strong=bool(row["p"] < 0.05))
    if row["p"] != row["p"]:
        return text if row["difference"] != row["difference"] else f"{text} :small[:gray[no interval]]"
    return f"{text} :small[:gray[p {plain(p_words(row['p'], row['draws']))}]]"
