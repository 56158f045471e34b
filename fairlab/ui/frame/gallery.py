"""Faces as a grid that can be clicked and walked with the arrow keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import streamlit as st

from fairlab.files import MANIFEST
from fairlab.ui.frame.page import workspace

_CSS = """
.grid { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 12px 10px; padding: 4px; }
.set { display: flex; gap: 4px; padding: 5px 5px 2px; border-radius: 9px;
       background: var(--st-secondary-background-color); }
.face { width: var(--px); cursor: pointer; border: 0; padding: 0; background: none; text-align: left;
        color: var(--st-text-color); font: 11.5px/1.3 var(--st-font); }
.face img { width: var(--px); height: var(--px); display: block; border-radius: 6px; outline: 2px solid transparent;
            outline-offset: 1px; background: var(--st-secondary-background-color); }
.face:hover img, .face:focus-visible img { outline-color: var(--st-primary-color); }
.face.chosen img { outline: 3px solid var(--st-primary-color); }
.face.wrong img { outline: 3px solid #D62728; }
.face.right img { outline: 3px solid #009E73; }
.face b { display: block; margin-top: 5px; overflow-wrap: anywhere; font-weight: 600; }
.face span { display: block; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.face span { opacity: 0.75; }
.face.wrong span.mark { color: #D62728; opacity: 1; font-weight: 600; }
.face:focus { outline: none; }
"""
_JS = """
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  let grid = parentElement.querySelector(".grid");
  if (!grid) { grid = document.createElement("div"); grid.className = "grid"; parentElement.appendChild(grid); }
  grid.style.setProperty("--px", data.px + "px");
  const items = data.faces.map((face) => {
    const item = document.createElement("button");
    item.className = "face " + face.state;
    item.dataset.id = face.image_id;
    const picture = document.createElement("img");
    picture.loading = "lazy";
    picture.alt = face.title + " " + face.text;
    if (data.pictures) picture.src = "/api/thumb/" + encodeURIComponent(data.dataset) + "/" + face.image_id + "?px=" + data.px * 2 + "&v=" + data.version;
    if (data.pictures) item.appendChild(picture);
    for (const [tag, kind, text] of [["b", "", face.title], ["span", "", face.text], ["span", "mark", face.mark]]) {
      if (!text) continue;
      const line = document.createElement(tag);
      line.className = kind;
      line.textContent = text;
      line.title = text;
      item.appendChild(line);
    }
    item.onclick = () => setTriggerValue("clicked", face.image_id);
    return item;
  });
  const sets = [];
  for (let at = 0; at < items.length; at += data.together) {
    if (data.together === 1) { sets.push(items[at]); continue; }
    const set = document.createElement("div");
    set.className = "set";
    set.append(...items.slice(at, at + data.together));
    sets.push(set);
  }
  grid.replaceChildren(...sets);
  grid.onkeydown = (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const faces = [...grid.querySelectorAll(".face")];
    const at = faces.indexOf(grid.getRootNode().activeElement);
    if (step && at >= 0 && faces[at + step]) { faces[at + step].focus(); event.preventDefault(); }
  };
}
"""
_faces = st.components.v2.component("fairlab_faces", css=_CSS, js=_JS)


@dataclass(frozen=True)
class Face:
    """A picture with up to three short lines; state: "", "chosen", "right" or "wrong"."""

    image_id: int
    title: str = ""
    text: str = ""
    mark: str = ""
    state: str = ""


def version_of(dataset_id: str) -> str:
    """Changes when the data set's files do."""
    path = workspace().dataset(dataset_id) / MANIFEST
    return str(path.stat().st_mtime_ns) if path.exists() else ""


def faces(
    dataset_id: str, shown: Sequence[Face], key: str, px: int = 84, together: int = 1, pictures: bool = True
) -> int | None:
    """Draw the faces, `together` of them in one frame; returns the image id of one that has just been clicked.

    pictures: False for data without images, whose names can still be read and clicked.
    """
    data = {
        "dataset": dataset_id,
        "version": version_of(dataset_id),  # a browser keeps pictures: after a deletion a number is another face
        "pictures": pictures,
        "px": px,
        "together": together,
        "faces": [asdict(face) for face in shown],
    }
    answer = _faces(key=key, data=data, on_clicked_change=lambda: None)
    return None if answer.clicked is None else int(answer.clicked)
