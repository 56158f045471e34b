"""A table for comparing: a click on a heading sorts it, numbers carry small intervals and colours, a row opens its run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import streamlit as st

_CSS = """
.frame { overflow-x: auto; border: 1px solid var(--st-border-color); border-radius: 10px; }
table { border-collapse: separate; border-spacing: 0; width: 100%; font: 13.5px/1.3 var(--st-font);
        color: var(--st-text-color); font-variant-numeric: tabular-nums; }
th, td { padding: 7px 5px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--st-border-color); }
tbody tr:last-child td { border-bottom: 0; }
th { position: sticky; top: 0; background: var(--st-secondary-background-color); font-weight: 600; font-size: 12.5px;
     vertical-align: bottom; padding: 0; }
th button { all: unset; box-sizing: border-box; display: block; position: relative; width: 100%; padding: 8px 12px 8px 3px;
            cursor: pointer; text-align: inherit; white-space: normal; }
th:first-child button { padding-left: 8px; }
th button:focus-visible, td button:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: -2px; }
th button::after { content: ""; position: absolute; right: 3px; bottom: 8px; }
th[aria-sort=descending] button::after { content: "\\2193"; }
th[aria-sort=ascending] button::after { content: "\\2191"; }
th[aria-sort=none] button:hover::after { content: "\\2195"; opacity: 0.45; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; z-index: 1; white-space: normal;
                                 min-width: 12.5em; padding-left: 10px; background: var(--st-background-color); }
