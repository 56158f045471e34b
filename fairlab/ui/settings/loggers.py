"""Where readings also go, as fields made from the settings themselves."""

from __future__ import annotations

import streamlit as st

from fairlab.errors import FairLabError
from fairlab.jobs.loggers.base import set_loggers, settings_of
from fairlab.settings.study import changed
from fairlab.ui.frame.forms import settings_form
from fairlab.ui.frame.page import show_error
from fairlab.workspace import Workspace


def loggers_form(lab: Workspace) -> None:
    """The workspace's loggers, kept as soon as they are changed; runs that start from then on tell them."""
    with st.expander("Loggers", icon=":material/share:"):
        old = settings_of(lab)
        dials = settings_form(old, "loggers")
        st.caption("Applies to runs that start from now on. Nothing leaves this machine unless you name a server here.")
        if not dials:
            return
        try:
            set_loggers(lab, changed(old, dials))
        except FairLabError as error:
            show_error(error)
            return
        st.toast("Saved.")
