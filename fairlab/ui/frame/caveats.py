"""What must be said beside numbers and pictures of a data set, on every page that shows some."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from fairlab.data.dataset import Dataset
from fairlab.jobs.evaluate import caveats
from fairlab.store.runs import RunRecord
from fairlab.ui.frame.page import plain


def show(data: Dataset, runs: Sequence[RunRecord] = ()) -> None:
    """A warning for each sentence of runs.caveats."""
    for text in caveats.of_numbers(runs, data):
        st.warning(plain(text), icon=":material/warning:")