th:first-child { z-index: 2; background: var(--st-secondary-background-color); }
tbody tr:hover td { background: color-mix(in srgb, var(--st-primary-color) 6%, var(--st-background-color)); }
tr.baseline td { background: color-mix(in srgb, var(--st-text-color) 5%, var(--st-background-color)); }
td .small { display: block; font-size: 11px; opacity: 0.68; font-weight: 400; }
td .name { all: unset; cursor: pointer; font-weight: 600; color: var(--st-primary-color); }
td .name:hover, td .seed:hover { text-decoration: underline; }
td .tag { display: inline-block; font-size: 11px; opacity: 0.72; margin-right: 0.7em; }
td .runs { display: inline-block; white-space: nowrap; }
td .seed { all: unset; cursor: pointer; font-size: 11px; margin-right: 0.5em; color: var(--st-primary-color); }
td .value { display: inline-block; border-radius: 6px; padding: 0 4px; margin-right: -4px; }
td .best { font-weight: 700; background: color-mix(in srgb, var(--st-primary-color) 20%, transparent); }
td .better { font-weight: 600; background: color-mix(in srgb, #009E73 26%, transparent); }
td .worse { font-weight: 600; background: color-mix(in srgb, #D55E00 26%, transparent); }
td .beyond { text-decoration: underline dotted #D55E00 2px; text-underline-offset: 3px; }
td .quiet { opacity: 0.65; }
.bar { position: relative; display: block; height: 4px; margin-top: 4px; border-radius: 2px; min-width: 64px;
       background: color-mix(in srgb, var(--st-text-color) 9%, transparent); }
.bar i { position: absolute; top: 0; bottom: 0; border-radius: 2px;
         background: color-mix(in srgb, var(--st-primary-color) 45%, transparent); }
.bar b { position: absolute; top: -2px; bottom: -2px; width: 2px; background: var(--st-text-color); }
.bar u { position: absolute; top: -3px; bottom: -3px; width: 1px;
         background: color-mix(in srgb, var(--st-text-color) 45%, transparent); }
"""
_JS = """
const SEEN = new WeakMap();
function element(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}
function bar(cell, column) {
  const [from, to] = column.range, at = (value) => 100 * (Math.min(to, Math.max(from, value)) - from) / (to - from) + "%";
  const made = element("span", "bar"), span = element("i"), mark = element("b");
  span.style.left = at(cell.low);
  span.style.right = "calc(100% - " + at(cell.high) + ")";
  mark.style.left = at(cell.value);
  if (from < 0 && to > 0) { const zero = element("u"); zero.style.left = at(0); made.appendChild(zero); }
  made.append(span, mark);
  return made;
}
export default function (component) {
  const { data, parentElement, setTriggerValue } = component;
  let frame = parentElement.querySelector(".frame");
  if (!frame) { frame = element("div", "frame"); parentElement.appendChild(frame); }
  const sorting = SEEN.get(frame) || { key: null, way: 1 };
  SEEN.set(frame, sorting);
  const rank = (value) => value === null || value === undefined;
  const ordered = () => {
    if (sorting.key === null || !data.columns.some((column) => column.key === sorting.key)) return data.rows;
    return [...data.rows].sort((one, two) => {
      const a = one.cells[sorting.key].value, b = two.cells[sorting.key].value;
      if (rank(a) || rank(b)) return rank(a) - rank(b);  // without a number: always last
      return sorting.way * (typeof a === "string" ? a.localeCompare(b) : a - b);
    });
  };
  const open = (run) => () => setTriggerValue("opened", run);
  function draw() {
    const table = element("table"), head = element("tr"), body = element("tbody"), top = element("thead");
    for (const column of data.columns) {
      const cell = element("th"), button = element("button", "", column.label);
      cell.scope = "col";
      cell.setAttribute("aria-sort", sorting.key !== column.key ? "none" : sorting.way > 0 ? "ascending" : "descending");
      button.title = column.help;
      button.onclick = () => {
        const first = column.lower ? 1 : -1;
        sorting.way = sorting.key === column.key ? -sorting.way : first;
        sorting.key = column.key;
        draw();
      };
      cell.appendChild(button);
      head.appendChild(cell);
    }
    for (const row of ordered()) {
      const line = element("tr", row.state);
      line.dataset.run = row.run;
      for (const column of data.columns) {
        const found = row.cells[column.key], cell = element("td");
        cell.title = found.help;
        if (column.key === "model") {
          const name = element("button", "name", found.text);
          name.onclick = open(row.run);
          const runs = element("span", "runs");
          cell.append(name, element("br"), element("span", "tag", found.small), runs);
          for (const [seed, run] of row.seeds) {
            const button = element("button", "seed", seed);
            button.title = "Open the run of this seed";
            button.onclick = open(run);
            runs.appendChild(button);
          }
        } else {
          cell.appendChild(element("span", "value " + found.tone, found.text));
          if (found.small) cell.appendChild(element("span", "small", found.small));
          if (column.range && !rank(found.low) && !rank(found.high)) cell.appendChild(bar(found, column));
        }
        line.appendChild(cell);
      }
      body.appendChild(line);
    }
    top.appendChild(head);
    table.append(top, body);
    frame.replaceChildren(table);
  }
  draw();
}
"""
_table = st.components.v2.component("fairlab_table", css=_CSS, js=_JS)


@dataclass(frozen=True)
class Column:
    """A column: its key in the rows, heading, what it means, whether small is good, and the ends of its bars."""

    key: str
    label: str
    help: str = ""
    lower: bool = False
    range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Cell:
    """What stands in a cell; it is sorted by `value`. tone: "", "best", "better", "worse", "beyond", "quiet"."""

    text: str
    value: float | str | None
    small: str = ""
    tone: str = ""
    help: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """A row that opens `run`; seeds: what is shown of each single run, and its id; state: "" or "baseline"."""

    run: str
    cells: dict[str, Cell]
    seeds: Sequence[tuple[str, str]] = ()
    state: str = ""


def as_data(columns: Sequence[Column], rows: Sequence[Row]) -> dict[str, Any]:
    """Columns and rows as the browser gets them: nothing but text and numbers."""
    return {"columns": [asdict(column) for column in columns], "rows": [asdict(row) for row in rows]}


def show(columns: Sequence[Column], rows: Sequence[Row], key: str) -> str | None:
    """Draw the table; returns the run of a row that has just been opened."""
    answer = _table(key=key, data=as_data(columns, rows), on_opened_change=lambda: None)
    return None if answer.opened is None else str(answer.opened)
