"""Where a student of several teachers routes the images of each group, as it trains and afterwards."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from fairlab.compare import routing
from fairlab.plots.routing import measures_figure, shares_figure
from fairlab.store.runs import RunRecord
from fairlab.ui.frame import cached
from fairlab.ui.frame.page import chart, plain
from fairlab.workspace import Workspace

HELP = (
    "Counts of the training images, which the gate does not see by group. The dotted line is 1 / n. Information is 0 when "
    "the gate ignores groups; it is a little above 0 by chance."
)


def routing_panel(lab: Workspace, record: RunRecord, events: pd.DataFrame) -> None:
    """Shares by group over the epochs, and what they amount to; nothing for a run that routes nothing."""
    if not routing.routes(record):
        return
    st.markdown("**Routing to the teachers**", help=HELP)
    st.caption(plain(routing.meaning(record)))
    shares = routing.shares(lab, record, events)
    if shares.empty:
        st.caption("Shares appear with the first epoch that routes; before it the student learns from all teachers.")
        return
    here = record.dataset in cached.datasets(lab)
    groups = cached.dataset(lab, record.dataset).groups if here else record.config.data.groups
    chart(
        shares_figure(shares, groups), f"routing:{record.run_id}", "share of each group routed to each teacher", shares
    )
    measures = routing.measures(lab, record, events)
    chart(
        measures_figure(measures),
        f"routing measures:{record.run_id}",
        "entropy of the routing, own-teacher rate and mutual information over the epochs",
        measures,
    )
    st.caption(plain(sentence(measures.iloc[-1])))


def sentence(last: pd.Series) -> str:
    """The numbers of one epoch, in words; what is not known is left out."""
    words = {
        "entropy": "entropy / log n {:.3f}",
        "own_rate": "own teacher {:.1%}",
        "information_bits": "I(group; teacher) {:.4f} bits",
        "chosen_kl": "divergence from chosen teachers {:.3f}",
        "other_kl": "from the others {:.3f}",
        "chosen_ce": "cross-entropy of chosen teachers {:.3f}",
        "other_ce": "of the others {:.3f}",
    }
    known = [text.format(last[name]) for name, text in words.items() if pd.notna(last[name])]
    if pd.notna(last["own_rate"]):
        known.insert(2, f"chance {last['chance']:.1%}")
    return " · ".join([f"epoch {int(last['epoch']):,}", *known])
