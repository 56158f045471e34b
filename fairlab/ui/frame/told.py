"""Told when a study ends: a word on the page, the tab's title, and, if the user asks for it here, a browser notification."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from fairlab.errors import FairLabError
from fairlab.jobs.telling import tell_in_background
from fairlab.queue.endings import Ending, endings
from fairlab.store.database import statuses
from fairlab.ui.frame.page import plain, workspace
from fairlab.workspace import Workspace

_BEFORE = "endings seen"
"""Session: study id -> Ending.key, as of the last look; absent while nothing works."""
_NEWS = "endings told"
"""Session: what this session was told, newest last, as the browser gets it."""
MOST_NEWS = 20
MARKS = {"done": "✓", "failed": "✗", "decision": "?"}
ICONS = {"done": ":material/check_circle:", "failed": ":material/error:", "decision": ":material/help:"}

_CSS = """
button { font: 13px/1.4 var(--st-font); color: var(--st-text-color); background: transparent; cursor: pointer; width: 100%;
         border: 1px solid var(--st-border-color); border-radius: 8px; padding: 5px 8px; text-align: left; }
button:focus-visible { outline: 2px solid var(--st-primary-color); }
p { font: 12.5px/1.4 var(--st-font); color: var(--st-text-color); margin: 0; }
"""
_JS = """
export default function (component) {
  const { data, parentElement } = component;
  let box = parentElement.querySelector(".told");
  if (!box) { box = document.createElement("div"); box.className = "told"; parentElement.appendChild(box); }
  const may = () => ("Notification" in window && window.isSecureContext ? Notification.permission : "none");
  const draw = () => {
    box.replaceChildren();
    if (!data.live) return;
    const state = may();
    if (state === "default") {
      const button = document.createElement("button");
      button.textContent = "Notify me when a study ends";
      button.onclick = () => Notification.requestPermission().then(draw);
      box.append(button);
      return;
    }
    const words = document.createElement("p");
    words.setAttribute("role", "status");
    words.textContent = state === "granted"
      ? "This browser tells you when a study ends."
      : "The tab's title tells you when a study ends; notifications are blocked in this browser.";
    box.append(words);
  };
  draw();
  const told = (window.fairlabTold ??= { seen: new Set(), mark: "", timer: 0 });
  const away = () => document.hidden || !document.hasFocus();
  const unmark = () => {
    if (away() || !told.mark) return;
    clearInterval(told.timer);
    if (document.title.startsWith(told.mark)) document.title = document.title.slice(told.mark.length);
    told.mark = "";
  };
  const marked = () => {
    if (told.mark && !document.title.startsWith(told.mark)) document.title = told.mark + document.title;
  };
  if (!told.listens) {
    told.listens = true;
    window.addEventListener("focus", unmark);
    document.addEventListener("visibilitychange", unmark);
  }
  for (const item of data.news) {
    if (told.seen.has(item.key)) continue;
    told.seen.add(item.key);
    if (may() === "granted") {
      try {
        const shown = new Notification("FairLab", { body: item.text, tag: item.key });
        shown.onclick = () => { window.focus(); shown.close(); };
      } catch { /* a phone shows none from a page: title and page still tell */ }
    }
    if (away()) {
      if (told.mark && document.title.startsWith(told.mark)) document.title = document.title.slice(told.mark.length);
      told.mark = item.mark + " " + item.title + " · ";
      clearInterval(told.timer);
      told.timer = setInterval(marked, 500);
      marked();
    }
  }
}
"""
"""A page that is run again sets its title anew, so the mark is put back until the user looks."""
_told = st.components.v2.component("fairlab_told", js=_JS, css=_CSS)


def watch() -> None:
    """In the sidebar of every page: tell what has ended, and offer notifications while something works."""
    with st.sidebar:
        lab = workspace()
        tell_endings(lab, not {"running", "queued"}.isdisjoint(statuses(lab).values()))


def tell_endings(lab: Workspace, live: bool) -> None:
    """Look whether a study has ended, failed or waits for its user since the last look, and tell it. live: does a run work?"""

    @st.fragment(run_every=5 if live else None)
    def look() -> None:
        before: Mapping[str, str] | None = st.session_state.get(_BEFORE)
        news: list[dict[str, str]] = st.session_state.setdefault(_NEWS, [])
        if live or before is not None:
            try:
                found = endings(lab)
            except (FairLabError, OSError):
                return  # the page itself says what cannot be read; the next look tells
            fresh = new_since(before, found)
            for ending in fresh:
                st.toast(plain(ending.sentence), icon=ICONS[ending.kind], duration="long")
                news.append(_item(ending))
            if fresh:
                tell_in_background(lab, fresh)
            del news[:-MOST_NEWS]
            st.session_state[_BEFORE] = {name: ending.key for name, ending in found.items()}
            if not live:
                del st.session_state[_BEFORE]
        if live or news:
            _told(key="told", data={"live": live, "news": list(news)})

    look()


def new_since(before: Mapping[str, str] | None, found: Mapping[str, Ending]) -> list[Ending]:
    """What is to be told now; nothing at the first look, when all that is there is old.

    before: the keys of the last look, by study id. A study that has begun and ended between two looks is told too.
    """
    if before is None:
        return []
    return [ending for name, ending in found.items() if ending.kind and before.get(name, "") != ending.key]


def _item(ending: Ending) -> dict[str, str]:
    key = f"{ending.study_id}:{ending.key}"
    return {"key": key, "text": ending.sentence, "title": ending.title, "mark": MARKS[ending.kind]}
