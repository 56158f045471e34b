"""The choices that belong in a page's link, one key for one meaning on all pages.

The browser's link is the truth when the browser brings one: at the first load, on Back and Forward, and from a link of
one page to another. Otherwise the choices of the session hold, whichever page they were made on. Every page writes what
it shows into its own link, defaults too, so that a copied link shows the same tomorrow. Widgets are drawn from here:
Streamlit drops a widget's state when a page does not draw it.

Keys that several pages share: `study`, `on` (the data set that results are of), `model`, `pairs`, `point`, `by` (the
pages that look at results); `set` (the data set that is looked at on Data and evaluated on at Models). Models has its
own key `evaluate` for the model of its form, so that looking there changes nothing on Verification.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

_ASKED = "choices asked for"
"""Session: key -> texts that the link or a hand asked for. What a page shows instead of something gone is not among them."""
_OWNERS = "choices' owners"
"""Session: key -> what the choice is part of, for keys whose values mean something else elsewhere (a face of a data set)."""
_SHOWN = "choices shown"
"""Session: key -> texts that the page shows in this run."""
_DRAWN = "choices drawn"
"""Session: widget key -> the page visit and the look that it was last drawn with."""
_PAGES = "choices of pages"
"""Session: page -> the keys that it showed."""
_PAGE, _VISIT, _HAND, _BY_HAND = "choices' page", "choices' visit", "choice made", "choice made by hand"


def begin(page: str) -> None:
    """The first thing of every run of a page: take the link's choices, if the browser brought a link."""
    entered = st.session_state.get(_PAGE) != page
    back = bool(getattr(get_script_run_ctx(), "is_history_navigation", False))
    st.session_state[_BY_HAND] = st.session_state.pop(_HAND, False)
    st.session_state[_SHOWN] = {}
    if entered or back:
        _take(page, complete=back)
        st.session_state[_PAGE] = page
        st.session_state[_VISIT] = st.session_state.get(_VISIT, 0) + 1


def _take(page: str, complete: bool) -> None:
    """Make the link's choices those of the session; complete: what the page's own link leaves out was not chosen."""
    given = {key: [text for text in st.query_params.get_all(key) if text] for key in st.query_params}
    link = {key: texts for key, texts in given.items() if texts}  # `study=` asks for nothing
    known = st.session_state.setdefault(_ASKED, {})
    if complete and link:
        for key in st.session_state.get(_PAGES, {}).get(page, ()):
            if key not in link:
                known.pop(key, None)
    for key, texts in link.items():
        if known.get(key) != texts:
            known[key] = texts
            st.session_state.get(_OWNERS, {}).pop(key, None)


def asked(key: str, of: str = "") -> list[str]:
    """What is asked for under a key, nothing where nothing is; of: what it is part of, where it means nothing elsewhere."""
    texts = st.session_state.get(_ASKED, {}).get(key, [])
    if of and texts and st.session_state.setdefault(_OWNERS, {}).setdefault(key, of) != of:
        return []
    return list(texts)


def choose(key: str, texts: Sequence[str], of: str = "") -> None:
    """Make a choice, by a button or a widget: it holds on every page until another is made."""
    keep(key, texts, of)
    st.session_state[_HAND] = True


def keep(key: str, texts: Sequence[str], of: str = "") -> None:
    """Make what a page shows the choice, as it follows from one that a hand has just made."""
    st.session_state.setdefault(_ASKED, {})[key] = list(texts)
    if of:
        st.session_state.setdefault(_OWNERS, {})[key] = of


def forget(*ids: str) -> None:
    """Ask for these no more, under any key: they have been deleted here."""
    known = st.session_state.get(_ASKED, {})
    for key, texts in list(known.items()):
        if gone := set(texts) & set(ids):
            known[key] = [text for text in texts if text not in gone]
            if not known[key]:
                del known[key]


def by_hand() -> bool:
    """Was a choice made on this page just now? What changes with it needs no word then."""
    return bool(st.session_state.get(_BY_HAND))


def show(key: str, texts: Sequence[str]) -> None:
    """The page shows these: they go into its link."""
    st.session_state.setdefault(_SHOWN, {})[key] = [text for text in texts if text]


def shown(key: str) -> list[str]:
    """What the page shows under a key in this run."""
    texts: list[str] = st.session_state.get(_SHOWN, {}).get(key, [])
    return list(texts)


def finish() -> None:
    """The last thing of every run: write what is shown into the page's link, all at once (each write is a step Back)."""
    shown: dict[str, list[str]] = st.session_state.get(_SHOWN, {})
    pages = st.session_state.setdefault(_PAGES, {})
    pages[st.session_state.get(_PAGE, "")] = set(shown)
    link = {key: st.query_params.get_all(key) for key in st.query_params}
    wanted = {key: texts for key, texts in link.items() if key not in shown} | {k: v for k, v in shown.items() if v}
    if wanted != link:
        st.query_params.from_dict(wanted)


def finish_part() -> None:
    """The last thing of a fragment: when it is drawn again without the rest of its page, its choices go into the link too.

    Within a whole page the page's end does that, for all at once.
    """
    if not getattr(get_script_run_ctx(), "fragment_ids_this_run", None):
        return
    finish()
    st.session_state.pop(_HAND, None)  # otherwise the page would take the next link's choices for made by hand


def place(widget: str, value: Any, look: Any = None) -> None:
    """Before a widget is drawn: give it this value, unless it stands on it already; look: what makes it another widget."""
    drawn = st.session_state.get(_DRAWN, {}).get(widget)
    if drawn != (st.session_state.get(_VISIT), look) or st.session_state.get(widget) != value:
        st.session_state[widget] = value


def standing(widget: str) -> Any:
    """What a widget has stood on since this visit to the page began, None when it was not drawn before."""
    drawn = st.session_state.get(_DRAWN, {}).get(widget)
    return st.session_state.get(widget) if drawn and drawn[0] == st.session_state.get(_VISIT) else None


def placed(widget: str, look: Any = None) -> None:
    """After a widget is drawn."""
    st.session_state.setdefault(_DRAWN, {})[widget] = st.session_state.get(_VISIT), look


def taken(key: str, of: str = "") -> None:
    """Callback of a widget whose own key is the choice's: what it stands on is chosen."""
    value = st.session_state[key]
    texts = value if isinstance(value, list | tuple) else [value]
    choose(key, [str(text) for text in texts], of)
