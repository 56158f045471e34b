"""Pairs of faces as a grid, in pages: two faces, who they are and the score; a pair can be clicked and reached by arrow keys."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import pandas as pd
import streamlit as st

from fairlab.ui.frame import choices
from fairlab.ui.frame.gallery import version_of

EACH = 24
"""Pairs on a page."""

_CSS = """
.grid { display: flex; flex-wrap: wrap; align-items: stretch; gap: 10px; padding: 4px; }
.pair { box-sizing: border-box; width: calc(2 * var(--px) + 26px); border: 0; margin: 0; padding: 10px; text-align: left;
        border-radius: 9px; cursor: pointer; background: var(--st-secondary-background-color);
        color: var(--st-text-color); font: 11.5px/1.35 var(--st-font); outline: 2px solid transparent; }
.pair:hover, .pair:focus-visible { outline-color: var(--st-primary-color); }
.pair.chosen { outline: 3px solid var(--st-primary-color); }
.faces { display: flex; gap: 6px; min-height: 2px; }
.faces img { width: var(--px); height: var(--px); border-radius: 6px; display: block; }
.pair b, .pair span { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.pair b { margin-top: 6px; font-size: 13px; font-variant-numeric: tabular-nums; }
.pair .right { border-left: 3px solid #009E73; padding-left: 5px; }
.pair .wrong { border-left: 3px solid #D55E00; padding-left: 5px; }
"""
_JS = """
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  let grid = parentElement.querySelector(".grid");
  if (!grid) { grid = document.createElement("div"); grid.className = "grid"; parentElement.appendChild(grid); }
  grid.style.setProperty("--px", data.px + "px");
  const source = (image) => "/api/thumb/" + encodeURIComponent(data.dataset) + "/" + image + "?px=" + data.px * 2 + "&v=" + data.version;
  grid.replaceChildren(...data.pairs.map((pair) => {
    const item = document.createElement("button");
    item.className = "pair" + (pair.chosen ? " chosen" : "");
    item.dataset.pair = pair.number;
    item.setAttribute("aria-pressed", pair.chosen);
    if (data.pictures) {
      const faces = document.createElement("div");
      faces.className = "faces";
      for (const image of pair.images) {
        const picture = document.createElement("img");
        picture.alt = "";
        picture.src = source(image);
        faces.appendChild(picture);
      }
      item.appendChild(faces);
    }
    for (const [tag, kind, text] of [["b", "", pair.title], ...pair.lines.map((line) => ["span", "", line]), ["span", pair.tone, pair.beside]]) {
      if (!text) continue;
      const line = document.createElement(tag);
      line.className = kind;
      line.textContent = text;
      line.title = text;
      item.appendChild(line);
    }
    item.onclick = () => setTriggerValue("clicked", pair.number);
    return item;
  }));
  grid.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const items = [...grid.querySelectorAll(".pair")];
    const at = items.indexOf(grid.getRootNode().activeElement);
    if (step && at >= 0 && items[at + step]) { items[at + step].focus(); event.preventDefault(); }
  };
}
"""
_pairs = st.components.v2.component("fairlab_pairs", css=_CSS, js=_JS)


@dataclass(frozen=True)
class Pair:
    """Two faces and the lines beneath them. beside: what a second model says; tone: "right", "wrong" or ""."""

    number: int
    images: tuple[int, int]
    title: str
    lines: tuple[str, ...] = ()
    beside: str = ""
    tone: str = ""
    chosen: bool = False


def as_pair(row: Mapping[str, object], picked: bool) -> Pair:
    """A row of compare.pairs.PAIRS_BEHIND as two faces."""
    one, two = row["identity_a"], row["identity_b"]
    who = (str(one),) if one == two else (str(one), str(two))
    groups = str(row["group_a"]) if row["group_a"] == row["group_b"] else f"{row['group_a']} and {row['group_b']}"
    there = row["right_there"]
    beside = ""
    if there is not None and not pd.isna(there):
        beside = f"second: {row['score_there']:.3f}, {'right' if there else 'wrong'}"
    return Pair(
        int(str(row["pair_id"])),
        (int(str(row["image_a"])), int(str(row["image_b"]))),
        f"{row['score']:.3f} ({row['distance']:+.3f})",
        (*who, groups),
        beside,
        "" if not beside else "right" if there else "wrong",
        picked,
    )


def pick_page(name: str, pairs: int, of: str) -> slice:
    """The rows of the page that is shown of so many pairs; its number is in the link under a name. of: the filters, each of
    which begins at the first page.
    """
    pages = -(-pairs // EACH)
    asked = choices.asked(name, of)
    number = int(asked[-1]) if asked and asked[-1].isdecimal() and 1 <= int(asked[-1]) <= pages else 1
    if pages > 1:
        key = f"{name} {zlib.crc32(of.encode())}"
        if st.session_state.get(key, number) != number:  # Back, or another link
            st.session_state[key] = number
        number = int(st.pagination(pages, default=number, key=key, on_change=_paged, args=(name, key, of)))
    choices.show(name, [str(number)] if pages > 1 else [])
    return slice((number - 1) * EACH, number * EACH)


def _paged(name: str, key: str, of: str) -> None:
    """Callback of the page numbers."""
    choices.choose(name, [str(st.session_state[key])], of)


def pair_gallery(dataset_id: str, shown: Sequence[Pair], key: str, px: int = 76, pictures: bool = True) -> int | None:
    """Draw the pairs; returns the number of one that has just been clicked. pictures: False for data without images."""
    data = {
        "dataset": dataset_id,
        "version": version_of(dataset_id),
        "pictures": pictures,
        "px": px,
        "pairs": [asdict(pair) for pair in shown],
    }
    answer = _pairs(key=key, data=data, on_clicked_change=lambda: None)
    return None if answer.clicked is None else int(answer.clicked)
