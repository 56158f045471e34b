"""On the data page: a data set whose files are not where they were, and saying where they are now."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from fairlab.api import Lab
from fairlab.data.dataset import Dataset
from fairlab.errors import FairLabError
from fairlab.ui.frame.page import plain, show_error
from fairlab.workspace import Workspace


def panel(lab: Workspace, data: Dataset) -> bool:
    """Are the images there? If not, say so and ask where they are now."""
    lies = data.info.get("images_from", {}).get("path")
    if lies is None or Path(lies).exists():
        return True
    st.warning(
        plain(
            f"The images of this data set are missing: {lies} does not exist. Restore it, or enter its new location "
            f"below."
        ),
        icon=":material/warning:",
    )
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    to = left.text_input("Where the images are now", key=f"moved to:{data.dataset_id}", placeholder=lies)
    changed = st.checkbox(
        "Accept images that have changed; this makes it a different data set", key=f"changed:{data.dataset_id}"
    )
    if right.button(
        "Check this location", icon=":material/search:", type="primary", disabled=not to, key="move", width="stretch"
    ):
        bar = st.progress(0.0)

        def tell(done: int, total: int) -> None:
            bar.progress(done / total, f"{done:,} of {total:,} images")

        try:
            Lab(lab).data[data.dataset_id].move(to, changed, tell)
        except FairLabError as error:
            show_error(error)
            return False
        finally:
            bar.empty()
        st.rerun()
    return False
