"""The menu, and the frame around every page. Started by app.py; also what AppTest opens."""

from __future__ import annotations

import streamlit as st

from fairlab.errors import FairLabError
from fairlab.files import app_root, sentence_of
from fairlab.ui.frame import browser, choices, printing, told
from fairlab.ui.frame.page import frame, show_error

PAGES = app_root() / "pages"


def _page(name: str, title: str, icon: str, help_: str, default: bool = False) -> st.Page:
    return st.Page(
        PAGES / f"{name}.py",
        title=title,
        icon=f":material/{icon}:",
        url_path=None if default else name,
        default=default,
        help=help_,
    )


st.set_page_config(page_title="FairLab", page_icon=str(app_root() / "assets" / "icon.png"), layout="wide")
chosen = st.navigation(
    {
        "": [_page("home", "Home", "home", "Overview", default=True)],
        "Make": [
            _page("data", "Data", "photo_library", "Images, people, groups, pairs"),
            _page("models", "Models", "model_training", "Trained here or added; evaluate any model on any data set"),
            _page("launch", "Launch", "rocket_launch", "Plan and start a study"),
            _page("runs", "Runs", "monitoring", "What is running, and its progress"),
        ],
        "Look": [
            _page("spaces", "Spaces", "scatter_plot", "Two spaces side by side"),
            _page("verification", "Verification", "fingerprint", "ROC per group"),
            _page("fairness", "Fairness", "balance", "Differences between groups, and chance"),
            _page("compare", "Compare", "table_rows", "A study as a table"),
        ],
        " ": [
            _page("storage", "Storage", "hard_drive", "Disk, archives, deletion"),
            _page("settings", "Settings", "settings", "Workspace, versions, devices"),
            _page("help", "Help", "help", "The manual, and a search over it"),
        ],
    }
)
if chosen.title != "Home":  # a browser's tabs, bookmarks and history tell the pages apart
    st.set_page_config(page_title=f"{chosen.title} · FairLab")
choices.begin(chosen.url_path)
frame()
browser.one_entry_each()
printing.camera()
told.watch()
try:
    chosen.run()
except FairLabError as error:
    show_error(error)
except OSError as error:  # of the system, where nobody knew more to say about it
    show_error(FairLabError(sentence_of(error)))
choices.finish()
