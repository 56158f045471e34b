"""The verification page's parts: ROC, true accept rates as tables, scores behind them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from fairlab import api
from fairlab.data.base import Dataset
from fairlab.plots.verification import histogram_figure, roc_figure
from fairlab.store.results import pairs_of
from fairlab.store.runs import RunRecord
from fairlab.ui import cached
from fairlab.ui.numbers import NOT_MEASURABLE, cell, download, name_of, one, targets_of
from fairlab.ui.page import chart, plain
from fairlab.ui.pickers import choose
from fairlab.workspace import Workspace


def roc(lab: Workspace, run_ids: Sequence[str], protocol: str, data: Dataset, titles: Mapping[str, str]) -> None:
    """The ROC of every group, of one model or of several in the same figure."""
    curves = pd.concat([cached.results(lab, name, data.dataset_id, "curves") for name in run_ids])
    shown = curves[curves["protocol"] == protocol]
    if shown.empty:
        st.warning("No ROC: these pairs have no genuine or no impostor pair.", icon=":material/warning:")
        return
    chart(roc_figure(shown, data.groups, titles), "roc", "ROC per group")
    st.caption(
        "Left is strict: few strangers are let in. The band is the 95 % interval of the true accept rate over redrawn "
        "people; it is drawn for one model at a time. Each group's curve runs over its own impostor pairs."
    )


def tar_tables(metrics: pd.DataFrame, data: Dataset, run: RunRecord, protocol: str) -> None:
    """TAR@FAR at one threshold for everybody, and with a threshold of its own for each group, as papers print it."""
    points = targets_of(run, data.dataset_id)
    groups = data.groups
    first, second = st.tabs(["One threshold for everybody", "A threshold for each group"])
    with first:
        st.table(tar_table(metrics, groups, points, "tar"), border="horizontal", hide_index=True)
        st.caption(
            "As in use: the threshold is set where all groups' impostor pairs together reach the rate above the column. "
            "What each group's false match rate is there is on the Fairness page."
        )
    with second:
        st.table(tar_table(metrics, groups, points, "tar_own_threshold"), border="horizontal", hide_index=True)
        st.caption("As papers print it. It hides that the groups need different thresholds.")
    st.caption(
        "In percent, with 95 % intervals. Not measurable: fewer than ten false matches could be expected with these pairs."
    )
    download(metrics, f"metrics-{run.run_id}-{protocol}")


def tar_table(metrics: pd.DataFrame, groups: Sequence[str], points: Sequence[str], metric: str) -> pd.DataFrame:
    """One row per group in Markdown: pairs, TAR at each operating point, AUC, EER."""
    rows = []
    for group in groups:
        part = metrics[metrics["group"] == group]
        if part.empty:
            continue
        row = {
            "Group": plain(group),
            "Genuine pairs": f"{int(part['genuine_pairs'].iloc[0]):,}",
            "Impostor pairs": f"{int(part['impostor_pairs'].iloc[0]):,}",
        }
        for point in points:
            found = one(metrics, metric, group, point)
            row[f"TAR @ FAR {name_of(point)}"] = (
                f":gray[{NOT_MEASURABLE}]"
                if found is None
                else cell(found["value"], found["low"], found["high"], 1, 100)
            )
        for name, label, digits, factor in (("auc", "AUC", 4, 1.0), ("eer", "EER", 1, 100.0)):
            found = one(metrics, name, group)
            row[label] = "n/a" if found is None else cell(found["value"], found["low"], found["high"], digits, factor)
        rows.append(row)
    return pd.DataFrame(rows)


def scores(lab: Workspace, run: RunRecord, protocol: str, data: Dataset, metrics: pd.DataFrame, point: str) -> None:
    """The scores of one group's pairs, and where the one threshold cuts them."""
    pairs = pairs_of(run.folder, data, protocol).merge(
        cached.results(lab, run.run_id, data.dataset_id, "scores"), on="pair_id"
    )
    if pairs.empty:
        st.info("Everybody is compared with everybody: the scores are counted, not kept one by one.")
        return
    _downloads(lab, run, protocol, data)
    group = choose("Group", list(data.groups), "group", {})
    part = pairs[pairs["group"] == group]
    if part.empty:
        st.info(f"{plain(group)} has no pairs here.")
        return
    found = one(metrics, "threshold", point=point)
    chart(
        histogram_figure(part, None if found is None else float(found["value"])),
        "scores",
        "scores of genuine and impostor pairs",
    )
    st.caption(
        f"{plain(group)}: impostors right of the threshold are false matches, genuine pairs left of it false non-matches."
        if found is not None
        else "No threshold: this operating point is not measurable with these pairs."
    )


def _downloads(lab: Workspace, run: RunRecord, protocol: str, data: Dataset) -> None:
    """The scores as tables that other tools read; made when they are asked for."""
    with st.container(horizontal=True):
        for kind, label in (("bob", "Scores for bob"), ("bfw", "Scores as BFW's")):
            st.download_button(
                label,
                partial(_written, lab, run, protocol, data, kind),
                f"{run.run_id}-{data.dataset_id}-{kind}.csv",
                "text/csv",
                icon=":material/download:",
                key=f"scores:{kind}",
            )


def _written(lab: Workspace, run: RunRecord, protocol: str, data: Dataset, kind: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="fairlab-") as folder:
        path = Path(folder) / "scores.csv"
        api.export_scores(lab, [run.run_id], data.dataset_id, path, kind, protocol)
        return path.read_bytes()
