"""A saved selection as a filter of the pages Verification and Fairness: one choice in the link, and words on what it leaves out."""

from __future__ import annotations

import streamlit as st

from fairlab.data.dataset import Dataset
from fairlab.data.selections import SIDES, Chosen, names, open_selection
from fairlab.errors import FairLabError
from fairlab.settings.recipe import Selected
from fairlab.ui.frame import choices
from fairlab.ui.frame.page import plain, stop
from fairlab.ui.frame.pickers import choose
from fairlab.workspace import Workspace

SELECTION, SELECTED = "selection", "selected"
"""Keys of the link; the page Spaces saves under the first."""
EVERYBODY = ""
TITLES: dict[str, str] = {side: f"{words[0].upper()}{words[1:]}" for side, words in SIDES.items()}


def pick_selection(lab: Workspace, data: Dataset) -> Chosen | None:
    """A saved selection of the data set and its side that counts; None for everybody, and where nothing was saved."""
    known = names(lab, data.dataset_id)
    asked = [text for text in choices.asked(SELECTION, data.dataset_id) if text]
    if not known and not asked:
        return None
    left, right, _ = st.columns([2, 2, 2.6])
    with left:
        name = choose(
            "Saved selection",
            [EVERYBODY, *known],
            SELECTION,
            {EVERYBODY: "everybody"},
            help="Saved on Spaces, or with `fairlab data selections save`. Groups, rates and intervals are computed again.",
            of=data.dataset_id,
        )
    if name == EVERYBODY:
        return None
    with right:
        side: Selected = choose("Pairs of", list(SIDES), SELECTED, TITLES)  # type: ignore[assignment]
    try:
        return Chosen(open_selection(lab, data, name), side)
    except FairLabError as error:
        st.warning(plain(f"{error}. Everybody is shown."), icon=":material/filter_alt_off:")
        return None


def end_here(chosen: Chosen | None, what: str) -> None:
    """With a selection the page ends here: what would follow are stored numbers of everybody, and is named."""
    if chosen is not None:
        st.caption(
            plain(f"{what} are stored for everybody, so they are not shown for the {chosen}. Choose everybody above.")
        )
        stop()
