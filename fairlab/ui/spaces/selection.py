"""The images chosen on a map: a choice of the session (ui.frame.choices), shared by all views, in the page's link as a short text."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections import OrderedDict
from hashlib import sha256

import numpy as np
import streamlit as st

from fairlab.ui.frame import browser, choices
from fairlab.ui.spaces.lasso import rising

PARAMETER, FACE = "sel", "face"
"""Keys of the link: the images selected, and the one whose neighbours are shown."""
IDS_AT_MOST = 2_000_000
"""Ids read from a link."""
LINK_AT_MOST = 24_000
"""Letters of a selection in a link; browsers and servers take no link of any length."""
LARGE = "large-"
"""What begins a selection too large for a link: the rest is the hash under which the app remembers it until it ends."""
REMEMBERED = 64


def encode(ids: np.ndarray) -> str:
    """Image ids as a short text for a link: the steps between them, compressed.

    Level 6 of zlib: level 9 is a sixth shorter, but takes 2 s instead of 0.1 s for half of a million images.
    """
    steps = np.diff(rising(ids), prepend=0).astype("<u4")
    return base64.urlsafe_b64encode(zlib.compress(steps.tobytes(), 6)).decode().rstrip("=")


def decode(text: str) -> np.ndarray | None:
    """The ids of encode(), rising; None for a text that is not one (or absurdly long)."""
    try:
        raw = zlib.decompressobj().decompress(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), 4 * IDS_AT_MOST)
        return np.cumsum(np.frombuffer(raw, dtype="<u4").astype(np.int64))
    except (ValueError, zlib.error, binascii.Error):
        return None


def selected(dataset_id: str) -> np.ndarray | None:
    """The images of a data set chosen now, or None."""
    asked = choices.asked(PARAMETER, dataset_id)
    ids = _ids(asked[-1]) if asked else None
    return None if ids is None or len(ids) == 0 else ids


@st.cache_resource(show_spinner=False)
def _large() -> OrderedDict[str, np.ndarray]:
    """Selections too large for a link, of all sessions, oldest first."""
    return OrderedDict()


def _ids(text: str) -> np.ndarray | None:
    return _large().get(text) if text.startswith(LARGE) else decode(text)


def text_of(ids: np.ndarray) -> str:
    """The text of a selection for a link; of one too large for it, a name that this app knows until it ends."""
    text = encode(ids)
    if len(text) <= LINK_AT_MOST:
        return text
    name = LARGE + sha256(ids.tobytes()).hexdigest()[:16]
    kept = _large()
    kept[name] = rising(ids)
    kept.move_to_end(name)
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)
    return name


def show_or_refuse(dataset_id: str) -> None:
    """Keep the selection in the page's link; one that is none is said, and forgotten."""
    asked = choices.asked(PARAMETER, dataset_id)
    if asked and asked[-1].startswith(LARGE):
        _say_large(dataset_id)
        asked = asked if selected(dataset_id) is not None else []
    elif asked and selected(dataset_id) is None:
        st.warning(
            "The selection in this link is damaged, so no image is selected; copy the whole link again, or make a new "
            "selection on a map.",
            icon=":material/link_off:",
        )
        asked = []
    choices.show(PARAMETER, asked)


def _say_large(dataset_id: str) -> None:
    if selected(dataset_id) is None:
        st.warning(
            "The selection of this link was too large for a link, and the app has forgotten it; select again.",
            icon=":material/link_off:",
        )
    else:
        st.caption(
            ":material/link: This selection is too large for a link. The page's link works until the app is restarted."
        )


def select(dataset_id: str, ids: np.ndarray | None) -> None:
    """Choose these images, or nothing."""
    choices.choose(PARAMETER, [] if ids is None or len(ids) == 0 else [text_of(ids)], dataset_id)


def take_click(dataset_id: str) -> None:
    """A point that has just been clicked in lasso or box mode is the selection."""
    clicked = browser.clicked_point()
    if clicked is not None:
        select(dataset_id, np.array([clicked], dtype=np.int64))
        st.rerun()


def take_from_chart(dataset_id: str, key: str) -> None:
    """Callback of a map: make its lasso, box or click the selection; an empty one clears it."""
    points = st.session_state[key]["selection"]["points"]
    ids = [_id_of(point["customdata"]) for point in points if point.get("customdata") is not None]
    select(dataset_id, np.array(ids, dtype=np.int64) if ids else None)


def _id_of(customdata: object) -> int:
    """Plotly hands the id back as [5] or {"0": 5}, depending on how it was sent."""
    if isinstance(customdata, dict):
        return int(customdata["0"])
    return int(customdata[0]) if isinstance(customdata, list | tuple) else int(str(customdata))
