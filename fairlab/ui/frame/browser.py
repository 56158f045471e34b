"""Two things that only the browser can do: one entry of its history for a page, and a click on a point in lasso mode."""

from __future__ import annotations

import streamlit as st

_HISTORY = """
export default function () {
  if (history.fairlab) return;
  history.fairlab = true;
  const push = history.pushState.bind(history);
  history.pushState = (state, title, url) => {
    const to = new URL(url, location.href);
    const bare = to.pathname === location.pathname && !location.search && to.search;
    bare ? history.replaceState(state, title, url) : push(state, title, url);
  };
}
"""
"""A page that is opened from the menu gets its choices into its link a moment later; without this, that would be a second
entry of the browser's history, and the first press of Back would seem to do nothing."""
_CLICKS = """
export default function (component) {
  const { setTriggerValue } = component;
  const listen = () => {
    for (const plot of document.querySelectorAll(".js-plotly-plot")) {
      if (plot.fairlab || !plot.on) continue;
      plot.fairlab = true;
      plot.on("plotly_click", (event) => {
        const id = event.points[0]?.customdata;
        if (plot._fullLayout.clickmode !== "event" || id === undefined) return;
        setTriggerValue("clicked", String(id["0"] ?? id));
      });
    }
  };
  listen();
  const timer = setInterval(listen, 400);
  return () => clearInterval(timer);
}
"""
"""Streamlit listens for selections only, and plotly makes a click one in zoom and pan mode alone."""
_history = st.components.v2.component("fairlab_history", js=_HISTORY)
_clicks = st.components.v2.component("fairlab_clicks", js=_CLICKS)


def one_entry_each() -> None:
    """Let every page be one entry of the browser's history."""
    _history(key="browser history")


def clicked_point() -> int | None:
    """The image id of a point of a map that has just been clicked in lasso or box mode."""
    answer = _clicks(key="map clicks", on_clicked_change=lambda: None)
    return int(answer.clicked) if answer.clicked is not None and str(answer.clicked).isdecimal() else None
