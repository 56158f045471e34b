"""The frame of every page: title, workspace, what is running, and errors as one plain sentence."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, NoReturn

import pandas as pd
import streamlit as st

from fairlab.compare.exports import as_csv
from fairlab.errors import FairLabError
from fairlab.files import app_root, sentence_of
from fairlab.plots.printing import dressed, page_of
from fairlab.queue.launch import dispatch_unless_busy
from fairlab.storage.hidden import hidden
from fairlab.store.database import statuses
from fairlab.ui.frame import choices
from fairlab.ui.frame.manual import CHAPTERS, chapter_of
from fairlab.workspace import Workspace, open_workspace

PICTURE = "picture format"
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>$~:&])")


def plain(text: object) -> str:
    """Text from data (names, paths, reasons) so that Markdown shows it as it is and loads nothing."""
    return _SPECIAL.sub(r"\\\1", str(text)).replace("\n", " ")


def show_error(error: FairLabError) -> None:
    """What is wrong and what would be right, without a traceback."""
    st.error(plain(error), icon=":material/error:")


def workspace() -> Workspace:
    """The workspace of this session: FAIRLAB_HOME or the default folder."""
    return open_workspace()


def start(title: str, about: str) -> Workspace:
    """Title, a link to the page's chapter of the manual, and one line on what the page is for; returns the workspace."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title(title, anchor=False, width="stretch")
        if chapter := chapter_of(title.lower()):
            st.page_link(
                app_root() / "pages" / "help.py",
                label="Help",
                icon=":material/help:",
                help=f"The manual: {CHAPTERS[chapter].answers}",
                query_params={"chapter": chapter},
            )
    st.caption(about)
    return workspace()


def frame() -> None:
    """Logo, workspace and running work in the sidebar."""
    st.logo(str(app_root() / "assets" / "logo.png"), size="large")
    with st.sidebar:
        try:
            lab = workspace()
            busy = not {"running", "queued"}.isdisjoint(statuses(lab).values())
            missing = hidden(lab)
        except FairLabError as error:
            show_error(error)
            st.stop()
        except OSError as error:  # a folder of the workspace that may not be looked into
            show_error(FairLabError(sentence_of(error)))
            st.stop()
        st.caption(f"Workspace: {plain(lab.home)}")
        for sentence in missing:
            st.warning(plain(sentence), icon=":material/warning:")
        _running(busy)
        st.session_state[PICTURE] = st.session_state.get(PICTURE, "SVG")
        st.segmented_control("Charts are saved as", ["SVG", "PNG"], key=PICTURE, required=True)


def _running(live: bool) -> None:
    """A line on what runs now, renewed every three seconds while something does; it also starts what waits."""

    @st.fragment(run_every=3 if live else None)
    def chip() -> None:
        lab = workspace()
        stand = list(statuses(lab).values())
        running, waiting = stand.count("running"), stand.count("queued")
        if waiting:
            try:
                dispatch_unless_busy(lab)
            except FairLabError as error:
                show_error(error)
        if running or waiting:
            st.page_link(
                app_root() / "pages" / "runs.py",
                label=f"{running} running, {waiting} waiting",
                icon=":material/progress_activity:",
            )
        elif live:
            st.rerun()

    chip()


def empty(what: str, why: str, command: str) -> NoReturn:
    """An empty page's way forward: what will be here, why it is not, and how to get it."""
    st.info(f"{what} {why}", icon=":material/info:")
    if st.button("Start a study", type="primary", icon=":material/rocket_launch:", key="to launch"):
        st.switch_page(app_root() / "pages" / "launch.py")
    st.caption("Or in a terminal:")
    st.code(command, language="bash")
    stop()


def stop() -> NoReturn:
    """End the page here, with its link written (st.stop alone would leave it as it was)."""
    choices.finish()
    st.stop()


def facts(*shown: tuple[str, str, str, str]) -> None:
    """Numbers in cards: label, value, a small line beneath (an interval, a count), and what it means.

    A card is as wide as its words; those that find no place begin another row, so that nothing is cut.
    """
    with st.container(horizontal=True):
        for label, value, small, meaning in shown:
            st.metric(
                label,
                value,
                small or None,
                delta_color="off",
                delta_arrow="off",
                border=True,
                help=meaning or None,
                height="stretch",
                width="content",
            )


INK = {"light": "#3C4856", "dark": "#C6CFD8"}
"""Colour of a figure's words, as the page is light or dark; Streamlit's own is hard to read."""
GROUND = {"light": "#FFFFFF", "dark": "#10161D"}
"""What a figure stands on: the page's own ground."""


def chart(figure: Any, key: str, alt: str, table: pd.DataFrame | None = None, **options: Any) -> Any:
    """A plotly figure in the page's light or dark dress; `alt` says it to those who do not see it.

    Its camera saves SVG or PNG for paper (ui/frame/printing.py). With a `table`, a small menu below offers the figure as HTML and its numbers as CSV.
    """
    dress = str(st.context.theme.type)
    ink, ground = INK.get(dress, INK["light"]), GROUND.get(dress, GROUND["light"])
    figure = dressed(figure, ink, ground)
    picture = st.session_state.get(PICTURE, "SVG").lower()
    image = {"format": picture, "filename": key.replace(":", "-"), "scale": 2}
    config = {"displaylogo": False, "toImageButtonOptions": image}
    drawn = st.plotly_chart(figure, theme="streamlit", config=config, key=key, alt=alt, **options)
    if table is not None:
        _saving(figure, key, table)
    return drawn


def _saving(figure: Any, key: str, table: pd.DataFrame) -> None:
    """A figure's menu: as a page of its own, and its numbers."""
    name = key.replace(":", "-")
    with st.popover("Save", icon=":material/download:", key=f"save:{key}", type="tertiary"):
        st.download_button(
            "Chart as HTML",
            partial(page_of, figure),
            f"{name}.html",
            "text/html",
            key=f"html:{key}",
            width="stretch",
            on_click="ignore",
        )
        st.download_button(
            "Numbers as CSV",
            partial(as_csv, table),
            f"{name}.csv",
            "text/csv",
            key=f"table:{key}",
            width="stretch",
            on_click="ignore",
        )
        st.caption("SVG or PNG for a paper: the camera at the chart's corner; choose the format in the sidebar.")
