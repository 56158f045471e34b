"""Pairs of faces as a grid: two faces, who they are and the score; a pair can be clicked and reached by arrow keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import streamlit as st

from fairlab.ui.frame.gallery import version_of

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
