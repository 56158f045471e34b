"""The parts of the Verification page: ROC, rates at operating points, scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from fairlab.plots.verification import histogram_figure, roc_figure
from fairlab.store.runs import RunRecord
from fairlab.ui import cached
from fairlab.ui.numbers import download, metrics_of, one, tar_table
from fairlab.ui.page import chart_config, plain
from fairlab.ui.pickers import choose
from fairlab.workspace import Workspace


def roc(lab: Workspace, run_ids: Sequence[str], dataset: str, protocol: str, titles: Mapping[str, str]) -> None:
    """ROC per group of one or several models."""
    curves = pd.concat([cached.results(lab, run_id, "curves") for run_id in run_ids])
    figure = roc_figure(curves[curves["protocol"] == protocol], cached.dataset(lab, dataset).groups, titles)
    st.plotly_chart(figure, theme=None, config=chart_config(), key="roc", alt="ROC per group")
    st.caption(
        "Left is strict: few strangers are let in. The band is the 95 % interval of the TAR over redrawn people; "
        "it is drawn for one model at a time."
    )


def rates(lab: Workspace, run: RunRecord, protocol: str) -> None:
    """TAR at FAR per group, with counts and intervals, or "not measurable"."""
    st.subheader("True accept rate at a false match rate", anchor=False)
    table = tar_table(metrics_of(lab, run, protocol), cached.dataset(lab, run.dataset).groups)
    st.dataframe(table, hide_index=True)
    st.caption(
        "In percent, with 95 % intervals. One threshold: the same for everybody, as in use. Own threshold: each group "
        "its own, as papers print it, which hides that groups need different thresholds. Not measurable: fewer than ten "
        "false matches could be expected."
    )
    download(table, f"tar-{run.run_id}-{protocol}")


def scores(lab: Workspace, run: RunRecord, protocol: str, point: str) -> None:
    """Scores of a group's genuine and impostor pairs, with the one threshold."""
    st.subheader("Scores", anchor=False)
    data = cached.dataset(lab, run.dataset)
    group = choose("Group", list(data.groups), "group", {})
    pairs = data.pairs_of(protocol).merge(cached.results(lab, run.run_id, "scores"), on="pair_id")
    found = one(metrics_of(lab, run, protocol), "threshold", point=point)
    figure = histogram_figure(pairs[pairs["group"] == group], None if found is None else float(found["value"]))
    st.plotly_chart(figure, theme=None, config=chart_config(), key="scores", alt="scores of genuine and impostor pairs")
    st.caption(
        f"{plain(group)}: impostor pairs right of the threshold are false matches, genuine pairs left of it are false "
        "non-matches. The threshold is the same for all groups."
    )
