"""Tags, note and star on the Runs page: shown, and changed in a small form."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from fairlab.api.run import Run
from fairlab.api.studies import Study
from fairlab.errors import FairLabError
from fairlab.store.labels import MOST_TAGS, NOTE_LETTERS, Labels, change_labels, labels_of, read_labels
from fairlab.ui.frame.page import plain, show_error
from fairlab.workspace import Workspace


def labels_button(lab: Workspace, handle: Run | Study, key: str, known: Sequence[str]) -> None:
    """A button that opens the form for tags, note and star. key: what its widgets are called; known: tags to offer."""
    try:
        now = read_labels(handle.folder)
    except FairLabError as error:  # damaged: saving writes it anew
        show_error(error)
        now = Labels()
    icon = ":material/star:" if now.star else ":material/label:"
    with st.popover("Tags and note", icon=icon, key=f"labels:{key}"), st.form(f"label form:{key}", border=False):
        star = st.checkbox("Star", now.star, key=f"star:{key}")
        offered = list(dict.fromkeys([*now.tags, *known]))
        tags = st.multiselect(
            "Tags",
            offered,
            now.tags,
            key=f"tags:{key}",
            accept_new_options=True,
            max_selections=MOST_TAGS,
            placeholder="Choose or type a tag",
        )
        note = st.text_area("Note", now.note, key=f"note:{key}", max_chars=NOTE_LETTERS)
        if st.form_submit_button("Save", type="primary", key=f"save labels:{key}"):
            new, gone = [tag for tag in tags if tag not in now.tags], [tag for tag in now.tags if tag not in tags]
            try:
                change_labels(lab, handle.folder, new, gone, note, star)
            except FairLabError as error:
                show_error(error)
            else:
                st.rerun()


def labels_line(handle: Run | Study) -> None:
    """Tags and note as they are; nothing where there are none."""
    now = labels_of(handle.folder)
    if now.tags:
        st.markdown(" ".join(f":gray-badge[{plain(tag)}]" for tag in now.tags))
    if now.note:
        st.text(now.note)
