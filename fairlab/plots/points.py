"""Colours of many points as one byte each, for maps that a browser draws: what the byte means is a legend or a scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.colors

from fairlab.plots.colours import GREY, OKABE_ITO, WRONG, group_styles
from fairlab.plots.spaces import NAMED, NAMED_AT_MOST, OTHERS

STEPS = 128
"""Colours of a scale of numbers; the byte behind them is grey, for points without a number."""
VERDICTS = {"same person": OKABE_ITO[2], "another person": WRONG, "not searched": GREY}


@dataclass(frozen=True)
class Entry:
    """A line of the legend; under: drawn below the others."""

    name: str
    colour: str
    under: bool = False


@dataclass(frozen=True)
class Coding:
    """codes: a byte per point for each map, an index of colours; entries: what it means, or scale: (lowest, highest)."""

    codes: tuple[np.ndarray, ...]
    colours: tuple[str, ...]
    entries: tuple[Entry, ...] = ()
    scale: tuple[float, float] | None = None


def coded(columns: Sequence[np.ndarray], colour_by: str, groups: Sequence[str]) -> Coding:
    """One coding for the maps of all columns, each (N,): text, or numbers (NaN: none), so that a colour means the same in all."""
    if columns and all(np.issubdtype(column.dtype, np.number) for column in columns):
        return _numbers(columns)
    return _names([column.astype(str) for column in columns], colour_by, groups)


def _numbers(columns: Sequence[np.ndarray]) -> Coding:
    known = np.concatenate([column[np.isfinite(column)] for column in columns])
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    width = high - low or 1.0
    codes = []
    for column in columns:
        finite = np.isfinite(column)
        step = np.round((np.where(finite, column, low) - low) / width * (STEPS - 1))
        codes.append(np.where(finite, step, STEPS).astype(np.uint8))
    shades = plotly.colors.sample_colorscale("Viridis", np.linspace(0, 1, STEPS).tolist(), colortype="tuple")
    hexes = tuple("#" + "".join(f"{round(255 * part):02x}" for part in shade) for shade in shades)
    return Coding(tuple(codes), (*hexes, GREY), scale=(low, high))


def _names(columns: Sequence[np.ndarray], colour_by: str, groups: Sequence[str]) -> Coding:
    codes, names = pd.factorize(np.concatenate(columns) if columns else np.empty(0, str))
    entries = _entries(codes, [str(name) for name in names], colour_by, groups)
    at = {entry.name: place for place, entry in enumerate(entries)}
    rest = next((place for place, entry in enumerate(entries) if entry.under), 0)
    table = np.array([at.get(str(name), rest) for name in names], dtype=np.uint8)
    bytes_ = table[codes] if len(names) else np.empty(0, np.uint8)
    ends = np.cumsum([len(column) for column in columns])[:-1]
    return Coding(tuple(np.split(bytes_, ends)), tuple(entry.colour for entry in entries), tuple(entries))


def _entries(codes: np.ndarray, names: Sequence[str], colour_by: str, groups: Sequence[str]) -> list[Entry]:
    """The legend: groups as everywhere, verdicts by their own colours, otherwise the most frequent names and grey others."""
    if colour_by == "group" and set(names) <= set(groups) and len(groups) <= 200:
        return [Entry(name, style.colour) for name, style in group_styles(groups).items()]
    if set(names) <= set(VERDICTS):
        return [Entry(name, colour, colour == GREY) for name, colour in VERDICTS.items() if name in names]
    counts = np.bincount(codes, minlength=len(names))
    most = np.argsort(-counts, kind="stable")[:NAMED_AT_MOST]
    named = sorted(names[place] for place in most)
    entries = [Entry(name, NAMED[place % len(NAMED)]) for place, name in enumerate(named)]
    if len(names) > NAMED_AT_MOST:
        entries.append(Entry(f"{len(names) - NAMED_AT_MOST:,} {OTHERS}", GREY, under=True))
    return entries
